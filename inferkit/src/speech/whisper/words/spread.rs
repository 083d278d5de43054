//! Words given to their segments, with times that a reader believes.
//!
//! Source: openai/whisper, `whisper/timing.py`, `merge_punctuations` and `add_word_timestamps`.

use super::TimedWord;
use crate::speech::whisper::decoding::WindowSegment;

/// Joined to the word after.
const PREPENDED: &str = "\"'“¿([{-";

/// Joined to the word before.
const APPENDED: &str = "\"'.。,，!！?？:：”)]}、";

/// What ends a sentence.
const SENTENCE_ENDS: &str = ".。!！?？";

/// Longest median length of a word that is believed, in seconds.
const LONGEST_MEDIAN: f64 = 0.7;

/// The words of a segment, in seconds from the start of the recording.
pub(crate) type SegmentWords = Vec<TimedWord>;

/// Gives `words` to the segments whose `text_tokens` they consist of, and moves the segments' borders to them.
///
/// * `offset_seconds`: where the window begins
/// * `last_speech_seconds`: where the last word of the recording so far ended; moved on
pub(crate) fn spread(
    mut words: Vec<TimedWord>,
    segments: &mut [WindowSegment],
    text_tokens: &[usize],
    offset_seconds: f64,
    last_speech_seconds: &mut f64,
) -> Vec<SegmentWords> {
    let (median, longest) = usual_length(&words);
    shorten_at_sentence_ends(&mut words, longest);
    join_punctuation(&mut words);
    let mut left = words.into_iter();
    let mut all = Vec::with_capacity(segments.len());
    for (segment, count) in segments.iter_mut().zip(text_tokens) {
        let mut of_segment = Vec::new();
        let mut taken = 0;
        while taken < *count
            && let Some(word) = left.next()
        {
            taken += word.tokens;
            if !word.text.is_empty() {
                of_segment.push(TimedWord {
                    start_seconds: hundredths(offset_seconds + word.start_seconds),
                    end_seconds: hundredths(offset_seconds + word.end_seconds),
                    ..word
                });
            }
        }
        fit(&mut of_segment, segment, (median, longest), *last_speech_seconds);
        if !of_segment.is_empty() {
            *last_speech_seconds = segment.end_seconds;
        }
        all.push(of_segment);
    }
    all
}

/// Median and longest length of a word, in seconds; zeros for no words.
fn usual_length(words: &[TimedWord]) -> (f64, f64) {
    let mut lengths: Vec<f64> = words
        .iter()
        .map(|word| word.end_seconds - word.start_seconds)
        .filter(|length| *length != 0.0)
        .collect();
    lengths.sort_by(f64::total_cmp);
    let middle = lengths.len() / 2;
    let at = |index: usize| lengths.get(index).copied().unwrap_or_default();
    let median = if lengths.len() % 2 == 1 {
        at(middle)
    } else {
        f64::midpoint(at(middle.saturating_sub(1)), at(middle))
    };
    let median = median.min(LONGEST_MEDIAN);
    (median, median * 2.0)
}

/// Cuts what is too long at the end of a sentence: pauses count as part of a word otherwise.
fn shorten_at_sentence_ends(words: &mut [TimedWord], longest: f64) {
    if longest == 0.0 {
        return;
    }
    for index in 1..words.len() {
        let Ok([before, word]) = words.get_disjoint_mut([index - 1, index]) else {
            continue;
        };
        if word.end_seconds - word.start_seconds <= longest {
            continue;
        }
        if SENTENCE_ENDS.contains(&word.text) {
            word.end_seconds = word.start_seconds + longest;
        } else if SENTENCE_ENDS.contains(&before.text) {
            word.start_seconds = word.end_seconds - longest;
        }
    }
}

/// Joins opening marks to the word after and closing ones to the word before; what is joined stays as an empty word.
fn join_punctuation(words: &mut [TimedWord]) {
    let mut following = words.len().saturating_sub(1);
    for index in (0..words.len().saturating_sub(1)).rev() {
        let Ok([mark, word]) = words.get_disjoint_mut([index, following]) else {
            continue;
        };
        if mark.text.starts_with(' ') && PREPENDED.contains(mark.text.trim()) {
            word.text.insert_str(0, &mark.text);
            word.tokens += std::mem::take(&mut mark.tokens);
            mark.text.clear();
        } else {
            following = index;
        }
    }
    let mut previous = 0;
    for index in 1..words.len() {
        let Ok([word, mark]) = words.get_disjoint_mut([previous, index]) else {
            continue;
        };
        if !word.text.ends_with(' ') && APPENDED.contains(&mark.text) {
            word.text.push_str(&mark.text);
            word.tokens += std::mem::take(&mut mark.tokens);
            mark.text.clear();
        } else {
            previous = index;
        }
    }
}

