//! How fast are the stages of a model in a published shape on this machine?
//!
//! ```text
//! cargo test --release --lib -- --ignored --nocapture canary::figures
//! ```
//!
//! Weights are pseudo-random numbers: they cost what real ones cost.

use std::borrow::Cow;
use std::time::Instant;

use candle_core::DType;
use serde_json::json;

use super::config::CanaryConfig;
use super::decoder::Room;
use super::decoder::StepRow;
use super::loader::Loading;
use super::loader::TensorSource;
use super::networks::Networks;
use crate::audio::Spread;
use crate::error::Result;
use crate::job::Job;
use crate::nn::Device;
use crate::nn::DevicePreference;
use crate::nn::DtypePreference;
use crate::nn::Encoding;
use crate::nn::StoredTensor;

/// A model of layers, width and heads, without a checkpoint.
#[derive(Debug, Clone, Copy)]
struct Shape {
    encoder: [usize; 3],
    decoder: [usize; 3],
    vocabulary: usize,
}

const FLASH_180M: Shape = Shape {
    encoder: [17, 512, 8],
    decoder: [4, 1024, 8],
    vocabulary: 5248,
};

const V2_1B: Shape = Shape {
    encoder: [32, 1024, 8],
    decoder: [8, 1024, 8],
    vocabulary: 16384,
};

impl TensorSource for Shape {
    fn find(&self, name: &str) -> Result<Option<StoredTensor<'_>>> {
        let Some(shape) = TensorSource::shape(self, name) else {
            return Ok(None);
        };
        let count: usize = shape.iter().product();
        let fan_in: usize = shape.iter().skip(1).product();
        let mut state = count as u64 ^ 0x9e37_79b9_7f4a_7c15;
        let scale = 1.0 / (fan_in.max(1) as f32).sqrt();
        let positive = name.ends_with("running_var") || name.contains("norm") && name.ends_with("weight");
        let mut bytes = Vec::with_capacity(4 * count);
        for index in 0..count {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let number = ((state >> 40) as f32 / 8_388_608.0 - 1.0) * scale;
            // A real filter covers a few lines of the spectrum, and windows next to one another.
            let is_far =
                name.ends_with("featurizer.fb") && !(0..8).contains(&(index % 257).wrapping_sub(2 * (index / 257)));
            let number = match (positive, is_far) {
                (true, _) => 1.0,
                (false, true) => 0.0,
                (false, false) => number,
            };
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        Ok(Some(StoredTensor {
            name: Cow::Owned(name.to_owned()),
            encoding: Encoding::Plain(DType::F32),
            shape,
            bytes: Cow::Owned(bytes),
        }))
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let ([encoder_layers, d, heads], [decoder_layers, h, _]) = (self.encoder, self.decoder);
        let (bins, channels, taps) = (128, 256, 9);
        let layer = |prefix: &str| name.strip_prefix(prefix)?.split_once('.')?.0.parse::<usize>().ok();
        if layer("encoder.layers.").is_some_and(|layer| layer >= encoder_layers)
            || layer("transf_decoder._decoder.layers.").is_some_and(|layer| layer >= decoder_layers)
        {
            return None;
        }
        let is_decoder = name.starts_with("transf_decoder") || name.starts_with("log_softmax");
        let width = if is_decoder { h } else { d };
        let (owner, kind) = name.rsplit_once('.')?;
        let part = owner.rsplit('.').next()?;
        let is_bias = kind == "bias";
        let matrix = |rows: usize, columns: usize| if is_bias { vec![rows] } else { vec![rows, columns] };
        Some(match (part, kind) {
            ("featurizer", "window") => vec![400],
            ("featurizer", "fb") => vec![1, bins, 257],
            ("0" | "2" | "5", "weight") if owner.contains("pre_encode") => vec![channels, 1, 3, 3],
            ("3" | "6", "weight") if owner.contains("pre_encode") => vec![channels, channels, 1, 1],
            ("0" | "2" | "3" | "5" | "6", "bias") if owner.contains("pre_encode") => vec![channels],
            ("out", _) => matrix(d, channels * bins / 8),
            ("linear1", _) => matrix(4 * d, d),
            ("linear2", _) => matrix(d, 4 * d),
            ("dense_in", _) => matrix(4 * h, h),
            ("dense_out", _) => matrix(h, 4 * h),
            ("self_attn", "pos_bias_u" | "pos_bias_v") => vec![heads, d / heads],
            ("pointwise_conv1", "weight") => vec![2 * d, d, 1],
            ("pointwise_conv1", _) => vec![2 * d],
            ("pointwise_conv2", "weight") => vec![d, d, 1],
            ("depthwise_conv", "weight") => vec![d, 1, taps],
            ("token_embedding", _) => vec![self.vocabulary, h],
            ("position_embedding", _) => vec![1024, h],
            ("layer0", _) => matrix(self.vocabulary, h),
            ("encoder_decoder_proj", _) => matrix(h, d),
            (part, "weight") if part.starts_with("linear_") || part.ends_with("_net") || part == "out_projection" => {
                vec![width, width]
            }
            _ => vec![width],
        })
    }
}

