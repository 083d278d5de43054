//! Models that hear by rules: a second with sound is a part, even and odd seconds are two speakers. One that is nearly as
//! loud as can be breaks the transcriber.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;
use inferkit::DownloadOptions;
use inferkit::Error;
use inferkit::FileInventory;
use inferkit::Job;
use inferkit::LoadOptions;
use inferkit::Loaded;
use inferkit::MemoryUse;
use inferkit::ModelFile;
use inferkit::ModelInfo;
use inferkit::ModelPolicy;
use inferkit::ModelWrapper;
use inferkit::Result;
use inferkit::Source;
use inferkit::UnavailableFault;
use inferkit::audio::SAMPLE_RATE;
use inferkit::task::DiarizationEvent;
use inferkit::task::DiarizationModel;
use inferkit::task::DiarizationRequest;
use inferkit::task::DiarizationResult;
use inferkit::task::DiarizationStream;
use inferkit::task::Segment;
use inferkit::task::SegmentDecoding;
use inferkit::task::SpeakerTurn;
use inferkit::task::Task;
use inferkit::task::TimeDetail;
use inferkit::task::TokenLogprob;
use inferkit::task::TopLogprob;
use inferkit::task::TranscriptionCapabilities;
use inferkit::task::TranscriptionEvent;
use inferkit::task::TranscriptionModel;
use inferkit::task::TranscriptionRequest;
use inferkit::task::TranscriptionStream;
use inferkit::task::Word;

use crate::app::App;

/// A server with `qwen`, `canary`, which writes `part 0 part 1`, and `pyannote`, and the configuration of `file`.
pub(crate) async fn audio_app(file: &str) -> Arc<App> {
    let app = super::app(file).await;
    register(&app, "canary", Task::Transcribe).await;
    register(&app, "pyannote", Task::Diarize).await;
    app
}

/// Adds a model that writes or tells speakers apart as the others do.
pub(crate) async fn register(app: &App, key: &'static str, task: Task) {
    let (wrapper, policy) = (Arc::new(Listens(key, task)), ModelPolicy::default());
    app.registry.register(key, wrapper, policy).await.unwrap();
}

/// As [`audio_app`], with a diarizer that memory has no room for.
pub(crate) async fn cramped_app() -> Arc<App> {
    let app = super::app("").await;
    let canary = Arc::new(Listens("canary", Task::Transcribe));
    let large = Arc::new(Listens("large", Task::Diarize));
    for (key, model) in [("canary", canary), ("pyannote", large)] {
        app.registry.register(key, model, ModelPolicy::default()).await.unwrap();
    }
    app
}

