//! How fast are single matrix products?
//!
//! ```text
//! cargo run --release -p inferkit-kernels --example cells -- THREADS      asked by benches/peers/kernels/table.py
//! ```
//!
//! Reads lines `FORMAT M K N` (format `f32`, `bf16`, `q8_0` or `q4_k`) and answers each with the seconds of one product `[m, k]` by
//! `[n, k]`ᵀ, activations in f32 before and results in f32 after: the least of the calls within a tenth of a second. Up to
//! eight rows, weights are cycled through 96 MB of copies, so that memory is read and not a cache. `-` means not supported.

use std::error::Error;
use std::io::BufRead;
use std::time::Instant;

use inferkit_kernels::{Format, Isa, PackedWeight, Pool, Precision, Product, Rows, RowsMut, gemm};

/// Bytes of copies of a weight that no cache holds.
const COLD: usize = 96_000_000;

/// Rows up to which weights are read from memory.
const FEW: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let threads = std::env::args().nth(1).ok_or("usage: cells THREADS")?.parse()?;
    let pool = Pool::new(threads);
    println!("{}", Isa::best().tier());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [format, m, k, n] = words.as_slice() else {
            return Err(format!("{line:?} is not FORMAT M K N").into());
        };
        let answer = measure(&pool, format, [m.parse()?, k.parse()?, n.parse()?])?;
        println!(
            "{}",
            answer.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:e}"))
        );
    }
    Ok(())
}

fn measure(pool: &Pool, format: &str, [m, k, n]: [usize; 3]) -> Result<Option<f64>, Box<dyn Error>> {
    let (format, precision) = match format {
        "f32" => (Format::F32, Precision::F32),
        "bf16" => (Format::Bf16, Precision::Bf16),
        "q8_0" => (Format::Q8_0, Precision::F32),
        "q4_k" => (Format::Q4K, Precision::F32),
        _ => return Ok(None),
    };
    let (values, size) = format.block();
    // Small positive numbers in every format.
    let bytes = vec![0x11; n * k / values * size];
    let pack = || PackedWeight::pack(pool, Isa::best(), format, [n, k], &bytes);
    let mut weights = vec![pack()?];
    let copies = if m > FEW { 1 } else { COLD.div_ceil(weights[0].bytes()) };
    while weights.len() < copies {
        weights.push(pack()?);
    }
    let value = |i: usize| f32::from(u8::try_from(i * 31 % 101).unwrap_or_default()) / 50.0 - 1.0;
    let (a, mut out): (Vec<f32>, _) = ((0..m * k).map(value).collect(), vec![0.0; m * n]);
    let (start, mut least) = (Instant::now(), f64::MAX);
    for number in 0.. {
        let before = Instant::now();
        let out = RowsMut::new(&mut out, n);
        let mut product = [Product::new(&weights[number % copies], out)];
        gemm(pool, Rows::new(&a, k), precision, &mut product);
        least = least.min(before.elapsed().as_secs_f64());
        if number > 2 && start.elapsed().as_millis() > 100 {
            break;
        }
    }
    Ok(Some(least))
}
