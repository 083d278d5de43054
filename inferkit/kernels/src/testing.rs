//! What the tests of several kernels share: numbers, GGUF blocks and their meaning written out once more, guard pages,
//! counted memory.

mod allocations;
mod dequantize;
mod guard;

pub(crate) use allocations::{check_memory, count};
pub(crate) use dequantize::dequantize;
pub(crate) use guard::{Guarded, Unaligned};

use half::{bf16, f16};

use crate::Format;

/// A small generator (xorshift64*): the same numbers on every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn bits(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32
    }

    /// Uniform in -1..1.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(crate) fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.unit()).collect()
    }

    /// `n * k` weights in a format's own bytes: any quants, scales of a trained model's size, some of them zero or subnormal.
    pub(crate) fn weight(&mut self, format: Format, n: usize, k: usize) -> Vec<u8> {
        let (values, size) = format.block();
        let mut bytes: Vec<u8> = (0..n * k / values * size).map(|_| self.bits() as u8).collect();
        let half = |random: &mut Self, bytes: &mut [u8], at: usize, largest: f32| {
            let value = match random.bits() % 16 {
                0 => 0.0,
                1 => 3e-7, // subnormal as f16
                _ => random.unit() * largest,
            };
            bytes[at..at + 2].copy_from_slice(&f16::from_f32(value).to_le_bytes());
        };
        for block in bytes.chunks_exact_mut(size) {
            match format {
                Format::Q8_0 => half(self, block, 0, 0.01),
                Format::Q4_0 | Format::Q5_0 => half(self, block, 0, 0.1),
                Format::Q4_1 | Format::Q5_1 => {
                    half(self, block, 0, 0.1);
                    half(self, block, 2, 1.0);
                }
                Format::Q4K | Format::Q5K => {
                    half(self, block, 0, 0.002);
                    half(self, block, 2, 0.01);
                }
                Format::Q6K => half(self, block, 208, 0.0005),
                Format::F32 | Format::F32AsBf16 => block.copy_from_slice(&self.unit().to_le_bytes()),
                Format::Bf16 => block.copy_from_slice(&bf16::from_f32(self.unit()).to_le_bytes()),
                Format::F16 | Format::F16Exact => block.copy_from_slice(&f16::from_f32(self.unit()).to_le_bytes()),
            }
        }
        bytes
    }
}

/// Whether two slices hold the same bits; NaN equals NaN.
pub(crate) fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()))
}

/// The full size of a test, or a small one where every step is interpreted.
pub(crate) const fn cut(full: usize, small: usize) -> usize {
    if cfg!(miri) { small } else { full }
}
