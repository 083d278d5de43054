//! Draws the tokens of one answer.

use super::candidates::Candidate;
use super::candidates::Limits;
use super::candidates::candidates;
use super::generator;
use super::penalties::Penalties;
use crate::error::Error;
use crate::error::Result;
use crate::task::Sampling;

/// The settings of one answer and what they have to remember of it.
#[derive(Debug)]
pub(crate) struct Sampler {
    bias: Vec<(u32, f32)>,
    penalties: Penalties,
    /// `None` takes the most probable token.
    drawing: Option<Drawing>,
    vocabulary: usize,
    /// Tokens of the answer so far.
    position: u64,
}

/// How a token is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Drawing {
    temperature: f32,
    limits: Limits,
    seed: u64,
    choice: u64,
}

/// What a sampler is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SamplerContext<'a> {
    /// The model's own settings, for what the request leaves open.
    pub(crate) defaults: &'a Sampling,
    /// Which answer to the request, from 0.
    pub(crate) choice: usize,
    /// One more than the highest token that may be drawn.
    pub(crate) vocabulary: usize,
    /// The tokens before the answer.
    pub(crate) prompt: &'a [u32],
}

impl Sampler {
    /// A sampler for one answer to a request with the settings `request`.
    pub(crate) fn new(request: &Sampling, context: SamplerContext<'_>) -> Self {
        let SamplerContext {
            defaults,
            choice,
            vocabulary,
            prompt,
        } = context;
        let temperature = request.temperature.or(defaults.temperature).unwrap_or(1.0);
        let limits = Limits {
            top_k: request.top_k.or(defaults.top_k).unwrap_or(0),
            top_p: request.top_p.or(defaults.top_p).unwrap_or(1.0),
            min_p: request.min_p.or(defaults.min_p).unwrap_or(0.0),
        };
        let seed = request.seed.or(defaults.seed).unwrap_or_else(generator::fresh_seed);
        let penalties = Penalties::new(
            request
                .repetition_penalty
                .or(defaults.repetition_penalty)
                .unwrap_or(1.0),
            request.frequency_penalty.or(defaults.frequency_penalty).unwrap_or(0.0),
            request.presence_penalty.or(defaults.presence_penalty).unwrap_or(0.0),
            prompt,
        );
        // One candidate leaves nothing to draw: the same path as temperature 0, bit by bit.
        let is_greedy = temperature <= 0.0 || limits.top_k == 1;
        let drawing = (!is_greedy).then_some(Drawing {
            temperature,
            limits,
            seed,
            choice: choice as u64,
        });
        Self {
            bias: request.logit_bias.clone(),
            penalties,
            drawing,
            vocabulary,
            position: 0,
        }
    }

    /// Chooses the next token from `logits`, one row, which is changed by bias and penalties.
    ///
    /// `forbidden` tokens are never chosen: end tokens before `min_tokens`. The choice is not
    /// remembered before [`Self::accept`].
    ///
    /// # Errors
    /// [`Error::Internal`] when the row holds a value that is no number, or allows no token.
    pub(crate) fn sample(&self, logits: &mut [f32], forbidden: &[u32]) -> Result<u32> {
        let len = logits.len().min(self.vocabulary);
        let logits = logits.get_mut(..len).unwrap_or_default();
        for &(token, bias) in &self.bias {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit += bias;
            }
        }
        for &token in forbidden {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
        self.penalties.apply(logits);
        let (best, highest) = most_probable(logits)?;
        match self.drawing {
            None => Ok(best),
            Some(Drawing {
                temperature,
                limits,
                seed,
                choice,
            }) => {
                let kept = candidates(logits, highest, temperature, limits);
                Ok(draw(&kept, generator::uniform(seed, choice, self.position)).unwrap_or(best))
            }
        }
    }

    /// Takes `token` as the next of the answer.
    pub(crate) fn accept(&mut self, token: u32) {
        self.penalties.accept(token);
        self.position += 1;
    }
}

/// The most probable token, ties to the lowest id, and its logit.
fn most_probable(logits: &[f32]) -> Result<(u32, f32)> {
    let mut best = (0, f32::NEG_INFINITY);
    for (token, &logit) in (0_u32..).zip(logits) {
        if logit.is_nan() || logit == f32::INFINITY {
            return Err(Error::generation_failed(format!(
                "the logit of token {token} is {logit}; the model's weights or its arithmetic are broken"
            )));
        }
        if logit > best.1 {
            best = (token, logit);
        }
    }
    if best.1 == f32::NEG_INFINITY {
        return Err(Error::generation_failed("no token is allowed: every logit is masked"));
    }
    Ok(best)
}

/// The candidate at the share `uniform` of the total weight, in the order of tokens.
fn draw(kept: &[Candidate], uniform: f64) -> Option<u32> {
    let total: f64 = kept.iter().map(|candidate| f64::from(candidate.weight)).sum();
    let target = uniform * total;
    let mut reached = 0.0;
    let drawn = kept.iter().find(|candidate| {
        reached += f64::from(candidate.weight);
        reached > target
    });
    drawn.or(kept.last()).map(|candidate| candidate.token)
}

#[cfg(test)]
mod tests;
