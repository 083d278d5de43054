//! Products against an f64 product of what weights and activations stand for, and rows against batches.

mod awkward;
mod batches;
mod grouped;
mod meaning;
mod memory;
mod normalised;
mod quants;
mod tile_unit;

use super::{Precision, Product, gemm};
use crate::testing::Random;
use crate::{Format, Isa, PackedWeight, Pool, Rows, RowsMut};

/// One format for each way weights are kept.
const KINDS: [Format; 10] = [
    Format::F32,
    Format::Bf16,
    Format::F16Exact,
    Format::Q8_0,
    Format::Q5_1,
    Format::Q4_0,
    Format::Q4_1,
    Format::Q4K,
    Format::Q5K,
    Format::Q6K,
];

/// The precisions in which activations meet a format in ways of their own.
fn precisions(format: Format) -> &'static [Precision] {
    if format == Format::Bf16 {
        &[Precision::F32, Precision::Bf16]
    } else {
        &[Precision::F32]
    }
}

fn pack(isa: Isa, format: Format, shape: [usize; 2], seed: u64) -> PackedWeight {
    let bytes = Random::new(seed).weight(format, shape[0], shape[1]);
    PackedWeight::pack(&Pool::new(1), isa, format, shape, &bytes).unwrap()
}

fn product(pool: &Pool, a: &[f32], precision: Precision, weight: &PackedWeight) -> Vec<f32> {
    let a = Rows::new(a, weight.k());
    let mut out = vec![f32::NAN; a.rows() * weight.n()];
    gemm(
        pool,
        a,
        precision,
        &mut [Product::new(weight, RowsMut::new(&mut out, weight.n()))],
    );
    out
}
