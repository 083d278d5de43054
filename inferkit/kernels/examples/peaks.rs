//! What can this machine do at most?
//!
//! ```text
//! cargo run --release -p inferkit-kernels --example peaks -- [threads]
//! ```
//!
//! Bytes read from memory in a second, and multiply-adds of each kind (counted as two operations) in registers: what the
//! figures of kernels are a share of. Each is the best of some rounds.

#![expect(
    unsafe_code,
    reason = "instructions are measured by themselves, and memory in huge pages; the workspace keeps them in this package"
)]

mod reading;

use std::error::Error;
use std::time::Instant;

use inferkit_kernels::{Isa, Pool};
use reading::Reading;

fn main() -> Result<(), Box<dyn Error>> {
    let threads = std::env::args().nth(1).map_or(Ok(1), |threads| threads.parse())?;
    let pool = Pool::new(threads);
    println!("{}, {threads} threads", Isa::best().tier());
    // As much as the figures of products and of attention cycle through: a part of the smaller ones stays in a cache.
    for bytes in [96_000_000, 1 << 27, 1 << 29] {
        let reading = Reading::new(bytes);
        let seconds = fastest(|| reading.read(&pool));
        println!(
            "memory, {} MB read: {:.1} GB/s",
            bytes / 1_000_000,
            reading.rate(seconds)
        );
    }
    #[cfg(target_arch = "x86_64")]
    x86::report(&pool, threads);
    Ok(())
}

/// The least time of some rounds.
fn fastest(mut round: impl FnMut()) -> f64 {
    (0..12).fold(f64::MAX, |least, _| {
        let before = Instant::now();
        round();
        least.min(before.elapsed().as_secs_f64())
    })
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m512bh, __m512i, _mm256_fmadd_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm512_dpbf16_ps, _mm512_dpbusd_epi32,
        _mm512_fmadd_ps, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512,
    };

    use inferkit_kernels::Tier;

    use super::{Isa, Pool, fastest};

    const ROUNDS: usize = 2_000_000;
    /// Chains of dependent operations: more than latency times units.
    const CHAINS: usize = 16;

    type Loop = unsafe fn();

    pub(super) fn report(pool: &Pool, threads: usize) {
        let kinds: [(&str, Tier, f64, Loop); 4] = [
            ("f32, AVX2", Tier::Avx2, 16.0, fma_256),
            ("f32, AVX-512", Tier::Avx512, 32.0, fma_512),
            ("int8, VPDPBUSD", Tier::Avx512Vnni, 128.0, int8_512),
            ("bf16, VDPBF16PS", Tier::Avx512Bf16, 64.0, bf16_512),
        ];
        for (name, tier, operations, run) in kinds {
            if Isa::new(tier).is_none() {
                println!("{name}: this processor has it not");
                continue;
            }
            // SAFETY: the tier is available.
            let seconds = fastest(|| pool.run(threads, |_| unsafe { run() }));
            let total = (ROUNDS * CHAINS * threads) as f64 * operations;
            println!("{name}: {:.0} G/s", total / seconds / 1e9);
        }
    }

    macro_rules! chains {
        ($zero:expr, |$sum:ident| $step:expr) => {{
            let mut sums = [$zero; CHAINS];
            for _ in 0..ROUNDS {
                for $sum in &mut sums {
                    *$sum = $step;
                }
            }
            std::hint::black_box(sums);
        }};
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn fma_256() {
        let x = std::hint::black_box(_mm256_set1_ps(0.5));
        chains!(_mm256_setzero_ps(), |sum| _mm256_fmadd_ps(x, x, *sum));
    }

    #[target_feature(enable = "avx512f")]
    unsafe fn fma_512() {
        let x = std::hint::black_box(_mm512_set1_ps(0.5));
        chains!(_mm512_setzero_ps(), |sum| _mm512_fmadd_ps(x, x, *sum));
    }

    #[target_feature(enable = "avx512f,avx512vnni")]
    unsafe fn int8_512() {
        let x = std::hint::black_box(_mm512_set1_epi8(1));
        chains!(_mm512_setzero_si512(), |sum| _mm512_dpbusd_epi32(*sum, x, x));
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn bf16_512() {
        let x = std::hint::black_box(_mm512_set1_epi16(0x3F00));
        // SAFETY: both are 512 bits.
        let x = unsafe { std::mem::transmute::<__m512i, __m512bh>(x) };
        chains!(_mm512_setzero_ps(), |sum| _mm512_dpbf16_ps(*sum, x, x));
    }
}
