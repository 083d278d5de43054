//! Pieces of text with their times.

/// Seconds of one encoder frame, as the original computes them: a hop of 10 ms, eight to a frame.
pub(super) fn frames_to_seconds(frames: i64) -> f64 {
    frames as f64 * 0.01 * 8.0
}

/// A word or a segment with its times.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Timed {
    /// The word, or the words of the segment with spaces between them.
    pub(in super::super) text: String,
    /// First encoder frame; −1 where it is not known.
    pub(in super::super) start_frame: i64,
    /// Frame behind the last one; −1 where it is not known.
    pub(in super::super) end_frame: i64,
    /// Where it begins, in seconds.
    pub(in super::super) start_seconds: f64,
    /// Where it ends, in seconds.
    pub(in super::super) end_seconds: f64,
}

/// A text, and the times of its words and segments where they are known.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in super::super) struct TimedText {
    /// All of it.
    pub(in super::super) text: String,
    /// Its words; empty where no times are known.
    pub(in super::super) words: Vec<Timed>,
    /// Its segments, each of which ends with a sentence; empty where no times are known.
    pub(in super::super) segments: Vec<Timed>,
}

impl Timed {
    /// `text` between two frames.
    pub(super) fn new(text: String, start_frame: i64, end_frame: i64) -> Self {
        let seconds = |frame| if frame < 0 { -1.0 } else { frames_to_seconds(frame) };
        Self {
            text,
            start_frame,
            end_frame,
            start_seconds: seconds(start_frame),
            end_seconds: seconds(end_frame),
        }
    }

    /// The same, `frames` later.
    fn later(&self, frames: i64) -> Self {
        let shifted = |frame: i64| if frame < 0 { frame } else { frame.saturating_add(frames) };
        Self::new(self.text.clone(), shifted(self.start_frame), shifted(self.end_frame))
    }
}

impl TimedText {
    /// Joins the texts of chunks without overlap by one space each, untrimmed, as NeMo does.
    ///
    /// * `parts`: each text, and the feature columns of its chunk
    pub(in super::super) fn join(parts: &[(Self, usize)]) -> Self {
        let texts: Vec<&str> = parts.iter().map(|(part, _)| part.text.as_str()).collect();
        let mut joined = Self {
            text: texts.join(" "),
            ..Self::default()
        };
        let mut columns_before = 0_usize;
        for (part, columns) in parts {
            let frames = i64::try_from(columns_before / 8).unwrap_or(i64::MAX);
            joined.words.extend(part.words.iter().map(|word| word.later(frames)));
            joined
                .segments
                .extend(part.segments.iter().map(|segment| segment.later(frames)));
            columns_before = columns_before.saturating_add(*columns);
        }
        joined
    }
}

/// Whether a segment ends with this word.
pub(super) fn ends_sentence(word: &Timed) -> bool {
    word.text.ends_with(['.', '?', '!'])
}

/// Segments of words: each ends with a word whose last character ends a sentence; what is left is the last one.
pub(super) fn segments(words: &[Timed]) -> Vec<Timed> {
    words
        .split_inclusive(ends_sentence)
        .filter_map(|words| {
            let (first, last) = (words.first()?, words.last()?);
            let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
            Some(Timed {
                text: texts.join(" "),
                start_frame: first.start_frame,
                end_frame: last.end_frame,
                start_seconds: first.start_seconds,
                end_seconds: last.end_seconds,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_ends_a_segment_and_the_rest_is_the_last_one() {
        let words: Vec<Timed> = [("Mr.", 0, 2), ("Fox", 2, 4), ("ran!", 5, 9), ("Yes", 9, 11)]
            .into_iter()
            .map(|(text, start, end)| Timed::new(text.to_owned(), start, end))
            .collect();
        let found: Vec<_> = segments(&words)
            .into_iter()
            .map(|segment| (segment.text, segment.start_frame, segment.end_frame))
            .collect();
        let expected = [("Mr.", 0, 2), ("Fox ran!", 2, 9), ("Yes", 9, 11)];
        assert_eq!(found, expected.map(|(text, start, end)| (text.to_owned(), start, end)));
        assert!(segments(&[]).is_empty());
    }

    #[test]
    fn joined_parts_are_shifted_by_the_whole_frames_before_them() {
        let part = |text: &str| TimedText {
            text: text.to_owned(),
            words: vec![Timed::new(text.to_owned(), 1, 3)],
            segments: Vec::new(),
        };
        let joined = TimedText::join(&[(part(" a"), 1000), (part(" b"), 1001), (part("c"), 7)]);
        assert_eq!(joined.text, " a  b c");
        let starts: Vec<_> = joined.words.iter().map(|word| word.start_frame).collect();
        assert_eq!(starts, [1, 126, 251]);
        assert!((joined.words[1].start_seconds - 10.08).abs() < 1e-9);
    }
}
