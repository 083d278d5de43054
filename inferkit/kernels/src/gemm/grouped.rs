//! Mixtures of experts: each row goes through a few of many weights.

use super::activations::Prepared;
use super::epilogue::{Activation, Epilogue};
use super::jobs::{self, Job, RowSet};
use crate::{PackedWeight, Pool, Precision, Rows, RowsMut};

/// Which rows go to which expert, sorted by expert: the order in which grouped products read and write.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Routes {
    /// Row of the activations of each pair, ascending by expert and by row within an expert.
    rows: Vec<u32>,
    /// What the output of each pair counts in the sum of its row.
    weights: Vec<f32>,
    /// Where the pairs of each expert begin, and the end of the last.
    starts: Vec<usize>,
    /// For each row, where its pairs stand, ascending by expert.
    places: Vec<u32>,
    per_row: usize,
}

impl Routes {
    /// Sends each row to the `per_row` experts with the greatest logits.
    ///
    /// * `logits`: `[m, experts]`; the weights are their softmax over *all* experts
    /// * `renormalize`: weights of a row are divided by their sum, as `norm_topk_prob` of a configuration asks for
    ///
    /// Among equal logits the lower expert wins. A NaN counts as less than any number, and makes the weights of its row NaN.
    ///
    /// # Panics
    /// When `per_row` is zero or exceeds the number of experts.
    pub fn top_k(logits: Rows<'_>, per_row: usize, renormalize: Renormalize) -> Self {
        let (m, experts) = (logits.rows(), logits.width());
        assert!(
            (1..=experts).contains(&per_row),
            "{per_row} experts of {experts} for each row"
        );
        let mut chosen: Vec<(usize, usize, f32)> = Vec::with_capacity(m * per_row);
        let mut order: Vec<usize> = Vec::with_capacity(experts);
        for row in 0..m {
            let logits = logits.row(row);
            let key = |&expert: &usize| {
                if logits[expert].is_nan() {
                    f32::NEG_INFINITY
                } else {
                    logits[expert]
                }
            };
            order.clear();
            order.extend(0..experts);
            order.sort_by(|a, b| key(b).total_cmp(&key(a)).then(a.cmp(b)));
            let greatest = logits[order[0]];
            let total: f32 = logits.iter().map(|logit| (logit - greatest).exp()).sum();
            let best = &order[..per_row];
            let sum: f32 = match renormalize {
                Renormalize::Yes => best.iter().map(|&expert| (logits[expert] - greatest).exp()).sum(),
                Renormalize::No => total,
            };
            // A NaN among the logits is in `total`, and reaches every weight of the row through it.
            let nan = total * 0.0;
            chosen.extend(
                best.iter()
                    .map(|&expert| (expert, row, (logits[expert] - greatest).exp() / sum + nan)),
            );
        }
        Self::new(chosen, experts, m, per_row)
    }

    fn new(mut chosen: Vec<(usize, usize, f32)>, experts: usize, m: usize, per_row: usize) -> Self {
        chosen.sort_by_key(|&(expert, row, _)| (expert, row));
        let starts = (0..=experts)
            .map(|expert| chosen.partition_point(|pair| pair.0 < expert))
            .collect();
        let mut filled = vec![0; m];
        let mut places = vec![0; m * per_row];
        for (place, &(_, row, _)) in chosen.iter().enumerate() {
            places[row * per_row + filled[row]] = place as u32;
            filled[row] += 1;
        }
        let rows = chosen.iter().map(|pair| pair.1 as u32).collect();
        Self {
            rows,
            weights: chosen.iter().map(|pair| pair.2).collect(),
            starts,
            places,
            per_row,
        }
    }

    /// Pairs of a row and an expert: rows of a grouped product.
    pub fn pairs(&self) -> usize {
        self.rows.len()
    }

    /// Experts that can be chosen.
    pub fn experts(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Rows of the activations.
    pub fn rows(&self) -> usize {
        self.places.len().checked_div(self.per_row).unwrap_or(0)
    }

    /// Adds up the outputs of the experts of each row: `out[row]` is the sum of `weight * pairs[place]`, in ascending order of
    /// experts.
    ///
    /// * `pairs`: `[pairs, n]`, from [`gemm_grouped`]; `out`: `[m, n]`
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn combine(&self, pool: &Pool, pairs: Rows<'_>, mut out: RowsMut<'_>) {
        assert_eq!(pairs.rows(), self.pairs(), "one row for each pair");
        assert_eq!(
            [out.rows(), out.width()],
            [self.rows(), pairs.width()],
            "shape of the combined output"
        );
        let (n, stride) = (out.width(), out.stride());
        let target = out.shared();
        pool.run(self.rows(), |row| {
            // SAFETY: row `row` of the output is `n` values long and belongs to this unit.
            let out = unsafe { std::slice::from_raw_parts_mut(target.get().add(row * stride), n) };
            out.fill(0.0);
            for &place in &self.places[row * self.per_row..][..self.per_row] {
                let weight = self.weights[place as usize];
                for (out, value) in out.iter_mut().zip(pairs.row(place as usize)) {
                    *out += weight * value;
                }
            }
        });
    }
}

/// Whether the weights of the chosen experts are made to sum to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renormalize {
    /// They sum to one.
    Yes,
    /// They are shares of the softmax over all experts.
    No,
}

