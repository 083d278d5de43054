//! Memory for decoded recordings: one bound for all of them together.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use inferkit::Error;
use inferkit::RequestFault;
use inferkit::Result;
use inferkit::UnavailableFault;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

/// What is counted: bytes would not fit the semaphore's numbers.
const UNIT_BYTES: u64 = 1 << 20;

/// The memory that all decoded recordings may take together, and what is left of it.
#[derive(Debug)]
pub(crate) struct RecordingMemory {
    units: u32,
    left: Arc<Semaphore>,
}

/// The part of it that one recording takes. Dropping the last clone gives it back.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    units: u32,
    left: Arc<Semaphore>,
    held: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl RecordingMemory {
    /// The least that a configuration may ask for.
    pub(crate) const LEAST_BYTES: u64 = UNIT_BYTES;

    /// Memory of that many bytes, rounded down to whole MiB.
    pub(crate) fn new(bytes: u64) -> Self {
        let most = Semaphore::MAX_PERMITS.min(u32::MAX as usize) as u64;
        let units = (bytes / UNIT_BYTES).clamp(1, most);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        Self {
            units,
            left: Arc::new(Semaphore::new(units as usize)),
        }
    }

    /// Room for a recording of which nothing is decoded yet.
    pub(crate) fn room(&self) -> Room {
        Room {
            units: self.units,
            left: Arc::clone(&self.left),
            held: Arc::default(),
        }
    }
}

impl Room {
    /// Makes room for `bytes` in all. Never waits: two recordings that are half decoded would wait for each other.
    ///
    /// # Errors
    /// `audio_too_long` for what does not fit even alone, `insufficient_memory` for what does not fit beside the others.
    pub(crate) fn hold(&self, bytes: u64) -> Result<()> {
        let wanted = u32::try_from(bytes.div_ceil(UNIT_BYTES));
        let Some(wanted) = wanted.ok().filter(|wanted| *wanted <= self.units) else {
            let message = format!(
                "the recording takes more memory than the {} MiB of limits.max_audio_memory; send it in parts",
                self.units
            );
            return Err(Error::invalid(RequestFault::AudioTooLong, "file", message));
        };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let units = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = wanted.saturating_sub(u32::try_from(units).unwrap_or(u32::MAX));
        let permit = Arc::clone(&self.left).try_acquire_many_owned(more).map_err(|_| {
            let message = format!(
                "other recordings fill the {} MiB of limits.max_audio_memory; try again later",
                self.units
            );
            Error::unavailable(UnavailableFault::InsufficientMemory, message)
        })?;
        match held.as_mut() {
            Some(held) => held.merge(permit),
            None => *held = Some(permit),
        }
        drop(held);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn code(held: Result<()>) -> &'static str {
        held.err().map_or("", |error| error.code())
    }

    #[test]
    fn recordings_share_the_memory_and_give_it_back() {
        let memory = RecordingMemory::new(4 * MIB);
        let (first, second) = (memory.room(), memory.room());
        assert_eq!(code(first.hold(1)), "");
        assert_eq!(code(first.hold(2 * MIB)), "", "what it holds already counts");
        assert_eq!(code(second.hold(2 * MIB)), "");
        assert_eq!(code(second.hold(2 * MIB + 1)), "insufficient_memory");
        drop(first);
        assert_eq!(code(second.hold(4 * MIB)), "");
    }

    #[test]
    fn what_does_not_fit_even_alone_is_too_long() {
        let memory = RecordingMemory::new(4 * MIB);
        assert_eq!(code(memory.room().hold(4 * MIB + 1)), "audio_too_long");
        assert_eq!(
            code(RecordingMemory::new(1).room().hold(1)),
            "",
            "never less than one MiB"
        );
        assert_eq!(
            code(RecordingMemory::new(u64::MAX).room().hold(u64::MAX)),
            "audio_too_long"
        );
    }
}
