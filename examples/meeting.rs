//! Minutes of a recording: who said what, and what a chat model makes of it.
//!
//! ```text
//! cargo run --release -p inferkit-examples --example meeting -- RECORDING TRANSCRIBER DIARIZER CHAT
//! ```
//!
//! RECORDING is a sound file of any kind. The models are given as FAMILY=PLACE, such as `canary=models/canary-1b.nemo`,
//! `pyannote=pyannote/speaker-diarization-community-1` or `qwen=models/qwen3`: a path where there is one, else a repository
//! of the hub. Transcription and diarization run at the same time.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt;
use inferkit::Error;
use inferkit::Hub;
use inferkit::Job;
use inferkit::Lease;
use inferkit::ModelPolicy;
use inferkit::ModelRegistry;
use inferkit::RequestFault;
use inferkit::Result;
use inferkit::Source;
use inferkit::audio;
use inferkit::catalog;
use inferkit::meeting::Meeting;
use inferkit::meeting::MeetingEvent;
use inferkit::meeting::MeetingRequest;
use inferkit::meeting::transcribe_meeting;
use inferkit::task::ChatEvent;
use inferkit::task::ChatModel;
use inferkit::task::ChatRequest;
use inferkit::task::Delta;
use inferkit::task::DiarizationModel;
use inferkit::task::Message;
use inferkit::task::Samples;
use inferkit::task::TranscriptionModel;

const INSTRUCTION: &str = "You write minutes. Name each decision and each task with who it is for, in short sentences.";

/// What the minutes take.
struct Models {
    transcriber: Arc<dyn TranscriptionModel>,
    diarizer: Arc<dyn DiarizationModel>,
    chat: Arc<dyn ChatModel>,
}

/// Who said what in a recording, of which `samples` holds what each of the two models hears best.
async fn listen(models: &Models, [speech, voices]: [Samples; 2]) -> Result<Meeting> {
    let request = MeetingRequest::new(speech).with_speaker_samples(voices);
    let mut events = transcribe_meeting(Arc::clone(&models.transcriber), Arc::clone(&models.diarizer), request).await?;
    while let Some(event) = events.next().await {
        if let MeetingEvent::Done(meeting) = event? {
            return Ok(meeting);
        }
    }
    Err(Error::internal("the meeting ended without a result"))
}

/// The conversation as a script, one part a line.
fn script(meeting: &Meeting) -> String {
    let lines = meeting.segments.iter().map(|part| {
        let speaker = part.speaker.as_deref().unwrap_or("SOMEBODY");
        format!("{speaker}: {}\n", part.text.trim())
    });
    lines.collect()
}

/// Writes the script and the minutes of a recording.
async fn minutes(models: &Models, samples: [Samples; 2], out: &mut (dyn Write + Send)) -> Result<()> {
    let script = script(&listen(models, samples).await?);
    // A reader that is gone ends the example, not the library.
    let mut write = |text: &str| out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok();
    if !write(&script) || !write("\n") {
        return Ok(());
    }
    let question = vec![Message::system(INSTRUCTION), Message::user(script.as_str())];
    let mut events = models
        .chat
        .chat(ChatRequest::new(question).with_max_tokens(1024))
        .await?;
    while let Some(event) = events.next().await {
        if let ChatEvent::Delta {
            delta: Delta::Content(text),
            ..
        } = event?
            && !write(&text)
        {
            break;
        }
    }
    Ok(())
}

/// Decodes a sound file on a thread that may be busy: once, for the recogniser and for the network of speakers.
async fn decode(path: String) -> Result<[Samples; 2]> {
    let work = move || {
        let file = std::fs::File::open(&path).map_err(|cause| {
            Error::invalid(
                RequestFault::InvalidAudio,
                None,
                format!("{path} cannot be opened: {cause}"),
            )
        })?;
        let filters = [audio::ResamplingFilter::Steep, audio::ResamplingFilter::Sinc];
        let recordings = audio::decode_by(file, &audio::DecodeOptions::default(), filters, &Job::new())?;
        Ok(recordings.map(|recording| recording.samples))
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|cause| Error::internal("decoding ended early").with_source(cause))?
}

