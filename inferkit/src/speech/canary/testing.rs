//! What the family's tests share: golden files of the four published shapes.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::DType;
use candle_core::Device;
use candle_core::Tensor;
use serde_json::Value;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::formats::FormatOptions;
use symphonia::core::formats::TrackType;
use symphonia::core::formats::probe::Hint;
use symphonia::core::io::MediaSourceStream;
use symphonia::core::io::MediaSourceStreamOptions;
use symphonia::core::meta::MetadataOptions;

use super::config::CanaryConfig;
use super::loader::Loading;
use super::networks::Networks;
use crate::formats::nemo::NemoArchive;
use crate::formats::torch::Checkpoint;
use crate::formats::yaml;
use crate::job::Job;
use crate::nn;
use crate::nn::DtypePreference;

/// The golden models.
pub(super) const MODELS: [&str; 4] = ["canary-1b", "canary-1b-flash", "canary-180m-flash", "canary-1b-v2"];

/// A file of the goldens.
pub(super) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/canary")
        .join(name)
}

/// A JSON file of the goldens.
pub(super) fn golden_json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden(name)).unwrap()).unwrap()
}

/// The f32 tensors of a safetensors file of the goldens.
pub(super) fn golden_tensors(name: &str) -> BTreeMap<String, Tensor> {
    let bytes = std::fs::read(golden(name)).unwrap();
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap();
    tensors.into_iter().collect()
}

/// The samples of a clip, mono at 16 kHz.
pub(super) fn clip(name: &str) -> Arc<Vec<f32>> {
    flac(&golden(&format!("audio/{name}.flac")))
}

/// The samples of a FLAC file, mono at 16 kHz.
pub(super) fn flac(path: &Path) -> Arc<Vec<f32>> {
    let stream = MediaSourceStream::new(
        Box::new(std::fs::File::open(path).unwrap()),
        MediaSourceStreamOptions::default(),
    );
    let probe = symphonia::default::get_probe();
    let options = (FormatOptions::default(), MetadataOptions::default());
    let mut format = probe.probe(&Hint::new(), stream, options.0, options.1).unwrap();
    let track = format.default_track(TrackType::Audio).unwrap();
    let parameters = track.codec_params.as_ref().unwrap().audio().unwrap();
    assert_eq!(parameters.sample_rate, Some(16_000), "{}", path.display());
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .unwrap();
    let (mut samples, mut part) = (Vec::new(), Vec::<f32>::new());
    while let Some(packet) = format.next_packet().unwrap() {
        let decoded = decoder.decode(&packet).unwrap();
        assert_eq!(decoded.spec().channels().count(), 1, "{}", path.display());
        decoded.copy_to_vec_interleaved(&mut part);
        samples.extend_from_slice(&part);
    }
    samples.into()
}

/// The greatest difference between two tensors of one number of elements.
pub(super) fn difference(found: &Tensor, expected: &Tensor) -> f32 {
    let flat = |x: &Tensor| {
        let x = x.to_dtype(DType::F32).unwrap();
        x.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let (found, expected) = (flat(found), flat(expected));
    assert_eq!(found.len(), expected.len(), "as many numbers");
    let differences = found
        .iter()
        .zip(&expected)
        .map(|(found, expected)| (found - expected).abs());
    differences.fold(
        0.0,
        |most, next| if next.is_nan() { f32::INFINITY } else { most.max(next) },
    )
}

/// The configuration, the checkpoint and the networks of a golden model.
pub(super) struct Golden {
    pub(super) config: CanaryConfig,
    pub(super) networks: Networks,
    pub(super) tensors: BTreeMap<String, Tensor>,
}

/// Loads a golden model on the device under test, with its golden tensors.
pub(super) fn load(name: &str) -> Golden {
    load_as(name, DtypePreference::Auto)
}

/// As [`load`], with weights of a type.
pub(super) fn load_as(name: &str, dtype: DtypePreference) -> Golden {
    load_on(&nn::Device::under_test(), name, dtype)
}

/// As [`load_as`], on a device.
pub(super) fn load_on(device: &nn::Device, name: &str, dtype: DtypePreference) -> Golden {
    let archive = NemoArchive::open(&golden(&format!("{name}.nemo")), &Job::new()).unwrap();
    let text = archive.member("model_config.yaml").unwrap();
    let weights = archive.member("model_weights.ckpt").unwrap();
    let checkpoint = Checkpoint::read("model_weights.ckpt", weights).unwrap();
    let root: Value = yaml::read("model_config.yaml", text.bytes()).unwrap();
    let config = CanaryConfig::read(&root, &|name| checkpoint.shape(name).map(<[usize]>::to_vec)).unwrap();
    let placement = device.placement(dtype, DType::F32);
    let job = Job::new();
    let loading = Loading::new(placement, &job, 0);
    let networks = Networks::load(&config, &checkpoint, &loading, device.block_size()).unwrap();
    Golden {
        config,
        networks,
        tensors: golden_tensors(&format!("{name}.tensors.safetensors")),
    }
}

/// A golden archive in which `change` made something else of a member: the folder that it lies in, and its path.
pub(super) fn changed(model: &str, member: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> (tempfile::TempDir, PathBuf) {
    let mut archive = tar::Archive::new(std::fs::File::open(golden(&format!("{model}.nemo"))).unwrap());
    let mut builder = tar::Builder::new(Vec::new());
    let mut is_changed = false;
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let mut header = entry.header().clone();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        if name.strip_prefix("./").unwrap_or(&name) == member {
            content = change(content);
            is_changed = true;
        }
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_slice()).unwrap();
    }
    assert!(is_changed, "{model} has no {member}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.nemo");
    std::fs::write(&path, builder.into_inner().unwrap()).unwrap();
    (folder, path)
}

/// A change that puts `to` in the place of `from`, which has to be there.
pub(super) fn replaced(from: &'static str, to: &'static str) -> impl Fn(Vec<u8>) -> Vec<u8> {
    move |content| {
        let text = String::from_utf8(content).unwrap();
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1).into_bytes()
    }
}
