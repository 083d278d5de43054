//! The small model and its goldens.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::nn::Device;
use crate::nn::DtypePreference;
use crate::speech::whisper::decoding::Thresholds;
use crate::speech::whisper::engine::Engine;
use crate::speech::whisper::engine::EngineOptions;
use crate::speech::whisper::network::Network;
use crate::speech::whisper::network::NetworkOptions;
use crate::speech::whisper::network::NetworkSource;
use crate::speech::whisper::tokens::WhisperTokens;
use crate::task::Samples;
use crate::wrapper::Job;

pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/whisper")
}

pub(super) fn model_folder() -> PathBuf {
    folder().join("small")
}

pub(super) fn expected() -> Value {
    let text = std::fs::read_to_string(folder().join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The sound of `make.py`: tones that change every quarter of a second, with pauses and some noise.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "samples are f32, and there are few"
)]
pub(super) fn signal(seconds: f64) -> Samples {
    let mut state = 1_u64;
    let count = (seconds * 16_000.0) as u32;
    let samples = (0..count).map(|i| {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        let noise = (state as f64 / (1_u64 << 31) as f64 - 0.5) * 0.1;
        let step = i / 4000;
        let frequency = f64::from(150 + 90 * (step * 7 % 17));
        let tone = 0.4 * (std::f64::consts::TAU * frequency * f64::from(i) / 16_000.0).sin();
        (noise + if step.is_multiple_of(5) { 0.0 } else { tone }) as f32
    });
    samples.collect::<Vec<f32>>().into()
}

pub(super) fn options() -> NetworkOptions {
    NetworkOptions {
        device: Device::under_test(),
        dtype: DtypePreference::of_goldens(),
        slots: 2,
        lanes: 6,
    }
}

pub(super) fn network() -> Network {
    let source = NetworkSource::open(&model_folder()).unwrap();
    source.load(&options(), &Job::new()).unwrap()
}

pub(super) fn tokens() -> Arc<WhisperTokens> {
    let config = NetworkSource::open(&model_folder()).unwrap().config().clone();
    Arc::new(WhisperTokens::from_folder(&model_folder(), config.vocabulary).unwrap())
}

/// An engine for two recordings at once.
pub(super) async fn engine(beam: usize, thresholds: Thresholds) -> Engine {
    let source = NetworkSource::open(&model_folder()).unwrap();
    let config = source.config().clone();
    let engine_options = EngineOptions {
        slots: 2,
        best_of: 3,
        beam,
        max_queued: 2,
        queue_timeout: std::time::Duration::from_mins(1),
        thresholds,
    };
    let build = move || source.load(&options(), &Job::new());
    Engine::start(build, config, tokens(), engine_options).await.unwrap()
}

pub(super) fn floats(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|number| number.as_f64().unwrap())
        .collect()
}

/// The greatest difference of two lists of one length.
pub(super) fn difference(found: &[f32], expected: &Value) -> f64 {
    let expected = floats(expected);
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected);
    pairs.map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max)
}
