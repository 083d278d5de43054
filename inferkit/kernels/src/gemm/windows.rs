//! Products whose rows are windows: several runs of consecutive values, at one distance from each other.

use std::ops::Range;

use super::Product;
use super::activations::{Form, Prepared, Runs, round_and_widen_rows, round_rows};
use super::jobs::{self, Job, RowSet};
use crate::aligned::SharedMut;
use crate::scratch::Scratch;
use crate::{Isa, Pool};

/// What windows are cut from: whole maps with their padding, one after another.
pub(crate) struct Map {
    memory: Scratch,
    bytes_per_value: usize,
    is_rounded: bool,
    values: usize,
}

/// The rows of a product with windows.
pub(crate) struct Windows<'a> {
    pub(crate) values: &'a Map,
    /// Where each row begins, in steps of `step` values.
    pub(crate) starts: &'a [u32],
    pub(crate) step: usize,
    /// Values of a run, an even number where the map is rounded or the weight bfloat16.
    pub(crate) run: usize,
    /// Values from the beginning of a run to the beginning of the next.
    pub(crate) run_distance: usize,
}

/// Maps without padding, `[b, h, w, c]`.
pub(crate) struct Source<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) shape: [usize; 4],
    /// `[b]`: rows that count; the others are read as zeros.
    pub(crate) heights: &'a [usize],
    /// Zeros before and after, in height and width.
    pub(crate) padding: [usize; 2],
    /// Whether values are rounded to bfloat16. Then channels are an even number.
    pub(crate) is_rounded: bool,
}

/// Copies maps with zeros around each. Rounded values stay bfloat16 where the processor multiplies those.
pub(crate) fn pad_map(pool: &Pool, isa: Isa, source: &Source<'_>) -> Map {
    let Source {
        values,
        shape: [maps, rows, columns, channels],
        heights,
        padding,
        is_rounded,
    } = *source;
    let bytes_per_value = if is_rounded && isa.tier().multiplies_bf16() {
        2
    } else {
        4
    };
    let [padded_rows, padded_columns] = [rows + 2 * padding[0], columns + 2 * padding[1]];
    let line = padded_columns * channels;
    let total = maps * padded_rows * line;
    assert!(
        !is_rounded || channels.is_multiple_of(2),
        "rounded pixels are whole pairs"
    );
    let mut memory = Scratch::bytes(total * bytes_per_value);
    let bytes = &mut memory.as_bytes_mut()[..total * bytes_per_value];
    let target = SharedMut::new(bytes);
    let count = columns * channels;
    pool.run(maps * padded_rows, |unit| {
        let (map, row) = (unit / padded_rows, (unit % padded_rows).checked_sub(padding[0]));
        // SAFETY: the target has `maps * padded_rows` lines of this size, one a unit.
        let line = unsafe {
            let start = target.get().add(unit * line * bytes_per_value);
            std::slice::from_raw_parts_mut(start, line * bytes_per_value)
        };
        let Some(row) = row.filter(|&row| row < rows.min(heights[map])) else {
            line.fill(0);
            return;
        };
        let source = &values[(map * rows + row) * count..][..count];
        let side = padding[1] * channels * bytes_per_value;
        let (left, rest) = line.split_at_mut(side);
        let (middle, right) = rest.split_at_mut(count * bytes_per_value);
        left.fill(0);
        right.fill(0);
        let middle = middle.as_mut_ptr();
        // SAFETY: the middle has room for `count` values; a rounded row writes one more only when that is odd, which an even
        // number of channels excludes. The ISA exists.
        unsafe {
            match (is_rounded, bytes_per_value) {
                (true, 2) => round_rows(isa, source.as_ptr(), count, middle),
                (true, _) => round_and_widen_rows(isa, source.as_ptr(), count, middle),
                (false, _) => std::ptr::copy_nonoverlapping(source.as_ptr().cast(), middle, 4 * count),
            }
        }
    });
    Map {
        memory,
        bytes_per_value,
        is_rounded,
        values: total,
    }
}

/// Multiplies the rows of each of `ranges` with the weight; other rows of the output stay as they are.
///
/// # Panics
/// When shapes do not fit or a window ends beyond the map.
pub(crate) fn gemm_windows(pool: &Pool, windows: &Windows<'_>, ranges: &[Range<usize>], mut product: Product<'_>) {
    let Windows {
        values,
        starts,
        step,
        run,
        run_distance,
    } = *windows;
    let (weight, m) = (product.weight, starts.len());
    assert!(run > 0 && weight.k().is_multiple_of(run), "k is a number of whole runs");
    assert_eq!(
        [product.out.rows(), product.out.width()],
        [m, weight.n()],
        "shape of the output of a convolution"
    );
    product.epilogue.check(m, weight.n());
    let last = starts.iter().max().map_or(0, |&start| start as usize * step);
    let end = last + (weight.k() / run - 1) * run_distance + run;
    assert!(m == 0 || end <= values.values, "windows end beyond the map");
    assert!(
        ranges.iter().all(|range| range.end <= m),
        "ranges of the rows there are"
    );
    let size = values.bytes_per_value;
    let form = Form {
        start: values.memory.as_ptr(),
        stride: step * size,
    };
    let runs = Runs {
        len: run,
        gap: (run_distance as isize - run as isize) * size as isize,
    };
    let prepared = Prepared::windows(weight.isa(), form, values.is_rounded, runs);
    let (out, out_stride) = (product.out.shared(), product.out.stride());
    let jobs: Vec<Job<'_>> = ranges
        .iter()
        .filter(|range| !range.is_empty())
        .map(|range| Job {
            weight,
            up: None,
            rows: RowSet {
                index: Some(starts),
                start: range.start,
                len: range.len(),
            },
            out,
            out_stride,
            epilogue: product.epilogue,
        })
        .collect();
    jobs::run(pool, &prepared, &jobs);
}
