//! Self-attention that knows how far apart two frames are.
//!
//! ```text
//! score(i, j) = ((q_i + u) · k_j + (q_i + v) · p_(i-j)) / √d
//! ```
//!
//! `u` and `v` are learnt for each head; `p` is a projection of sines and cosines of the distance. Source: Transformer-XL,
//! arXiv 1901.02860, section 3.3, as Conformer encoders use it: in both directions, every frame seeing every other.

use std::ops::Range;

use candle_core::D;
use candle_core::DType;
use candle_core::Device;
use candle_core::Result;
use candle_core::Tensor;
use inferkit_kernels::Rows;
use inferkit_kernels::RowsMut;
use inferkit_kernels::speech;
use inferkit_kernels::speech::RelativeInputs;

use super::kernels::Kernels;
use super::kernels::with_rows;
use super::sequences::Sequences;
use super::spare;

/// The part of a relative-position attention between its projections.
#[derive(Debug, Clone)]
pub(crate) struct RelativeAttention {
    heads: usize,
    /// `u`, `[d]`: heads one after the other.
    content_bias: Tensor,
    /// `v`, `[d]`.
    position_bias: Tensor,
    sight: [Option<usize>; 2],
    floats: Option<Floats>,
}

#[derive(Debug, Clone)]
struct Floats {
    content_bias: Vec<f32>,
    position_bias: Vec<f32>,
    kernels: Kernels,
}

impl RelativeAttention {
    /// Attention of `heads` heads.
    ///
    /// * `content_bias`, `position_bias`: `[heads, d / heads]`
    /// * `sight`: how many frames back and ahead a frame sees; all if none
    /// * `kernels`: what it computes with, where given
    pub(crate) fn new(
        content_bias: &Tensor,
        position_bias: &Tensor,
        sight: [Option<usize>; 2],
        kernels: Option<&Kernels>,
    ) -> Result<Self> {
        let (heads, _) = content_bias.dims2()?;
        let [content_bias, position_bias] = [content_bias.flatten_all()?, position_bias.flatten_all()?];
        let floats = match kernels {
            Some(kernels) => Some(Floats {
                content_bias: content_bias.to_vec1()?,
                position_bias: position_bias.to_vec1()?,
                kernels: kernels.clone(),
            }),
            None => None,
        };
        Ok(Self {
            heads,
            content_bias,
            position_bias,
            sight,
            floats,
        })
    }

    /// Attends within each sequence.
    ///
    /// * `queries`, `keys`, `values`: `[t, d]`
    /// * `positions`: `[2·n − 1, d]`, projections of the distances n − 1 down to −(n − 1) for an n that is no less than the
    ///   longest sequence
    /// * returns `[t, d]`
    pub(crate) fn forward(
        &self,
        [queries, keys, values]: [&Tensor; 3],
        positions: &Tensor,
        sequences: &Sequences,
    ) -> Result<Tensor> {
        let largest = positions.dim(0)?.div_ceil(2);
        if sequences.longest() > largest || sequences.rows() != queries.dim(0)? {
            let frames = sequences.longest();
            candle_core::bail!(
                "up to {frames} frames of {:?}, and positions for {largest}",
                queries.dims()
            );
        }
        if let Some(floats) = &self.floats {
            return floats.forward(self, [queries, keys, values], positions, sequences);
        }
        let mut answers = Vec::with_capacity(sequences.lengths().len());
        for rows in sequences.ranges().filter(|rows| !rows.is_empty()) {
            let part = |x: &Tensor| x.narrow(0, rows.start, rows.len());
            let positions = positions.narrow(0, largest - rows.len(), 2 * rows.len() - 1)?;
            answers.push(self.one([&part(queries)?, &part(keys)?, &part(values)?], &positions)?);
        }
        if answers.is_empty() {
            return Ok(queries.clone());
        }
        Tensor::cat(&answers, 0)
    }

    /// One sequence.
    fn one(&self, [queries, keys, values]: [&Tensor; 3], positions: &Tensor) -> Result<Tensor> {
        let (frames, width) = queries.dims2()?;
        let head_width = width / self.heads;
        let heads = |x: &Tensor| {
            x.reshape((x.dim(0)?, self.heads, head_width))?
                .transpose(0, 1)?
                .contiguous()
        };
        let by_content = heads(&queries.broadcast_add(&self.content_bias)?)?;
        let by_position = heads(&queries.broadcast_add(&self.position_bias)?)?;
        let content = by_content.matmul(&heads(keys)?.transpose(1, 2)?)?;
        let distances = by_position.matmul(&heads(positions)?.transpose(1, 2)?)?;
        let scale = (head_width as f64).sqrt().recip();
        let scores = ((content + shifted(&distances, frames)?)? * scale)?.to_dtype(DType::F32)?;
        let scores = match self.hidden(frames, scores.device())? {
            Some(mask) => scores.broadcast_add(&mask)?,
            None => scores,
        };
        let weights = candle_nn::ops::softmax_last_dim(&scores)?.to_dtype(values.dtype())?;
        let answer = weights.matmul(&heads(values)?)?;
        answer.transpose(0, 1)?.contiguous()?.reshape((frames, width))
    }

