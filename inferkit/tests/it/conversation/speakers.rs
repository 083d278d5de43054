//! Who speaks when, on what people really send: nothing, silence, a word, one voice, telephones, stereo.

use std::time::Duration;

use super::*;
use crate::conversation::recordings::at_rate;
use crate::conversation::recordings::wav;

/// Samples of a second.
const SECOND: usize = 16_000;

/// The pipeline of the demo, and from the sample that comes with it twelve seconds in which two people speak.
async fn pipeline_and_talk() -> Option<(Lease, Vec<f32>)> {
    let folder = demo("pyannote")?;
    let sample = samples_of(std::fs::read(folder.join("sample.wav")).unwrap());
    Some((
        loaded("pyannote", folder).await,
        sample[6 * SECOND..18 * SECOND].to_vec(),
    ))
}

/// Speaker, start and end of each turn.
fn turns(result: &DiarizationResult) -> Vec<(&str, f64, f64)> {
    let turns = result.turns.iter();
    turns
        .map(|turn| (turn.speaker.as_str(), turn.start_seconds, turn.end_seconds))
        .collect()
}

#[tokio::test]
async fn a_recording_without_samples_is_refused_and_silence_has_no_turns() {
    let Some((model, _)) = pipeline_and_talk().await else {
        return;
    };
    let error = diarized(&model, Samples::from(Vec::new())).await.unwrap_err();
    assert_eq!((error.code(), error.param()), ("invalid_audio", Some("file")));
    for seconds in [1, 12] {
        let result = diarized(&model, vec![0.0; seconds * SECOND].into()).await.unwrap();
        assert_eq!(result, DiarizationResult::default(), "{seconds} s of silence");
    }
}

#[tokio::test]
async fn half_a_second_of_speech_is_one_speaker_at_most() {
    let Some((model, talk)) = pipeline_and_talk().await else {
        return;
    };
    for samples in [1, SECOND / 2] {
        // Five seconds in, one of the two is in the middle of a sentence.
        let part = talk[5 * SECOND..5 * SECOND + samples].to_vec();
        let result = diarized(&model, part.into()).await.unwrap();
        assert!(result.speakers.len() <= 1, "{samples} samples: {result:?}");
        // Turns are not trimmed, as in the original, but do not go beyond the window.
        assert!(result.turns.iter().all(|turn| turn.end_seconds <= 10.1), "{result:?}");
    }
}

#[tokio::test]
async fn one_voice_is_one_speaker() {
    let Some((model, _)) = pipeline_and_talk().await else {
        return;
    };
    let file = std::fs::read(root().join("examples/demo/1_en.flac")).unwrap();
    let once = samples_of(file);
    // The same sentence five times, so that there is more than one window.
    let samples: Vec<f32> = once.iter().copied().cycle().take(5 * once.len()).collect();
    let result = diarized(&model, samples.into()).await.unwrap();
    assert_eq!(result.speakers, ["SPEAKER_00"], "{result:?}");
}

// A quarter of a second: the filter of another rate takes the highest tones, and with them the edges of a few frames.
#[tokio::test]
async fn the_two_of_a_talk_are_found_in_a_telephone_call_and_in_stereo_too() {
    let Some((model, talk)) = pipeline_and_talk().await else {
        return;
    };
    let expected = diarized(&model, talk.clone().into()).await.unwrap();
    assert_eq!(expected.speakers.len(), 2, "{expected:?}");
    let stereo: Vec<[f32; 2]> = at_rate(44_100, &talk)
        .iter()
        .map(|sample| [sample * 0.9, sample * 0.6])
        .collect();
    let mono: Vec<[f32; 1]> = at_rate(8_000, &talk).into_iter().map(|sample| [sample]).collect();
    for (kind, file) in [("44.1 kHz stereo", wav(44_100, &stereo)), ("8 kHz", wav(8_000, &mono))] {
        let found = diarized(&model, samples_of(file)).await.unwrap();
        assert_eq!(found.speakers, expected.speakers, "{kind}");
        let ends = |result: &DiarizationResult| {
            let last = result.exclusive_turns.last().map_or(0.0, |turn| turn.end_seconds);
            (
                result.exclusive_turns.first().map_or(0.0, |turn| turn.start_seconds),
                last,
            )
        };
        let ((start, end), (first, last)) = (ends(&found), ends(&expected));
        let near = (start - first).abs() < 0.25 && (end - last).abs() < 0.25;
        assert!(near, "{kind}: {:?}, not {:?}", turns(&found), turns(&expected));
    }
}

#[tokio::test]
async fn requests_at_the_same_time_get_what_each_gets_alone() {
    let Some((model, talk)) = pipeline_and_talk().await else {
        return;
    };
    let (first, second) = (
        Samples::new(talk[..11 * SECOND].to_vec()),
        Samples::new(talk[2 * SECOND..].to_vec()),
    );
    let alone = [
        diarized(&model, first.clone()).await.unwrap(),
        diarized(&model, second.clone()).await.unwrap(),
    ];
    let (first, second) = tokio::join!(diarized(&model, first), diarized(&model, second));
    assert_eq!([first.unwrap(), second.unwrap()], alone);
}

#[tokio::test]
async fn a_caller_who_leaves_ends_the_work_and_the_next_one_is_served() {
    let Some((model, talk)) = pipeline_and_talk().await else {
        return;
    };
    // Minutes of work, of which nobody wants more than the beginning.
    let long: Vec<f32> = talk.iter().copied().cycle().take(1_800 * SECOND).collect();
    let mut events = model
        .diarization()
        .unwrap()
        .diarize(DiarizationRequest::new(long.into()))
        .await
        .unwrap();
    assert!(matches!(
        events.next().await,
        Some(Ok(DiarizationEvent::Progress { .. }))
    ));
    drop(events);
    let next = diarized(&model, Samples::new(talk[..2 * SECOND].to_vec()));
    let next = tokio::time::timeout(Duration::from_mins(1), next).await;
    assert!(next.expect("the work went on without a caller").is_ok());
}
