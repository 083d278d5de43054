//! What a transcript says of how sure the model was of its segments.

use std::ops::Range;

use super::Scored;
use super::Transcript;
use super::seconds;
use super::shares::shares;
use crate::speech::repetition::compression_ratio;
use crate::task::Segment;
use crate::task::SegmentDecoding;
use crate::task::TokenLogprob;
use crate::task::TopLogprob;

impl Transcript {
    /// The segments that were heard in `windows`, with what is known of these windows: all texts are judged as one, as
    /// Whisper does it. The model says nothing of silence.
    ///
    /// * `tokens`: those of each segment
    pub(super) fn judged(
        &self,
        windows: Range<usize>,
        segments: impl IntoIterator<Item = (Segment, Vec<Scored>)>,
    ) -> Vec<Segment> {
        let (segments, tokens): (Vec<Segment>, Vec<Vec<Scored>>) = segments.into_iter().unzip();
        let texts: Vec<&str> = segments.iter().map(|segment| segment.text.as_str()).collect();
        let first = self.plan.windows.get(windows.start);
        let compression_ratio = compression_ratio(&texts.join(" "));
        let window_start_seconds = seconds(first.map_or(0, |window| window.covers.start));
        let average_logprob = self.average_logprob(windows);
        let decoding = |tokens: &[Scored]| SegmentDecoding {
            window_start_seconds,
            tokens: tokens.iter().map(|token| token.id).collect(),
            token_logprobs: tokens.iter().map(|token| self.told(*token)).collect(),
            temperature: 0.0,
            average_logprob,
            compression_ratio,
            no_speech_probability: 0.0,
        };
        let told = segments.into_iter().zip(&tokens).map(|(segment, tokens)| Segment {
            decoding: Some(decoding(tokens)),
            ..segment
        });
        told.collect()
    }

    /// As [`judged`](Self::judged), of segments with times, which share the tokens of one text.
    ///
    /// * `tokens`: all of them, marks that are no text among them
    pub(super) fn judged_together(
        &self,
        windows: Range<usize>,
        tokens: &[Scored],
        segments: Vec<Segment>,
    ) -> Vec<Segment> {
        let shares = self.shared(tokens, &segments);
        self.judged(windows, segments.into_iter().zip(shares))
    }

    /// Which tokens of one text belong to which of its segments.
    pub(super) fn shared(&self, tokens: &[Scored], segments: &[Segment]) -> Vec<Vec<Scored>> {
        let written = self.written(tokens).into_iter();
        let spelt: Vec<(Scored, Vec<u8>)> = written.map(|token| (token, self.tokenizer.bytes(token.id))).collect();
        let texts: Vec<&str> = segments.iter().map(|segment| segment.text.as_str()).collect();
        shares(&spelt, &texts)
    }

    /// Tokens of the text, without marks such as times.
    pub(super) fn written(&self, tokens: &[Scored]) -> Vec<Scored> {
        let is_mark = |token: &&Scored| self.tokenizer.piece(token.id).is_some_and(is_special);
        tokens.iter().filter(|token| !is_mark(token)).copied().collect()
    }

    fn told(&self, token: Scored) -> TokenLogprob {
        let token = TopLogprob::new(self.tokenizer.bytes(token.id), token.logprob);
        TokenLogprob::new(token, Vec::new())
    }

    /// The mean of all tokens of these windows.
    fn average_logprob(&self, windows: Range<usize>) -> f32 {
        let (mut sum, mut count) = (0.0, 0.0);
        for heard in windows.filter_map(|number| self.heard(number)) {
            // The end of the text is a token as well.
            let tokens = (heard.tokens.len() + 1) as f32;
            sum += heard.average_logprob * tokens;
            count += tokens;
        }
        if count > 0.0 { sum / count } else { 0.0 }
    }
}

/// Whether a piece is a mark such as `<|12|>`, which is no text.
fn is_special(piece: &str) -> bool {
    piece.starts_with("<|") && piece.ends_with("|>")
}
