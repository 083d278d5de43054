//! Unfolding a gzipped archive into a file that has no name and goes away with the process.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::error::NemoError;
use crate::error::Error;
use crate::error::Result;
use crate::error::UnavailableFault;
use crate::job::Job;
use crate::job::Progress;

/// How many times larger than its compressed form an archive may be. Weights hardly shrink at all.
const MOST_EXPANSION: u64 = 32;

/// What any archive may unfold to, however small it is; a tar of empty files shrinks a lot.
const ALWAYS_ALLOWED: u64 = 1 << 20;

/// Largest archive. The largest published one has six gigabytes.
const LARGEST: u64 = 64 << 30;

/// Bytes unfolded at a time.
const STEP: usize = 1 << 16;

/// Whether `file` begins like a gzip stream.
pub(super) fn is_gzip(file: &[u8]) -> bool {
    file.starts_with(b"\x1f\x8b")
}

/// Unfolds `file`, called `name`, beside the archive's `path`, or in the system's temporary folder where that cannot be
/// written.
pub(super) fn unfold(name: &str, path: &Path, file: &[u8], job: &Job) -> Result<File> {
    let beside = path.parent().unwrap_or(Path::new("."));
    let mut unfolded = tempfile::tempfile_in(beside)
        .or_else(|_| tempfile::tempfile())
        .map_err(|error| no_room(name, error))?;
    unfold_into(&mut unfolded, name, file, job)?;
    Ok(unfolded)
}

/// Unfolds `file` into `to`, until it ends or `job` is cancelled.
pub(super) fn unfold_into(to: &mut impl Write, name: &str, file: &[u8], job: &Job) -> Result<()> {
    let compressed = u64::try_from(file.len()).unwrap_or(u64::MAX);
    let most = compressed.saturating_mul(MOST_EXPANSION).clamp(ALWAYS_ALLOWED, LARGEST);
    let mut stream = MultiGzDecoder::new(file);
    let mut step = vec![0; STEP];
    let mut total = 0_u64;
    loop {
        job.check()?;
        let count = match stream.read(&mut step) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(NemoError::Gzip.in_file(name).with_source(error)),
        };
        total = total.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if total > most {
            return Err(NemoError::Bomb { most }.in_file(name));
        }
        let part = step.get(..count).unwrap_or_default();
        to.write_all(part).map_err(|error| no_room(name, error))?;
        let left = u64::try_from(stream.get_ref().len()).unwrap_or(u64::MAX);
        let read = compressed.saturating_sub(left);
        job.report(Progress::phase("unfolding the archive").with_bytes(read, Some(compressed)));
    }
}

fn no_room(name: &str, error: io::Error) -> Error {
    let fault = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => UnavailableFault::DiskFull,
        _ => UnavailableFault::StorageUnwritable,
    };
    let message =
        format!("{name}: a gzipped archive is unfolded into a temporary file, which failed; make room for it");
    Error::unavailable(fault, message).with_source(error)
}
