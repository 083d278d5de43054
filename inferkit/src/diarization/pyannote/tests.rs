use std::path::Path;

use futures_util::StreamExt;

use super::*;
use crate::diarization::golden::path;
use crate::task::DiarizationEvent;
use crate::task::DiarizationRequest;

fn hub(folder: &Path) -> Hub {
    Hub::builder(folder).offline(true).build().unwrap()
}

fn model(place: &Path, models: &Path) -> PyannoteDiarizationModel {
    PyannoteDiarizationModel::new(Source::path(place), hub(models))
}

/// A pipeline of the goldens, alone: what it names elsewhere is not there.
fn alone(folder: &Path, config: &str) {
    std::fs::write(folder.join("config.yaml"), config).unwrap();
}

#[tokio::test]
async fn a_folder_and_a_configuration_file_load_and_answer() {
    let models = tempfile::tempdir().unwrap();
    let folder = path("models/tiny/multilabel");
    for place in [folder.clone(), folder.join("config.yaml")] {
        let model = model(&place, models.path());
        let files = model.files().await.unwrap();
        assert!(files.complete && files.files.len() == 3, "{files:?}");
        model.download(&DownloadOptions::default(), &Job::new()).await.unwrap();
        let loaded = model.load(&LoadOptions::default(), &Job::new()).await.unwrap();
        assert!(loaded.memory.weights_bytes > 100_000);
        let request = DiarizationRequest::new(vec![0.0; 32_000].into());
        let events: Vec<_> = loaded
            .diarization
            .unwrap()
            .diarize(request)
            .await
            .unwrap()
            .collect()
            .await;
        assert!(
            matches!(events.last(), Some(Ok(DiarizationEvent::Done(_)))),
            "{events:?}"
        );
    }
}

#[tokio::test]
async fn parts_that_are_missing_are_listed_and_told() {
    let folder = tempfile::tempdir().unwrap();
    alone(
        folder.path(),
        "pipeline: {name: SpeakerDiarization, params: {clustering: KMeansClustering, segmentation: $model/segmentation, \
         embedding: pyannote/wespeaker-voxceleb-resnet34-LM}}",
    );
    let model = model(folder.path(), folder.path());
    let files = model.files().await.unwrap();
    assert!(!files.complete);
    let shown: Vec<_> = files
        .files
        .iter()
        .map(|file| (file.path.to_string_lossy().into_owned(), file.present))
        .collect();
    assert!(shown[1].0.ends_with("segmentation/pytorch_model.bin") && !shown[1].1);
    assert_eq!(
        shown[2],
        (
            "pyannote/wespeaker-voxceleb-resnet34-LM/pytorch_model.bin".to_owned(),
            false
        )
    );
    let error = model.load(&LoadOptions::default(), &Job::new()).await.err().unwrap();
    assert!(
        error.to_string().contains("segmentation/pytorch_model.bin is missing"),
        "{error}"
    );
}

#[tokio::test]
async fn a_repository_that_is_not_here_has_to_be_downloaded_first() {
    let models = tempfile::tempdir().unwrap();
    let model = PyannoteDiarizationModel::new(Source::hub("pyannote/speaker-diarization-3.1"), hub(models.path()));
    assert!(!model.files().await.unwrap().complete);
    assert_eq!(
        model.describe().license_url.unwrap(),
        "https://huggingface.co/pyannote/speaker-diarization-3.1"
    );
    let error = model.load(&LoadOptions::default(), &Job::new()).await.err().unwrap();
    assert_eq!(error.code(), "not_downloaded");
    let error = model
        .download(&DownloadOptions::default(), &Job::new())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "offline");
}

#[tokio::test]
async fn a_folder_without_a_configuration_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let error = model(folder.path(), folder.path())
        .load(&LoadOptions::default(), &Job::new())
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("holds no config.yaml"), "{error}");
}

#[tokio::test]
async fn another_number_type_is_refused() {
    let models = tempfile::tempdir().unwrap();
    let options = LoadOptions {
        dtype: Some(DtypePreference::Bf16),
        ..LoadOptions::default()
    };
    let model = model(&path("models/tiny/multilabel"), models.path());
    let error = model.load(&options, &Job::new()).await.err().unwrap();
    assert_eq!((error.code(), error.param()), ("unsupported_value", Some("dtype")));
}
