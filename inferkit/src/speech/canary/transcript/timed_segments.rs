//! Segments and words with times, as events carry them.

use crate::speech::canary::text::Timed;
use crate::speech::canary::text::TimedText;
use crate::task::Segment;
use crate::task::TimeDetail;
use crate::task::Word;

/// The segments of `text`, `shift_seconds` later, none of them beyond `end_seconds` or before the one in front of it.
///
/// A time that is not known is that of what stands before it.
pub(super) fn segments(text: &TimedText, shift_seconds: f64, end_seconds: f64, detail: TimeDetail) -> Vec<Segment> {
    let mut words = text.words.iter().peekable();
    let mut clock = Clock {
        now: shift_seconds.min(end_seconds),
        shift_seconds,
        end_seconds,
    };
    let mut told = Vec::with_capacity(text.segments.len());
    for segment in &text.segments {
        let mut own = Vec::new();
        // A segment's text is that of its words with spaces between them.
        let mut letters = 0;
        while letters < segment.text.len() {
            let Some(word) = words.next() else { break };
            letters += word.text.len() + 1;
            own.push(clock.word(word));
        }
        let start = own.first().map_or(clock.now, |word| word.start_seconds);
        let mut event = Segment::new(start, clock.now, segment.text.trim());
        if detail == TimeDetail::Word {
            event.words = own;
        }
        if !event.text.is_empty() {
            told.push(event);
        }
    }
    told
}

/// Times that never go back.
struct Clock {
    now: f64,
    shift_seconds: f64,
    end_seconds: f64,
}

impl Clock {
    fn word(&mut self, word: &Timed) -> Word {
        let start = self.at(word.start_seconds);
        let end = self.at(word.end_seconds);
        Word::new(word.text.clone(), start, end)
    }

    fn at(&mut self, seconds: f64) -> f64 {
        if seconds >= 0.0 {
            self.now = (seconds + self.shift_seconds).clamp(self.now, self.end_seconds.max(self.now));
        }
        self.now
    }
}
