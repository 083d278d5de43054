//! Weights by path from both kinds of checkpoint.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::nn::DevicePreference;

fn cpu() -> Device {
    Device::open(DevicePreference::Cpu).unwrap()
}

/// A safetensors checkpoint of these tensors: name, type, shape, bytes.
fn checkpoint(tensors: &[(&str, &str, &[usize], Vec<u8>)]) -> Weights {
    let (mut entries, mut data) = (Vec::new(), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let start = data.len();
        data.extend_from_slice(bytes);
        entries.push(format!(
            r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{}]}}"#,
            data.len()
        ));
    }
    let header = format!("{{{}}}", entries.join(","));
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, file).unwrap();
    let opened = safetensors::Checkpoint::open(&path).unwrap();
    Weights::from_safetensors(Arc::new(opened), &cpu())
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn halves(values: &[f32]) -> Vec<u8> {
    let half = |value: &f32| half::bf16::from_f32(*value).to_le_bytes();
    values.iter().flat_map(half).collect()
}

fn two_layers() -> Weights {
    checkpoint(&[
        (
            "encoder.layers.0.out.weight",
            "F32",
            &[2, 3],
            floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        ),
        ("encoder.layers.0.out.bias", "F32", &[2], floats(&[0.5, -0.5])),
        (
            "encoder.layers.1.out.weight",
            "BF16",
            &[2, 3, 1],
            halves(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        ),
        ("scale", "F64", &[], 2.5_f64.to_le_bytes().to_vec()),
    ])
}

fn row(linear: &Linear) -> Vec<f32> {
    let x = Tensor::new(&[[1_f32, 0.0, -1.0]], &candle_core::Device::Cpu).unwrap();
    linear.forward(&x).unwrap().to_vec2::<f32>().unwrap().remove(0)
}

#[test]
fn a_layer_is_found_by_its_path_and_multiplies() {
    let layers = two_layers().at("encoder").at("layers");
    let first = layers.at(0).linear("out", 3, 2, Bias::Required).unwrap();
    assert_eq!(row(&first), [-1.5, -2.5]);
    let without = layers.at(0).linear("out", 3, 2, Bias::None).unwrap();
    assert_eq!(row(&without), [-2.0, -2.0]);
}

#[test]
fn a_convolution_of_width_one_in_half_precision_is_the_same_layer_without_a_bias() {
    let layer = two_layers().at("encoder.layers.1");
    assert_eq!(row(&layer.linear("out", 3, 2, Bias::Optional).unwrap()), [-2.0, -2.0]);
    let error = layer.linear("out", 3, 2, Bias::Required).unwrap_err().to_string();
    assert!(
        error.contains("tensor \"encoder.layers.1.out.bias\" is missing"),
        "{error}"
    );
}

#[test]
fn a_wrong_shape_names_the_tensor_and_both_shapes() {
    let weights = two_layers();
    let error = weights
        .at("encoder.layers.0")
        .tensor("out.weight", &[3, 2])
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("tensor encoder.layers.0.out.weight: shape [2, 3] in the file, [3, 2]"),
        "{error}"
    );
    let error = weights
        .at("encoder.layers.0")
        .linear("out", 4, 2, Bias::None)
        .unwrap_err();
    assert!(error.to_string().contains("[2, 4]"), "{error}");
}

#[test]
fn other_types_become_f32_and_what_is_not_there_is_none() {
    let weights = two_layers();
    let scale = weights.tensor("scale", &[]).unwrap();
    assert!((scale.to_scalar::<f32>().unwrap() - 2.5).abs() < 1e-6);
    assert!(weights.optional("shift", &[]).unwrap().is_none());
    assert_eq!(
        weights.shape("encoder.layers.1.out.weight").unwrap(),
        Some(vec![2, 3, 1])
    );
}

#[test]
fn names_are_relative_to_the_scope() {
    let weights = two_layers();
    let layer = weights.at("encoder.layers.0");
    assert_eq!(layer.names().collect::<Vec<_>>(), ["out.bias", "out.weight"]);
    assert!(layer.contains("out.bias") && !layer.contains("scale"));
    assert_eq!(weights.names().count(), 4);
    assert!(weights.resident_bytes().unwrap() >= 4 * 6);
}

#[test]
fn a_torch_checkpoint_gives_layers_alike() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/pyannote/models/pyannote/segmentation-3.0/pytorch_model.bin");
    let opened = torch::Checkpoint::open(&path).unwrap();
    let weights = Weights::from_torch(Arc::new(opened), &cpu());
    let shape = weights.shape("classifier.weight").unwrap().unwrap();
    let [outputs, inputs] = shape[..] else {
        panic!("{shape:?}")
    };
    weights.linear("classifier", inputs, outputs, Bias::Required).unwrap();
    assert_eq!(weights.tensor("classifier.bias", &[outputs]).unwrap().dims(), [outputs]);
}
