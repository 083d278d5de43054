//! Blocks of quantized activations, byte for byte.

use crate::Isa;
use crate::gemm::activations::{START_AT, block_bytes, record_at};
use crate::gemm::quantize::{
    QuantKernel, quantize_rows_to_bytes, quantize_rows_to_plain_bytes, quantize_rows_to_words,
};
use crate::testing::{Guarded, Random};

/// What a block of 32 values becomes, by the definition: quants of `4 / group` bytes, scale, scaled sum, starts.
fn block(values: &[f32], group: usize, offset: i32) -> Vec<u8> {
    let greatest = values.iter().fold(0.0_f32, |greatest, value| greatest.max(value.abs()));
    let (scale, inverse) = match (values.iter().all(|value| value.is_finite()), greatest < 1e-30) {
        (false, _) => (f32::NAN, 0.0),
        (true, true) => (0.0, 0.0),
        (true, false) => (greatest / 127.0, 127.0 / greatest),
    };
    let quants: Vec<i32> = values
        .iter()
        .map(|value| {
            if scale.is_nan() {
                0
            } else {
                (value * inverse).round_ties_even() as i32
            }
        })
        .collect();
    let sum = |quants: &[i32]| quants.iter().sum::<i32>();
    let mut bytes = Vec::new();
    for quant in &quants {
        bytes.extend_from_slice(&quant.to_le_bytes()[..4 / group]);
    }
    bytes.extend_from_slice(&scale.to_le_bytes());
    bytes.extend_from_slice(&(scale * sum(&quants) as f32).to_le_bytes());
    for sum in [sum(&quants), sum(&quants[..16]), sum(&quants[16..])] {
        bytes.extend_from_slice(&(-offset * sum).to_le_bytes());
    }
    bytes
}

/// Blocks with the bits of every NaN made the same: which NaN it is, is nobody's promise.
fn with_plain_nan(mut blocks: Vec<u8>, group: usize) -> Vec<u8> {
    for block in blocks.chunks_exact_mut(block_bytes(group)) {
        for scale in block[record_at(group)..record_at(group) + START_AT].chunks_exact_mut(4) {
            if f32::from_le_bytes([scale[0], scale[1], scale[2], scale[3]]).is_nan() {
                scale.copy_from_slice(&f32::NAN.to_le_bytes());
            }
        }
    }
    blocks
}

#[test]
fn blocks_are_those_of_the_definition_whatever_stands_beside_them() {
    // Tiers take 8 or 16 blocks together: fewer, as many, and some that are left over.
    let mut random = Random::new(11);
    for blocks in [1, 7, 16, 37] {
        let mut row = random.floats(32 * blocks);
        for (number, values) in row.chunks_exact_mut(32).enumerate() {
            match number % 12 {
                1 => values.fill(0.0),
                2 => values.iter_mut().for_each(|value| *value *= 1e-31),
                3 => values.iter_mut().for_each(|value| *value = 3e38_f32.copysign(*value)),
                4 => values[number % 32] = f32::NAN,
                5 => values[31 - number % 32] = f32::NEG_INFINITY,
                6 => values.iter_mut().for_each(|value| *value *= 1e30),
                7 => values[16..].fill(0.0),
                8 => {
                    values.fill(0.0);
                    values[number % 32] = -1e-30;
                }
                9 => values[3] = f32::INFINITY,
                // Halves, which go to the even neighbour.
                10 => {
                    for (half, value) in values.iter_mut().enumerate() {
                        *value = half as f32 - 15.5;
                    }
                    values[0] = 127.0;
                }
                _ => {}
            }
        }
        let kernels: [(QuantKernel, usize, i32); 3] = [
            (quantize_rows_to_bytes, 4, 128),
            (quantize_rows_to_plain_bytes, 4, 0),
            (quantize_rows_to_words, 2, 0),
        ];
        for (kernel, group, offset) in kernels {
            let expected: Vec<u8> = row
                .chunks_exact(32)
                .flat_map(|values| block(values, group, offset))
                .collect();
            for isa in Isa::available() {
                let row = Guarded::new(&row);
                let mut found = Guarded::new(&vec![0xA5; blocks * block_bytes(group)]);
                // SAFETY: the target has a block for every 32 values, and `isa` is available.
                unsafe { kernel(isa, &row, None, found.as_mut_ptr()) };
                let found = with_plain_nan(found.to_vec(), group);
                assert!(
                    found == with_plain_nan(expected.clone(), group),
                    "{}, {blocks} blocks, groups of {group}, offset {offset}",
                    isa.tier()
                );
            }
        }
    }
}
