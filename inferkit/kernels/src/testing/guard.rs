//! Memory that faults when a kernel reads or writes past its end.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// A copy of a slice that ends where an inaccessible page begins.
///
/// With the variable `INFERKIT_NO_GUARD_PAGES` the page can be accessed: an emulator of a processor may read what a masked
/// load leaves out, and fault where the processor does not. Miri has no pages, but notices by itself who leaves an
/// allocation: there the copy is one that ends with its values.
pub(crate) struct Guarded<T: Copy> {
    start: *mut u8,
    taken: usize,
    offset: usize,
    len: usize,
    kind: PhantomData<T>,
}

/// Takes `size` bytes that end at a boundary: start and length of what was taken, and where the bytes begin.
#[cfg(not(miri))]
fn take(size: usize) -> (*mut u8, usize, usize) {
    const PAGE: usize = 4096;
    let usable = size.div_ceil(PAGE).max(1) * PAGE;
    let mapped = usable + PAGE;
    // SAFETY: a fresh anonymous mapping touches no memory of this process.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            mapped,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert_ne!(start, libc::MAP_FAILED, "mmap of {mapped} bytes");
    let start = start.cast::<u8>();
    if std::env::var_os("INFERKIT_NO_GUARD_PAGES").is_none() {
        // SAFETY: the last page of the mapping is taken away; the bytes lie in front of it.
        unsafe { assert_eq!(libc::mprotect(start.add(usable).cast(), PAGE, libc::PROT_NONE), 0) };
    }
    (start, mapped, usable - size)
}

/// Gives back what [`take`] took.
#[cfg(not(miri))]
fn give_back(start: *mut u8, taken: usize) {
    // SAFETY: mapped in `take` with this length.
    unsafe { libc::munmap(start.cast(), taken) };
}

#[cfg(miri)]
fn take(size: usize) -> (*mut u8, usize, usize) {
    // SAFETY: the layout is not empty.
    let start = unsafe { std::alloc::alloc(exactly(size.max(1))) };
    assert!(!start.is_null(), "{size} bytes");
    (start, size.max(1), 0)
}

#[cfg(miri)]
fn give_back(start: *mut u8, taken: usize) {
    // SAFETY: allocated in `take` with this layout.
    unsafe { std::alloc::dealloc(start, exactly(taken)) };
}

/// The layout of so many bytes; no test guards values that are aligned to more.
#[cfg(miri)]
fn exactly(size: usize) -> std::alloc::Layout {
    std::alloc::Layout::from_size_align(size, 8).unwrap()
}

impl<T: Copy> Guarded<T> {
    pub(crate) fn new(values: &[T]) -> Self {
        let size = size_of_val(values);
        let (start, taken, offset) = take(size);
        // SAFETY: `size` bytes begin there, and nobody else knows them.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr().cast::<u8>(), start.add(offset), size) };
        Self {
            start,
            taken,
            offset,
            len: values.len(),
            kind: PhantomData,
        }
    }
}

impl<T: Copy> Deref for Guarded<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `len` values were copied there; a page boundary minus whole values is aligned for T.
        unsafe { std::slice::from_raw_parts(self.start.add(self.offset).cast(), self.len) }
    }
}

impl<T: Copy> DerefMut for Guarded<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(self.offset).cast(), self.len) }
    }
}

impl<T: Copy> Drop for Guarded<T> {
    fn drop(&mut self) {
        give_back(self.start, self.taken);
    }
}

/// A copy of bytes that begins at an odd address.
pub(crate) struct Unaligned(Vec<u8>);

impl Unaligned {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut copy = vec![0; bytes.len() + 2];
        let at = Self::start(&copy);
        copy[at..at + bytes.len()].copy_from_slice(bytes);
        Self(copy)
    }

    fn start(bytes: &[u8]) -> usize {
        1 - bytes.as_ptr() as usize % 2
    }
}

impl Deref for Unaligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let at = Self::start(&self.0);
        &self.0[at..at + self.0.len() - 2]
    }
}
