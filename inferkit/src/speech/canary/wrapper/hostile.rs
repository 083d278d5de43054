//! Archives that somebody made to do harm: each is a load error, and nothing of it is run or stays behind.

use std::io::Write;
use std::path::Path;

use super::super::testing::changed;
use super::super::testing::golden;
use super::*;
use crate::formats::torch;

const MODEL: &str = "canary-180m-flash";

/// The error of loading the archive at `path`.
async fn refusal(path: &Path) -> Error {
    let hub = Hub::builder(std::env::temp_dir()).offline(true).build().unwrap();
    let model = CanaryAsrModel::new(Source::path(path), hub);
    model.load(&LoadOptions::default(), &Job::new()).await.err().unwrap()
}

/// A new folder with an archive of this content.
fn written(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.nemo");
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

/// Names in the folder of an archive.
fn names(folder: &tempfile::TempDir) -> Vec<std::ffi::OsString> {
    let entries = std::fs::read_dir(folder.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

#[tokio::test]
async fn an_archive_that_unfolds_without_end_is_refused() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![0; 16 << 20]).unwrap();
    let (folder, path) = written(&encoder.finish().unwrap());
    let error = refusal(&path).await;
    assert_eq!(error.code(), "bad_model");
    assert!(error.to_string().contains("unfolds to more than"), "{error}");
    assert_eq!(names(&folder), ["model.nemo"], "nothing is left beside it");
}

#[tokio::test]
async fn a_checkpoint_that_calls_a_function_is_refused_and_the_function_is_not_called() {
    let marks = tempfile::tempdir().unwrap();
    let mark = marks.path().join("called");
    let command = format!("touch {}", mark.display());
    for (module, name) in [("os", "system"), ("posix", "system"), ("subprocess", "getoutput")] {
        // At the root, as exploits have it, and as a value among weights.
        let call = [
            torch::testing::global(module, name),
            b"(".to_vec(),
            torch::testing::text(&command),
            b"tR".to_vec(),
        ];
        let root = [b"\x80\x02".to_vec(), call.concat(), b".".to_vec()].concat();
        let value = torch::testing::dictionary(&[("encoder.pre_encode.out.weight", call.concat())]);
        for pickle in [root, value] {
            let checkpoint = torch::testing::checkpoint(&pickle);
            let (_folder, path) = changed(MODEL, "model_weights.ckpt", |_| checkpoint.clone());
            let error = refusal(&path).await;
            assert_eq!(error.code(), "bad_model", "{error}");
            assert!(error.to_string().contains("model_weights.ckpt"), "{error}");
            assert!(!mark.exists(), "{module}.{name} was called");
        }
    }
}

#[tokio::test]
async fn an_archive_cut_short_is_refused_wherever_it_ends() {
    let whole = std::fs::read(golden(&format!("{MODEL}.nemo"))).unwrap();
    // Within the first header, the tokenizers, and the weights.
    for length in [0, 100, 10_000, whole.len() / 2, whole.len() - 200_000] {
        let (_folder, path) = written(&whole[..length]);
        let error = refusal(&path).await;
        assert_eq!(error.code(), "bad_model", "{length} bytes: {error}");
    }
    // Whole as an archive, with half a checkpoint in it.
    let (_folder, path) = changed(MODEL, "model_weights.ckpt", |weights| {
        weights[..weights.len() / 2].to_vec()
    });
    let error = refusal(&path).await;
    assert_eq!(error.code(), "bad_model");
    assert!(error.to_string().contains("model_weights.ckpt"), "{error}");
}

#[tokio::test]
async fn a_configuration_without_end_is_refused() {
    for content in [
        vec![b'['; 100_000],
        b"a: &a [*a, *a]".to_vec(),
        b"\xff\xfe".to_vec(),
        Vec::new(),
    ] {
        let (_folder, path) = changed(MODEL, "model_config.yaml", |_| content.clone());
        let error = refusal(&path).await;
        assert!(matches!(error.code(), "bad_model" | "unsupported_model"), "{error}");
        assert!(error.to_string().contains("model_config.yaml"), "{error}");
    }
}
