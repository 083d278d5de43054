//! One stream of steps from one or two models at work.

use futures_util::StreamExt;
use futures_util::stream;
use futures_util::stream::BoxStream;
use inferkit::Error;
use inferkit::Result;
use inferkit::meeting::Meeting;
use inferkit::meeting::MeetingEvent;
use inferkit::meeting::join_meeting;
use inferkit::task::DiarizationStream;
use inferkit::task::TranscriptionEvent;
use inferkit::task::TranscriptionStream;

use super::transcript::Spoken;

/// One step of a transcript.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// How much of the recording is done, by the slower model.
    Progress { done_seconds: f64, total_seconds: f64 },
    /// A part; with speakers all parts come at the end.
    Segment(Spoken),
    /// Everything has been said. Always the last.
    Done { language: String },
}

/// All steps of a transcript.
pub(crate) type Steps = BoxStream<'static, Result<Step>>;

/// The steps of a transcription, with the speakers of `diarization` where there is one.
///
/// A segment belongs to a speaker only once both models have heard everything, since the names depend on the whole.
pub(crate) fn steps(
    transcription: TranscriptionStream,
    diarization: Option<DiarizationStream>,
    duration_seconds: f64,
) -> Steps {
    let Some(diarization) = diarization else {
        let steps = transcription.map(move |event| event.map(|event| alone(event, duration_seconds)).transpose());
        return to_the_end(steps.filter_map(std::future::ready).boxed());
    };
    let mut together = Together::new(duration_seconds);
    let steps = join_meeting(transcription, diarization).flat_map(move |event| {
        let steps: Vec<Result<Step>> = match event {
            Ok(event) => together.take(event).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        stream::iter(steps)
    });
    to_the_end(steps.boxed())
}

/// The same steps up to the last or to the first error; an error in place of a last step that is missing.
fn to_the_end(steps: Steps) -> Steps {
    stream::unfold(Some(steps), |steps| async move {
        let mut steps = steps?;
        let cut_short = || Err(Error::internal("a model ended without its last event"));
        let step = steps.next().await.unwrap_or_else(cut_short);
        let goes_on = matches!(step, Ok(Step::Progress { .. } | Step::Segment(_)));
        Some((step, goes_on.then_some(steps)))
    })
    .boxed()
}

/// A step of a transcription without speakers.
fn alone(event: TranscriptionEvent, duration_seconds: f64) -> Option<Step> {
    match event {
        TranscriptionEvent::Progress {
            done_seconds,
            total_seconds,
        } => Some(Step::Progress {
            done_seconds,
            total_seconds,
        }),
        TranscriptionEvent::Segment(segment) => Some(Step::Segment(Spoken::from(segment).within(duration_seconds))),
        TranscriptionEvent::Done { language } => Some(Step::Done { language }),
        _ => None,
    }
}

/// How far two models are that work on the same recording.
#[expect(clippy::struct_field_names, reason = "their names carry their unit")]
struct Together {
    duration_seconds: f64,
    transcribed_seconds: f64,
    diarized_seconds: f64,
}

impl Together {
    const fn new(duration_seconds: f64) -> Self {
        Self {
            duration_seconds,
            transcribed_seconds: 0.0,
            diarized_seconds: 0.0,
        }
    }

    /// The steps that an event makes possible.
    fn take(&mut self, event: MeetingEvent) -> Vec<Step> {
        match event {
            MeetingEvent::Transcribed { done_seconds, .. } => self.transcribed_seconds = done_seconds,
            MeetingEvent::Diarized { done_seconds, .. } => self.diarized_seconds = done_seconds,
            MeetingEvent::Done(meeting) => return self.end(meeting),
            // Whose it is, is not known yet; and steps that this version does not know.
            _ => return Vec::new(),
        }
        vec![self.progress(self.transcribed_seconds.min(self.diarized_seconds))]
    }

    fn end(&self, meeting: Meeting) -> Vec<Step> {
        let parts = meeting.segments.into_iter();
        let mut steps = vec![self.progress(self.duration_seconds)];
        steps.extend(parts.map(|part| Step::Segment(Spoken::from(part).within(self.duration_seconds))));
        steps.push(Step::Done {
            language: meeting.language,
        });
        steps
    }

    const fn progress(&self, done_seconds: f64) -> Step {
        Step::Progress {
            done_seconds,
            total_seconds: self.duration_seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use inferkit::task::DiarizationEvent;
    use inferkit::task::DiarizationResult;
    use inferkit::task::Segment;
    use inferkit::task::SpeakerTurn;

    use super::*;

    fn transcription() -> TranscriptionStream {
        let events = [
            TranscriptionEvent::Segment(Segment::new(0.0, 1.0, " one ")),
            TranscriptionEvent::Progress {
                done_seconds: 1.0,
                total_seconds: 2.0,
            },
            TranscriptionEvent::Segment(Segment::new(1.0, 2.5, "two")),
            TranscriptionEvent::Done {
                language: "en".to_owned(),
            },
        ];
        stream::iter(events.map(Ok)).boxed()
    }

    fn all(steps: Steps) -> Vec<Result<Step>> {
        steps.collect().now_or_never().unwrap()
    }

    fn segments(steps: &[Result<Step>]) -> Vec<(f64, &str, Option<&str>)> {
        let segments = steps.iter().filter_map(|step| match step {
            Ok(Step::Segment(segment)) => {
                Some((segment.end_seconds, segment.text.as_str(), segment.speaker.as_deref()))
            }
            _ => None,
        });
        segments.collect()
    }

    #[test]
    fn without_speakers_each_segment_comes_as_it_is_ready_and_within_the_recording() {
        let steps = all(steps(transcription(), None, 2.0));
        assert_eq!(segments(&steps), [(1.0, "one", None), (2.0, "two", None)]);
        assert!(matches!(steps.last(), Some(Ok(Step::Done { language })) if language == "en"));
    }

    #[test]
    fn with_speakers_the_slower_model_tells_the_progress_and_the_end() {
        let turns = vec![
            SpeakerTurn::new("SPEAKER_00", 0.0, 1.0),
            SpeakerTurn::new("SPEAKER_01", 1.0, 2.0),
        ];
        let names = vec!["SPEAKER_00".to_owned(), "SPEAKER_01".to_owned()];
        let result = DiarizationResult::new(turns.clone(), turns, names);
        let diarization = stream::iter([Ok(DiarizationEvent::Done(result))]).boxed();
        let found = all(steps(transcription(), Some(diarization), 2.0));
        assert_eq!(
            segments(&found),
            [(1.0, "one", Some("SPEAKER_00")), (2.0, "two", Some("SPEAKER_01"))]
        );
        let first = found.first().and_then(|step| step.as_ref().ok());
        assert!(
            matches!(first, Some(Step::Progress { done_seconds, .. }) if *done_seconds < 2.0),
            "{first:?}"
        );
    }

    #[test]
    fn a_model_that_fails_or_stops_short_ends_the_whole() {
        let failing: DiarizationStream = stream::iter([Err(Error::internal("no device"))]).boxed();
        let found = all(steps(transcription(), Some(failing), 2.0));
        assert!(
            matches!(found.last(), Some(Err(error)) if error.to_string() == "no device"),
            "{found:?}"
        );
        let silent: DiarizationStream = stream::empty().boxed();
        let found = all(steps(transcription(), Some(silent), 2.0));
        assert!(found.last().is_some_and(Result::is_err), "no last step is an error");
    }
}
