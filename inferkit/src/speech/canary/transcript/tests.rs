use crate::audio::Spread;
use crate::formats::nemo::NemoArchive;
use crate::formats::yaml;
use crate::job::Job;
use crate::speech::canary::plan::Window;
use crate::speech::canary::testing::golden;

use super::*;

const SECOND: usize = 16_000;

fn tokenizer(model: &str) -> Arc<CanaryTokenizer> {
    let archive = NemoArchive::open(&golden(&format!("{model}.nemo")), &Job::new()).unwrap();
    let config = archive.member("model_config.yaml").unwrap();
    let tree: serde_json::Value = yaml::read("model_config.yaml", config.bytes()).unwrap();
    Arc::new(CanaryTokenizer::read(&archive, &tree["tokenizer"]).unwrap())
}

/// A transcript of windows of ten seconds.
fn transcript(model: &str, cut: Cut, timing: Timing, hours: &[usize]) -> Transcript {
    let window = |(number, hour): (usize, &usize)| Window {
        samples: 0..1,
        frames: number * 1000..(number + 1) * 1000,
        spread: Spread::Sample,
        limit_frames: 1001,
        hour: *hour,
        covers: number * 10 * SECOND..(number + 1) * 10 * SECOND,
    };
    let plan = Plan {
        cut,
        windows: hours.iter().enumerate().map(window).collect(),
    };
    let samples = hours.len() * 10 * SECOND - SECOND;
    let details = (timing, TimeDetail::Word);
    Transcript::new(tokenizer(model), plan, details, "en".to_owned(), samples)
}

fn heard(transcript: &Transcript, text: &str) -> Heard {
    let tokens = transcript.tokenizer.encode(text, "en").unwrap();
    Heard {
        logprobs: (1..).map(|n| -(n as f32)).take(tokens.len()).collect(),
        tokens,
        average_logprob: -0.5,
        frames: 125,
        aligned: None,
    }
}

fn texts(events: &[TranscriptionEvent]) -> Vec<(String, f64, f64)> {
    let segment = |event: &TranscriptionEvent| match event {
        TranscriptionEvent::Segment(segment) => {
            Some((segment.text.clone(), segment.start_seconds, segment.end_seconds))
        }
        _ => None,
    };
    events.iter().filter_map(segment).collect()
}

/// What the tokens of a segment spell, and their probabilities.
fn spelt(segment: &Segment) -> (String, Vec<f32>) {
    let tokens = &segment.decoding.as_ref().unwrap().token_logprobs;
    let bytes: Vec<u8> = tokens.iter().flat_map(|entry| entry.token.bytes.clone()).collect();
    let logprobs = tokens.iter().map(|entry| entry.token.logprob).collect();
    (String::from_utf8(bytes).unwrap().trim().to_owned(), logprobs)
}

#[test]
fn tokens_that_two_windows_heard_are_told_once_with_the_first_ones_probability() {
    let mut transcript = transcript("canary-1b-v2", Cut::Overlapping, Timing::None, &[0, 0]);
    let windows = ["turn on the light", "the light in the kitchen"].map(|text| heard(&transcript, text));
    let count = windows[0].tokens.len();
    let mut told = Vec::new();
    for (number, heard) in windows.iter().enumerate() {
        let events = transcript.push(number, heard.clone(), None);
        told.extend(events.into_iter().filter_map(|event| match event {
            TranscriptionEvent::Segment(segment) => Some(segment),
            _ => None,
        }));
    }
    let [segment] = told.as_slice() else {
        panic!("one segment, not {told:?}")
    };
    let (text, logprobs) = spelt(segment);
    assert_eq!(
        (text.as_str(), text == segment.text),
        ("turn on the light in the kitchen", true)
    );
    assert_eq!(logprobs[..count], windows[0].logprobs, "those of the first window");
    let shared = count + windows[1].tokens.len() - logprobs.len();
    assert!(shared > 0);
    assert_eq!(
        logprobs[count..],
        windows[1].logprobs[shared..],
        "then the rest of the second"
    );
}

#[test]
fn windows_are_told_in_order_whichever_is_ready_first() {
    let mut transcript = transcript("canary-180m-flash", Cut::Fixed, Timing::None, &[0, 0]);
    let second = heard(&transcript, "the light");
    assert_eq!(transcript.push(1, second, None), []);
    let first = heard(&transcript, "turn on");
    let events = transcript.push(0, first, None);
    // The last window ends with the recording.
    let expected = [("turn on", 0.0, 10.0), ("the light", 10.0, 19.0)];
    assert_eq!(
        texts(&events),
        expected.map(|(text, start, end)| (text.to_owned(), start, end))
    );
    assert!(matches!(events.last(), Some(TranscriptionEvent::Done { language }) if language == "en"));
    assert!(transcript.is_over());
}

