//! Packing of plain numbers.

use half::{bf16, f16};

use super::{Format, Kind, Layout};

/// Fills one panel from `rows`, at most `layout.panel` of them; missing rows and the missing half of the last pair stay zero.
pub(super) fn pack_panel(format: Format, layout: &Layout, rows: &[u8], row_bytes: usize, target: &mut [u8]) {
    match format {
        Format::F32 | Format::Bf16 => pack_words(layout, rows, row_bytes, target),
        Format::F16Exact => pack(layout, rows, row_bytes, target, |x: [u8; 2]| x),
        Format::F32AsBf16 => {
            pack(layout, rows, row_bytes, target, |x: [u8; 4]| {
                bf16::from_f32_const(f32::from_le_bytes(x)).to_le_bytes()
            });
        }
        Format::F16 => pack(layout, rows, row_bytes, target, |x: [u8; 2]| {
            bf16::from_f32_const(f16::from_le_bytes(x).to_f32_const()).to_le_bytes()
        }),
        // The other formats are packed in `quantized`.
        _ => debug_assert!(false, "{format:?} is no format of plain numbers"),
    }
}

/// Values of k that are moved at a time: all rows of a panel write to the same few cache lines meanwhile.
const STRIP: usize = 64;

/// Moves numbers that are kept as they are by the word of 32 bits: a value of k as f32, two as bf16.
fn pack_words(layout: &Layout, rows: &[u8], row_bytes: usize, target: &mut [u8]) {
    let panel = layout.panel;
    let (target, _) = target.as_chunks_mut::<4>();
    let words = row_bytes / 4;
    for start in (0..words).step_by(STRIP) {
        let end = (start + STRIP).min(words);
        let strip = &mut target[start * panel..end * panel];
        for (row, bytes) in rows.chunks_exact(row_bytes).enumerate() {
            let (source, _) = bytes.as_chunks::<4>();
            for (column, word) in strip.chunks_exact_mut(panel).zip(&source[start..end]) {
                column[row] = *word;
            }
        }
    }
    let half_word = words * 4;
    if half_word < row_bytes {
        for (row, bytes) in rows.chunks_exact(row_bytes).enumerate() {
            target[words * panel + row][..2].copy_from_slice(&bytes[half_word..]);
        }
    }
}

fn pack<const FROM: usize, const TO: usize>(
    layout: &Layout,
    rows: &[u8],
    row_bytes: usize,
    target: &mut [u8],
    convert: impl Fn([u8; FROM]) -> [u8; TO],
) {
    debug_assert!(matches!(layout.kind, Kind::F32 | Kind::F16 | Kind::Bf16));
    let (target, _) = target.as_chunks_mut::<TO>();
    let k = row_bytes / FROM;
    for start in (0..k).step_by(STRIP) {
        for (row, bytes) in rows.chunks_exact(row_bytes).enumerate() {
            let (values, _) = bytes.as_chunks::<FROM>();
            for (at, value) in values.iter().enumerate().take(start + STRIP).skip(start) {
                target[layout.place(at, row)] = convert(*value);
            }
        }
    }
}
