//! The models of the registry and what can be done to them.

use std::sync::Arc;
use std::time::Duration;

use inferkit::DownloadOptions;
use inferkit::LoadOptions;
use inferkit::ModelHandle;
use inferkit::ModelStatus;
use inferkit::UnloadOptions;
use poem_openapi::Object;
use poem_openapi::OpenApi;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use serde::Deserialize;

use crate::app::App;
use crate::body::OptionalBody;
use crate::error::ApiError;
use crate::openapi::Tag;
use crate::routes::admin::operations::CancelRequest;
use crate::routes::admin::operations::Cancelled;
use crate::routes::admin::operations::Started;
use crate::routes::admin::view::FileView;
use crate::routes::admin::view::ModelView;

/// Longest time an unload may wait for running requests, in seconds.
const MAX_UNLOAD_TIMEOUT: f64 = 3600.0;

/// `/api/admin/models`.
pub struct ModelsApi(pub(crate) Arc<App>);

/// The models of the registry.
#[derive(Debug, Object)]
struct AdminModelList {
    /// The models, by key.
    models: Vec<ModelView>,
}

/// A model with its files.
#[derive(Debug, Object)]
struct AdminModelDetail {
    /// The model.
    #[oai(flatten)]
    model: ModelView,
    /// Its files; may be empty before the first download.
    file_list: Vec<FileView>,
}

/// How to download.
#[derive(Debug, Default, Object, Deserialize)]
#[serde(default)]
struct DownloadRequest {
    /// Branch, tag or commit instead of the configured one.
    revision: Option<String>,
    /// Checks the files that are present and fetches those that differ.
    #[oai(default)]
    force: bool,
}

/// How to load, where it differs from the configuration.
#[derive(Debug, Default, Object, Deserialize)]
#[serde(default)]
struct LoadRequest {
    /// `auto`, `cpu`, `cuda:0` or `metal`.
    device: Option<String>,
    /// `auto`, `f32`, `f16` or `bf16`.
    dtype: Option<String>,
    /// Whether idle models may be unloaded to make room.
    #[oai(default)]
    evict: bool,
    /// Loads although the estimate does not fit.
    #[oai(default)]
    force: bool,
}

/// How to unload.
#[derive(Debug, Default, Object, Deserialize)]
#[serde(default)]
struct UnloadRequest {
    /// Whether requests that outlast the timeout are ended.
    #[oai(default)]
    force: bool,
    /// Time that running requests have to finish, in seconds; 30 if left out.
    timeout_seconds: Option<f64>,
}

#[OpenApi]
impl ModelsApi {
    /// All models.
    ///
    /// How every model of the registry stands at this moment.
    #[oai(
        path = "/api/admin/models",
        method = "get",
        operation_id = "listAdminModels",
        tag = "Tag::Admin"
    )]
    async fn list(&self) -> Json<AdminModelList> {
        let models = self
            .0
            .registry
            .statuses()
            .iter()
            .map(|model| model_view(&self.0, model))
            .collect();
        Json(AdminModelList { models })
    }

    /// One model with its files.
    ///
    /// How the model stands at this moment, and each file that it needs.
    #[oai(
        path = "/api/admin/models/:key",
        method = "get",
        operation_id = "getAdminModel",
        tag = "Tag::Admin"
    )]
    async fn get(
        &self,
        /// The model's key.
        key: Path<String>,
    ) -> poem::Result<Json<AdminModelDetail>> {
        let status = self.handle(&key.0)?.status();
        let file_list = status.files.files.iter().map(FileView::from).collect();
        Ok(Json(AdminModelDetail {
            model: model_view(&self.0, &status),
            file_list,
        }))
    }

    /// Starts to make the model's files present.
    ///
    /// A running download is returned as it is; with nothing to do the operation says `changed: false`.
    #[oai(
        path = "/api/admin/models/:key/download",
        method = "post",
        operation_id = "downloadModel",
        tag = "Tag::Admin"
    )]
    async fn download(
        &self,
        /// The model's key.
        key: Path<String>,
        body: OptionalBody<DownloadRequest>,
    ) -> poem::Result<Started> {
        let mut options = DownloadOptions::default();
        options.revision = body.0.revision;
        options.force = body.0.force;
        let operation = self.handle(&key.0)?.download(options).map_err(ApiError::from)?;
        Ok(Started::from(&operation))
    }

    /// Starts to load the model.
    ///
    /// Its files have to be present. A running load is returned as it is. A loaded model stays as it is, with
    /// `changed: false`, whatever device or type is asked for: unload it first to load it otherwise.
    #[oai(
        path = "/api/admin/models/:key/load",
        method = "post",
        operation_id = "loadModel",
        tag = "Tag::Admin"
    )]
    async fn load(
        &self,
        /// The model's key.
        key: Path<String>,
        body: OptionalBody<LoadRequest>,
    ) -> poem::Result<Started> {
        let mut options = LoadOptions::default();
        options.device = body
            .0
            .device
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(ApiError::from)?;
        options.dtype = body
            .0
            .dtype
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(ApiError::from)?;
        options.evict = body.0.evict;
        options.force = body.0.force;
        let operation = self
            .handle(&key.0)?
            .load(options)
            .map_err(|error| ApiError::from(error).for_load_action())?;
        Ok(Started::from(&operation))
    }

    /// Starts to unload the model.
    ///
    /// No request is taken any more; running ones may finish within the timeout.
    #[oai(
        path = "/api/admin/models/:key/unload",
        method = "post",
        operation_id = "unloadModel",
        tag = "Tag::Admin"
    )]
    async fn unload(
        &self,
        /// The model's key.
        key: Path<String>,
        body: OptionalBody<UnloadRequest>,
    ) -> poem::Result<Started> {
        let mut options = UnloadOptions::default();
        options.force = body.0.force;
        if let Some(seconds) = body.0.timeout_seconds {
            if !(0.0..=MAX_UNLOAD_TIMEOUT).contains(&seconds) {
                let message = format!("timeout_seconds is {seconds}; give 0 to {MAX_UNLOAD_TIMEOUT}");
                return Err(ApiError::invalid_value("timeout_seconds", message).into());
            }
            options.timeout = Duration::from_secs_f64(seconds);
        }
        let operation = self.handle(&key.0)?.unload(options).map_err(ApiError::from)?;
        Ok(Started::from(&operation))
    }

    /// Asks whatever runs for the model to stop.
    ///
    /// What was fetched is kept. With nothing running, the last operation is returned.
    #[oai(
        path = "/api/admin/models/:key/cancel",
        method = "post",
        operation_id = "cancelModelOperation",
        tag = "Tag::Admin"
    )]
    async fn cancel(
        &self,
        /// The model's key.
        key: Path<String>,
        body: OptionalBody<CancelRequest>,
    ) -> poem::Result<Cancelled> {
        body.0.check()?;
        let operation = self.handle(&key.0)?.cancel().map_err(ApiError::from)?;
        Ok(Cancelled::from(&operation))
    }
}

impl ModelsApi {
    fn handle(&self, key: &str) -> Result<ModelHandle, ApiError> {
        self.0
            .registry
            .get(key)
            .map_err(|error| ApiError::from(error).with_param("key"))
    }
}

/// A model with what the configuration lets it take.
pub(crate) fn model_view(app: &App, model: &ModelStatus) -> ModelView {
    let budget = app
        .config
        .models
        .get(&model.key)
        .and_then(|settings| settings.memory_budget);
    ModelView::new(model, budget)
}
