//! The bytes of a recording as the container readers take them: counted, watched and stopped on request.

use std::io::Error as IoError;
use std::io::Read;
use std::io::Result as IoResult;
use std::io::Seek;
use std::io::SeekFrom;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use symphonia::core::io::MediaSource;

use crate::error::Error;
use crate::error::Result;
use crate::job::Job;
use crate::job::Progress;

/// What went wrong beneath a container reader, which would take it for damage of the file.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadFault(Arc<Mutex<Option<IoError>>>);

impl ReadFault {
    /// Fails if reading itself failed.
    ///
    /// # Errors
    /// [`Error::Internal`] with the reader's own error.
    pub(super) fn check(&self) -> Result<()> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(cause) => {
                Err(Error::internal("the recording could not be read from where it was put").with_source(cause))
            }
            None => Ok(()),
        }
    }

    fn note(&self, fault: &IoError) {
        let copy = IoError::new(fault.kind(), fault.to_string());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
    }
}

/// A recording's bytes.
pub(super) struct Source<S> {
    inner: S,
    length_bytes: u64,
    position_bytes: u64,
    fault: ReadFault,
    job: Job,
}

impl<S: Read + Seek> Source<S> {
    /// Measures `inner` and goes to its start.
    ///
    /// # Errors
    /// The reader's own.
    pub(super) fn new(mut inner: S, job: Job) -> IoResult<Self> {
        let length_bytes = inner.seek(SeekFrom::End(0))?;
        inner.seek(SeekFrom::Start(0))?;
        Ok(Self {
            inner,
            length_bytes,
            position_bytes: 0,
            fault: ReadFault::default(),
            job,
        })
    }

    pub(super) const fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    /// Where failures of reading can be asked for after the source is given away.
    pub(super) fn fault(&self) -> ReadFault {
        self.fault.clone()
    }
}

impl<S: Read> Read for Source<S> {
    fn read(&mut self, bytes: &mut [u8]) -> IoResult<usize> {
        if self.job.is_cancelled() {
            return Err(IoError::other("cancelled"));
        }
        let count = self.inner.read(bytes).inspect_err(|fault| self.fault.note(fault))?;
        self.position_bytes = self.position_bytes.saturating_add(count as u64);
        self.job
            .report(Progress::phase("decoding").with_bytes(self.position_bytes, Some(self.length_bytes)));
        Ok(count)
    }
}

impl<S: Seek> Seek for Source<S> {
    // A place before the start or the like is the file's fault, not the reader's, hence not noted.
    fn seek(&mut self, to: SeekFrom) -> IoResult<u64> {
        self.position_bytes = self.inner.seek(to)?;
        Ok(self.position_bytes)
    }
}

impl<S: Read + Seek + Send + Sync> MediaSource for Source<S> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.length_bytes)
    }
}
