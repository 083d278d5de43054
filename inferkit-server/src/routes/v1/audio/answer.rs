//! The JSON answers: plain, verbose, and with speakers.

use std::collections::BTreeMap;

use inferkit::task::TokenLogprob;
use poem_openapi::Object;
use poem_openapi::Union;
use poem_openapi::types::ToJSON;

use crate::routes::audio::Spoken;
use crate::routes::audio::Transcript;
use crate::routes::audio::language_name;

/// A transcript as JSON, by `response_format`.
#[derive(Debug, Union)]
pub(crate) enum TranscriptionBody {
    Verbose(VerboseTranscription),
    Diarized(DiarizedTranscription),
    Plain(Transcription),
}

/// A transcript (`json`).
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct Transcription {
    /// All of the text.
    pub(crate) text: String,
    /// With `include[]=logprobs`: the tokens of the text.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) logprobs: Option<Vec<TranscriptLogprob>>,
    /// What was heard.
    pub(crate) usage: AudioUsage,
}

/// A token of a transcript with its log-probability.
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct TranscriptLogprob {
    /// The token's text; a word begins with a space.
    pub(crate) token: String,
    /// Natural logarithm of its probability.
    pub(crate) logprob: f32,
    /// Its bytes; may be a fragment of a character.
    pub(crate) bytes: Vec<u8>,
}

impl From<&TokenLogprob> for TranscriptLogprob {
    fn from(entry: &TokenLogprob) -> Self {
        Self {
            token: String::from_utf8_lossy(&entry.token.bytes).into_owned(),
            logprob: entry.token.logprob,
            bytes: entry.token.bytes.clone(),
        }
    }
}

/// How much was heard.
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct AudioUsage {
    /// `duration`.
    #[oai(rename = "type")]
    pub(crate) kind: String,
    /// Length of the recording in seconds.
    pub(crate) seconds: f64,
}

/// A transcript with times (`verbose_json`).
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct VerboseTranscription {
    /// `transcribe` or `translate`.
    pub(crate) task: String,
    /// The language of the recording by its English name; of a translation, `english`.
    pub(crate) language: String,
    /// Length of the recording in seconds.
    pub(crate) duration: f64,
    /// All of the text.
    pub(crate) text: String,
    /// The parts, by start.
    pub(crate) segments: Vec<VerboseSegment>,
    /// The words, if asked for.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) words: Option<Vec<VerboseWord>>,
    /// What was heard.
    pub(crate) usage: AudioUsage,
}

/// A part of a transcript. What a model does not tell is 0 or empty.
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct VerboseSegment {
    /// Its number, from 0.
    pub(crate) id: usize,
    /// Where its window begins, in hundredths of a second.
    pub(crate) seek: u64,
    /// Where it begins, in seconds.
    pub(crate) start: f64,
    /// Where it ends, in seconds.
    pub(crate) end: f64,
    /// Its text.
    pub(crate) text: String,
    /// Token ids of the text.
    pub(crate) tokens: Vec<u32>,
    /// Temperature that gave the text.
    pub(crate) temperature: f32,
    /// Mean natural logarithm of the tokens' probabilities.
    pub(crate) avg_logprob: f32,
    /// Length of the text over its compressed length.
    pub(crate) compression_ratio: f32,
    /// Probability that nobody speaks.
    pub(crate) no_speech_prob: f32,
}

/// A word of a transcript.
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct VerboseWord {
    /// The word.
    pub(crate) word: String,
    /// Where it begins, in seconds.
    pub(crate) start: f64,
    /// Where it ends, in seconds.
    pub(crate) end: f64,
}

/// A transcript with speakers (`diarized_json`).
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct DiarizedTranscription {
    /// `transcribe`.
    pub(crate) task: String,
    /// Length of the recording in seconds.
    pub(crate) duration: f64,
    /// All of the text.
    pub(crate) text: String,
    /// The parts, by start.
    pub(crate) segments: Vec<DiarizedSegment>,
    /// What was heard.
    pub(crate) usage: AudioUsage,
}

/// A part of a transcript with its speaker.
#[derive(Debug, Default, Object)]
#[oai(read_only_all)]
pub(crate) struct DiarizedSegment {
    /// `seg_` and its number.
    pub(crate) id: String,
    /// `transcript.text.segment`.
    #[oai(rename = "type")]
    pub(crate) kind: String,
    /// Where it begins, in seconds.
    pub(crate) start: f64,
    /// Where it ends, in seconds.
    pub(crate) end: f64,
    /// `A`, `B` and so on, in order of appearance; empty where nobody was found.
    pub(crate) speaker: String,
    /// Its text.
    pub(crate) text: String,
}

/// Which of the JSON answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain { logprobs: bool },
    Verbose { task: &'static str, words: bool },
    Diarized,
}

