//! Buffers that begin on a cache line and end with room for one vector more.

use std::alloc::{Layout, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use crate::pages::{HUGE, Pages, are_mapped};

/// Zeroed bytes at a 64-byte boundary, followed by 64 bytes that may be read but mean nothing.
///
/// Memory is taken from the system where it is first touched, in huge pages if it offers them: a large weight crosses
/// a page every 4 KiB otherwise, and each crossing stalls the stream. Buffers of at least a huge page begin with one on Linux.
pub(crate) struct AlignedBytes {
    /// Kept as long as this is; `start` is the first place in it that is aligned.
    _pages: Pages,
    start: NonNull<u8>,
    len: usize,
}

/// Bytes of a cache line and of the widest vector.
const LINE: usize = 64;

/// What the start of a buffer is a multiple of. What lies in front of it is not touched.
const fn alignment(len: usize) -> usize {
    if are_mapped(len) { HUGE } else { LINE }
}

// SAFETY: the bytes belong to this value alone, like those of a `Vec<u8>`.
unsafe impl Send for AlignedBytes {}
// SAFETY: a shared reference only allows reading.
unsafe impl Sync for AlignedBytes {}

impl AlignedBytes {
    /// `len` zero bytes.
    pub(crate) fn zeroed(len: usize) -> Self {
        let layout = layout(len);
        let Some(pages) = Pages::zeroed(layout) else {
            handle_alloc_error(layout)
        };
        let skip = pages.start().align_offset(alignment(len));
        // SAFETY: less than the alignment is skipped, and the layout has as much and a line more than `len`.
        let start = unsafe { pages.start().add(skip) };
        pages.may_be_huge(skip, len);
        Self {
            _pages: pages,
            start,
            len,
        }
    }

    /// Makes room for `len` bytes; what they held is lost when the buffer has to grow.
    pub(crate) fn reserve(&mut self, len: usize) {
        if len > self.len {
            *self = Self::zeroed(len.next_power_of_two());
        }
    }

    /// The bytes as f32.
    pub(crate) fn as_f32(&self) -> &[f32] {
        // SAFETY: the start is aligned to 64 bytes, the length is rounded down, and every pattern of bits is a f32.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.len / 4) }
    }

    /// The same, to be written.
    pub(crate) fn as_f32_mut(&mut self) -> &mut [f32] {
        // SAFETY: the start is aligned to 64 bytes, the length is rounded down, every pattern of bits is a f32, and the
        // borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.len / 4) }
    }
}

/// Room for the alignment in front and for one vector behind. The alignment of the layout itself stays small, since only then
/// the system's zero pages are used as they are.
fn layout(len: usize) -> Layout {
    match Layout::from_size_align(len.saturating_add(alignment(len) + LINE), 16) {
        Ok(layout) => layout,
        // A length beyond the address space cannot be allocated either; this reports it as out of memory.
        Err(_) => handle_alloc_error(Layout::new::<u8>()),
    }
}

impl Default for AlignedBytes {
    fn default() -> Self {
        Self::zeroed(0)
    }
}

impl Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `len` initialised bytes begin at `start` and live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl fmt::Debug for AlignedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBytes({} bytes)", self.len)
    }
}

/// A pointer that threads may share because each writes its own part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SharedMut<T>(*mut T);

// SAFETY: whoever dereferences the pointer keeps the parts of different threads apart; see the uses.
unsafe impl<T: Send> Send for SharedMut<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedMut<T> {}

impl<T> SharedMut<T> {
    /// Of a slice that the caller borrows exclusively for as long as the pointer is used.
    pub(crate) fn new(slice: &mut [T]) -> Self {
        Self(slice.as_mut_ptr())
    }

    /// The address.
    pub(crate) fn get(self) -> *mut T {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::AlignedBytes;
    use crate::pages::{HUGE, are_mapped};
    use crate::testing::cut;

    #[test]
    fn buffers_begin_on_a_cache_line_and_are_zero() {
        let around_a_huge_page = [HUGE - 129, HUGE - 128, HUGE - 1, HUGE + 1].map(|len| cut(len, 4_000));
        let small = [0, 1, 63, 64, 1_000, cut(70_000, 2_000), cut(9_000_000, 4_100)];
        for len in small.into_iter().chain(around_a_huge_page) {
            let bytes = AlignedBytes::zeroed(len);
            assert_eq!(bytes.as_ptr() as usize % 64, 0);
            assert_eq!(bytes.len(), len);
            assert!(bytes.iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn a_buffer_of_at_least_a_huge_page_begins_with_one() {
        for len in [HUGE, 5 * HUGE / 2].into_iter().filter(|&len| are_mapped(len)) {
            assert_eq!(AlignedBytes::zeroed(len).as_ptr() as usize % HUGE, 0);
        }
    }

    #[test]
    fn reserving_less_keeps_the_buffer() {
        let mut bytes = AlignedBytes::zeroed(100);
        bytes[3] = 7;
        bytes.reserve(100);
        assert_eq!(bytes[3], 7);
        bytes.reserve(101);
        assert!(bytes.len() >= 101);
    }
}
