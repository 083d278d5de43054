//! The bytes of a recording as the container readers take them: watched, stopped on request, and counted once sound is read.

use std::io::Error as IoError;
use std::io::Read;
use std::io::Result as IoResult;
use std::io::Seek;
use std::io::SeekFrom;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

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

/// Tells a job how far a recording is read.
///
/// Until the sound begins, a reader looks for headers and tables all over the file, and that is no progress.
#[derive(Debug, Clone)]
pub(super) struct Gauge {
    job: Job,
    length_bytes: u64,
    is_on: Arc<AtomicBool>,
}

impl Gauge {
    /// What is read from here on is sound.
    pub(super) fn begin(&self) {
        self.is_on.store(true, Ordering::Relaxed);
    }

    /// All that is to be read was read.
    pub(super) fn end(&self) {
        self.tell(self.length_bytes);
    }

    fn tell(&self, done_bytes: u64) {
        let progress = Progress::phase("decoding").with_bytes(done_bytes, Some(self.length_bytes));
        self.job.report(progress);
    }
}

/// A recording's bytes.
pub(super) struct Source<S> {
    inner: S,
    position_bytes: u64,
    /// Sound of several tracks may lie one part here, one there.
    furthest_bytes: u64,
    fault: ReadFault,
    gauge: Gauge,
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
            position_bytes: 0,
            furthest_bytes: 0,
            fault: ReadFault::default(),
            gauge: Gauge {
                job,
                length_bytes,
                is_on: Arc::default(),
            },
        })
    }

    pub(super) const fn length_bytes(&self) -> u64 {
        self.gauge.length_bytes
    }

    /// What tells how far it is read, after the source is given away.
    pub(super) fn gauge(&self) -> Gauge {
        self.gauge.clone()
    }

    /// Where failures of reading can be asked for after the source is given away.
    pub(super) fn fault(&self) -> ReadFault {
        self.fault.clone()
    }
}

impl<S: Read> Read for Source<S> {
    fn read(&mut self, bytes: &mut [u8]) -> IoResult<usize> {
        if self.gauge.job.is_cancelled() {
            return Err(IoError::other("cancelled"));
        }
        let count = self.inner.read(bytes).inspect_err(|fault| self.fault.note(fault))?;
        self.position_bytes = self.position_bytes.saturating_add(count as u64);
        if self.gauge.is_on.load(Ordering::Relaxed) && self.position_bytes > self.furthest_bytes {
            self.furthest_bytes = self.position_bytes;
            self.gauge.tell(self.position_bytes);
        }
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
        Some(self.gauge.length_bytes)
    }
}
