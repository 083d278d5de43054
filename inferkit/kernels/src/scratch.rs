//! Working memory that a thread keeps, because fresh pages cost more than a kernel.

use std::cell::Cell;

use crate::aligned::AlignedBytes;

thread_local! {
    static SPARE: Cell<Vec<AlignedBytes>> = const { Cell::new(Vec::new()) };
}

/// Buffers that a thread keeps at most.
const KEPT: usize = 8;

/// A buffer lent by the current thread. Contents are left over from earlier use.
pub(crate) struct Scratch(AlignedBytes);

impl Scratch {
    /// A buffer of at least `len` bytes.
    pub(crate) fn bytes(len: usize) -> Self {
        let mut spare = SPARE.take();
        // The smallest that is large enough, or else the largest.
        let fits = spare
            .iter()
            .enumerate()
            .filter(|(_, bytes)| bytes.len() >= len)
            .min_by_key(|(_, bytes)| bytes.len());
        let chosen = fits
            .or_else(|| spare.iter().enumerate().max_by_key(|(_, bytes)| bytes.len()))
            .map(|(i, _)| i);
        let mut bytes = chosen.map(|i| spare.swap_remove(i)).unwrap_or_default();
        SPARE.set(spare);
        bytes.reserve(len);
        Self(bytes)
    }

    /// A buffer of at least `len` floats.
    pub(crate) fn floats(len: usize) -> Self {
        Self::bytes(4 * len)
    }

    pub(crate) fn as_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }

    pub(crate) fn as_bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    pub(crate) fn as_f32(&self) -> &[f32] {
        self.0.as_f32()
    }

    pub(crate) fn as_f32_mut(&mut self) -> &mut [f32] {
        self.0.as_f32_mut()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A thread that is ending has given its list away already: then the buffer is freed.
        let _ = SPARE.try_with(|cell| {
            let mut spare = cell.take();
            if spare.len() < KEPT {
                spare.push(std::mem::take(&mut self.0));
            }
            cell.set(spare);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::Scratch;

    #[test]
    fn a_thread_gets_its_own_buffer_back() {
        std::thread::spawn(|| {
            let first = Scratch::bytes(1_000).as_ptr();
            let mut again = Scratch::floats(250);
            assert_eq!(again.as_ptr(), first);
            assert!(again.as_f32_mut().len() >= 250 && again.as_bytes_mut().len() >= 1_000);
            assert_ne!(Scratch::bytes(10).as_ptr(), first, "lent out");
        })
        .join()
        .unwrap();
    }
}
