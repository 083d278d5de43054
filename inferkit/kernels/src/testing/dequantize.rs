//! The meaning of each format, value by value, independent of how the kernels unpack it.
//!
//! Source: `dequantize_row_*` of ggml (`ggml-quants.c`).

use half::{bf16, f16};

use crate::Format;

/// All values of a weight, row after row.
pub(crate) fn dequantize(format: Format, bytes: &[u8]) -> Vec<f32> {
    let (values, size) = format.block();
    bytes
        .chunks_exact(size)
        .flat_map(|block| (0..values).map(move |i| value(format, block, i)))
        .collect()
}

fn half(b: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([b[at], b[at + 1]]).to_f32()
}

fn value(format: Format, b: &[u8], i: usize) -> f32 {
    match format {
        Format::F32 => f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        Format::F32AsBf16 => bf16::from_f32(f32::from_le_bytes([b[0], b[1], b[2], b[3]])).to_f32(),
        Format::Bf16 => bf16::from_le_bytes([b[0], b[1]]).to_f32(),
        Format::F16 => bf16::from_f32(half(b, 0)).to_f32(),
        Format::F16Exact => half(b, 0),
        Format::Q8_0 => half(b, 0) * f32::from(b[2 + i] as i8),
        Format::Q4_0 => half(b, 0) * (f32::from(nibble(&b[2..], i)) - 8.0),
        Format::Q4_1 => half(b, 0) * f32::from(nibble(&b[4..], i)) + half(b, 2),
        Format::Q5_0 => half(b, 0) * (f32::from(nibble(&b[6..], i) | bit(&b[2..], i) << 4) - 16.0),
        Format::Q5_1 => half(b, 0) * f32::from(nibble(&b[8..], i) | bit(&b[4..], i) << 4) + half(b, 2),
        Format::Q4K => {
            let (scale, min) = scale_and_min(&b[4..16], i / 32);
            half(b, 0) * scale * f32::from(pair_nibble(&b[16..], i)) - half(b, 2) * min
        }
        Format::Q5K => {
            let (scale, min) = scale_and_min(&b[4..16], i / 32);
            let high = b[16 + i % 32] >> (i / 32) & 1;
            half(b, 0) * scale * f32::from(pair_nibble(&b[48..], i) | high << 4) - half(b, 2) * min
        }
        Format::Q6K => {
            let (n, quarter, l) = (i / 128, i % 128 / 32, i % 32);
            let byte = b[64 * n + 32 * (quarter % 2) + l];
            let low = if quarter < 2 { byte & 15 } else { byte >> 4 };
            let high = b[128 + 32 * n + l] >> (2 * quarter) & 3;
            half(b, 208) * f32::from(b[192 + i / 16] as i8) * (f32::from(low | high << 4) - 32.0)
        }
    }
}

/// Nibble of value `i` where byte i holds values i and i + 16.
fn nibble(b: &[u8], i: usize) -> u8 {
    if i < 16 { b[i] & 15 } else { b[i - 16] >> 4 }
}

fn bit(b: &[u8], i: usize) -> u8 {
    b[i / 8] >> (i % 8) & 1
}

/// Nibble of value `i` where 32 bytes hold 64 values, the later half in the high bits.
fn pair_nibble(b: &[u8], i: usize) -> u8 {
    let byte = b[i / 64 * 32 + i % 32];
    if i % 64 < 32 { byte & 15 } else { byte >> 4 }
}

fn scale_and_min(q: &[u8], j: usize) -> (f32, f32) {
    let (scale, min) = if j < 4 {
        (q[j] & 63, q[j + 4] & 63)
    } else {
        (q[j + 4] & 0xF | (q[j - 4] >> 6) << 4, q[j + 4] >> 4 | (q[j] >> 6) << 4)
    };
    (f32::from(scale), f32::from(min))
}
