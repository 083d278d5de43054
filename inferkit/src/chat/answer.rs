//! One choice's answer: logits to token to text, until something ends it.

use std::sync::Arc;

use crate::chat::engine::Answer;
use crate::chat::engine::Piece;
use crate::chat::engine::Step;
use crate::chat::sampler::Sampler;
use crate::chat::sampler::SamplerContext;
use crate::chat::text::AnswerDecoder;
use crate::chat::text::Prompt;
use crate::chat::text::TextLayer;
use crate::error::Result;
use crate::task::ChatRequest;
use crate::task::Delta;
use crate::task::FinishReason;
use crate::task::TokenLogprob;

/// Sampler, decoder and end rules of one choice.
pub(super) struct TextAnswer {
    layer: Arc<TextLayer>,
    sampler: Sampler,
    decoder: AnswerDecoder,
    /// Tokens that end the answer.
    ends: Vec<u32>,
    /// Those of them whose text belongs to the answer.
    spoken_ends: Vec<u32>,
    min_tokens: usize,
    tokens: usize,
    /// How many of the most probable tokens are told, if any are.
    logprobs: Option<usize>,
    /// Of content whose text is still held back.
    held: Vec<TokenLogprob>,
    /// Whether the text has shown what it begins with: content, thinking or a call.
    has_begun: bool,
}

impl TextAnswer {
    /// Begins choice number `choice` of a request.
    pub(super) fn new(layer: &Arc<TextLayer>, request: &ChatRequest, prompt: &Prompt, choice: usize) -> Self {
        let context = SamplerContext {
            defaults: layer.defaults(),
            choice,
            vocabulary: layer.vocabulary(),
            prompt: &prompt.tokens,
        };
        let stop = &request.stop;
        let own_ends = if stop.ignore_eos { &[] } else { layer.stop_ids() };
        let spoken_ends = if stop.include_stop_string {
            stop.token_ids.clone()
        } else {
            Vec::new()
        };
        Self {
            sampler: Sampler::new(&request.sampling, context),
            decoder: layer.answer(request, prompt),
            ends: own_ends.iter().chain(&stop.token_ids).copied().collect(),
            spoken_ends,
            min_tokens: stop.min_tokens,
            tokens: 0,
            logprobs: request.logprobs,
            held: Vec::new(),
            has_begun: false,
            layer: Arc::clone(layer),
        }
    }

    /// Deltas with the log-probabilities held so far, which go with the first of them that is content.
    fn pieces(&mut self, deltas: Vec<Delta>) -> Vec<Piece> {
        let piece = |delta: Delta| {
            let is_content = matches!(delta, Delta::Content(_));
            let logprobs = if is_content {
                std::mem::take(&mut self.held)
            } else {
                Vec::new()
            };
            Piece { delta, logprobs }
        };
        deltas.into_iter().map(piece).collect()
    }
}

impl Answer for TextAnswer {
    fn advance(&mut self, logits: &mut [f32], is_last: bool) -> Result<Step> {
        // Sampling changes the row; log-probabilities are told of the row as it came.
        let unmodified = self.logprobs.map(|top| (logits.to_vec(), top));
        let forbidden = if self.tokens < self.min_tokens {
            self.ends.as_slice()
        } else {
            &[]
        };
        let token = self.sampler.sample(logits, forbidden)?;
        self.sampler.accept(token);
        self.tokens += 1;

        let reasoning_before = self.decoder.reasoning_tokens();
        let is_end = self.ends.contains(&token);
        let mut deltas = Vec::new();
        let mut has_stopped = is_end;
        if !is_end || self.spoken_ends.contains(&token) {
            let step = self.decoder.push(token);
            let is_reasoning = self.decoder.reasoning_tokens() > reasoning_before;
            if !step.deltas.iter().all(|delta| matches!(delta, Delta::Content(_))) || is_reasoning {
                self.held.clear();
                self.has_begun = true;
            }
            self.has_begun |= step.is_content;
            // Blanks and halves of characters at the very start may turn out to be content.
            if (step.is_content || !self.has_begun)
                && let Some((row, top)) = unmodified
            {
                self.held.push(self.layer.token_logprob(&row, token, top));
            }
            deltas = step.deltas;
            has_stopped |= step.stopped;
        }
        let reason = match (has_stopped, is_last) {
            (true, _) => Some(FinishReason::Stop),
            (false, true) => Some(FinishReason::Length),
            (false, false) => None,
        };
        let end = reason.map(|reason| {
            let (rest, reason) = self.decoder.finish(reason);
            deltas.extend(rest);
            reason
        });
        let is_reasoning = self.decoder.reasoning_tokens() > reasoning_before;
        Ok(Step {
            token,
            pieces: self.pieces(deltas),
            is_reasoning,
            end,
        })
    }
}
