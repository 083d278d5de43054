//! How fast can memory be read? What kernels that read weights or a cache once are a share of.

use std::mem::MaybeUninit;

use inferkit_kernels::Pool;
#[cfg(target_arch = "x86_64")]
use inferkit_kernels::{Isa, Tier};

/// Memory in huge pages that is read again and again, by all threads.
#[derive(Debug)]
pub(crate) struct Reading {
    values: Vec<u64>,
    /// Where the first line of a cache begins: a vector that lies across two lines is read twice.
    start: usize,
}

/// Numbers in a line of a cache.
const LINE: usize = 8;

/// Numbers that a thread takes at a time, 1 MiB, as kernels take their units.
const PART: usize = 1 << 17;

impl Reading {
    pub(crate) fn new(bytes: usize) -> Self {
        let len = bytes / 8 + LINE;
        let mut values = Vec::with_capacity(len);
        ask_for_huge_pages(&mut values.spare_capacity_mut()[..len]);
        values.resize(len, 1);
        let start = values.as_ptr().align_offset(8 * LINE);
        Self { values, start }
    }

    /// Reads everything once.
    pub(crate) fn read(&self, pool: &Pool) {
        let values = &self.values[self.start..];
        pool.run(values.len().div_ceil(PART), |part| {
            let own = values.chunks(PART).nth(part).unwrap_or_default();
            std::hint::black_box(sum(own));
        });
    }

    /// 10⁹ bytes a second, where all were read in so many seconds.
    pub(crate) fn rate(&self, seconds: f64) -> f64 {
        8.0 * (self.values.len() - self.start) as f64 / seconds / 1e9
    }
}

/// As the kernels ask for their buffers.
#[cfg(target_os = "linux")]
fn ask_for_huge_pages(memory: &mut [MaybeUninit<u64>]) {
    const HUGE: usize = 2 << 20;
    let start = memory.as_mut_ptr().cast::<u8>();
    let (skip, bytes) = (start.align_offset(HUGE), size_of_val(memory));
    // SAFETY: the range lies within the memory or is empty, and the advice changes how pages are mapped, not what they hold.
    unsafe {
        libc::madvise(
            start.wrapping_add(skip).cast(),
            bytes.saturating_sub(skip) / HUGE * HUGE,
            libc::MADV_HUGEPAGE,
        )
    };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages(_memory: &mut [MaybeUninit<u64>]) {}

fn sum(values: &[u64]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if Isa::new(Tier::Avx512).is_some() {
        // SAFETY: the tier is available.
        return unsafe { sum_512(values) };
    }
    sum_in_chains(values)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn sum_512(values: &[u64]) -> u64 {
    sum_in_chains(values)
}

/// Eight chains of the widest vectors, so that only memory limits it.
#[expect(clippy::inline_always, reason = "it is compiled for the instructions of its caller")]
#[inline(always)]
fn sum_in_chains(values: &[u64]) -> u64 {
    let (chunks, rest) = values.as_chunks::<64>();
    let mut sums = [0_u64; 64];
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum = sum.wrapping_add(*value);
        }
    }
    sums.iter().chain(rest).fold(0, |a, b| a.wrapping_add(*b))
}