#[test]
fn a_segment_says_where_its_window_begins_and_how_sure_the_model_was() {
    let mut transcript = transcript("canary-180m-flash", Cut::Fixed, Timing::None, &[0, 0]);
    let windows = ["turn on", "the light the light the light the light"].map(|text| heard(&transcript, text));
    let mut told = Vec::new();
    for (number, heard) in windows.iter().enumerate() {
        for event in transcript.push(number, heard.clone(), None) {
            if let TranscriptionEvent::Segment(segment) = event {
                let (text, logprobs) = spelt(&segment);
                assert_eq!(text, segment.text, "the tokens are those of the text");
                assert_eq!(logprobs, heard.logprobs);
                told.push(segment.decoding.unwrap());
            }
        }
    }
    let starts: Vec<f64> = told.iter().map(|decoding| decoding.window_start_seconds).collect();
    assert_eq!(starts, [0.0, 10.0]);
    assert_eq!(told[1].tokens, windows[1].tokens);
    assert!((told[0].average_logprob + 0.5).abs() < 1e-6, "{told:?}");
    assert!(
        told[1].compression_ratio > told[0].compression_ratio,
        "it repeats itself"
    );
}

#[test]
fn silence_has_no_segment_and_no_text() {
    let mut transcript = transcript("canary-180m-flash", Cut::Whole, Timing::None, &[0]);
    let no_speech = transcript.tokenizer.special().no_speech.unwrap();
    let silence = Heard {
        tokens: vec![no_speech],
        ..Heard::default()
    };
    let events = transcript.push(0, silence, None);
    assert_eq!(texts(&events), []);
    assert_eq!(events.len(), 2, "progress and the end: {events:?}");
}

#[test]
fn overlapping_windows_are_told_word_by_word_once_the_next_cannot_change_them() {
    let mut transcript = transcript("canary-1b-v2", Cut::Overlapping, Timing::None, &[0, 0, 1]);
    let sentence = "the quick brown fox jumps over the lazy dog near the river. ";
    let windows = [sentence.repeat(3), sentence.repeat(2), sentence.to_owned()];
    let mut told = Vec::new();
    for (number, text) in windows.iter().enumerate() {
        let heard = heard(&transcript, text);
        let events = transcript.push(number, heard, None);
        told.push(
            texts(&events)
                .into_iter()
                .map(|(text, ..)| text)
                .collect::<Vec<_>>()
                .join(" "),
        );
    }
    assert!(!told[0].is_empty() && !told[1].is_empty(), "{told:?}");
    let mut merged = Merged::default();
    for text in &windows[..2] {
        merged.push(&transcript.tokenizer.encode(text, "en").unwrap(), |id| *id);
    }
    let whole = transcript.tokenizer.decode(merged.items());
    assert_eq!(format!("{} {}", told[0], told[1]), whole.trim());
    assert_eq!(told[2], sentence.trim(), "an hour begins anew");
}

#[test]
fn times_never_go_back_nor_beyond_the_recording_and_unknown_ones_are_those_before() {
    let words = [("One", -1, 5), ("two.", 3, 200), ("Three", -1, -1)];
    let timed = |(text, start, end): (&str, i64, i64)| {
        let seconds = |frame: i64| if frame < 0 { -1.0 } else { frame as f64 * 0.08 };
        crate::speech::canary::text::Timed {
            text: text.to_owned(),
            start_frame: start,
            end_frame: end,
            start_seconds: seconds(start),
            end_seconds: seconds(end),
        }
    };
    let segment = |text: &str| crate::speech::canary::text::Timed {
        text: text.to_owned(),
        ..timed(("", -1, -1))
    };
    let text = TimedText {
        text: "One two. Three".to_owned(),
        words: words.into_iter().map(timed).collect(),
        segments: vec![segment("One two."), segment("Three")],
    };
    let told = segments(&text, 0.0, 10.0, TimeDetail::Word);
    let times: Vec<_> = told
        .iter()
        .map(|segment| (segment.start_seconds, segment.end_seconds))
        .collect();
    assert_eq!(times, [(0.0, 10.0), (10.0, 10.0)]);
    assert!((told[0].words[1].start_seconds - 0.4).abs() < 1e-9);
    assert_eq!(segments(&text, 0.0, 10.0, TimeDetail::Segment)[0].words, []);
}

/// The tokenizer of the aligner inside of a golden archive.
fn aligner_tokenizer() -> SentencePiece {
    let archive = NemoArchive::open(&golden("canary-1b-v2.nemo"), &Job::new()).unwrap();
    let config = archive.member("timestamps_asr_model_config.yaml").unwrap();
    let tree: serde_json::Value = yaml::read("aligner", config.bytes()).unwrap();
    let member = tree["tokenizer"]["model_path"].as_str().unwrap();
    let member = member.strip_prefix("nemo:").unwrap();
    SentencePiece::read(member, archive.member(member).unwrap().bytes()).unwrap()
}

