//! What a transcript says of how sure the model was of its segments.

use std::ops::Range;

use super::Scored;
use super::Transcript;
use super::seconds;
use crate::speech::repetition::compression_ratio;
use crate::task::Segment;
use crate::task::SegmentDecoding;
use crate::task::TokenLogprob;
use crate::task::TopLogprob;

impl Transcript {
    /// The segments that were heard in `windows`, with what is known of these windows: all texts are judged as one, as
    /// Whisper does it. The model says nothing of silence.
    ///
    /// * `tokens`: those of the one segment; none where several came out of one text
    pub(super) fn judged(&self, windows: Range<usize>, tokens: &[Scored], segments: Vec<Segment>) -> Vec<Segment> {
        let texts: Vec<&str> = segments.iter().map(|segment| segment.text.as_str()).collect();
        let first = self.plan.windows.get(windows.start);
        let decoding = SegmentDecoding {
            window_start_seconds: seconds(first.map_or(0, |window| window.covers.start)),
            tokens: tokens.iter().map(|token| token.id).collect(),
            token_logprobs: tokens.iter().map(|token| self.told(*token)).collect(),
            temperature: 0.0,
            average_logprob: self.average_logprob(windows),
            compression_ratio: compression_ratio(&texts.join(" ")),
            no_speech_probability: 0.0,
        };
        segments
            .into_iter()
            .map(|segment| Segment {
                decoding: Some(decoding.clone()),
                ..segment
            })
            .collect()
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
