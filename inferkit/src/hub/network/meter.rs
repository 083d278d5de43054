//! Tells how far a download is, often enough for eyes and rarely enough for the processor.

use std::path::PathBuf;

use crate::hub::listing::ListedFile;
use crate::job::Job;
use crate::job::Progress;

/// Bytes between two reports.
const STEP_BYTES: u64 = 512 << 10;

/// The progress of one download, told to its job.
pub(super) struct Meter<'a> {
    job: &'a Job,
    total_bytes: Option<u64>,
    total_files: usize,
    done_files: usize,
    /// Bytes of the files that are done.
    before_bytes: u64,
    /// Bytes of the file at work.
    file_bytes: u64,
    reported_bytes: u64,
    file: Option<PathBuf>,
    phase: &'static str,
}

impl<'a> Meter<'a> {
    /// Nothing done of `files` yet.
    pub(super) fn new(job: &'a Job, files: &[&ListedFile]) -> Self {
        Self {
            job,
            total_bytes: files.iter().map(|file| file.bytes).sum(),
            total_files: files.len(),
            done_files: 0,
            before_bytes: 0,
            file_bytes: 0,
            reported_bytes: 0,
            file: None,
            phase: "fetching",
        }
    }

    /// Work at `file` begins.
    pub(super) fn begin(&mut self, file: &ListedFile) {
        self.file = Some(PathBuf::from(&file.path));
        self.file_bytes = 0;
        self.phase = "fetching";
        self.report();
    }

    /// The file waits for another process that fetches it.
    pub(super) fn wait(&mut self) {
        if self.phase != "waiting for another process" {
            self.phase = "waiting for another process";
            self.report();
        }
    }

    /// `bytes` of the file at work are on the disk.
    pub(super) fn at(&mut self, bytes: u64) {
        self.phase = "fetching";
        self.file_bytes = bytes;
        let done = self.before_bytes + bytes;
        if done.abs_diff(self.reported_bytes) >= STEP_BYTES {
            self.report();
        }
    }

    /// The file at work is done, with `bytes` bytes.
    pub(super) fn end(&mut self, bytes: u64) {
        self.done_files += 1;
        self.before_bytes += bytes;
        self.file_bytes = 0;
        self.report();
    }

    fn report(&mut self) {
        self.reported_bytes = self.before_bytes + self.file_bytes;
        let progress = Progress::phase(self.phase)
            .with_bytes(self.reported_bytes, self.total_bytes)
            .with_files(self.done_files, Some(self.total_files));
        self.job.report(Progress {
            file: self.file.clone(),
            ..progress
        });
    }
}
