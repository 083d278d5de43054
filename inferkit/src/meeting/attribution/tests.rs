//! Who gets which word, in sentences that can be checked by hand.

use super::*;

fn diarization(turns: &[(&str, f64, f64)]) -> DiarizationResult {
    let turns = turns
        .iter()
        .map(|(speaker, start, end)| SpeakerTurn::new(*speaker, *start, *end));
    DiarizationResult::new(turns.collect(), Vec::new(), Vec::new())
}

/// A segment whose words take a second each, from `start` on.
fn segment(start: f64, text: &str) -> Segment {
    let words: Vec<&str> = text.split(' ').collect();
    let mut segment = Segment::new(start, start + words.len() as f64, text);
    for (at, word) in words.into_iter().enumerate() {
        let begin = start + at as f64;
        segment.words.push(Word::new(word, begin, begin + 1.0));
    }
    segment
}

/// Text, speaker, start and end of each part.
fn parts(segment: &Segment, turns: &[(&str, f64, f64)]) -> Vec<(String, String, f64, f64)> {
    let parts = attribute(std::slice::from_ref(segment), &diarization(turns));
    parts
        .into_iter()
        .map(|part| {
            let speaker = part.speaker.unwrap_or_else(|| "nobody".to_owned());
            (part.text, speaker, part.start_seconds, part.end_seconds)
        })
        .collect()
}

fn part(text: &str, speaker: &str, start: f64, end: f64) -> (String, String, f64, f64) {
    (text.to_owned(), speaker.to_owned(), start, end)
}

#[test]
fn a_segment_is_split_where_the_speaker_changes() {
    let found = parts(
        &segment(0.0, "How are you? Fine, thanks."),
        &[("a", 0.0, 3.0), ("b", 3.0, 5.0)],
    );
    assert_eq!(
        found,
        [
            part("How are you?", "a", 0.0, 3.0),
            part("Fine, thanks.", "b", 3.0, 5.0)
        ]
    );
}

#[test]
fn parts_of_a_segment_share_what_is_known_of_it_and_the_first_has_its_tokens() {
    let decoding = SegmentDecoding {
        tokens: vec![1, 2, 3],
        average_logprob: -0.25,
        ..SegmentDecoding::default()
    };
    let segment = Segment {
        decoding: Some(decoding.clone()),
        ..segment(0.0, "How are you? Fine, thanks.")
    };
    let turns = diarization(&[("a", 0.0, 3.0), ("b", 3.0, 5.0)]);
    let parts = attribute(&[segment], &turns);
    let rest = SegmentDecoding {
        tokens: Vec::new(),
        ..decoding.clone()
    };
    let found: Vec<_> = parts.into_iter().map(|part| part.decoding.unwrap()).collect();
    assert_eq!(found, [decoding, rest]);
}

#[test]
fn a_word_belongs_to_whoever_speaks_longest_in_it() {
    let found = parts(&segment(0.0, "one two"), &[("a", 0.0, 1.4), ("b", 1.4, 2.0)]);
    assert_eq!(found, [part("one", "a", 0.0, 1.0), part("two", "b", 1.0, 2.0)]);
    // Two short turns of a speaker count together.
    let found = parts(
        &segment(0.0, "one"),
        &[("b", 0.0, 0.4), ("a", 0.4, 0.7), ("a", 0.7, 1.0)],
    );
    assert_eq!(found, [part("one", "a", 0.0, 1.0)]);
}

#[test]
fn of_equals_the_speaker_of_the_word_before_goes_on() {
    let found = parts(&segment(0.0, "one two"), &[("a", 0.0, 2.0), ("b", 1.0, 2.0)]);
    assert_eq!(found, [part("one two", "a", 0.0, 2.0)]);
    let found = parts(&segment(0.0, "one two"), &[("b", 0.0, 1.5), ("a", 1.5, 2.0)]);
    assert_eq!(found, [part("one two", "b", 0.0, 2.0)]);
}

#[test]
fn exclusive_turns_decide_where_there_are_any() {
    let mut diarization = diarization(&[("a", 0.0, 2.0), ("b", 0.0, 2.0)]);
    diarization.exclusive_turns = vec![SpeakerTurn::new("b", 0.0, 2.0)];
    let found = attribute(&[segment(0.0, "one two")], &diarization);
    assert_eq!(found[0].speaker.as_deref(), Some("b"));
}

#[test]
fn a_word_in_silence_joins_the_nearest_turn_or_the_word_before() {
    // "two" lies 0.2 s before b's turn; "one" is far from both and in front.
    let found = parts(&segment(0.0, "one two"), &[("b", 2.2, 3.0)]);
    assert_eq!(found, [part("one two", "b", 0.0, 2.0)]);
    let found = parts(&segment(0.0, "one two three four"), &[("a", 0.0, 1.0), ("b", 4.0, 5.0)]);
    assert_eq!(
        found,
        [part("one two three", "a", 0.0, 3.0), part("four", "b", 3.0, 4.0)]
    );
}

#[test]
fn where_nobody_is_heard_nobody_said_it() {
    assert_eq!(
        parts(&segment(0.0, "one two"), &[]),
        [part("one two", "nobody", 0.0, 2.0)]
    );
    assert_eq!(
        parts(&segment(0.0, "one two"), &[("a", 9.0, 10.0)]),
        [part("one two", "nobody", 0.0, 2.0)]
    );
}

#[test]
fn a_word_of_no_length_is_judged_by_its_place() {
    let mut segment = Segment::new(0.0, 2.0, "one two");
    segment.words = vec![Word::new("one", 0.5, 0.5), Word::new("two", 1.5, 1.5)];
    let found = parts(&segment, &[("a", 0.0, 1.0), ("b", 1.0, 2.0)]);
    assert_eq!(found, [part("one", "a", 0.0, 0.5), part("two", "b", 1.5, 2.0)]);
}

#[test]
fn a_segment_without_words_goes_as_a_whole() {
    let whole = Segment::new(0.0, 5.0, "Hello there.");
    assert_eq!(
        parts(&whole, &[("a", 0.0, 2.0), ("b", 2.0, 5.0)]),
        [part("Hello there.", "b", 0.0, 5.0)]
    );
}

#[test]
fn words_carry_their_speakers_and_outer_borders_stay() {
    let mut segment = segment(1.0, "yes no");
    (segment.start_seconds, segment.end_seconds) = (0.9, 3.2);
    let found = attribute(&[segment], &diarization(&[("a", 0.0, 2.0), ("b", 2.0, 4.0)]));
    assert_eq!((found[0].start_seconds, found[1].end_seconds), (0.9, 3.2));
    let words: Vec<_> = found.iter().flat_map(|part| &part.words).collect();
    assert_eq!(words.len(), 2);
    assert_eq!(
        (words[1].word.text.as_str(), words[1].speaker.as_deref()),
        ("no", Some("b"))
    );
}

#[test]
fn a_turn_long_ago_that_still_lasts_is_seen() {
    let turns = [("a", 0.0, 100.0), ("b", 1.0, 2.0), ("b", 3.0, 4.0)];
    assert_eq!(parts(&segment(50.0, "word"), &turns), [part("word", "a", 50.0, 51.0)]);
}