/// The tokens of `text`, token `i` in frame `2·i + 1`.
fn characters(text: &str, tokenizer: &SentencePiece) -> Vec<Character> {
    let pieces = tokenizer.cut(text).into_iter().zip(0..);
    pieces
        .map(|(piece, i)| Character {
            id: piece.id,
            text: tokenizer.decode(&[piece.id]),
            piece: piece.text,
            start_frame: 2 * i + 1,
            end_frame: 2 * i + 2,
        })
        .collect()
}

/// What is told after each of these windows, which cover these seconds and belong to these hours.
fn told_by_aligner(windows: &[(&str, std::ops::Range<usize>, usize)], tokenizer: &SentencePiece) -> Vec<Vec<Segment>> {
    let hours: Vec<usize> = windows.iter().map(|(.., hour)| *hour).collect();
    let mut transcript = transcript("canary-1b-v2", Cut::Overlapping, Timing::Aligner, &hours);
    transcript.seconds = windows.last().map_or(0.0, |(_, covers, _)| covers.end as f64);
    for (window, (_, covers, _)) in transcript.plan.windows.iter_mut().zip(windows) {
        window.covers = covers.start * SECOND..covers.end * SECOND;
    }
    let segment = |event| match event {
        TranscriptionEvent::Segment(segment) => Some(segment),
        _ => None,
    };
    let push = |(number, (text, ..)): (usize, &(&str, std::ops::Range<usize>, usize))| {
        let aligned = Aligned::Characters(characters(text, tokenizer));
        let heard = Heard {
            aligned: Some(aligned),
            ..heard(&transcript, text)
        };
        let events = transcript.push(number, heard, Some(tokenizer));
        events.into_iter().filter_map(segment).collect()
    };
    windows.iter().enumerate().map(push).collect()
}

#[test]
fn words_of_an_aligner_are_told_hour_by_hour_at_their_place_in_the_recording() {
    let tokenizer = aligner_tokenizer();
    // The second hour is heard in two windows that share a second, the first and the third in one.
    let windows = [
        ("go on.", 0..3600, 0),
        ("turn on the light", 3600..3610, 1),
        ("the light in the kitchen", 3609..7200, 1),
        ("go.", 7200..7205, 2),
    ];
    let told = told_by_aligner(&windows, &tokenizer);
    let texts: Vec<Vec<&str>> = told
        .iter()
        .map(|segments| segments.iter().map(|segment| segment.text.as_str()).collect())
        .collect();
    let expected: [&[&str]; 4] = [&["go on."], &[], &["turn on the light in the kitchen"], &["go."]];
    assert_eq!(texts, expected, "no sentence has ended before an hour's last window");

    let check = |found: f64, seconds: f64, frame: usize| {
        let expected = seconds + frame as f64 * 0.08;
        assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
    };
    for (hour, segments) in [(0.0, &told[0]), (3600.0, &told[2]), (7200.0, &told[3])] {
        check(segments[0].start_seconds, hour, 1);
        check(segments[0].words[0].start_seconds, hour, 1);
    }
    let words = &told[2][0].words;
    let spoken: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(spoken, ["turn", "on", "the", "light", "in", "the", "kitchen"]);
    // In an hour's second window, behind one of 125 frames less the shared second, times begin 112 frames later.
    let before = tokenizer.cut("the light").len();
    check(words[4].start_seconds, 3600.0, 112 + 2 * before + 1);
    let times = words.iter().flat_map(|word| [word.start_seconds, word.end_seconds]);
    assert!(times.is_sorted());
}

#[test]
fn sentences_of_an_aligner_are_told_as_soon_as_the_next_window_cannot_change_them() {
    let tokenizer = aligner_tokenizer();
    let first =
        "The river runs. The light is on the water and the boat goes down the river to the house on the hill. Turn on";
    let second =
        "Turn on the light. The quick brown fox jumps over the lazy dog near the river and the cat sleeps on. Go on";
    let windows = [(first, 0..10, 0), (second, 9..19, 0), ("Go on.", 18..28, 0)];
    let told = told_by_aligner(&windows, &tokenizer);
    let counts: Vec<usize> = told.iter().map(Vec::len).collect();
    assert!(counts.iter().all(|count| *count > 0), "{told:?}");
    let segments: Vec<Segment> = told.into_iter().flatten().collect();
    let texts: Vec<&str> = segments.iter().map(|segment| segment.text.as_str()).collect();
    assert_eq!(
        texts.join(" "),
        format!("{} the light.{}", first, &second["Turn on the light.".len()..]) + "."
    );
    let starts = segments.iter().map(|segment| segment.start_seconds);
    assert!(starts.is_sorted(), "{segments:?}");
    for segment in &segments {
        let (text, _) = spelt(segment);
        assert_eq!(text, segment.text, "the tokens are those of the text");
        let window = segment.decoding.as_ref().unwrap().window_start_seconds;
        assert!(window <= segment.start_seconds, "{segment:?}");
    }
}