/// Multiplies each pair's row with its expert's weight.
///
/// * `a`: `[pairs, k]`, in the order of `routes`: the output of [`gemm_grouped_gated`]
/// * `experts`: one weight `[n, k]` each; `out`: `[pairs, n]`
///
/// # Panics
/// When shapes, numbers of experts, or the [`Isa`](crate::Isa)s of the weights differ.
pub fn gemm_grouped(
    pool: &Pool,
    a: Rows<'_>,
    precision: Precision,
    experts: &[PackedWeight],
    routes: &Routes,
    mut out: RowsMut<'_>,
) {
    assert_eq!(a.rows(), routes.pairs(), "one row of activations for each pair");
    let out_stride = check(experts, None, routes, &out);
    let weights: Vec<&PackedWeight> = experts.iter().collect();
    let Some(prepared) = Prepared::new(pool, a, precision, &weights) else {
        return;
    };
    let target = out.shared();
    let job = |(expert, start, len)| Job {
        weight: &experts[expert],
        up: None,
        rows: RowSet {
            index: None,
            start,
            len,
        },
        out: target,
        out_stride,
        epilogue: Epilogue::default(),
    };
    jobs::run(pool, &prepared, &active(routes).map(job).collect::<Vec<_>>());
}

/// The experts and the pair of weights that each of them has.
#[derive(Debug, Clone, Copy)]
pub struct GatedExperts<'a> {
    /// One weight `[n, k]` an expert.
    pub gate: &'a [PackedWeight],
    /// One weight `[n, k]` an expert.
    pub up: &'a [PackedWeight],
    /// Applied to the product with the gate.
    pub activation: Activation,
}

/// `activation(a · gateᵀ) * (a · upᵀ)` with the weights of each pair's expert. Each row is prepared once, not once an expert.
///
/// * `a`: `[m, k]`; `out`: `[pairs, n]`
///
/// # Panics
/// When shapes, numbers of experts, or the [`Isa`](crate::Isa)s of the weights differ.
pub fn gemm_grouped_gated(
    pool: &Pool,
    a: Rows<'_>,
    precision: Precision,
    experts: GatedExperts<'_>,
    routes: &Routes,
    mut out: RowsMut<'_>,
) {
    assert_eq!(a.rows(), routes.rows(), "the rows that were routed");
    let out_stride = check(experts.gate, Some(experts.up), routes, &out);
    let weights: Vec<&PackedWeight> = experts.gate.iter().chain(experts.up).collect();
    let Some(prepared) = Prepared::new(pool, a, precision, &weights) else {
        return;
    };
    let target = out.shared();
    let job = |(expert, start, len)| Job {
        weight: &experts.gate[expert],
        up: Some(&experts.up[expert]),
        rows: RowSet {
            index: Some(&routes.rows),
            start,
            len,
        },
        out: target,
        out_stride,
        epilogue: Epilogue::default().with_activation(experts.activation),
    };
    jobs::run(pool, &prepared, &active(routes).map(job).collect::<Vec<_>>());
}

/// Experts with rows, those with the most first: expert, first pair, pairs.
fn active(routes: &Routes) -> impl Iterator<Item = (usize, usize, usize)> {
    let ends = routes.starts.windows(2).enumerate();
    let mut active: Vec<_> = ends
        .map(|(expert, ends)| (expert, ends[0], ends[1] - ends[0]))
        .collect();
    active.retain(|&(_, _, len)| len > 0);
    active.sort_by_key(|&(expert, _, len)| (std::cmp::Reverse(len), expert));
    active.into_iter()
}

/// Checks shapes; returns the distance of rows of the output.
fn check(experts: &[PackedWeight], up: Option<&[PackedWeight]>, routes: &Routes, out: &RowsMut<'_>) -> usize {
    assert_eq!(
        experts.len(),
        routes.experts(),
        "one weight for each expert that rows were routed to"
    );
    let n = experts.first().map_or(out.width(), PackedWeight::n);
    assert!(
        up.is_none_or(|up| up.len() == experts.len()),
        "as many up weights as gate weights"
    );
    for weight in experts.iter().chain(up.unwrap_or_default()) {
        assert_eq!(weight.n(), n, "all experts have the same number of rows");
    }
    assert_eq!(
        [out.rows(), out.width()],
        [routes.pairs(), n],
        "shape of the output of a grouped product"
    );
    out.stride()
}
