//! Who says what: a conversation of two synthetic voices against the script that made it (`tests/golden/meeting`).

use std::fs::File;
use std::sync::Arc;

use inferkit::audio::decode_by;
use inferkit::meeting::Meeting;
use inferkit::meeting::MeetingEvent;
use inferkit::meeting::MeetingRequest;
use inferkit::meeting::transcribe_meeting;
use serde_json::Value;

use super::*;

/// Speaker and words of each utterance, in lower case and without marks.
fn script() -> Vec<(String, Vec<String>)> {
    let text = std::fs::read_to_string(root().join("tests/golden/meeting/script.json")).unwrap();
    let script: Value = serde_json::from_str(&text).unwrap();
    let utterances = script["utterances"].as_array().unwrap().iter();
    utterances
        .map(|utterance| {
            (
                utterance["speaker"].as_str().unwrap().to_owned(),
                plain(utterance["text"].as_str().unwrap()),
            )
        })
        .collect()
}

fn plain(text: &str) -> Vec<String> {
    let letters = |word: &str| {
        word.chars()
            .filter(|letter| letter.is_alphanumeric())
            .collect::<String>()
    };
    text.split_whitespace()
        .map(|word| letters(word).to_lowercase())
        .filter(|word| !word.is_empty())
        .collect()
}

async fn meeting(transcriber: &Lease, diarizer: &Lease) -> Meeting {
    let file = File::open(root().join("tests/golden/meeting/conversation.flac")).unwrap();
    let filters = [ResamplingFilter::Steep, ResamplingFilter::Sinc];
    let [speech, voices] = decode_by(file, &DecodeOptions::default(), filters, &Job::new()).unwrap();
    let request = MeetingRequest::new(speech.samples).with_speaker_samples(voices.samples);
    let mut events = transcribe_meeting(
        Arc::clone(transcriber.transcription().unwrap()),
        Arc::clone(diarizer.diarization().unwrap()),
        request,
    )
    .await
    .unwrap();
    while let Some(event) = events.next().await {
        if let MeetingEvent::Done(meeting) = event.unwrap() {
            return meeting;
        }
    }
    panic!("a meeting ended without its last event")
}

/// Words in order, each with the number of whoever says it: the first to speak is 0.
fn by_appearance<'a>(parts: impl Iterator<Item = (&'a str, Vec<String>)>) -> Vec<(usize, String)> {
    let mut speakers: Vec<&str> = Vec::new();
    let mut said = Vec::new();
    for (speaker, words) in parts {
        let known = speakers.iter().position(|known| *known == speaker);
        let number = known.unwrap_or(speakers.len());
        if known.is_none() {
            speakers.push(speaker);
        }
        said.extend(words.into_iter().map(|word| (number, word)));
    }
    said
}

// Some seconds without optimisation: two networks on half a minute.
#[tokio::test]
async fn every_word_of_a_conversation_goes_to_the_voice_that_says_it() {
    let (Some(whisper), Some(pyannote)) = (demo("whisper"), demo("pyannote")) else {
        return;
    };
    let (whisper, pyannote) = (loaded("whisper", whisper).await, loaded("pyannote", pyannote).await);
    let meeting = meeting(&whisper, &pyannote).await;
    let script = script();
    // Names are the diarizer's, in an order of its own; on both sides speakers are called by the order of their first words.
    let expected = by_appearance(script.iter().map(|(speaker, words)| (speaker.as_str(), words.clone())));
    let found = by_appearance(meeting.segments.iter().map(|part| {
        let speaker = part.speaker.as_deref().unwrap_or("nobody");
        (speaker, plain(&part.text))
    }));
    assert_eq!(found, expected);
    let mut word_speakers = meeting.segments.iter().flat_map(|part| {
        let speaker = &part.speaker;
        part.words.iter().map(move |word| &word.speaker == speaker)
    });
    assert!(
        word_speakers.all(|same| same),
        "words of another speaker than their part"
    );
}