/// Loads a model given as FAMILY=PLACE.
async fn load(models: &ModelRegistry, hub: &Hub, given: &str) -> Result<Lease> {
    let Some((family, place)) = given.split_once('=') else {
        let message = format!("{given:?} is no model; give FAMILY=PLACE, such as qwen=models/qwen3");
        return Err(Error::invalid(RequestFault::InvalidValue, None, message));
    };
    let source = if Path::new(place).exists() {
        Source::path(place)
    } else {
        Source::hub(place)
    };
    let spec = catalog::ModelSpec::new(family, source);
    let wrapper = catalog::wrapper(&spec, &catalog::Services::new(hub.clone()))?;
    models.register(given, wrapper, ModelPolicy::default()).await?;
    models.get(given)?.ensure_loaded().await
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [recording, transcriber, diarizer, chat] = arguments.as_slice() else {
        eprintln!("usage: meeting RECORDING TRANSCRIBER DIARIZER CHAT, each model as FAMILY=PLACE");
        return Ok(());
    };
    let samples = decode(recording.clone()).await?;
    let registry = ModelRegistry::builder().build()?;
    let hub = Hub::builder("models").build()?;
    // Keep the leases while the models work: they keep them loaded.
    let transcriber = load(&registry, &hub, transcriber).await?;
    let diarizer = load(&registry, &hub, diarizer).await?;
    let chat = load(&registry, &hub, chat).await?;
    let models = Models {
        transcriber: Arc::clone(transcriber.transcription()?),
        diarizer: Arc::clone(diarizer.diarization()?),
        chat: Arc::clone(chat.chat()?),
    };
    minutes(&models, samples, &mut std::io::stdout()).await?;
    println!();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    use async_trait::async_trait;
    use futures_util::stream;
    use inferkit::task::ChatLimits;
    use inferkit::task::ChatStream;
    use inferkit::task::DiarizationEvent;
    use inferkit::task::DiarizationRequest;
    use inferkit::task::DiarizationResult;
    use inferkit::task::DiarizationStream;
    use inferkit::task::QueueDepth;
    use inferkit::task::Segment;
    use inferkit::task::SpeakerTurn;
    use inferkit::task::TranscriptionCapabilities;
    use inferkit::task::TranscriptionEvent;
    use inferkit::task::TranscriptionRequest;
    use inferkit::task::TranscriptionStream;

    /// All three models, small enough to know what they say.
    struct Small;

    #[async_trait]
    impl TranscriptionModel for Small {
        fn capabilities(&self) -> TranscriptionCapabilities {
            TranscriptionCapabilities::default()
        }

        async fn transcribe(&self, request: TranscriptionRequest) -> Result<TranscriptionStream> {
            let second = request.samples.len() as f64 / f64::from(audio::SAMPLE_RATE) / 2.0;
            let parts = [(0.0, "Who buys the cake?"), (second, "I do.")];
            let parts =
                parts.map(|(start, text)| TranscriptionEvent::Segment(Segment::new(start, start + second, text)));
            let language = "en".to_owned();
            let events: Vec<_> = parts
                .into_iter()
                .chain([TranscriptionEvent::Done { language }])
                .map(Ok)
                .collect();
            Ok(stream::iter(events).boxed())
        }
    }

    #[async_trait]
    impl DiarizationModel for Small {
        async fn diarize(&self, _request: DiarizationRequest) -> Result<DiarizationStream> {
            let turns = vec![SpeakerTurn::new("ANN", 0.0, 1.0), SpeakerTurn::new("BOB", 1.0, 2.0)];
            let result = DiarizationResult::new(turns, Vec::new(), vec!["ANN".to_owned(), "BOB".to_owned()]);
            Ok(stream::iter([Ok(DiarizationEvent::Done(result))]).boxed())
        }
    }

    #[async_trait]
    impl ChatModel for Small {
        fn limits(&self) -> ChatLimits {
            ChatLimits::new(4096, 1)
        }

        fn queue(&self) -> QueueDepth {
            QueueDepth::default()
        }

        async fn chat(&self, request: ChatRequest) -> Result<ChatStream> {
            let script = request
                .messages
                .last()
                .and_then(|message| message.content.clone())
                .unwrap_or_default();
            let text = script
                .replace("BOB: I do.\n", "Task for BOB: the cake.")
                .replace("ANN: Who buys the cake?\n", "");
            let delta = ChatEvent::Delta {
                choice: 0,
                delta: Delta::Content(text),
                logprobs: Vec::new(),
            };
            Ok(stream::iter([Ok(delta)]).boxed())
        }
    }

    #[tokio::test]
    async fn the_minutes_name_who_said_what() {
        let models = Models {
            transcriber: Arc::new(Small),
            diarizer: Arc::new(Small),
            chat: Arc::new(Small),
        };
        let mut out = Vec::new();
        let samples: Samples = Arc::new(vec![0.0; 32_000]);
        minutes(&models, [Arc::clone(&samples), samples], &mut out)
            .await
            .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "ANN: Who buys the cake?\nBOB: I do.\n\nTask for BOB: the cake.");
    }

    #[tokio::test]
    async fn a_sound_file_is_decoded_and_a_missing_one_named() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/audio");
        let [speech, voices] = decode(format!("{folder}/pcm_s16_44k1_stereo.wav")).await.unwrap();
        assert!(!speech.is_empty() && speech.len() == voices.len());
        let error = decode(format!("{folder}/no such file")).await.unwrap_err();
        assert_eq!(error.code(), "invalid_audio");
    }
}
