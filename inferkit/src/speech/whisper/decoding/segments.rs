//! A window's tokens cut into segments at pairs of times.
//!
//! Source: openai/whisper, `whisper/transcribe.py`.

use super::transcript::Window;
use crate::speech::whisper::config::FRAME_STRIDE;
use crate::speech::whisper::tokens::SpecialTokens;

/// Seconds of a timestamp step, which is one frame of the encoder.
pub(crate) const STEP_SECONDS: f64 = 0.02;

/// Mel frames of a second.
pub(crate) const FRAMES_PER_SECOND: f64 = 100.0;

/// A part of a window's text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WindowSegment {
    /// Seconds from the start of the recording.
    pub(crate) start_seconds: f64,
    /// Seconds from the start of the recording.
    pub(crate) end_seconds: f64,
    /// Text and times.
    pub(crate) tokens: Vec<u32>,
    /// How many tokens of the window stand before them.
    pub(crate) first: usize,
}

/// How a window is cut, and how far it is understood.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cut {
    pub(crate) segments: Vec<WindowSegment>,
    /// Mel frames from the start of the window to where the next begins.
    pub(crate) advance: usize,
    /// Whether the text ends with a single time: nothing is said after it.
    pub(crate) is_complete: bool,
}

/// Cuts the `tokens` of a window.
pub(crate) fn cut(tokens: &[u32], window: Window, special: &SpecialTokens) -> Cut {
    let Window { seek, size } = window;
    let offset_seconds = seek as f64 / FRAMES_PER_SECOND;
    let is_time = |token: &u32| special.is_timestamp(*token);
    let is_complete = match tokens {
        [.., before, last] => !is_time(before) && is_time(last),
        _ => false,
    };
    // Where the second time of each pair stands.
    let mut borders: Vec<usize> = tokens
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair.iter().all(is_time))
        .map(|(index, _)| index + 1)
        .collect();
    if borders.is_empty() {
        return Cut {
            segments: vec![uncut(tokens, (offset_seconds, size), special)],
            advance: size,
            is_complete,
        };
    }
    if is_complete {
        borders.push(tokens.len());
    }
    let mut segments = Vec::with_capacity(borders.len());
    let mut first = 0;
    let mut last_steps = 0;
    for border in borders {
        let part = tokens.get(first..border).unwrap_or_default();
        let steps = |token: Option<&u32>| token.map_or(0, |token| special.timestamp_steps(*token));
        last_steps = steps(part.last());
        segments.push(WindowSegment {
            start_seconds: offset_seconds + steps(part.first()) as f64 * STEP_SECONDS,
            end_seconds: offset_seconds + last_steps as f64 * STEP_SECONDS,
            tokens: part.to_vec(),
            first,
        });
        first = border;
    }
    // What follows the last pair is unfinished and belongs to the next window.
    let advance = if is_complete { size } else { last_steps * FRAME_STRIDE };
    Cut {
        segments,
        advance,
        is_complete,
    }
}

/// One segment of all tokens, up to the last time if there is one.
fn uncut(tokens: &[u32], (offset_seconds, size): (f64, usize), special: &SpecialTokens) -> WindowSegment {
    let last = tokens.iter().rev().find(|token| special.is_timestamp(**token));
    let steps = last.map_or(0, |token| special.timestamp_steps(*token));
    let length = if steps > 0 {
        steps as f64 * STEP_SECONDS
    } else {
        size as f64 / FRAMES_PER_SECOND
    };
    WindowSegment {
        start_seconds: offset_seconds,
        end_seconds: offset_seconds + length,
        tokens: tokens.to_vec(),
        first: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::whisper::tokens::tests::small;

    /// The token of a time in steps of 20 ms.
    const fn time(steps: u32) -> u32 {
        20 + steps
    }

    fn cut_at(tokens: &[u32], seek: usize, size: usize) -> Cut {
        cut(tokens, Window { seek, size }, small().special())
    }

    fn times(cut: &Cut) -> Vec<(f64, f64)> {
        let pair = |segment: &WindowSegment| (segment.start_seconds, segment.end_seconds);
        cut.segments.iter().map(pair).collect()
    }

    #[test]
    fn text_after_the_last_pair_is_left_to_the_next_window() {
        let found = cut_at(
            &[time(0), 1, time(50), time(100), 2, time(150), time(150), 3],
            1000,
            3000,
        );
        assert_eq!(times(&found), [(10.0, 11.0), (12.0, 13.0)]);
        assert_eq!(found.segments[1].tokens, [time(100), 2, time(150)]);
        assert_eq!(found.segments[1].first, 3);
        assert_eq!((found.advance, found.is_complete), (300, false));
    }

    #[test]
    fn a_single_time_at_the_end_says_that_the_window_is_done() {
        let found = cut_at(&[time(0), 1, time(50), time(50), 2, time(120)], 0, 2500);
        assert_eq!(times(&found), [(0.0, 1.0), (1.0, 2.4)]);
        assert_eq!((found.advance, found.is_complete), (2500, true));
    }

    #[test]
    fn without_pairs_there_is_one_segment_up_to_the_last_time() {
        let found = cut_at(&[time(0), 1, 2, time(60)], 500, 2000);
        assert_eq!(times(&found), [(5.0, 6.2)]);
        assert_eq!((found.advance, found.is_complete), (2000, true));
        let endless = cut_at(&[time(0), 1, 2], 500, 2000);
        assert_eq!((times(&endless), endless.is_complete), (vec![(5.0, 25.0)], false));
    }

    #[test]
    fn no_tokens_are_one_empty_segment() {
        let found = cut_at(&[], 0, 3000);
        assert_eq!((times(&found), found.advance), (vec![(0.0, 30.0)], 3000));
    }
}
