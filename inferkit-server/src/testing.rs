//! A server with a model of the tests' own.

pub(crate) mod audio;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use inferkit::DownloadOptions;
use inferkit::FileInventory;
use inferkit::Job;
use inferkit::LoadOptions;
use inferkit::Loaded;
use inferkit::MemoryUse;
use inferkit::ModelFile;
use inferkit::ModelInfo;
use inferkit::ModelPolicy;
use inferkit::ModelRegistry;
use inferkit::ModelWrapper;
use inferkit::Result;
use inferkit::Source;
use inferkit::task::Task;
use poem::Endpoint;
use poem::Response;
use poem::test::TestClient;

use crate::app::App;
use crate::config::Sources;
use crate::config::load;
use crate::platform::Platform;

/// A model whose file is there and which loads at once.
pub(crate) struct Ready;

#[async_trait]
impl ModelWrapper for Ready {
    fn describe(&self) -> ModelInfo {
        ModelInfo::new("qwen", Task::Chat, Source::hub("Qwen/Qwen3-8B"))
    }

    async fn files(&self) -> Result<FileInventory> {
        Ok(FileInventory::new(vec![ModelFile::present("model.gguf", 7)], true))
    }

    async fn download(&self, _: &DownloadOptions, _: &Job) -> Result<()> {
        Ok(())
    }

    async fn load(&self, _: &LoadOptions, job: &Job) -> Result<Loaded> {
        job.check()?;
        Ok(Loaded::new("cpu", "f32", MemoryUse::new(7, 3)))
    }
}

/// A server with the model `qwen` and the configuration of `file`.
pub(crate) async fn app(file: &str) -> Arc<App> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inferkit.toml");
    std::fs::write(&path, file).unwrap();
    let config = load(&Sources {
        named_file: Some(path),
        ..Sources::default()
    })
    .unwrap();
    let registry = ModelRegistry::builder().build().unwrap();
    let policy = ModelPolicy::default().with_aliases(vec!["gpt-4o-mini".to_owned()]);
    registry.register("qwen", Arc::new(Ready), policy).await.unwrap();
    let platform = Platform::start(&config, &BTreeMap::new()).unwrap();
    App::with_registry(config, registry, platform)
}

/// A client of that server, without a socket.
pub(crate) fn client(app: &Arc<App>) -> TestClient<impl Endpoint<Output = Response> + use<>> {
    TestClient::new(app.endpoint()).default_header("host", "localhost")
}

/// The answer's status and JSON.
pub(crate) async fn json(response: poem::test::TestResponse) -> (u16, serde_json::Value) {
    let status = response.0.status().as_u16();
    let body = response.0.into_body().into_bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}
