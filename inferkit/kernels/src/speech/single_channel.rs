//! Two-dimensional convolution of maps with a single channel: the first layer of a network.
//!
//! A window is a few values, so few that writing windows out as rows of a product costs more than the product. Here the rows of
//! the map that a line of the output reads are copied with their zeros, and each pixel is spread over a vector of outputs.
//! Sums are those of the product, operation by operation.

use super::conv2d::Conv2d;
use super::maps::{FeatureMaps, Window};
use crate::aligned::SharedMut;
use crate::gemm::activate;
use crate::scratch::Scratch;
use crate::simd::{Simd, float_tiers};
use crate::weights::Kind;
use crate::{Activation, PackedWeight, Pool};

/// Whether the convolution is of this kind.
pub(super) fn fits(conv: &Conv2d<'_>) -> bool {
    conv.channels == 1 && conv.weight.layout().kind == Kind::F32
}

/// Writes the rows that count of `out`, `[maps, height, width, n]`; shapes were checked.
pub(super) fn apply(
    pool: &Pool,
    conv: &Conv2d<'_>,
    x: &FeatureMaps<'_>,
    [maps, height, width, n]: [usize; 4],
    out: SharedMut<f32>,
) {
    let Window { taps, stride, padding } = conv.window;
    let padded = x.shape[2] + 2 * padding[1];
    let offsets: Vec<usize> = (0..taps[0] * taps[1])
        .map(|tap| tap / taps[1] * padded + tap % taps[1])
        .collect();
    pool.run(maps * height, |line| {
        let (map, row) = (line / height, line % height);
        if row >= conv.window.side_out(0, x.height(map)) {
            return;
        }
        let mut rows = Scratch::floats(taps[0] * padded);
        let rows = &mut rows.as_f32_mut()[..taps[0] * padded];
        for (tap, target) in rows.chunks_exact_mut(padded).enumerate() {
            copy_row(x, map, (row * stride[0] + tap).checked_sub(padding[0]), target);
        }
        let line = Line {
            weight: conv.weight,
            bias: conv.bias.map_or(std::ptr::null(), <[f32]>::as_ptr),
            rows: rows.as_ptr(),
            offsets: &offsets,
            step: stride[1],
            width,
            activation: conv.activation,
            out: out.get().wrapping_add(line * width * n),
        };
        // SAFETY: the rows hold every pixel of the windows of this line, which is `width` outputs long; the weight has n rows
        // of as many values as there are offsets; the bias has n. The line belongs to this unit alone. The ISA is that of
        // the weight.
        unsafe { convolve_line(conv.weight.isa(), &line) };
    });
}

/// Copies row `row` of a map, or zeros where there is none, with zeros at both ends.
fn copy_row(x: &FeatureMaps<'_>, map: usize, row: Option<usize>, target: &mut [f32]) {
    target.fill(0.0);
    let width = x.shape[2];
    let side = (target.len() - width) / 2;
    if let Some(row) = row.filter(|&row| row < x.height(map)) {
        let source = &x.values[(map * x.shape[1] + row) * width..][..width];
        target[side..side + width].copy_from_slice(source);
    }
}

/// One line of the output.
struct Line<'a> {
    weight: &'a PackedWeight,
    /// `[n]`, or null.
    bias: *const f32,
    rows: *const f32,
    /// Where the pixel of each tap stands, counted from the window's first.
    offsets: &'a [usize],
    /// Pixels from one window to the next.
    step: usize,
    width: usize,
    activation: Activation,
    out: *mut f32,
}

float_tiers! {
    fn convolve_line(line: &Line<'_>) = convolve;
}

#[inline(always)]
unsafe fn convolve<S: Simd>(line: &Line<'_>) {
    // A panel is four vectors, or two where it is narrow.
    if line.weight.layout().panel == 4 * S::LANES {
        pixels::<S, 4>(line);
    } else {
        pixels::<S, 2>(line);
    }
}

#[inline(always)]
unsafe fn pixels<S: Simd, const V: usize>(line: &Line<'_>) {
    let mut column = 0;
    while column < line.width {
        let count = match line.width - column {
            left @ 1..=3 => left,
            4 | 5 => 4,
            _ => 6,
        };
        for panel in 0..line.weight.panels() {
            match count {
                1 => tile::<S, 1, V>(line, column, panel),
                2 => tile::<S, 2, V>(line, column, panel),
                3 => tile::<S, 3, V>(line, column, panel),
                4 => tile::<S, 4, V>(line, column, panel),
                _ => tile::<S, 6, V>(line, column, panel),
            }
        }
        column += count;
    }
}

/// R pixels by one panel.
#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const V: usize>(line: &Line<'_>, column: usize, panel: usize) {
    let weights = line.weight.panel(panel).as_ptr().cast::<f32>();
    let source = line.rows.add(column * line.step);
    let mut sums = [[S::splat(0.0); V]; R];
    for (tap, &offset) in line.offsets.iter().enumerate() {
        let mut w = [S::splat(0.0); V];
        for v in 0..V {
            w[v] = S::load(weights.add((tap * V + v) * S::LANES));
        }
        for r in 0..R {
            let pixel = S::splat(*source.add(offset + r * line.step));
            for v in 0..V {
                sums[r][v] = S::fma(pixel, w[v], sums[r][v]);
            }
        }
    }
    let n = line.weight.n();
    for v in 0..V {
        let first = (panel * V + v) * S::LANES;
        let lanes = S::LANES.min(n.saturating_sub(first));
        if lanes == 0 {
            break;
        }
        for r in 0..R {
            let mut value = sums[r][v];
            if !line.bias.is_null() {
                value = S::add(value, S::load_head(line.bias.add(first), lanes));
            }
            let value = activate::<S>(line.activation, value);
            let out = line.out.add((column + r) * n + first);
            if lanes == S::LANES {
                S::store(out, value);
            } else {
                S::store_head(out, lanes, value);
            }
        }
    }
}
