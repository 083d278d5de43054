//! Packing of GGUF blocks.

use super::blocks::{Long, Short};
use super::{Format, Kind, Layout};

/// The most rows a panel of quants has.
const MAX_PANEL: usize = 32;

/// Fills one panel from blocks of 32; missing rows stay zero, scales included.
pub(super) fn pack_short(format: Format, layout: &Layout, rows: &[u8], row_bytes: usize, target: &mut [u8]) {
    let unpack = match format {
        Format::Q4_0 => Short::q4_0,
        Format::Q4_1 => Short::q4_1,
        Format::Q5_0 => Short::q5_0,
        Format::Q5_1 => Short::q5_1,
        // Q8_0; the other formats are packed elsewhere.
        _ => Short::q8_0,
    };
    let p = layout.panel;
    let (_, file_block) = format.block();
    let stream_at = if layout.has_minima() { 4 * p } else { 2 * p };
    let is_folded = matches!(layout.kind, Kind::Q4 | Kind::Q4Min);
    let mut stream = [0_u8; 32 * MAX_PANEL];
    for (number, target) in target.chunks_exact_mut(layout.block().1).enumerate() {
        for (row, bytes) in rows.chunks_exact(row_bytes).enumerate() {
            let block = unpack(&bytes[number * file_block..(number + 1) * file_block]);
            put_u16(target, row, block.d);
            if layout.has_minima() {
                put_u16(target, p + row, block.m);
            }
            match layout.kind {
                Kind::Q4 => scatter(layout, &block.quants.map(|quant| (quant + 8) as u8), row, &mut stream),
                Kind::Q4Min => scatter(layout, &block.quants.map(|quant| quant as u8), row, &mut stream),
                _ => {
                    let quants = block.quants.map(|quant| quant as u8 ^ layout.bias);
                    scatter(layout, &quants, row, &mut target[stream_at..]);
                }
            }
        }
        if is_folded {
            fold(&stream[..32 * p], &mut target[stream_at..], 4, 15, 0);
        }
    }
}

/// Fills one panel from blocks of 256; missing rows stay zero, scales included.
pub(super) fn pack_long(format: Format, layout: &Layout, rows: &[u8], row_bytes: usize, target: &mut [u8]) {
    let unpack = match format {
        Format::Q4K => Long::q4_k,
        Format::Q5K => Long::q5_k,
        // Q6_K; the other formats are packed elsewhere.
        _ => Long::q6_k,
    };
    let p = layout.panel;
    let (_, file_block) = format.block();
    let mut stream = [0_u8; 256 * MAX_PANEL];
    for (number, target) in target.chunks_exact_mut(layout.block().1).enumerate() {
        for (row, bytes) in rows.chunks_exact(row_bytes).enumerate() {
            let block = unpack(&bytes[number * file_block..(number + 1) * file_block]);
            put_u16(target, row, block.d);
            if layout.kind == Kind::Q6K {
                (0..16).for_each(|i| target[(2 + i) * p + row] = block.scales[i]);
            } else {
                put_u16(target, p + row, block.dmin);
                (0..8).for_each(|i| target[(4 + i) * p + row] = block.scales[i]);
                (0..8).for_each(|i| target[(12 + i) * p + row] = block.mins[i]);
            }
            for (quants, stream) in block.quants.chunks_exact(32).zip(stream.chunks_exact_mut(32 * p)) {
                scatter(layout, quants, row, stream);
            }
        }
        let (scale_bytes, part_bytes) = match layout.kind {
            Kind::Q4K => (20 * p, 16 * p),
            Kind::Q5K => (20 * p, 20 * p),
            _ => (18 * p, 24 * p),
        };
        let parts = target[scale_bytes..].chunks_exact_mut(part_bytes);
        for (stream, part) in stream.chunks_exact(32 * p).zip(parts) {
            let (low, high) = part.split_at_mut(16 * p);
            fold(stream, low, 4, 15, 0);
            match layout.kind {
                Kind::Q4K => {}
                Kind::Q5K => fold(stream, high, 1, 1, 4),
                _ => fold(stream, high, 2, 3, 4),
            }
        }
    }
}

/// Writes the `bits` bits from bit `shift` on of every byte of `stream`: byte i of slice number s of the stream goes to bits
/// `s * bits` of byte i of `target`.
fn fold(stream: &[u8], target: &mut [u8], bits: usize, mask: u8, shift: usize) {
    target.fill(0);
    for (slice, bytes) in stream.chunks_exact(target.len()).enumerate() {
        for (target, byte) in target.iter_mut().zip(bytes) {
            *target |= (byte >> shift & mask) << (slice * bits);
        }
    }
}

/// Writes the 32 quants of one row into a stream.
fn scatter(layout: &Layout, quants: &[u8], row: usize, stream: &mut [u8]) {
    match layout.group {
        2 => spread::<2>(layout.panel, quants, row, stream),
        8 => spread::<8>(layout.panel, quants, row, stream),
        _ => spread::<4>(layout.panel, quants, row, stream),
    }
}

fn spread<const GROUP: usize>(panel: usize, quants: &[u8], row: usize, stream: &mut [u8]) {
    let (quants, (stream, _)) = (quants.as_chunks::<GROUP>().0, stream.as_chunks_mut::<GROUP>());
    for (number, group) in quants.iter().enumerate() {
        stream[number * panel + row] = *group;
    }
}

fn put_u16(target: &mut [u8], index: usize, value: u16) {
    target[2 * index..2 * index + 2].copy_from_slice(&value.to_le_bytes());
}