fn load(shape: Shape, dtype: DtypePreference) -> Networks {
    let tree = json!({
        "encoder": {"subsampling_factor": 8, "xscaling": false},
        "transf_decoder": {"config_dict": {"num_attention_heads": shape.decoder[2], "pre_ln": true}},
    });
    let config = CanaryConfig::read(&tree, &|name| TensorSource::shape(&shape, name)).unwrap();
    let device = Device::open(DevicePreference::Cpu).unwrap();
    let placement = device.placement(dtype, DType::F32);
    let job = Job::new();
    let loading = Loading::new(placement, &job, 0);
    Networks::load(&config, &shape, &loading, device.block_size()).unwrap()
}

/// Runs `work` and prints how long it took: by the clock, and of processor time of all threads, which other work on the
/// machine does not stretch.
fn timed<T>(name: &str, of_seconds: f64, work: impl FnOnce() -> T) -> T {
    let (start, computing) = (Instant::now(), computing_seconds());
    let done = work();
    let seconds = start.elapsed().as_secs_f64();
    let computed = computing_seconds() - computing;
    println!(
        "{name}: {:.0} ms, {:.0} times real time; processor {:.0} ms",
        seconds * 1e3,
        of_seconds / seconds,
        computed * 1e3
    );
    done
}

/// Processor time that this process has taken, where Linux says so.
fn computing_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(") ").next().unwrap_or_default().split(' ');
    // User and system time, fields 14 and 15 of proc(5), in hundredths.
    fields
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

#[test]
#[ignore = "measures; run it alone, in release"]
fn a_minute_in_the_shape_of_canary_180m_flash() {
    minute(FLASH_180M, DtypePreference::Auto);
}

#[test]
#[ignore = "measures; run it alone, in release"]
fn a_minute_in_the_shape_of_canary_180m_flash_in_bf16() {
    minute(FLASH_180M, DtypePreference::Bf16);
}

#[test]
#[ignore = "measures; run it alone, in release"]
fn a_minute_in_the_shape_of_canary_1b_v2() {
    minute(V2_1B, DtypePreference::Auto);
}

fn minute(shape: Shape, dtype: DtypePreference) {
    let mut networks = load(shape, dtype);
    let samples: Vec<f32> = (0..960_000_u32)
        .map(|i| (i as f32 * 0.05).sin() * 0.1 + (i % 2003 * 7919 % 2003) as f32 / 1e5)
        .collect();
    for round in 0..3 {
        println!("round {round}");
        let windows = timed("features", 60.0, || {
            let window = |frames| networks.front_end.part(&samples, frames, Spread::Population).unwrap();
            vec![window(0..4000), window(4000..6000)]
        });
        let (rows, _) = timed("subsampling", 60.0, || networks.encoder.subsample(&windows).unwrap());
        drop(rows);
        let states = timed("encoder and projection", 60.0, || {
            networks.encode(&windows, &mut || true).unwrap()
        });
        let rooms = [Room {
            hypotheses: 1,
            tokens: 300,
        }; 2];
        let mut session = timed("keys and values of the states", 60.0, || {
            networks.decoder.begin(&states, &rooms).unwrap()
        });
        let rows = |count: usize| -> Vec<StepRow> {
            (0..2)
                .map(|slot| StepRow {
                    slot,
                    tokens: vec![7; count],
                })
                .collect()
        };
        timed("prompt", 60.0, || {
            networks.decoder.step(&mut session, &rows(9)).unwrap()
        });
        timed("100 steps of two windows", 60.0, || {
            for _ in 0..100 {
                networks.decoder.step(&mut session, &rows(1)).unwrap();
            }
        });
    }
}
