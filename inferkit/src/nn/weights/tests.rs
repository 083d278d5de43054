//! Weights by path.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::nn::DevicePreference;

fn weights() -> Weights {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/pyannote/models/pyannote/segmentation-3.0/pytorch_model.bin");
    let opened = torch::Checkpoint::open(&path).unwrap();
    Weights::from_torch(Arc::new(opened), &Device::open(DevicePreference::Cpu).unwrap())
}

#[test]
fn a_tensor_is_found_by_its_path() {
    let classifier = weights().at("classifier");
    let shape = classifier.shape("weight").unwrap();
    assert_eq!(classifier.tensor("weight", &shape).unwrap().dims(), shape);
    assert!(classifier.contains("bias") && !classifier.contains("scale"));
    assert_eq!(classifier.shape("scale"), None);
}

#[test]
fn a_wrong_shape_names_the_tensor_and_both_shapes() {
    let error = weights()
        .at("classifier")
        .tensor("bias", &[3, 2])
        .unwrap_err()
        .to_string();
    assert!(error.contains("tensor classifier.bias: shape ["), "{error}");
    assert!(error.contains("[3, 2]"), "{error}");
    let error = weights().tensor("scale", &[]).unwrap_err().to_string();
    assert!(error.contains("tensor \"scale\" is missing"), "{error}");
}
