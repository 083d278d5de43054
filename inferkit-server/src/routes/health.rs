//! Health, readiness and version: for probes, without keys and without touching a model.

use std::sync::Arc;

use poem::Response;
use poem::handler;
use poem::http::StatusCode;
use poem_openapi::ApiResponse;
use poem_openapi::Object;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;

use crate::app::App;
use crate::openapi::Tag;

/// `/healthz`, `/readyz`, `/version`.
pub struct HealthApi(pub(crate) Arc<App>);

/// Whether the process answers.
#[derive(Debug, Object)]
struct Health {
    /// Always `ok`.
    status: String,
}

/// Whether requests should be sent here.
#[derive(Debug, Object)]
struct Ready {
    /// `ready`, `starting`, `draining` or `degraded`.
    status: String,
    /// Models that should be loaded and are not.
    waiting_for: Vec<String>,
}

#[derive(ApiResponse)]
enum ReadyAnswer {
    /// The server takes requests.
    #[oai(status = 200)]
    Ready(Json<Ready>),
    /// The server does not take requests at this moment.
    #[oai(status = 503)]
    NotReady(Json<Ready>),
}

/// Which server this is.
#[derive(Debug, Object)]
#[oai(rename = "Version")]
struct Build {
    /// The server's version.
    version: String,
    /// The revision it was built from; empty where that is not known.
    git: String,
    /// The compiler it was built with; empty where that is not known.
    rustc: String,
    /// Features it was built with.
    features: Vec<String>,
    /// The version of this API.
    api: u32,
}

#[OpenApi]
impl HealthApi {
    /// Whether the process answers.
    ///
    /// Takes no locks and touches no device. `/health` is the same.
    #[oai(path = "/healthz", method = "get", operation_id = "getHealth", tag = "Tag::Health")]
    async fn healthz(&self) -> Json<Health> {
        Json(Health {
            status: "ok".to_owned(),
        })
    }

    /// Whether requests should be sent here.
    ///
    /// 200 once every model with `preload` is loaded and the server does not drain.
    #[oai(path = "/readyz", method = "get", operation_id = "getReadiness", tag = "Tag::Health")]
    async fn readyz(&self) -> ReadyAnswer {
        let readiness = self.0.readiness();
        let body = Json(Ready {
            status: readiness.state.to_owned(),
            waiting_for: readiness.waiting_for,
        });
        if readiness.state == "ready" {
            ReadyAnswer::Ready(body)
        } else {
            ReadyAnswer::NotReady(body)
        }
    }

    /// Which server this is.
    ///
    /// Version, revision, compiler and features of the build.
    #[oai(path = "/version", method = "get", operation_id = "getVersion", tag = "Tag::Health")]
    async fn version(&self) -> Json<Build> {
        Json(Build {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            git: option_env!("INFERKIT_GIT").unwrap_or_default().to_owned(),
            rustc: option_env!("INFERKIT_RUSTC").unwrap_or_default().to_owned(),
            features: features().into_iter().map(str::to_owned).collect(),
            api: 1,
        })
    }
}

/// The features of this build.
pub fn features() -> Vec<&'static str> {
    let all = [
        ("cuda", cfg!(feature = "cuda")),
        ("cudnn", cfg!(feature = "cudnn")),
        ("nccl", cfg!(feature = "nccl")),
        ("metal", cfg!(feature = "metal")),
        ("mkl", cfg!(feature = "mkl")),
    ];
    all.into_iter()
        .filter_map(|(name, is_on)| is_on.then_some(name))
        .collect()
}

/// `/health`, an alias outside of the document.
#[handler]
pub(crate) fn alias() -> Response {
    Response::builder()
        .status(StatusCode::OK)
        .content_type("application/json")
        .body("{\"status\":\"ok\"}")
}
