//! One row, read back from a panel and dequantized.

use half::{bf16, f16};

use super::{Kind, Layout};

/// Writes the values of row `row` of the panel to `out`.
pub(super) fn read(layout: &Layout, panel: &[u8], row: usize, out: &mut [f32]) {
    let (values, bytes) = layout.block();
    for (out, block) in out.chunks_mut(values).zip(panel.chunks_exact(bytes)) {
        match layout.kind {
            Kind::F32 => out[0] = f32::from_le_bytes(bytes_at(block, 4 * row)),
            Kind::F16 => out[0] = half_at(block, row),
            Kind::Bf16 => {
                for (k, out) in out.iter_mut().enumerate() {
                    *out = bf16::from_le_bytes(bytes_at(block, 4 * row + 2 * k)).to_f32_const();
                }
            }
            Kind::Q8 | Kind::Q8Min | Kind::Q4 | Kind::Q4Min => read_short(layout, block, row, out),
            Kind::Q4K | Kind::Q5K | Kind::Q6K => read_long(layout, block, row, out),
        }
    }
}

fn bytes_at<const N: usize>(block: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&block[at..at + N]);
    bytes
}

fn half_at(block: &[u8], index: usize) -> f32 {
    f16::from_le_bytes(bytes_at(block, 2 * index)).to_f32_const()
}

fn read_short(layout: &Layout, block: &[u8], row: usize, out: &mut [f32]) {
    let p = layout.panel;
    let stream = if layout.has_minima() {
        &block[4 * p..]
    } else {
        &block[2 * p..]
    };
    let d = half_at(block, row);
    for (k, out) in out.iter_mut().enumerate() {
        let at = layout.place(k, row);
        let nibble = || (stream[at % (16 * p)] >> (at / (16 * p) * 4) & 15) as i8;
        let quant = match layout.kind {
            Kind::Q4 => nibble() - 8,
            Kind::Q4Min => nibble(),
            _ => (stream[at] ^ layout.bias) as i8,
        };
        *out = d * f32::from(quant);
        if layout.has_minima() {
            *out += half_at(block, p + row);
        }
    }
}

fn read_long(layout: &Layout, block: &[u8], row: usize, out: &mut [f32]) {
    let p = layout.panel;
    let d = half_at(block, row);
    for (part, out) in out.chunks_mut(32).enumerate() {
        for (k, out) in out.iter_mut().enumerate() {
            let at = layout.place(k, row);
            let nibble = |low: &[u8]| low[at % (16 * p)] >> (at / (16 * p) * 4) & 15;
            *out = match layout.kind {
                Kind::Q6K => {
                    let low = &block[18 * p + part * 24 * p..];
                    let high = low[16 * p + at % (8 * p)] >> (at / (8 * p) * 2) & 3;
                    let scale = block[(2 + 2 * part + k / 16) * p + row] as i8;
                    d * f32::from(scale) * (f32::from(nibble(low) | high << 4) - 32.0)
                }
                kind => {
                    let part_bytes = if kind == Kind::Q5K { 20 * p } else { 16 * p };
                    let low = &block[20 * p + part * part_bytes..];
                    let high = match kind {
                        Kind::Q5K => low[16 * p + at % (4 * p)] >> (at / (4 * p)) & 1,
                        _ => 0,
                    };
                    let (scale, min) = (block[(4 + part) * p + row], block[(12 + part) * p + row]);
                    d * f32::from(scale) * f32::from(nibble(low) | high << 4) - half_at(block, p + row) * f32::from(min)
                }
            };
        }
    }
}