struct Listens(&'static str, Task);

#[async_trait]
impl ModelWrapper for Listens {
    fn describe(&self) -> ModelInfo {
        ModelInfo::new(self.0, self.1, Source::hub(format!("owner/{}", self.0)))
    }

    async fn files(&self) -> Result<FileInventory> {
        Ok(FileInventory::new(vec![ModelFile::present("model.nemo", 7)], true))
    }

    async fn download(&self, _: &DownloadOptions, _: &Job) -> Result<()> {
        Ok(())
    }

    async fn load(&self, _: &LoadOptions, job: &Job) -> Result<Loaded> {
        job.check()?;
        if self.0 == "large" {
            let message = "it does not fit into memory; make room";
            return Err(Error::unavailable(UnavailableFault::InsufficientMemory, message));
        }
        let loaded = Loaded::new("cpu", "f32", MemoryUse::new(7, 3));
        Ok(match self.1 {
            Task::Diarize => loaded.with_diarization(Arc::new(Separates)),
            _ => loaded.with_transcription(Arc::new(Writes)),
        })
    }
}

/// The seconds of a recording in which there is sound: number, start and end.
fn loud_seconds(samples: &[f32]) -> Vec<(u32, f64, f64)> {
    let seconds = (0_u32..).zip(samples.chunks(SAMPLE_RATE as usize));
    seconds
        .filter(|(_, second)| second.iter().any(|sample| sample.abs() > 0.01))
        .map(|(number, second)| {
            let start = f64::from(number);
            (number, start, start + second.len() as f64 / f64::from(SAMPLE_RATE))
        })
        .collect()
}

struct Writes;

#[async_trait]
impl TranscriptionModel for Writes {
    fn capabilities(&self) -> TranscriptionCapabilities {
        let mut able = TranscriptionCapabilities::default();
        able.languages = vec!["en".to_owned(), "fr".to_owned()];
        able.translations = vec![("fr".to_owned(), "en".to_owned())];
        able.default_language = Some("fr".to_owned());
        able.word_times = true;
        able.token_logprobs = true;
        able
    }

    async fn transcribe(&self, request: TranscriptionRequest) -> Result<TranscriptionStream> {
        let total_seconds = request.samples.len() as f64 / f64::from(SAMPLE_RATE);
        let mut events = Vec::new();
        for (number, start, end) in loud_seconds(&request.samples) {
            let second = request.samples.iter().skip(number as usize * SAMPLE_RATE as usize);
            if second.take(SAMPLE_RATE as usize).any(|sample| sample.abs() > 0.9) {
                events.push(Err(Error::internal("too loud")));
                break;
            }
            let mut segment = Segment::new(start, end + 0.1, format!(" part {number}"));
            if request.times == TimeDetail::Word {
                let middle = f64::midpoint(start, end);
                segment.words = vec![
                    Word::new("part", start, middle),
                    Word::new(number.to_string(), middle, end),
                ];
            }
            let mut decoding = SegmentDecoding::default();
            decoding.tokens = vec![7, number];
            let token = |text: String| TokenLogprob::new(TopLogprob::new(text.into_bytes(), -0.5), Vec::new());
            decoding.token_logprobs = vec![token(" part".to_owned()), token(format!(" {number}"))];
            segment.decoding = Some(decoding);
            events.push(Ok(TranscriptionEvent::Segment(segment)));
            events.push(Ok(TranscriptionEvent::Progress {
                done_seconds: end,
                total_seconds,
            }));
        }
        events.push(Ok(TranscriptionEvent::Done {
            language: request.language.unwrap_or_else(|| "fr".to_owned()),
        }));
        Ok(stream::iter(events).boxed())
    }
}

struct Separates;

#[async_trait]
impl DiarizationModel for Separates {
    async fn diarize(&self, request: DiarizationRequest) -> Result<DiarizationStream> {
        let total_seconds = request.samples.len() as f64 / f64::from(SAMPLE_RATE);
        let most = request.max_speakers.map_or(2, usize::from);
        let exclusive: Vec<SpeakerTurn> = loud_seconds(&request.samples)
            .into_iter()
            .map(|(number, start, end)| {
                let speaker = if most > 1 { number % 2 } else { 0 };
                SpeakerTurn::new(format!("SPEAKER_{speaker:02}"), start, end)
            })
            .collect();
        // Everybody begins a little early.
        let mut turns = exclusive.clone();
        for turn in &mut turns {
            turn.start_seconds = (turn.start_seconds - 0.5).max(0.0);
        }
        let mut speakers: Vec<String> = turns.iter().map(|turn| turn.speaker.clone()).collect();
        speakers.sort();
        speakers.dedup();
        let progress = DiarizationEvent::Progress {
            done_seconds: total_seconds / 2.0,
            total_seconds,
        };
        let done = DiarizationEvent::Done(DiarizationResult::new(turns, exclusive, speakers));
        Ok(stream::iter([Ok(progress), Ok(done)]).boxed())
    }
}

/// A WAV file at 8 kHz, one second for each of `loudness`, each a square wave that loud.
pub(crate) fn wav(loudness: &[f32]) -> Vec<u8> {
    let samples: Vec<u8> = loudness
        .iter()
        .flat_map(|level| (0..8_000).map(move |frame| if frame / 10 % 2 == 0 { *level } else { -level }))
        .flat_map(f32::to_le_bytes)
        .collect();
    let length = u32::try_from(samples.len()).unwrap();
    let mut file = b"RIFF".to_vec();
    file.extend((36 + length).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x03\0\x01\0");
    file.extend(8_000_u32.to_le_bytes());
    file.extend(32_000_u32.to_le_bytes());
    file.extend(b"\x04\0\x20\0data");
    file.extend(length.to_le_bytes());
    file.extend(samples);
    file
}

/// The names and data of all events of a stream.
pub(crate) async fn events(response: poem::test::TestResponse) -> Vec<(Option<String>, String)> {
    response.assert_content_type("text/event-stream");
    let text = response.0.into_body().into_string().await.unwrap();
    let field = |event: &str, name: &str| {
        event
            .lines()
            .find_map(|line| line.strip_prefix(name).map(str::to_owned))
    };
    text.split("\n\n")
        .filter_map(|event| Some((field(event, "event: "), field(event, "data: ")?)))
        .collect()
}
