//! A recording, window by window: where the next one begins, what it is told of the text before, and what is believed.
//!
//! Source: openai/whisper, `whisper/transcribe.py`.

use super::attempt::Decoded;
use super::attempt::Prompt;
use crate::speech::whisper::config::WINDOW_FRAMES;
use crate::speech::whisper::tokens::SpecialTokens;

/// Above this temperature a text is not told to the next window.
const HOTTEST_TOLD: f32 = 0.5;

/// When a text is not believed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Thresholds {
    /// Above this ratio of length to compressed length, a text repeats itself.
    pub(crate) compression_ratio: f32,
    /// Below this mean logarithm of the tokens' probabilities, a text is unsure.
    pub(crate) average_logprob: f32,
    /// Above this probability that nobody speaks, an unsure text is silence.
    pub(crate) no_speech: f32,
}

impl Default for Thresholds {
    /// Those of the original.
    fn default() -> Self {
        Self {
            compression_ratio: 2.4,
            average_logprob: -1.0,
            no_speech: 0.6,
        }
    }
}

/// What a window's text is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It is kept.
    Kept,
    /// Nobody speaks.
    Silence,
    /// It may be wrong: another temperature may give a better one.
    Doubtful,
}

impl Thresholds {
    /// Judges a text whose compression ratio is `ratio`.
    pub(crate) fn judge(&self, decoded: &Decoded, ratio: f32) -> Judgement {
        let is_unsure = decoded.average_logprob < self.average_logprob;
        if is_unsure && decoded.no_speech_probability > self.no_speech {
            Judgement::Silence
        } else if is_unsure || ratio > self.compression_ratio {
            Judgement::Doubtful
        } else {
            Judgement::Kept
        }
    }

    /// Whether a window is passed over, whatever was tried.
    pub(crate) fn is_silence(&self, decoded: &Decoded) -> bool {
        decoded.no_speech_probability > self.no_speech && decoded.average_logprob <= self.average_logprob
    }
}

/// A stretch of a recording that is decoded at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// Its first mel frame.
    pub(crate) seek: usize,
    /// Its mel frames, at most 3000.
    pub(crate) size: usize,
}

/// How far a recording is written down.
#[derive(Debug, Clone)]
pub(crate) struct Transcript {
    content_frames: usize,
    seek: usize,
    /// Tokens of the caller's prompt and of all segments so far.
    told: Vec<u32>,
    /// From which of them on the next window is told.
    told_from: usize,
    /// Start of the transcript, language, task.
    start: Vec<u32>,
    /// Most tokens of the text before: half of the positions, less one for the token that announces it.
    most_told: usize,
}

impl Transcript {
    /// A recording of `content_frames` mel frames of which nothing is written.
    ///
    /// * `prompt`: tokens of the text before the recording
    /// * `positions`: of the decoder
    pub(crate) fn new(content_frames: usize, prompt: Vec<u32>, positions: usize) -> Self {
        Self {
            content_frames,
            seek: 0,
            told: prompt,
            told_from: 0,
            start: Vec::new(),
            most_told: (positions / 2).saturating_sub(1),
        }
    }

    /// Sets what every window's text begins with: start of the transcript, language, task.
    pub(crate) fn begin_with(&mut self, start: Vec<u32>) {
        self.start = start;
    }

    /// What every window's text begins with.
    pub(crate) fn start(&self) -> &[u32] {
        &self.start
    }

    /// The next window, if there is one.
    pub(crate) fn window(&self) -> Option<Window> {
        let left = self.content_frames.checked_sub(self.seek).filter(|left| *left > 0)?;
        Some(Window {
            seek: self.seek,
            size: left.min(WINDOW_FRAMES),
        })
    }

    /// What the next window's text begins with.
    pub(crate) fn prompt(&self, special: &SpecialTokens) -> Prompt {
        let told = self.told.get(self.told_from..).unwrap_or_default();
        let told = told
            .get(told.len().saturating_sub(self.most_told)..)
            .unwrap_or_default();
        let mut tokens = Vec::with_capacity(told.len() + self.start.len() + 1);
        if !told.is_empty() {
            tokens.push(special.start_of_previous);
            tokens.extend_from_slice(told);
        }
        let start = tokens.len();
        tokens.extend_from_slice(&self.start);
        Prompt { tokens, start }
    }

