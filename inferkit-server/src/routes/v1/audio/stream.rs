//! A transcript in pieces: OpenAI's events of a streamed transcription.

use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream;
use poem_openapi::Object;
use poem_openapi::types::ToJSON;

use super::answer::Kind;
use super::answer::Letters;
use super::answer::TranscriptLogprob;
use super::answer::diarized_segment;
use super::answer::logprobs_of;
use crate::error::ApiError;
use crate::routes::audio::Heard;
use crate::routes::audio::Spoken;
use crate::routes::audio::Step;
use crate::routes::audio::Transcript;
use crate::sse::SseEvent;

/// One event of a streamed transcript, by its `type`.
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct TranscriptStreamEvent {
    /// `transcript.text.delta`, with `diarized_json` also `transcript.text.segment`, and at last
    /// `transcript.text.done`.
    #[oai(rename = "type")]
    kind: String,
    /// In a delta: more text; the deltas concatenate to the text of the last event.
    #[oai(skip_serializing_if_is_none)]
    delta: Option<String>,
    /// In a delta with `diarized_json`: the segment it belongs to.
    #[oai(skip_serializing_if_is_none)]
    segment_id: Option<String>,
    /// In a segment: its name.
    #[oai(skip_serializing_if_is_none)]
    id: Option<String>,
    /// In a segment: where it begins, in seconds.
    #[oai(skip_serializing_if_is_none)]
    start: Option<f64>,
    /// In a segment: where it ends, in seconds.
    #[oai(skip_serializing_if_is_none)]
    end: Option<f64>,
    /// In a segment: who says it.
    #[oai(skip_serializing_if_is_none)]
    speaker: Option<String>,
    /// In a segment its text, in the last event all of it.
    #[oai(skip_serializing_if_is_none)]
    text: Option<String>,
    /// With `include[]=logprobs`, in a delta and in the last event: the tokens of its text.
    #[oai(skip_serializing_if_is_none)]
    logprobs: Option<Vec<TranscriptLogprob>>,
    /// In the last event: what it cost.
    #[oai(skip_serializing_if_is_none)]
    usage: Option<TranscriptUsage>,
}

/// Tokens of a transcript, as far as the model tells them.
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct TranscriptUsage {
    /// `tokens`.
    #[oai(rename = "type")]
    kind: String,
    /// 0: sound is not counted in tokens here.
    input_tokens: usize,
    /// Tokens of the text; 0 where the model does not tell.
    output_tokens: usize,
    /// Both together.
    total_tokens: usize,
}

/// The events of a transcription, ending with `[DONE]`; an error ends them without it.
pub(super) fn events(heard: Heard, kind: Kind) -> impl Stream<Item = Result<SseEvent, ApiError>> + Send + 'static {
    let mut writer = EventWriter {
        with_speakers: kind == Kind::Diarized,
        with_logprobs: kind == Kind::Plain { logprobs: true },
        ..EventWriter::default()
    };
    heard.steps.flat_map(move |step| {
        let lines = match step {
            Ok(step) => writer.lines(step),
            Err(error) => vec![Err(error.into())],
        };
        stream::iter(lines)
    })
}

#[derive(Debug, Default)]
struct EventWriter {
    with_speakers: bool,
    with_logprobs: bool,
    transcript: Transcript,
    letters: Letters,
    has_text: bool,
}

impl EventWriter {
    fn lines(&mut self, step: Step) -> Vec<Result<SseEvent, ApiError>> {
        match step {
            Step::Progress { .. } => Vec::new(),
            Step::Segment(segment) => self.segment(segment),
            Step::Done { .. } => vec![self.done(), Ok(SseEvent::done())],
        }
    }

    fn segment(&mut self, segment: Spoken) -> Vec<Result<SseEvent, ApiError>> {
        let mut lines = Vec::new();
        let index = self.transcript.segments.len();
        let told = diarized_segment(index, &segment, &mut self.letters);
        if !segment.text.is_empty() {
            let space = if self.has_text { " " } else { "" };
            self.has_text = true;
            lines.push(line(&TranscriptStreamEvent {
                kind: "transcript.text.delta".to_owned(),
                delta: Some(format!("{space}{}", segment.text)),
                segment_id: self.with_speakers.then(|| told.id.clone()),
                logprobs: self.with_logprobs.then(|| logprobs_of(std::slice::from_ref(&segment))),
                ..TranscriptStreamEvent::default()
            }));
        }
        if self.with_speakers {
            lines.push(line(&TranscriptStreamEvent {
                kind: told.kind,
                id: Some(told.id),
                start: Some(told.start),
                end: Some(told.end),
                speaker: Some(told.speaker),
                text: Some(told.text),
                ..TranscriptStreamEvent::default()
            }));
        }
        self.transcript.segments.push(segment);
        lines
    }

    fn done(&self) -> Result<SseEvent, ApiError> {
        let output_tokens = self.transcript.token_count();
        line(&TranscriptStreamEvent {
            kind: "transcript.text.done".to_owned(),
            text: Some(self.transcript.text()),
            logprobs: self.with_logprobs.then(|| logprobs_of(&self.transcript.segments)),
            usage: Some(TranscriptUsage {
                kind: "tokens".to_owned(),
                input_tokens: 0,
                output_tokens,
                total_tokens: output_tokens,
            }),
            ..TranscriptStreamEvent::default()
        })
    }
}

fn line(event: &TranscriptStreamEvent) -> Result<SseEvent, ApiError> {
    SseEvent::json(&event.to_json())
}
