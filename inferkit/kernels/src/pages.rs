//! Where the memory of buffers comes from.
//!
//! An allocator hands out again what was freed before, and zeroes it by writing: such memory is in small pages already, and
//! stays so, whatever is asked for then. A model that is loaded after another would be slower than the first. So on Linux
//! large buffers are mapped one by one, and what is freed is given back at once. (Miri has no pages.)

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Bytes of a huge page on x86-64 and on most of aarch64.
pub(crate) const HUGE: usize = 2 << 20;

/// Whether buffers of this size are mapped.
pub(crate) const fn are_mapped(bytes: usize) -> bool {
    cfg!(all(target_os = "linux", not(miri))) && bytes >= HUGE
}

/// Zeroed memory that belongs to this value alone.
pub(crate) struct Pages {
    start: NonNull<u8>,
    layout: Layout,
    /// Mapped, and not allocated.
    is_mapped: bool,
}

impl Pages {
    /// `None` where there is not enough memory. The alignment of the layout is at most a page.
    pub(crate) fn zeroed(layout: Layout) -> Option<Self> {
        assert!(layout.size() > 0, "memory of no bytes");
        let mapped = if are_mapped(layout.size()) {
            system::map(layout.size())
        } else {
            None
        };
        if let Some(start) = mapped {
            return Some(Self {
                start,
                layout,
                is_mapped: true,
            });
        }
        // Linux gives a process some 65,000 mappings. Once they are used up, the allocator may still have room.
        // SAFETY: the layout has at least a byte.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Self {
            start,
            layout,
            is_mapped: false,
        })
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Tells the system that the pages after the first `skip` bytes, up to the last whole one of `len` bytes, may be huge ones.
    pub(crate) fn may_be_huge(&self, skip: usize, len: usize) {
        let whole = len / HUGE * HUGE;
        if self.is_mapped && whole > 0 {
            assert!(
                skip <= self.layout.size() && whole <= self.layout.size() - skip,
                "pages of others"
            );
            // SAFETY: the range lies within the mapping.
            unsafe { system::advise_huge(self.start.as_ptr().add(skip), whole) };
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if self.is_mapped {
            // SAFETY: mapped in `zeroed` with this size, and not unmapped since.
            unsafe { system::unmap(self.start, self.layout.size()) };
        } else {
            // SAFETY: allocated in `zeroed` with this layout, and not freed since.
            unsafe { dealloc(self.start.as_ptr(), self.layout) };
        }
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
mod system {
    use std::ptr::{NonNull, null_mut};

    pub(super) fn map(bytes: usize) -> Option<NonNull<u8>> {
        // The tests' allocator does not see this.
        #[cfg(test)]
        crate::testing::count(bytes);
        let (access, kind) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        // SAFETY: a mapping at an address that the system chooses touches nothing that exists.
        let start = unsafe { libc::mmap(null_mut(), bytes, access, kind, -1, 0) };
        if start == libc::MAP_FAILED {
            return None;
        }
        NonNull::new(start.cast())
    }

    /// # Safety
    /// `map` returned the bytes, and nobody uses them any more.
    pub(super) unsafe fn unmap(start: NonNull<u8>, bytes: usize) {
        libc::munmap(start.as_ptr().cast(), bytes);
    }

    /// # Safety
    /// The bytes are part of a mapping.
    pub(super) unsafe fn advise_huge(start: *mut u8, bytes: usize) {
        // This changes how pages are mapped, not what they hold. Where the kernel refuses it, nothing is lost but speed.
        libc::madvise(start.cast(), bytes, libc::MADV_HUGEPAGE);
    }
}

/// Nothing is mapped here.
#[cfg(not(all(target_os = "linux", not(miri))))]
mod system {
    use std::ptr::NonNull;

    pub(super) fn map(_bytes: usize) -> Option<NonNull<u8>> {
        None
    }

    pub(super) unsafe fn unmap(_start: NonNull<u8>, _bytes: usize) {}

    pub(super) unsafe fn advise_huge(_start: *mut u8, _bytes: usize) {}
}

#[cfg(test)]
#[cfg(all(target_os = "linux", not(miri)))]
mod tests {
    use std::alloc::Layout;

    use super::{HUGE, Pages};

    fn zeroed(bytes: usize) -> Option<Pages> {
        Pages::zeroed(Layout::from_size_align(bytes, 16).ok()?)
    }

    /// Small pages of these that are in memory.
    fn resident(pages: &Pages) -> usize {
        let mut states = vec![0_u8; pages.layout.size().div_ceil(4_096)];
        let start = pages.start().as_ptr().cast();
        // SAFETY: there is a byte for each page.
        let result = unsafe { libc::mincore(start, pages.layout.size(), states.as_mut_ptr()) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        states.iter().filter(|&state| state & 1 == 1).count()
    }

    #[test]
    fn large_memory_is_fresh_however_often_it_was_freed() {
        for _ in 0..4 {
            let pages = zeroed(4 * HUGE).unwrap();
            assert_eq!(resident(&pages), 0, "used before");
            // SAFETY: so many bytes belong to it.
            unsafe { pages.start().write_bytes(1, 4 * HUGE) };
            assert!(resident(&pages) > 0);
        }
    }

    #[test]
    fn memory_of_any_size_is_zero_and_can_be_written_to_its_end() {
        for bytes in [1, 4_096, HUGE - 1, HUGE, HUGE + 1] {
            let pages = zeroed(bytes).unwrap();
            // SAFETY: so many bytes belong to it, and nothing else refers to them.
            let memory = unsafe { std::slice::from_raw_parts_mut(pages.start().as_ptr(), bytes) };
            assert!(memory.iter().all(|&byte| byte == 0), "{bytes}");
            memory.fill(255);
        }
    }
}