/// Writes a transcript as JSON.
pub(super) fn body(kind: Kind, transcript: &Transcript, duration: f64) -> TranscriptionBody {
    match kind {
        Kind::Plain { logprobs } => TranscriptionBody::Plain(Transcription {
            text: transcript.text(),
            logprobs: logprobs.then(|| logprobs_of(&transcript.segments)),
            usage: usage(duration),
        }),
        Kind::Verbose { task, words } => TranscriptionBody::Verbose(verbose(task, words, transcript, duration)),
        Kind::Diarized => TranscriptionBody::Diarized(diarized(transcript, duration)),
    }
}

/// A transcript as `verbose_json`, for the command line.
pub(crate) fn verbose_json(transcript: &Transcript, words: bool, duration: f64) -> serde_json::Value {
    verbose("transcribe", words, transcript, duration)
        .to_json()
        .unwrap_or_default()
}

/// The tokens of these parts.
pub(super) fn logprobs_of(segments: &[Spoken]) -> Vec<TranscriptLogprob> {
    let tokens = segments.iter().flat_map(Spoken::token_logprobs);
    tokens.map(TranscriptLogprob::from).collect()
}

fn usage(seconds: f64) -> AudioUsage {
    AudioUsage {
        kind: "duration".to_owned(),
        seconds,
    }
}

fn verbose(task: &str, words: bool, transcript: &Transcript, duration: f64) -> VerboseTranscription {
    let language = if task == "translate" {
        "en"
    } else {
        &transcript.language
    };
    let word = |spoken: &crate::routes::audio::SpokenWord| VerboseWord {
        word: spoken.word.text.clone(),
        start: spoken.word.start_seconds,
        end: spoken.word.end_seconds,
    };
    VerboseTranscription {
        task: task.to_owned(),
        language: language_name(language).to_owned(),
        duration,
        text: transcript.text(),
        segments: transcript.segments.iter().enumerate().map(verbose_segment).collect(),
        words: words.then(|| transcript.words().map(word).collect()),
        usage: usage(duration),
    }
}

fn verbose_segment((id, segment): (usize, &Spoken)) -> VerboseSegment {
    // The window that it was heard in; a model that does not tell hears each segment for itself.
    let begin = segment.decoding.as_ref().map(|decoding| decoding.window_start_seconds);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within the recording, hence not below 0"
    )]
    let seek = (begin.unwrap_or(segment.start_seconds) * 100.0).round() as u64;
    let decoding = segment.decoding.clone().unwrap_or_default();
    VerboseSegment {
        id,
        seek,
        start: segment.start_seconds,
        end: segment.end_seconds,
        text: segment.text.clone(),
        tokens: decoding.tokens,
        temperature: decoding.temperature,
        avg_logprob: decoding.average_logprob,
        compression_ratio: decoding.compression_ratio,
        no_speech_prob: decoding.no_speech_probability,
    }
}

fn diarized(transcript: &Transcript, duration: f64) -> DiarizedTranscription {
    let mut letters = Letters::default();
    let segments = transcript.segments.iter().enumerate();
    DiarizedTranscription {
        task: "transcribe".to_owned(),
        duration,
        text: transcript.text(),
        segments: segments
            .map(|(index, segment)| diarized_segment(index, segment, &mut letters))
            .collect(),
        usage: usage(duration),
    }
}

/// A part with its speaker's letter.
pub(super) fn diarized_segment(index: usize, segment: &Spoken, letters: &mut Letters) -> DiarizedSegment {
    DiarizedSegment {
        id: format!("seg_{index}"),
        kind: "transcript.text.segment".to_owned(),
        start: segment.start_seconds,
        end: segment.end_seconds,
        speaker: segment
            .speaker
            .as_deref()
            .map(|label| letters.of(label))
            .unwrap_or_default(),
        text: segment.text.clone(),
    }
}

/// Speakers as letters, in order of appearance: `A` to `Z`, then `AA` and so on.
#[derive(Debug, Default)]
pub(super) struct Letters(BTreeMap<String, usize>);

impl Letters {
    fn of(&mut self, label: &str) -> String {
        let next = self.0.len();
        let mut number = *self.0.entry(label.to_owned()).or_insert(next) + 1;
        let mut letters = Vec::new();
        while number > 0 {
            let digit = u8::try_from((number - 1) % 26).unwrap_or_default();
            letters.push(char::from(b'A' + digit));
            number = (number - 1) / 26;
        }
        letters.into_iter().rev().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speakers_are_lettered_by_appearance() {
        let mut letters = Letters::default();
        assert_eq!(letters.of("SPEAKER_07"), "A");
        assert_eq!(letters.of("SPEAKER_00"), "B");
        assert_eq!(letters.of("SPEAKER_07"), "A");
        let more: Vec<String> = (0..30).map(|n| letters.of(&format!("x{n}"))).collect();
        assert_eq!((more[23].as_str(), more[24].as_str()), ("Z", "AA"));
    }
}
