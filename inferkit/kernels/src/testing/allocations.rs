//! How much memory a piece of work takes from the system.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes that this thread has asked for.
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

/// What a kernel may take from the system each time it is called: lists of jobs and of rows. Rows themselves are far larger.
const LITTLE: usize = 8_192;

/// Checks that the second `call` finds the memory of the first.
pub(crate) fn check_memory(what: &str, mut call: impl FnMut()) {
    call();
    let before = TAKEN.get();
    call();
    let taken = TAKEN.get() - before;
    assert!(taken <= LITTLE, "{what} takes {taken} bytes each time it is called");
}

/// The system's memory, counted.
struct Counted;

#[global_allocator]
static MEMORY: Counted = Counted;

pub(crate) fn count(bytes: usize) {
    // A thread that is ending counts no more.
    let _ = TAKEN.try_with(|taken| taken.set(taken.get() + bytes));
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        System.alloc(layout)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        System.alloc_zeroed(layout)
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        System.realloc(block, layout, size)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        System.dealloc(block, layout);
    }
}
