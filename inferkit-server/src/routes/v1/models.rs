//! The models that can be named in a request.

use std::sync::Arc;

use inferkit::ModelStatus;
use inferkit::OnDemand;
use inferkit::RuntimeStatus;
use inferkit::Source;
use poem_openapi::Object;
use poem_openapi::OpenApi;
use poem_openapi::param::Path;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;

use crate::app::App;
use crate::clock::unix_seconds;
use crate::error::ApiError;
use crate::openapi::Tag;

/// `/v1/models`.
pub struct ModelsApi(pub(crate) Arc<App>);

/// The models that can be named in a request.
#[derive(Debug, Object)]
struct ModelList {
    /// Always `list`.
    object: String,
    /// The models, by id.
    data: Vec<Model>,
}

/// A model as OpenAI's clients know it, and what inferkit adds.
#[derive(Debug, Object)]
struct Model {
    /// The name to use in requests.
    id: String,
    /// Always `model`.
    object: String,
    /// Since when it is here, in Unix seconds; 0 where that is not known.
    created: i64,
    /// The first part of its repository, else `local`.
    owned_by: String,
    /// Its repository.
    #[oai(nullable)]
    root: Option<String>,
    /// Longest context in tokens, once its files are here; null for models without one.
    #[oai(nullable)]
    max_model_len: Option<u64>,
    /// `chat`, `embed`, `transcribe` or `diarize`.
    task: String,
    /// Where it is in its life.
    runtime_status: String,
}

#[OpenApi]
impl ModelsApi {
    /// The models that can be named in a request.
    ///
    /// Those that answer now and those that a request may bring up; aliases are not listed.
    #[oai(
        path = "/v1/models",
        method = "get",
        operation_id = "listModels",
        tag = "Tag::OpenAi"
    )]
    async fn list(
        &self,
        /// Lists every model of the registry.
        all: Query<Option<bool>>,
    ) -> Json<ModelList> {
        let all = all.0.unwrap_or(false);
        let statuses = self.0.registry.statuses();
        let data = statuses
            .iter()
            .filter(|model| all || answers(model))
            .map(Model::from)
            .collect();
        Json(ModelList {
            object: "list".to_owned(),
            data,
        })
    }

    /// One model.
    ///
    /// By its key, an alias or its repository; an encoded and a plain slash are both understood.
    #[oai(
        path = "/v1/models/:model",
        method = "get",
        operation_id = "getModel",
        tag = "Tag::OpenAi"
    )]
    async fn get(
        &self,
        /// Key, alias or repository.
        model: Path<String>,
    ) -> poem::Result<Json<Model>> {
        let handle = self.0.registry.get(&model.0).map_err(ApiError::from)?;
        Ok(Json(Model::from(&handle.status())))
    }
}

/// Whether a request to the model can succeed: it answers now, or may be brought up.
fn answers(model: &ModelStatus) -> bool {
    model.runtime_status == RuntimeStatus::Loaded
        || match model.policy.on_demand {
            OnDemand::Download => true,
            OnDemand::Load => model.files.complete,
            OnDemand::Never => false,
        }
}

impl From<&ModelStatus> for Model {
    fn from(model: &ModelStatus) -> Self {
        let repository = model.info.source.repository();
        let owner = repository
            .and_then(|name| name.split_once('/'))
            .map_or("local", |(owner, _)| owner);
        Self {
            id: model.key.clone(),
            object: "model".to_owned(),
            created: created(&model.info.source),
            owned_by: owner.to_owned(),
            root: repository.map(str::to_owned),
            max_model_len: model.max_model_len.map(|length| length as u64),
            task: model.info.task.as_str().to_owned(),
            runtime_status: model.runtime_status.as_str().to_owned(),
        }
    }
}

/// The time of the files, for a model of a path.
fn created(source: &Source) -> i64 {
    match source {
        Source::Path(path) => std::fs::metadata(path)
            .and_then(|about| about.modified())
            .map_or(0, unix_seconds),
        _ => 0,
    }
}
