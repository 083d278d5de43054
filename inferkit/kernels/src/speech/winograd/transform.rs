//! The three transforms: of taps, of pixels, of products.

use super::{IN, OUT, POSITIONS};
use crate::Activation;
use crate::gemm::activate;
use crate::simd::{Simd, float_tiers};

/// Which tiles of which maps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inputs<'a> {
    /// `[b, h, w, c]`
    pub(super) values: &'a [f32],
    /// Height and width.
    pub(super) size: [usize; 2],
    /// Tiles over height and width.
    pub(super) tiles: [usize; 2],
    pub(super) channels: usize,
    /// First tile, counted over all maps.
    pub(super) first: usize,
    pub(super) count: usize,
}

/// What becomes of the products.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outputs<'a> {
    /// `[36][panels][count, panel]`
    pub(super) products: &'a [f32],
    /// Columns of a panel, whole vectors.
    pub(super) panel: usize,
    /// `[n]`
    pub(super) bias: &'a [f32],
    /// `[b, h, w, n]`
    pub(super) residual: Option<&'a [f32]>,
    pub(super) activation: Activation,
    /// `[b, h, w, n]`
    pub(super) out: *mut f32,
}

/// `G · taps · Gᵀ`, row by row.
#[expect(clippy::suboptimal_flops, reason = "sums as the paper writes them")]
pub(super) fn transform_weight(taps: &[f32; 9]) -> [f32; POSITIONS] {
    let line = |[a, b, c]: [f64; 3]| {
        let (even, odd) = (a + c, b);
        let (wide_even, wide_odd) = (a + 4.0 * c, 2.0 * b);
        [
            a / 4.0,
            -(even + odd) / 6.0,
            -(even - odd) / 6.0,
            (wide_even + wide_odd) / 24.0,
            (wide_even - wide_odd) / 24.0,
            c,
        ]
    };
    let tap = |row: usize, column: usize| f64::from(taps[3 * row + column]);
    // Columns first: `half[column][row]`.
    let half = [0, 1, 2].map(|column| line([tap(0, column), tap(1, column), tap(2, column)]));
    let mut transformed = [0.0; POSITIONS];
    for row in 0..IN {
        for (column, value) in line([half[0][row], half[1][row], half[2][row]]).into_iter().enumerate() {
            transformed[row * IN + column] = value as f32;
        }
    }
    transformed
}

/// Place of a tile: its map, and its first output's row and column.
fn place(inputs: &Inputs<'_>, tile: usize) -> [usize; 3] {
    let [high, wide] = inputs.tiles;
    let tile = inputs.first + tile;
    [tile / (high * wide), tile / wide % high * OUT, tile % wide * OUT]
}