    /// Minus infinity where a frame must not look, `[1, t, t]`; none if every frame sees every other.
    fn hidden(&self, frames: usize, device: &Device) -> Result<Option<Tensor>> {
        let [back, ahead] = self.sight;
        if back.is_none() && ahead.is_none() {
            return Ok(None);
        }
        let hides =
            |i: usize, j: usize| back.is_some_and(|back| i > j + back) || ahead.is_some_and(|ahead| j > i + ahead);
        let values = (0..frames)
            .flat_map(|i| (0..frames).map(move |j| if hides(i, j) { f32::NEG_INFINITY } else { 0.0 }))
            .collect();
        Tensor::from_vec(values, (1, frames, frames), device).map(Some)
    }
}

impl Floats {
    fn forward(
        &self,
        attention: &RelativeAttention,
        [queries, keys, values]: [&Tensor; 3],
        positions: &Tensor,
        sequences: &Sequences,
    ) -> Result<Tensor> {
        let width = self.content_bias.len();
        let kernel = speech::RelativeAttention {
            heads: attention.heads,
            key_bias: &self.content_bias,
            position_bias: &self.position_bias,
            scale: ((width / attention.heads) as f32).sqrt().recip(),
            context: attention.sight,
        };
        let mut out = spare::floats(sequences.rows() * width);
        with_rows(queries, |queries| {
            with_rows(keys, |keys| {
                with_rows(values, |values| {
                    with_rows(positions, |positions| {
                        let all = [queries, keys, values, positions].map(|rows| rows.values());
                        for range in sequences.ranges().filter(|range| !range.is_empty()) {
                            let place = range.start * width..range.end * width;
                            let out = RowsMut::new(&mut out[place], width);
                            let lengths = [range.len()];
                            let inputs = inputs((all, width), &range, &lengths);
                            kernel.apply(self.kernels.pool(), self.kernels.isa(), inputs, out);
                        }
                        Ok(())
                    })
                })
            })
        })?;
        Tensor::from_vec(out, (sequences.rows(), width), &Device::Cpu)
    }
}

/// The part of a batch's queries, keys, values and positions that belongs to the sequence in `range`.
fn inputs<'a>((all, width): ([&'a [f32]; 4], usize), range: &Range<usize>, lengths: &'a [usize]) -> RelativeInputs<'a> {
    let frames = range.len();
    let [queries, keys, values, positions] = all;
    let part = |x: &'a [f32]| Rows::strided(&x[range.start * width..], frames, width, width);
    let largest = (positions.len() / width).div_ceil(2);
    RelativeInputs {
        queries: part(queries),
        keys: part(keys),
        values: part(values),
        positions: Rows::strided(&positions[(largest - frames) * width..], 2 * frames - 1, width, width),
        lengths,
    }
}

/// From scores by distance, `[h, t, 2·t − 1]`, to scores by frame, `[h, t, t]`: row i begins at the distance i.
fn shifted(distances: &Tensor, frames: usize) -> Result<Tensor> {
    let (heads, rows, columns) = distances.dims3()?;
    let padded = distances.pad_with_zeros(D::Minus1, 1, 0)?;
    let turned = padded.reshape((heads, columns + 1, rows))?.narrow(1, 1, columns)?;
    turned
        .contiguous()?
        .reshape((heads, rows, columns))?
        .narrow(2, 0, frames)
}

