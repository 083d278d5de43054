//! Log-probabilities as a caller is told them: of the model's own distribution.

/// Stands for the logarithm of nothing; JSON has no infinity (OpenAI's clients expect this number).
const NONE: f32 = -9999.0;

/// How probable a token and its rivals were.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Logprobs {
    /// Natural logarithm of the token's probability.
    pub(crate) token: f32,
    /// The most probable tokens with theirs, best first, ties by the lowest id.
    pub(crate) top: Vec<(u32, f32)>,
}

/// The log-probability of `token` and of the `top` most probable tokens below `vocabulary`.
///
/// `logits` is one unmodified row; the padding behind the vocabulary counts in the sum, as it does
/// in the reference, and is never listed.
pub(crate) fn logprobs(logits: &[f32], token: u32, top: usize, vocabulary: usize) -> Logprobs {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - highest).exp()).sum();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the nearest f32 is meant; the sum is at least 1"
    )]
    let log_sum = sum.ln() as f32;
    let logprob = |logit: f32| {
        let logprob = logit - highest - log_sum;
        if logprob.is_finite() { logprob } else { NONE }
    };
    let mut listed: Vec<(u32, f32)> = (0_u32..).zip(logits.iter().copied()).take(vocabulary).collect();
    let order = |one: &(u32, f32), other: &(u32, f32)| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0));
    if top < listed.len() {
        if top > 0 {
            listed.select_nth_unstable_by(top, order);
        }
        listed.truncate(top);
    }
    listed.sort_unstable_by(order);
    Logprobs {
        token: logits.get(token as usize).map_or(NONE, |&logit| logprob(logit)),
        top: listed.into_iter().map(|(id, logit)| (id, logprob(logit))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_the_whole_row() {
        let logits = [0.5_f32, 0.25, 0.125, 0.125].map(f32::ln);
        let found = logprobs(&logits, 1, 2, 3);
        assert!((found.token - 0.25_f32.ln()).abs() < 1e-6, "{found:?}");
        assert_eq!(found.top.iter().map(|&(id, _)| id).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn an_impossible_token_has_a_number_that_json_can_hold() {
        let found = logprobs(&[0.0, f32::NEG_INFINITY], 1, 5, 2);
        assert_eq!((found.token.to_bits(), found.top.len()), (NONE.to_bits(), 2));
    }

    #[test]
    fn padding_is_never_listed_and_ties_go_to_the_lowest_id() {
        let found = logprobs(&[1.0, 1.0, 1.0, 9.0], 0, 3, 3);
        assert_eq!(found.top.iter().map(|&(id, _)| id).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
