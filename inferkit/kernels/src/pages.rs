//! Where the memory of large buffers comes from.
//!
//! An allocator hands out again what was freed before, and zeroes it by writing: such memory is in small pages already, and
//! stays so, whatever is asked for then. A model that is loaded after another would be slower than the first. So on Linux
//! large buffers are mapped one by one, and what is freed is given back at once.

#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) use linux::{ask_for_huge, free, zeroed};
#[cfg(any(not(target_os = "linux"), miri))]
pub(crate) use other::{ask_for_huge, free, zeroed};

/// Bytes of a huge page on x86-64 and on most of aarch64.
pub(crate) const HUGE: usize = 2 << 20;

#[cfg(all(target_os = "linux", not(miri)))]
mod linux {
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::ptr::null_mut;

    use super::HUGE;

    /// Zero bytes, or null where there is not enough memory.
    ///
    /// # Safety
    /// The layout has at least a byte, and an alignment of at most a page.
    pub(crate) unsafe fn zeroed(layout: Layout) -> *mut u8 {
        if layout.size() < HUGE {
            return alloc_zeroed(layout);
        }
        let (access, kind) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        let start = libc::mmap(null_mut(), layout.size(), access, kind, -1, 0);
        if start == libc::MAP_FAILED {
            null_mut()
        } else {
            start.cast()
        }
    }

    /// Frees what `zeroed` returned for this layout.
    ///
    /// # Safety
    /// It was not null, and nobody uses it any more.
    pub(crate) unsafe fn free(start: *mut u8, layout: Layout) {
        if layout.size() < HUGE {
            dealloc(start, layout);
        } else {
            libc::munmap(start.cast(), layout.size());
        }
    }

    /// Tells the system that the pages within a buffer may be huge ones.
    pub(crate) fn ask_for_huge(start: *mut u8, len: usize) {
        let skip = start.align_offset(HUGE);
        let whole = len.saturating_sub(skip) / HUGE * HUGE;
        if whole > 0 {
            // SAFETY: the range lies within the buffer, and the advice changes how pages are mapped, not what they hold. Where
            // the kernel refuses it, nothing is lost but speed.
            unsafe { libc::madvise(start.add(skip).cast(), whole, libc::MADV_HUGEPAGE) };
        }
    }
}

/// The allocator's memory. Miri has no pages.
#[cfg(any(not(target_os = "linux"), miri))]
mod other {
    pub(crate) use std::alloc::{alloc_zeroed as zeroed, dealloc as free};

    pub(crate) fn ask_for_huge(_start: *mut u8, _len: usize) {}
}
