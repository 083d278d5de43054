//! The reader against golden checkpoints, hand-made files, and hostile ones.

mod hostile;
mod made;

use std::path::Path;
use std::path::PathBuf;

use super::Checkpoint;
use crate::formats::safetensors::ElementType;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/pyannote/models")
        .join(name)
}

const SEGMENTATION: &str = "pyannote/segmentation-3.0/pytorch_model.bin";
const EMBEDDING: &str = "pyannote/wespeaker-voxceleb-resnet34-LM/pytorch_model.bin";

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect()
}

#[test]
fn every_golden_checkpoint_opens_and_each_tensor_has_its_bytes() {
    let names = [
        SEGMENTATION,
        EMBEDDING,
        "pyannote/speaker-diarization-community-1/segmentation/pytorch_model.bin",
        "pyannote/speaker-diarization-community-1/embedding/pytorch_model.bin",
        "tiny/multilabel/segmentation/pytorch_model.bin",
        "tiny/multilabel/embedding/pytorch_model.bin",
        "tiny/campplus.pt",
    ];
    for file in names {
        let checkpoint = Checkpoint::open(&golden(file)).unwrap();
        assert!(checkpoint.names().count() > 20, "{file}");
        for name in checkpoint.names() {
            let view = checkpoint.tensor(name).unwrap();
            let elements: usize = view.shape.iter().product();
            assert_eq!(view.bytes.len(), elements * view.dtype.bytes(), "{file}: {name}");
            assert!(
                matches!(view.bytes, std::borrow::Cow::Borrowed(_)),
                "{file}: {name} was copied"
            );
        }
    }
}

#[test]
fn the_tensor_library_reads_the_same_numbers_from_a_golden_file() {
    let path = golden("tiny/campplus.pt");
    let checkpoint = Checkpoint::open(&path).unwrap();
    let reference = candle_core::pickle::read_all(&path).unwrap();
    let mut compared = 0;
    for (name, tensor) in reference {
        if tensor.dtype() != candle_core::DType::F32 {
            continue;
        }
        let view = checkpoint.tensor(&name).unwrap();
        assert_eq!(
            (view.shape.as_slice(), view.dtype),
            (tensor.dims(), ElementType::F32),
            "{name}"
        );
        let numbers = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(floats(&view.bytes), numbers, "{name}");
        compared += 1;
    }
    assert!(compared > 100, "{compared} tensors compared");
}

#[test]
fn hyper_parameters_and_enums_of_a_golden_checkpoint_are_read_and_nothing_is_made_of_them() {
    let checkpoint = Checkpoint::open(&golden(SEGMENTATION)).unwrap();
    let own = checkpoint.root().get("pyannote.audio").unwrap();
    let architecture = own.get("architecture").unwrap().get("class").unwrap();
    assert_eq!(architecture.as_text(), Some("PyanNet"));
    let specifications = own.get("specifications").unwrap();
    let class = specifications.class().unwrap();
    assert_eq!(
        (class.module.as_str(), class.name.as_str()),
        ("pyannote.audio.core.task", "Specifications")
    );
    let fields = specifications.state().unwrap();
    assert_eq!(fields.get("duration").unwrap().as_float(), Some(10.0));
    assert_eq!(fields.get("powerset_max_classes").unwrap().as_int(), Some(2));
    assert!(fields.get("min_duration").unwrap().is_none());
    assert_eq!(fields.get("permutation_invariant").unwrap().as_bool(), Some(true));
    let problem = fields.get("problem").unwrap();
    assert_eq!(problem.class().unwrap().name, "Problem");
    let value = problem.arguments().unwrap().items().unwrap().next().unwrap();
    assert_eq!(value.as_int(), Some(1), "mono-label classification");
    let classes = fields.get("classes").unwrap().items().unwrap();
    assert_eq!(classes.filter_map(super::Value::as_text).count(), 3);
}

#[test]
fn tensors_that_share_a_storage_are_views_at_their_offsets() {
    let checkpoint = Checkpoint::open(&golden(SEGMENTATION)).unwrap();
    let first = checkpoint.tensor("lstm.weight_ih_l0").unwrap();
    let second = checkpoint.tensor("lstm.weight_hh_l0").unwrap();
    let distance = second.bytes.as_ptr() as usize - first.bytes.as_ptr() as usize;
    assert_eq!(
        distance,
        first.bytes.len(),
        "the second follows the first in one storage"
    );
}