/// Sines and cosines of the distances `frames − 1` down to `−(frames − 1)`: `[2·frames − 1, width]`.
///
/// Columns 2j and 2j + 1 are sine and cosine of the distance times exp(−2j · ln(10000) / width).
/// Source: arXiv 1706.03762, section 3.5.
#[expect(clippy::cast_possible_truncation, reason = "the table is f32, as in the original")]
pub(crate) fn relative_positions(frames: usize, width: usize) -> Vec<f32> {
    let frequency = |pair: usize| (-(2.0 * pair as f64) * 10_000_f64.ln() / width as f64).exp();
    let frequencies: Vec<f32> = (0..width.div_ceil(2)).map(|pair| frequency(pair) as f32).collect();
    let mut table = Vec::with_capacity((2 * frames).saturating_sub(1) * width);
    for row in 0..(2 * frames).saturating_sub(1) {
        let distance = frames as f64 - 1.0 - row as f64;
        for frequency in &frequencies {
            // The product is rounded as the original rounds it, then the sine is exact.
            let angle = f64::from(distance as f32 * frequency);
            table.extend([angle.sin() as f32, angle.cos() as f32].iter().take(2.min(width)));
        }
        table.truncate((row + 1) * width);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(rows: usize, width: usize, seed: u32) -> Tensor {
        let count = u32::try_from(rows * width).unwrap();
        let numbers = (0..count).map(|i| f64::from((i * 37 + seed) % 101) / 50.0 - 1.0);
        let flat = Tensor::from_iter(numbers, &Device::Cpu).unwrap();
        flat.to_dtype(DType::F32).unwrap().reshape((rows, width)).unwrap()
    }

    fn floats(x: &Tensor) -> Vec<Vec<f32>> {
        x.to_vec2().unwrap()
    }

    /// The formula at the top of this file, written out.
    fn by_formula([q, k, v]: [&Tensor; 3], p: &Tensor, [u, w]: [&Tensor; 2], sight: usize) -> Vec<f32> {
        let (q, k, v, p, u, w) = (
            floats(q),
            floats(k),
            floats(v),
            floats(p),
            floats(u).concat(),
            floats(w).concat(),
        );
        let (frames, heads, width) = (q.len(), 2, q[0].len() / 2);
        let mut out = vec![0.0; frames * 2 * width];
        for head in 0..heads {
            let columns = head * width..(head + 1) * width;
            for i in 0..frames {
                let score = |j: usize| {
                    let position = p.len() / 2 + j - i;
                    let terms = columns
                        .clone()
                        .map(|c| (q[i][c] + u[c]) * k[j][c] + (q[i][c] + w[c]) * p[position][c]);
                    (terms.sum::<f32>() / (width as f32).sqrt()).exp()
                };
                let seen: Vec<usize> = (0..frames).filter(|j| i.abs_diff(*j) <= sight).collect();
                let sum: f32 = seen.iter().map(|j| score(*j)).sum();
                for c in columns.clone() {
                    out[i * 2 * width + c] = seen.iter().map(|j| score(*j) * v[*j][c]).sum::<f32>() / sum;
                }
            }
        }
        out
    }

    fn check(sight: Option<usize>) {
        let [u, w] = [tensor(2, 3, 1), tensor(2, 3, 2)];
        let [q, k, v] = [tensor(5, 6, 3), tensor(5, 6, 4), tensor(5, 6, 5)];
        let p = tensor(9, 6, 6);
        let expected = by_formula([&q, &k, &v], &p, [&u, &w], sight.unwrap_or(9));
        for kernels in [None, Some(Kernels::open().unwrap())] {
            let attention = RelativeAttention::new(&u, &w, [sight, sight], kernels.as_ref()).unwrap();
            let found = attention.forward([&q, &k, &v], &p, &Sequences::new(vec![5])).unwrap();
            for (found, expected) in floats(&found).concat().iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
            }
        }
    }

    #[test]
    fn scores_follow_the_formula() {
        check(None);
    }

    #[test]
    fn what_is_out_of_sight_has_no_weight() {
        check(Some(1));
    }

    #[test]
    fn a_sequence_is_the_same_alone_and_beside_longer_ones() {
        for kernels in [None, Some(Kernels::open().unwrap())] {
            let biases = [tensor(2, 3, 1), tensor(2, 3, 2)];
            let attention = RelativeAttention::new(&biases[0], &biases[1], [None, None], kernels.as_ref()).unwrap();
            let (x, p) = (tensor(7, 6, 3), tensor(9, 6, 6));
            let both = attention
                .forward([&x, &x, &x], &p, &Sequences::new(vec![5, 0, 2]))
                .unwrap();
            let second = x.narrow(0, 5, 2).unwrap();
            let middle = p.narrow(0, 3, 3).unwrap();
            let alone = attention
                .forward([&second; 3], &middle, &Sequences::new(vec![2]))
                .unwrap();
            for (found, expected) in floats(&both)[5..].concat().iter().zip(floats(&alone).concat()) {
                assert!((found - expected).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn positions_for_fewer_frames_are_an_error() {
        let attention = RelativeAttention::new(&tensor(2, 3, 1), &tensor(2, 3, 2), [None, None], None).unwrap();
        let x = tensor(5, 6, 3);
        assert!(
            attention
                .forward([&x; 3], &tensor(7, 6, 6), &Sequences::new(vec![5]))
                .is_err()
        );
    }

    #[test]
    fn the_table_has_distance_zero_in_its_middle() {
        let table = relative_positions(2, 4);
        assert_eq!(table[4..8], [0.0, 1.0, 0.0, 1.0]);
        assert!((table[0] - 1_f32.sin()).abs() < 1e-7 && (table[8] + 1_f32.sin()).abs() < 1e-7);
        assert!((table[2] - 0.01_f32.sin()).abs() < 1e-7, "{table:?}");
        assert_eq!(relative_positions(0, 4), [0.0; 0]);
    }
}
