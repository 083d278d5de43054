use super::*;
use crate::diarization::golden::path;

fn device() -> Device {
    Device::under_test()
}

fn refused(result: Result<impl Sized>) -> (&'static str, String) {
    let error = result.err().unwrap();
    (error.code(), error.to_string())
}

#[test]
fn a_checkpoint_of_another_network_is_refused_by_name() {
    let embedding = path("models/pyannote/wespeaker-voxceleb-resnet34-LM/pytorch_model.bin");
    let (code, text) = refused(Segmenter::open(&embedding, &device(), None));
    assert!(
        code == "unsupported_model" && text.contains("\"WeSpeakerResNet34\"; only PyanNet"),
        "{text}"
    );
    let segmentation = path("models/pyannote/segmentation-3.0/pytorch_model.bin");
    let (code, text) = refused(embedder(&segmentation, &device()));
    assert!(
        code == "unsupported_model" && text.contains("\"PyanNet\"; WeSpeakerResNet34 and CAM++"),
        "{text}"
    );
}

#[test]
fn a_network_without_powerset_needs_a_threshold() {
    let file = path("models/tiny/multilabel/segmentation/pytorch_model.bin");
    let (code, text) = refused(Segmenter::open(&file, &device(), None));
    assert!(
        code == "bad_model" && text.contains("params.segmentation.threshold is missing"),
        "{text}"
    );
    assert!(Segmenter::open(&file, &device(), Some(0.5)).is_ok());
}

#[test]
fn campplus_is_known_by_its_tensors() {
    let network = embedder(&path("models/tiny/campplus.pt"), &device()).unwrap();
    assert_eq!((network.width(), network.fbank().mel_bins()), (16, 80));
}

#[test]
fn a_missing_or_damaged_checkpoint_is_told_by_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pytorch_model.bin");
    assert_eq!(refused(embedder(&file, &device())).0, "bad_model");
    let whole = std::fs::read(path("models/tiny/campplus.pt")).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let (code, text) = refused(embedder(&file, &device()));
    assert!(code == "bad_model" && text.contains("pytorch_model.bin"), "{text}");
}

#[test]
fn a_model_of_voices_of_another_width_is_refused() {
    let community = path("models/pyannote/speaker-diarization-community-1");
    let config = PipelineConfig::read(&std::fs::read(community.join("config.yaml")).unwrap()).unwrap();
    let files = PartFiles {
        segmentation: community.join("segmentation/pytorch_model.bin"),
        embedding: path("models/tiny/campplus.pt"),
        plda: Some([
            community.join("plda/xvec_transform.npz"),
            community.join("plda/plda.npz"),
        ]),
    };
    let (code, text) = refused(Pipeline::load(&config, &files, &device()));
    assert!(
        code == "bad_model" && text.contains("vectors of 16, the model of voices reads"),
        "{text}"
    );
}
