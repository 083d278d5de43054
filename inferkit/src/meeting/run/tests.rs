//! Two models that say what they are told, at the same time.

use async_trait::async_trait;

use super::*;
use crate::task::SpeakerTurn;
use crate::task::TranscriptionCapabilities;
use crate::task::Word;

/// A model that plays back what it holds, and refuses when it holds nothing.
struct Played<E> {
    events: Vec<Result<E>>,
    word_times: bool,
}

fn played<E: Clone>(events: &[E]) -> Arc<Played<E>> {
    Arc::new(Played {
        events: events.iter().cloned().map(Ok).collect(),
        word_times: true,
    })
}

fn play<E: Clone + Send + 'static>(events: &[Result<E>]) -> Result<BoxStream<'static, Result<E>>> {
    if events.is_empty() {
        return Err(Error::cancelled());
    }
    Ok(stream::iter(events.to_vec()).boxed())
}

#[async_trait]
impl TranscriptionModel for Played<TranscriptionEvent> {
    fn capabilities(&self) -> TranscriptionCapabilities {
        TranscriptionCapabilities {
            word_times: self.word_times,
            ..TranscriptionCapabilities::default()
        }
    }

    async fn transcribe(&self, request: TranscriptionRequest) -> Result<TranscriptionStream> {
        assert_eq!(request.times == TimeDetail::Word, self.word_times);
        play(&self.events)
    }
}

#[async_trait]
impl DiarizationModel for Played<DiarizationEvent> {
    async fn diarize(&self, _request: DiarizationRequest) -> Result<DiarizationStream> {
        play(&self.events)
    }
}

fn spoken() -> Vec<TranscriptionEvent> {
    let mut segment = Segment::new(0.0, 2.0, "yes no");
    segment.words = vec![Word::new("yes", 0.0, 1.0), Word::new("no", 1.0, 2.0)];
    let language = "en".to_owned();
    vec![
        TranscriptionEvent::Segment(segment),
        TranscriptionEvent::Done { language },
    ]
}

fn heard() -> Vec<DiarizationEvent> {
    let turns = vec![SpeakerTurn::new("a", 0.0, 1.0), SpeakerTurn::new("b", 1.0, 2.0)];
    let speakers = vec!["a".to_owned(), "b".to_owned()];
    vec![
        DiarizationEvent::Progress {
            done_seconds: 1.0,
            total_seconds: 2.0,
        },
        DiarizationEvent::Done(DiarizationResult::new(turns, Vec::new(), speakers)),
    ]
}

fn request() -> MeetingRequest {
    MeetingRequest::new(vec![0.0; 8].into())
}

async fn run(transcript: &[TranscriptionEvent], turns: &[DiarizationEvent]) -> Vec<Result<MeetingEvent>> {
    let stream = transcribe_meeting(played(transcript), played(turns), request())
        .await
        .unwrap();
    stream.collect().await
}

#[tokio::test]
async fn both_models_work_and_the_result_comes_last() {
    let events = run(&spoken(), &heard()).await;
    assert_eq!(events.len(), 3);
    assert!(events.iter().any(|event| matches!(event, Ok(MeetingEvent::Segment(_)))));
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Ok(MeetingEvent::Diarized { .. })))
    );
    let Some(Ok(MeetingEvent::Done(meeting))) = events.last() else {
        panic!("{events:?}")
    };
    let said: Vec<_> = meeting
        .segments
        .iter()
        .map(|part| (part.speaker.as_deref(), part.text.as_str()))
        .collect();
    assert_eq!(said, [(Some("a"), "yes"), (Some("b"), "no")]);
    assert_eq!(
        (meeting.language.as_str(), meeting.diarization.speakers.len()),
        ("en", 2)
    );
}

#[tokio::test]
async fn the_first_failure_of_either_ends_the_work() {
    let failing = Arc::new(Played {
        events: vec![Ok(heard()[0].clone()), Err(Error::internal("the device is gone"))],
        word_times: true,
    });
    let stream = transcribe_meeting(played(&spoken()), failing, request()).await.unwrap();
    let events: Vec<_> = stream.collect().await;
    let failures: Vec<_> = events.iter().filter_map(|event| event.as_ref().err()).collect();
    assert_eq!(failures.len(), 1);
    assert!(events.last().unwrap().is_err());
}

#[tokio::test]
async fn a_model_that_ends_too_early_is_an_error_and_not_a_wait() {
    let events = run(&spoken()[..1], &heard()).await;
    let error = events.last().unwrap().as_ref().unwrap_err();
    assert!(error.to_string().contains("without its last event"), "{error}");
}

#[tokio::test]
async fn a_refusal_of_either_is_the_answer() {
    let refused = transcribe_meeting(played(&spoken()), played::<DiarizationEvent>(&[]), request()).await;
    assert!(refused.err().unwrap().is_cancelled());
}

#[tokio::test]
async fn a_model_without_word_times_is_not_asked_for_them() {
    let coarse = Arc::new(Played {
        events: spoken().into_iter().map(Ok).collect(),
        word_times: false,
    });
    let stream = transcribe_meeting(coarse, played(&heard()), request()).await.unwrap();
    assert!(stream.collect::<Vec<_>>().await.last().unwrap().is_ok());
}

#[test]
fn speakers_can_be_found_in_other_samples_than_the_words() {
    let request = request().with_speaker_samples(Arc::new(vec![0.5; 8]));
    assert_eq!(request.transcription.samples[..], [0.0; 8]);
    assert_eq!(request.diarization.samples[..], [0.5; 8]);
}
