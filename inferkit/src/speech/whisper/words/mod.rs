//! When each word was said, by where the decoder looked while it read the text.
//!
//! ```text
//! scores of some heads [tokens, frames] ─ softmax, z-score, median ─▶ mean ─ time warping ─▶ first frame of each token
//! words of tokens ─▶ start and end ─ punctuation joined, long ones shortened ─▶ words of segments
//! ```
//!
//! Source: openai/whisper, `whisper/timing.py`.

mod path;
mod spread;
mod weights;

pub(super) use path::best_path;
pub(super) use spread::SegmentWords;
pub(super) use spread::spread;
pub(super) use weights::AttentionWeights;

use crate::speech::whisper::tokens::TokenWord;

/// Encoder frames of a second.
const FRAMES_PER_SECOND: f64 = 50.0;

/// A word and when it was said, in seconds from the start of its window.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TimedWord {
    pub(super) text: String,
    /// Tokens that it consists of.
    pub(super) tokens: usize,
    pub(super) start_seconds: f64,
    pub(super) end_seconds: f64,
    /// Mean probability of its tokens.
    pub(super) probability: f32,
}

/// The times of `words`, whose tokens are the rows of `weights` in order, followed by one row for the end of the text.
///
/// * `probabilities`: of each token
pub(super) fn time_words(weights: &AttentionWeights, words: Vec<TokenWord>, probabilities: &[f32]) -> Vec<TimedWord> {
    let path = best_path(&weights.mean, weights.frames);
    // The frame in which each token is first heard.
    let mut first_frames = vec![0; weights.tokens()];
    let mut last_token = None;
    for (token, frame) in path {
        if last_token != Some(token)
            && let Some(first) = first_frames.get_mut(token)
        {
            *first = frame;
        }
        last_token = Some(token);
    }
    let seconds = |token: usize| {
        let frame = first_frames.get(token).copied().unwrap_or_default();
        frame as f64 / FRAMES_PER_SECOND
    };
    let mut first = 0;
    let mut timed = Vec::with_capacity(words.len());
    for word in words {
        let end = first + word.tokens.len();
        let of_word = probabilities.get(first..end).unwrap_or_default();
        timed.push(TimedWord {
            text: word.text,
            tokens: word.tokens.len(),
            start_seconds: seconds(first),
            end_seconds: seconds(end),
            probability: of_word.iter().sum::<f32>() / of_word.len().max(1) as f32,
        });
        first = end;
    }
    timed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_lasts_from_its_first_token_s_frame_to_the_next_word_s() {
        // Three tokens and the end look at frames 0–1, 2, 3–4 and 5.
        let looks = [&[0, 1][..], &[2], &[3, 4], &[5]];
        let mut mean = vec![-1.0; 4 * 6];
        for (token, frames) in looks.iter().enumerate() {
            for frame in *frames {
                mean[token * 6 + frame] = 1.0;
            }
        }
        let weights = AttentionWeights { mean, frames: 6 };
        let word = |text: &str, tokens: &[u32]| TokenWord {
            text: text.to_owned(),
            tokens: tokens.to_vec(),
        };
        let timed = time_words(&weights, vec![word(" ab", &[1, 2]), word(" c", &[3])], &[0.5, 1.0, 0.2]);
        assert_eq!((timed[0].start_seconds, timed[0].end_seconds), (0.0, 0.06));
        assert_eq!((timed[1].start_seconds, timed[1].end_seconds), (0.06, 0.1));
        assert!((timed[0].probability - 0.75).abs() < 1e-6 && (timed[1].probability - 0.2).abs() < 1e-6);
    }
}
