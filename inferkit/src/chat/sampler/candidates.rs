//! Narrows a row of logits to the tokens among which one is drawn.

use std::cmp::Ordering;

/// Tokens sorted first when only the most probable matter; a wide top-p needs a few hundred.
const FIRST_SORTED: usize = 256;

/// A token and its weight: the probability up to a common factor, 1 for the most probable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) token: u32,
    pub(super) weight: f32,
}

impl Candidate {
    /// Best first; ties to the lowest id, so that a cut never depends on the way to it.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that sorting asks for")]
    fn order(&self, other: &Self) -> Ordering {
        other.weight.total_cmp(&self.weight).then(self.token.cmp(&other.token))
    }
}

/// What is kept of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limits {
    /// Number of the most probable tokens kept; 0 keeps all.
    pub(super) top_k: usize,
    /// Share of the probability that the kept tokens reach.
    pub(super) top_p: f32,
    /// Least probability relative to the most probable token.
    pub(super) min_p: f32,
}

/// The tokens that may be drawn. `highest` is the largest of `logits` and finite.
pub(super) fn candidates(logits: &[f32], highest: f32, temperature: f32, limits: Limits) -> Vec<Candidate> {
    let weighed = logits.iter().zip(0_u32..);
    let mut kept: Vec<Candidate> = weighed
        .map(|(&logit, token)| Candidate {
            token,
            weight: ((logit - highest) / temperature).exp(),
        })
        .filter(|candidate| candidate.weight > 0.0)
        .collect();
    if limits.top_k > 0 && limits.top_k < kept.len() {
        kept.select_nth_unstable_by(limits.top_k, Candidate::order);
        kept.truncate(limits.top_k);
    }
    if limits.top_p < 1.0 {
        keep_share(&mut kept, limits.top_p);
    }
    kept.retain(|candidate| candidate.weight >= limits.min_p);
    // A fixed order for the draw: selection leaves an arbitrary one.
    kept.sort_unstable_by_key(|candidate| candidate.token);
    kept
}

/// Keeps the smallest set of the most probable whose share reaches `top_p`.
///
/// Sorts the best few first and more only if those do not reach.
fn keep_share(kept: &mut Vec<Candidate>, top_p: f32) {
    // In the order of tokens: the sum must not depend on what selection did before.
    let mut by_token: Vec<Candidate> = kept.clone();
    by_token.sort_unstable_by_key(|candidate| candidate.token);
    let total: f64 = by_token.iter().map(|candidate| f64::from(candidate.weight)).sum();
    let target = total * f64::from(top_p);
    let mut sorted = 0;
    let mut reached = 0.0;
    while sorted < kept.len() {
        let end = (sorted.max(FIRST_SORTED / 2) * 2).min(kept.len());
        let Some(rest) = kept.get_mut(sorted..) else { return };
        if end - sorted < rest.len() {
            rest.select_nth_unstable_by(end - sorted, Candidate::order);
        }
        let Some(best) = rest.get_mut(..end - sorted) else {
            return;
        };
        best.sort_unstable_by(Candidate::order);
        for (at, candidate) in best.iter().enumerate() {
            reached += f64::from(candidate.weight);
            if reached >= target {
                kept.truncate(sorted + at + 1);
                return;
            }
        }
        sorted = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: Limits = Limits {
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
    };

    fn tokens(logits: &[f32], limits: Limits) -> Vec<u32> {
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        candidates(logits, highest, 1.0, limits)
            .iter()
            .map(|candidate| candidate.token)
            .collect()
    }

    #[test]
    fn top_k_keeps_the_best_and_breaks_ties_by_the_lowest_id() {
        assert_eq!(
            tokens(&[1.0, 3.0, 2.0, 3.0, 2.0], Limits { top_k: 3, ..ALL }),
            [1, 2, 3]
        );
    }

    #[test]
    fn top_p_keeps_the_token_that_crosses_the_share() {
        let logits = [0.1_f32, 0.5, 0.4].map(f32::ln);
        assert_eq!(tokens(&logits, Limits { top_p: 0.5, ..ALL }), [1]);
        assert_eq!(tokens(&logits, Limits { top_p: 0.51, ..ALL }), [1, 2]);
        assert_eq!(tokens(&logits, Limits { top_p: 0.95, ..ALL }), [0, 1, 2]);
    }

    #[test]
    fn top_p_counts_shares_of_what_top_k_left() {
        let logits = [0.4_f32, 0.3, 0.3].map(f32::ln);
        assert_eq!(
            tokens(
                &logits,
                Limits {
                    top_k: 2,
                    top_p: 0.57,
                    ..ALL
                }
            ),
            [0],
            "0.4 of 0.7 is 0.571"
        );
    }

    #[test]
    fn min_p_is_relative_to_the_most_probable() {
        let logits = [0.5_f32, 0.26, 0.24].map(f32::ln);
        assert_eq!(tokens(&logits, Limits { min_p: 0.5, ..ALL }), [0, 1]);
    }

    #[test]
    fn a_masked_token_is_never_kept() {
        assert_eq!(tokens(&[0.0, f32::NEG_INFINITY, 0.0], ALL), [0, 2]);
    }

    proptest! {
        #[test]
        fn selection_keeps_what_a_full_sort_keeps(
            logits in prop::collection::vec(-4.0..4.0_f32, 1..700), top_k in 0..700_usize, top_p in 0.05..1.0_f32,
        ) {
            let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mut sorted = candidates(&logits, highest, 1.0, ALL);
            sorted.sort_by(Candidate::order);
            if top_k > 0 {
                sorted.truncate(top_k);
            }
            let mut summed = sorted.clone();
            summed.sort_by_key(|candidate| candidate.token);
            let total: f64 = summed.iter().map(|candidate| f64::from(candidate.weight)).sum();
            let mut reached = 0.0;
            let needed = sorted.iter().position(|candidate| {
                reached += f64::from(candidate.weight);
                reached >= total * f64::from(top_p)
            });
            sorted.truncate(needed.map_or(sorted.len(), |at| at + 1));
            let mut expected: Vec<u32> = sorted.iter().map(|candidate| candidate.token).collect();
            expected.sort_unstable();
            prop_assert_eq!(tokens(&logits, Limits { top_k, top_p, min_p: 0.0 }), expected);
        }
    }
}
