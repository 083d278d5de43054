//! How fast are single matrix products of the crate `gemm` with its AVX-512 kernels?
//!
//! Asked by table.py beside it, as `the example `cells`` is: lines `FORMAT M K N`, of which only format f32 is supported.

use std::io::BufRead;
use std::time::Instant;

use gemm::Parallelism;

const COLD: usize = 96_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads: usize = std::env::args().nth(1).ok_or("usage: gemm-cells THREADS")?.parse()?;
    let parallelism = if threads == 1 {
        Parallelism::None
    } else {
        Parallelism::Rayon(threads)
    };
    println!("gemm 0.19.0, x86-v4");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [format, m, k, n] = words.as_slice() else {
            return Err(format!("{line:?} is not FORMAT M K N").into());
        };
        if *format != "f32" {
            println!("-");
            continue;
        }
        let (m, k, n): (usize, usize, usize) = (m.parse()?, k.parse()?, n.parse()?);
        let copies = if m > 8 { 1 } else { COLD.div_ceil(4 * n * k) };
        let weights = vec![vec![0.01_f32; n * k]; copies];
        let (a, mut out) = (vec![0.5_f32; m * k], vec![0.0_f32; m * n]);
        let (start, mut least) = (Instant::now(), f64::MAX);
        for number in 0.. {
            let before = Instant::now();
            let weight = weights[number % copies].as_ptr();
            // SAFETY: row-major a [m, k] and out [m, n]; the weight is [n, k], read as its transpose.
            unsafe {
                gemm::gemm(
                    m,
                    n,
                    k,
                    out.as_mut_ptr(),
                    1,
                    n as isize,
                    false,
                    a.as_ptr(),
                    1,
                    k as isize,
                    weight,
                    k as isize,
                    1,
                    0.0,
                    1.0,
                    false,
                    false,
                    false,
                    parallelism,
                );
            }
            least = least.min(before.elapsed().as_secs_f64());
            if number > 2 && start.elapsed().as_millis() > 100 {
                break;
            }
        }
        println!("{least:e}");
    }
    Ok(())
}
