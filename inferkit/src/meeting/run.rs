//! Transcription and diarization of one recording at the same time.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use futures_util::stream::BoxStream;
use futures_util::try_join;

use crate::error::Error;
use crate::error::Result;
use crate::meeting::AttributedSegment;
use crate::meeting::attribute;
use crate::task::DiarizationEvent;
use crate::task::DiarizationModel;
use crate::task::DiarizationRequest;
use crate::task::DiarizationResult;
use crate::task::DiarizationStream;
use crate::task::Samples;
use crate::task::Segment;
use crate::task::TimeDetail;
use crate::task::TranscriptionEvent;
use crate::task::TranscriptionModel;
use crate::task::TranscriptionRequest;
use crate::task::TranscriptionStream;

/// Progress and text as they come, then the result. Dropping the stream ends both works within one step.
pub type MeetingStream = BoxStream<'static, Result<MeetingEvent>>;

/// What is asked of each of the two models.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MeetingRequest {
    /// Asked of the transcription model.
    pub transcription: TranscriptionRequest,
    /// Asked of the diarization model.
    pub diarization: DiarizationRequest,
}

impl MeetingRequest {
    /// Who says what in `samples`, with words as fine as the model gives them.
    pub fn new(samples: Samples) -> Self {
        Self {
            transcription: TranscriptionRequest::new(Arc::clone(&samples)).with_times(TimeDetail::Word),
            diarization: DiarizationRequest::new(samples),
        }
    }

    /// Has the speakers found in `samples`, the same recording brought to 16 kHz by the filter that networks of speakers
    /// know ([`decode_by`](crate::audio::decode_by)).
    #[must_use]
    pub fn with_speaker_samples(mut self, samples: Samples) -> Self {
        self.diarization.samples = samples;
        self
    }
}

/// One step of the work.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum MeetingEvent {
    /// How much of the recording is written down.
    Transcribed {
        /// Seconds done.
        done_seconds: f64,
        /// Seconds in all.
        total_seconds: f64,
    },
    /// How much of the recording is diarized.
    Diarized {
        /// Seconds done.
        done_seconds: f64,
        /// Seconds in all.
        total_seconds: f64,
    },
    /// A part of the transcript whose speaker is not known yet.
    Segment(Segment),
    /// Who said what. Always the last event.
    Done(Meeting),
}

/// Who said what.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Meeting {
    /// The language that was spoken, ISO 639-1.
    pub language: String,
    /// What was said, each part by one speaker.
    pub segments: Vec<AttributedSegment>,
    /// Who spoke when.
    pub diarization: DiarizationResult,
}

/// Writes down a recording and finds its speakers at the same time.
///
/// Where the transcription model gives no times of words, segments go to speakers as a whole.
///
/// # Errors
/// Those of either model when it refuses the request; the stream carries the first failure of either and ends with it.
pub async fn transcribe_meeting(
    transcriber: Arc<dyn TranscriptionModel>,
    diarizer: Arc<dyn DiarizationModel>,
    mut request: MeetingRequest,
) -> Result<MeetingStream> {
    if request.transcription.times == TimeDetail::Word && !transcriber.capabilities().word_times {
        request.transcription.times = TimeDetail::Segment;
    }
    let (transcript, turns) = try_join!(
        transcriber.transcribe(request.transcription),
        diarizer.diarize(request.diarization)
    )?;
    Ok(join_meeting(transcript, turns))
}

/// Joins a transcription and a diarization of the same recording that are at work already.
///
/// The stream carries the first failure of either and ends with it.
pub fn join_meeting(transcript: TranscriptionStream, turns: DiarizationStream) -> MeetingStream {
    // A mark at the end of each tells a model that ends without its last event.
    let transcript = transcript
        .map(|event| event.map(Half::Transcription))
        .chain(stream::iter([Ok(Half::Over)]));
    let turns = turns
        .map(|event| event.map(Half::Diarization))
        .chain(stream::iter([Ok(Half::Over)]));
    let work = Work {
        halves: stream::select(transcript, turns).boxed(),
        segments: Vec::new(),
        language: None,
        turns: None,
        over: 0,
    };
    stream::unfold(Some(work), step).boxed()
}

/// An event of either model.
enum Half {
    Transcription(TranscriptionEvent),
    Diarization(DiarizationEvent),
    Over,
}

/// What has come so far.
struct Work {
    halves: BoxStream<'static, Result<Half>>,
    segments: Vec<Segment>,
    language: Option<String>,
    turns: Option<DiarizationResult>,
    over: usize,
}

/// The next event, and the work if it goes on after that.
async fn step(work: Option<Work>) -> Option<(Result<MeetingEvent>, Option<Work>)> {
    let mut work = work?;
    loop {
        let half = work.halves.next().await?;
        match half.map(|half| work.take(half)) {
            Ok(Some(event)) => return Some((Ok(event), Some(work))),
            Ok(None) => {}
            Err(error) => return Some((Err(error), None)),
        }
        if let (Some(language), Some(diarization)) = (&work.language, &work.turns) {
            let meeting = Meeting {
                language: language.clone(),
                segments: attribute(&work.segments, diarization),
                diarization: diarization.clone(),
            };
            return Some((Ok(MeetingEvent::Done(meeting)), None));
        }
        if work.over == 2 {
            let error = Error::internal("a model ended its stream without its last event");
            return Some((Err(error), None));
        }
    }
}

impl Work {
    /// Notes what came; returns what is to be told of it at once.
    fn take(&mut self, half: Half) -> Option<MeetingEvent> {
        match half {
            Half::Transcription(TranscriptionEvent::Progress {
                done_seconds,
                total_seconds,
            }) => Some(MeetingEvent::Transcribed {
                done_seconds,
                total_seconds,
            }),
            Half::Transcription(TranscriptionEvent::Segment(segment)) => {
                self.segments.push(segment.clone());
                Some(MeetingEvent::Segment(segment))
            }
            Half::Transcription(TranscriptionEvent::Done { language }) => {
                self.language = Some(language);
                None
            }
            Half::Diarization(DiarizationEvent::Progress {
                done_seconds,
                total_seconds,
            }) => Some(MeetingEvent::Diarized {
                done_seconds,
                total_seconds,
            }),
            Half::Diarization(DiarizationEvent::Done(turns)) => {
                self.turns = Some(turns);
                None
            }
            Half::Over => {
                self.over += 1;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
