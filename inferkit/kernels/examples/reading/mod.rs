//! How fast can memory be read? What kernels that read weights or a cache once are a share of.

use inferkit_kernels::Pool;
#[cfg(target_arch = "x86_64")]
use inferkit_kernels::{Isa, Tier};

/// Memory that is read again and again, each thread a part of it.
#[derive(Debug)]
pub(crate) struct Reading {
    values: Vec<u64>,
    /// Where the first line of a cache begins: a vector that lies across two lines is read twice.
    start: usize,
}

/// Numbers in a line of a cache.
const LINE: usize = 8;

impl Reading {
    pub(crate) fn new(bytes: usize) -> Self {
        let values = vec![1; bytes / 8 + LINE];
        let start = values.as_ptr().align_offset(8 * LINE);
        Self { values, start }
    }

    /// Reads everything once.
    pub(crate) fn read(&self, pool: &Pool) {
        let values = &self.values[self.start..];
        let part = values.len().div_ceil(pool.threads()).next_multiple_of(LINE);
        pool.run(pool.threads(), |thread| {
            let own = values.chunks(part).nth(thread).unwrap_or_default();
            std::hint::black_box(sum(own));
        });
    }

    /// 10⁹ bytes a second, where all were read in so many seconds.
    pub(crate) fn rate(&self, seconds: f64) -> f64 {
        8.0 * (self.values.len() - self.start) as f64 / seconds / 1e9
    }
}

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