/// Fits the first and last words of a segment to its borders, or the borders to the words.
fn fit(words: &mut [TimedWord], segment: &mut WindowSegment, (median, longest): (f64, f64), last_speech_seconds: f64) {
    shorten_after_pause(words, (median, longest), last_speech_seconds);
    let Some(first) = words.first_mut() else { return };
    if segment.start_seconds < first.end_seconds && segment.start_seconds - 0.5 > first.start_seconds {
        first.start_seconds = (first.end_seconds - median).min(segment.start_seconds).max(0.0);
    } else {
        segment.start_seconds = first.start_seconds;
    }
    let Some(last) = words.last_mut() else { return };
    if segment.end_seconds > last.start_seconds && segment.end_seconds + 0.5 < last.end_seconds {
        last.end_seconds = (last.start_seconds + median).max(segment.end_seconds);
    } else {
        segment.end_seconds = last.end_seconds;
    }
}

/// After a pause, the first two words are no longer than words usually are.
fn shorten_after_pause(words: &mut [TimedWord], (median, longest): (f64, f64), last_speech_seconds: f64) {
    let length = |word: &TimedWord| word.end_seconds - word.start_seconds;
    match words {
        [] => {}
        [first, rest @ ..] => {
            let second = rest.first_mut();
            let is_long = length(first) > longest
                || second
                    .as_ref()
                    .is_some_and(|second| second.end_seconds - first.start_seconds > longest * 2.0);
            if first.end_seconds - last_speech_seconds <= median * 4.0 || !is_long {
                return;
            }
            if let Some(second) = second.filter(|second| length(second) > longest) {
                let boundary = (second.end_seconds / 2.0).max(second.end_seconds - longest);
                first.end_seconds = boundary;
                second.start_seconds = boundary;
            }
            first.start_seconds = (first.end_seconds - longest).max(0.0);
        }
    }
}

fn hundredths(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str, start_seconds: f64, end_seconds: f64) -> TimedWord {
        TimedWord {
            text: text.to_owned(),
            tokens: 1,
            start_seconds,
            end_seconds,
            probability: 1.0,
        }
    }

    fn segment(start_seconds: f64, end_seconds: f64) -> WindowSegment {
        WindowSegment {
            start_seconds,
            end_seconds,
            tokens: Vec::new(),
            first: 0,
        }
    }

    fn texts(words: &[TimedWord]) -> Vec<&str> {
        words.iter().map(|word| word.text.as_str()).collect()
    }

    #[test]
    fn marks_are_joined_to_the_words_that_they_belong_to() {
        let mut words = vec![
            word(" \"", 0.0, 0.1),
            word("Yes", 0.1, 0.4),
            word(",", 0.4, 0.4),
            word("\"", 0.4, 0.5),
            word(" no", 0.5, 0.8),
        ];
        join_punctuation(&mut words);
        assert_eq!(texts(&words), ["", " \"Yes,\"", "", "", " no"]);
        assert_eq!(words[1].tokens, 4);
    }

    #[test]
    fn words_go_to_the_segments_of_their_tokens_and_move_their_borders() {
        let mut segments = [segment(10.0, 11.0), segment(11.0, 12.0)];
        let words = vec![word(" a", 0.1, 0.4), word(" b", 0.4, 0.8), word(" c", 1.2, 1.5)];
        let mut last = 9.9;
        let spread = spread(words, &mut segments, &[2, 1], 10.0, &mut last);
        assert_eq!((texts(&spread[0]), texts(&spread[1])), (vec![" a", " b"], vec![" c"]));
        assert_eq!((segments[0].start_seconds, segments[0].end_seconds), (10.1, 10.8));
        assert_eq!((segments[1].start_seconds, last), (11.2, 11.5));
    }

    #[test]
    fn a_word_that_holds_a_pause_is_cut_to_the_usual_length() {
        let mut segments = [segment(0.0, 9.0)];
        let words = vec![
            word(" one", 0.0, 5.0),
            word(" two", 5.0, 5.3),
            word(" three", 5.3, 5.6),
            word(".", 5.6, 9.0),
        ];
        let mut last = -9.0;
        let spread = spread(words, &mut segments, &[4], 0.0, &mut last);
        // Lengths are 5, 0.3, 0.3 and 3.4: the median is 1.85, more than is believed; 1.4 s is the longest word.
        assert_eq!(texts(&spread[0]), [" one", " two", " three."]);
        assert!((spread[0][0].start_seconds - 3.6).abs() < 1e-9, "{spread:?}");
    }

    #[test]
    fn a_segment_without_words_stays_as_it_is() {
        let mut segments = [segment(1.0, 2.0)];
        let mut last = 0.0;
        let spread = spread(Vec::new(), &mut segments, &[0], 0.0, &mut last);
        assert_eq!((spread, segments[0].start_seconds, last), (vec![Vec::new()], 1.0, 0.0));
    }
}