    /// Passes over a window.
    pub(crate) fn skip(&mut self, window: Window) {
        self.seek = window.seek + window.size;
    }

    /// Goes on at mel frame `seek`, with `tokens` of the window's segments and the temperature that gave them.
    pub(crate) fn go_on(&mut self, seek: usize, tokens: impl IntoIterator<Item = u32>, temperature: f32) {
        // A window always ends: a time of zero must not begin it again for ever.
        self.seek = seek.max(self.seek + 1);
        self.told.extend(tokens);
        if temperature > HOTTEST_TOLD {
            self.told_from = self.told.len();
        }
    }

    /// Seconds written down so far, and in all.
    pub(crate) fn progress(&self) -> (f64, f64) {
        let seconds = |frames: usize| frames as f64 / super::segments::FRAMES_PER_SECOND;
        (
            seconds(self.seek.min(self.content_frames)),
            seconds(self.content_frames),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::whisper::tokens::tests::small;

    fn decoded(average_logprob: f32, no_speech_probability: f32) -> Decoded {
        Decoded {
            tokens: Vec::new(),
            logprobs: Vec::new(),
            average_logprob,
            no_speech_probability,
            temperature: 0.0,
        }
    }

    #[test]
    fn a_text_is_doubted_for_repetition_or_uncertainty_and_silence_is_neither() {
        let thresholds = Thresholds::default();
        for (logprob, no_speech, ratio, expected) in [
            (-0.3, 0.0, 1.5, Judgement::Kept),
            (-0.3, 0.9, 1.5, Judgement::Kept),
            (-0.3, 0.0, 2.5, Judgement::Doubtful),
            (-1.1, 0.0, 1.5, Judgement::Doubtful),
            (-1.1, 0.7, 9.0, Judgement::Silence),
        ] {
            assert_eq!(thresholds.judge(&decoded(logprob, no_speech), ratio), expected);
        }
        assert!(thresholds.is_silence(&decoded(-1.1, 0.7)));
        assert!(!thresholds.is_silence(&decoded(-0.9, 0.7)) && !thresholds.is_silence(&decoded(-1.1, 0.5)));
    }

    #[test]
    fn windows_follow_one_another_to_the_end_of_the_recording() {
        let mut transcript = Transcript::new(4000, Vec::new(), 448);
        let first = transcript.window().unwrap();
        assert_eq!(first, Window { seek: 0, size: 3000 });
        transcript.go_on(2500, [1, 2], 0.0);
        let second = transcript.window().unwrap();
        assert_eq!(second, Window { seek: 2500, size: 1500 });
        transcript.skip(second);
        assert_eq!((transcript.window(), transcript.progress()), (None, (40.0, 40.0)));
        assert_eq!(Transcript::new(0, Vec::new(), 448).window(), None);
    }

    #[test]
    fn a_window_that_does_not_move_ends_all_the_same() {
        let mut transcript = Transcript::new(2, Vec::new(), 448);
        transcript.go_on(0, [], 0.0);
        transcript.go_on(0, [], 0.0);
        assert_eq!(transcript.window(), None);
    }

    #[test]
    fn the_next_window_is_told_the_last_tokens_unless_they_were_drawn_hot() {
        let special = small();
        let special = special.special();
        let mut transcript = Transcript::new(9000, vec![5, 6], 12);
        transcript.begin_with(vec![11, 12]);
        let prompt = transcript.prompt(special);
        assert_eq!((prompt.tokens.as_slice(), prompt.start), (&[17, 5, 6, 11, 12][..], 3));

        transcript.go_on(3000, [1, 2, 3, 4], 0.4);
        // At most 12 / 2 − 1 tokens are told.
        assert_eq!(transcript.prompt(special).tokens, [17, 6, 1, 2, 3, 4, 11, 12]);

        transcript.go_on(6000, [7], 0.6);
        let prompt = transcript.prompt(special);
        assert_eq!((prompt.tokens.as_slice(), prompt.start), (&[11, 12][..], 0));
    }
}
