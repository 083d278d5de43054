//! How fast are single matrix products of candle, as it comes?
//!
//! Asked by table.py beside it, as the example `cells` of inferkit-kernels is: lines `FORMAT M K N`. Numbers of threads come
//! from the environment. `QMatMul` for quantized weights, `Tensor::matmul` in the type of the weight for others.

use std::borrow::Cow;
use std::error::Error;
use std::io::BufRead;
use std::time::Instant;

use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{DType, Device, Module, Tensor};

const COLD: usize = 96_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    println!("candle-core 0.11.1");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [format, m, k, n] = words.as_slice() else {
            return Err(format!("{line:?} is not FORMAT M K N").into());
        };
        match measure(format, [m.parse()?, k.parse()?, n.parse()?])? {
            Some(seconds) => println!("{seconds:e}"),
            None => println!("-"),
        }
    }
    Ok(())
}

/// The least time of a call, in seconds; calls are numbered.
fn fastest(mut call: impl FnMut(usize) -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let (start, mut least) = (Instant::now(), f64::MAX);
    for number in 0.. {
        let before = Instant::now();
        call(number)?;
        least = least.min(before.elapsed().as_secs_f64());
        if number > 2 && start.elapsed().as_millis() > 100 {
            break;
        }
    }
    Ok(least)
}

/// Copies of a weight of that many bytes: one above eight rows.
fn copies(m: usize, bytes: usize) -> usize {
    if m > 8 { 1 } else { COLD.div_ceil(bytes) }
}

fn measure(format: &str, [m, k, n]: [usize; 3]) -> Result<Option<f64>, Box<dyn Error>> {
    let device = Device::Cpu;
    let a = Tensor::rand(-1_f32, 1.0, (m, k), &device)?;
    let quantized = match format {
        "q8_0" => Some(GgmlDType::Q8_0),
        "q4_k" => Some(GgmlDType::Q4K),
        _ => None,
    };
    if let Some(dtype) = quantized {
        // Small positive numbers in every format.
        let bytes = vec![0x11; n * k / dtype.block_size() * dtype.type_size()];
        let mut weights = Vec::new();
        for _ in 0..copies(m, bytes.len()) {
            let storage = QStorage::from_data(Cow::Borrowed(&bytes), &device, dtype)?;
            let weight = QMatMul::from_qtensor(QTensor::new(storage, (n, k))?)?;
            // The first product of a weight packs it.
            weight.forward(&a)?;
            weights.push(weight);
        }
        return Ok(Some(fastest(|number| {
            Ok(drop(weights[number % weights.len()].forward(&a)?))
        })?));
    }
    let dtype = match format {
        "f32" => DType::F32,
        "bf16" => DType::BF16,
        _ => return Ok(None),
    };
    let weight = (Tensor::ones((n, k), DType::F32, &device)? * 0.01)?.to_dtype(dtype)?;
    let weights: Vec<Tensor> = (0..copies(m, n * k * dtype.size_in_bytes()))
        .map(|_| weight.copy())
        .collect::<Result<_, _>>()?;
    Ok(Some(fastest(|number| {
        let product = a.to_dtype(dtype)?.matmul(&weights[number % weights.len()].t()?)?;
        Ok(drop(product.to_dtype(DType::F32)?))
    })?))
}