float_tiers! {
    /// Writes `Bᵀ · pixels · B` of every tile to `[36][count, c]`.
    pub(super) fn transform_inputs(inputs: &Inputs<'_>, target: *mut f32) = inputs_of;
}
float_tiers! {
    /// Writes `activation(Aᵀ · products · A + bias + residual)` of every tile.
    pub(super) fn transform_outputs(inputs: &Inputs<'_>, outputs: &Outputs<'_>) = outputs_of;
}

#[inline(always)]
unsafe fn inputs_of<S: Simd>(inputs: &Inputs<'_>, target: *mut f32) {
    let ([height, width], channels) = (inputs.size, inputs.channels);
    let matrix = inputs.count * channels;
    for tile in 0..inputs.count {
        let [map, top, left] = place(inputs, tile);
        // Null where the tile reaches beyond the map.
        let mut pixels = [std::ptr::null::<f32>(); POSITIONS];
        for row in 0..IN {
            for column in 0..IN {
                let (y, x) = ((top + row).wrapping_sub(1), (left + column).wrapping_sub(1));
                if y < height && x < width {
                    pixels[row * IN + column] = inputs.values.as_ptr().add(((map * height + y) * width + x) * channels);
                }
            }
        }
        for channel in (0..channels).step_by(S::LANES) {
            let lanes = S::LANES.min(channels - channel);
            let target = target.add(tile * channels + channel);
            tile_in::<S>(&pixels, (channel, lanes), target, matrix);
        }
    }
}

#[inline(always)]
unsafe fn tile_in<S: Simd>(
    pixels: &[*const f32; POSITIONS],
    (channel, lanes): (usize, usize),
    target: *mut f32,
    matrix: usize,
) {
    let zero = S::splat(0.0);
    let mut half = [[zero; IN]; IN];
    for column in 0..IN {
        let mut d = [zero; IN];
        for row in 0..IN {
            let pixel = pixels[row * IN + column];
            if !pixel.is_null() {
                d[row] = load::<S>(pixel.add(channel), lanes);
            }
        }
        half[column] = line_in::<S>(d);
    }
    for row in 0..IN {
        let line = line_in::<S>([
            half[0][row],
            half[1][row],
            half[2][row],
            half[3][row],
            half[4][row],
            half[5][row],
        ]);
        for column in 0..IN {
            store::<S>(target.add((row * IN + column) * matrix), lanes, line[column]);
        }
    }
}

/// `Bᵀ · d`.
#[inline(always)]
unsafe fn line_in<S: Simd>(d: [S::F; IN]) -> [S::F; IN] {
    let (four, minus_four, minus_five) = (S::splat(4.0), S::splat(-4.0), S::splat(-5.0));
    let outer = S::fma(minus_four, d[2], d[4]);
    let inner = S::fma(minus_four, d[1], d[3]);
    let outer_half = S::sub(d[4], d[2]);
    let inner_half = S::mul(S::splat(2.0), S::sub(d[3], d[1]));
    [
        S::fma(four, d[0], S::fma(minus_five, d[2], d[4])),
        S::add(outer, inner),
        S::sub(outer, inner),
        S::add(outer_half, inner_half),
        S::sub(outer_half, inner_half),
        S::fma(four, d[1], S::fma(minus_five, d[3], d[5])),
    ]
}

#[inline(always)]
unsafe fn outputs_of<S: Simd>(inputs: &Inputs<'_>, outputs: &Outputs<'_>) {
    let ([height, width], n) = (inputs.size, outputs.bias.len());
    let of_panel = inputs.count * outputs.panel;
    let matrix = n.div_ceil(outputs.panel) * of_panel;
    for tile in 0..inputs.count {
        let [map, top, left] = place(inputs, tile);
        let rows = OUT.min(height - top);
        let columns = OUT.min(width - left);
        for channel in (0..n).step_by(S::LANES) {
            let lanes = S::LANES.min(n - channel);
            let column = tile * outputs.panel + channel % outputs.panel;
            let products = outputs
                .products
                .as_ptr()
                .add(channel / outputs.panel * of_panel + column);
            let sums = tile_out::<S>(products, matrix);
            let bias = load::<S>(outputs.bias.as_ptr().add(channel), lanes);
            for row in 0..rows {
                for column in 0..columns {
                    let at = ((map * height + top + row) * width + left + column) * n + channel;
                    let mut value = S::add(sums[row][column], bias);
                    if let Some(residual) = outputs.residual {
                        value = S::add(value, load::<S>(residual.as_ptr().add(at), lanes));
                    }
                    store::<S>(outputs.out.add(at), lanes, activate::<S>(outputs.activation, value));
                }
            }
        }
    }
}

/// `Aᵀ · products · A`.
#[inline(always)]
unsafe fn tile_out<S: Simd>(products: *const f32, matrix: usize) -> [[S::F; OUT]; OUT] {
    let zero = S::splat(0.0);
    let mut half = [[zero; OUT]; IN];
    for column in 0..IN {
        let mut m = [zero; IN];
        for row in 0..IN {
            m[row] = S::load(products.add((row * IN + column) * matrix));
        }
        half[column] = line_out::<S>(m);
    }
    let mut sums = [[zero; OUT]; OUT];
    for row in 0..OUT {
        sums[row] = line_out::<S>([
            half[0][row],
            half[1][row],
            half[2][row],
            half[3][row],
            half[4][row],
            half[5][row],
        ]);
    }
    sums
}

/// `Aᵀ · m`.
#[inline(always)]
unsafe fn line_out<S: Simd>(m: [S::F; IN]) -> [S::F; OUT] {
    let (near, near_odd) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
    let (far, far_odd) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
    [
        S::add(m[0], S::add(near, far)),
        S::fma(S::splat(2.0), far_odd, near_odd),
        S::fma(S::splat(4.0), far, near),
        S::add(S::fma(S::splat(8.0), far_odd, near_odd), m[5]),
    ]
}

#[inline(always)]
unsafe fn load<S: Simd>(p: *const f32, lanes: usize) -> S::F {
    if lanes == S::LANES {
        S::load(p)
    } else {
        S::load_head(p, lanes)
    }
}

#[inline(always)]
unsafe fn store<S: Simd>(p: *mut f32, lanes: usize, value: S::F) {
    if lanes == S::LANES {
        S::store(p, value);
    } else {
        S::store_head(p, lanes, value);
    }
}
