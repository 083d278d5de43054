//! The router and the API's document, both from the same handlers.
//!
//! ```text
//! #[OpenApi] impls ─ poem-openapi ─▶ document ─ polish ─▶ /openapi.json = doc/openapi.json
//! ```
//!
//! **Invariant:** document and page are made when they are first asked for, and hold no memory before.

mod examples;
mod polish;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::OnceLock;

use bytes::Bytes;
use inferkit::ModelRegistry;
use poem::Response;
use poem::Route;
use poem::endpoint::make_sync;
use poem::get;
use poem::http::header;
use poem_openapi::OpenApiService;
use poem_openapi::Tags;

use crate::app::App;
use crate::config::Sources;
use crate::config::load;
use crate::platform::Platform;
use crate::routes::Apis;
use crate::routes::apis;
use crate::routes::health;

/// The groups of operations in the document.
#[derive(Tags)]
pub enum Tag {
    /// What OpenAI's clients speak.
    #[oai(rename = "openai")]
    OpenAi,
    /// Speech and speakers, with everything there is.
    #[oai(rename = "audio")]
    Audio,
    /// Models, operations, and the state of the machine.
    #[oai(rename = "admin")]
    Admin,
    /// Whether the server runs, and which one it is.
    #[oai(rename = "health")]
    Health,
}

const DESCRIPTION: &str = "Chat, speech and diarization in one process. Routes under `/v1` follow OpenAI's API; \
    routes under `/api` are inferkit's own. Every error has one body, `ErrorBody`.";

fn service(app: &Arc<App>) -> OpenApiService<Apis, ()> {
    OpenApiService::new(apis(app), "inferkit", env!("CARGO_PKG_VERSION")).description(DESCRIPTION)
}

/// Everything that is served, without the front.
pub fn router(app: &Arc<App>) -> Route {
    let router = Route::new().nest("/", service(app)).at("/health", get(health::alias));
    if !app.config.server.docs {
        return router;
    }
    let (document, page) = (Lazy::default(), Lazy::default());
    let (for_document, for_page) = (app.clone(), app.clone());
    router
        .at(
            "/openapi.json",
            get(make_sync(move |_| {
                document.answer("application/json", || document_of(&service(&for_document)))
            })),
        )
        .at(
            "/docs",
            get(make_sync(move |_| {
                page.answer("text/html; charset=utf-8", || page_of(&service(&for_page)))
            })),
        )
}

/// The document as it is served, made without a server.
///
/// # Errors
/// When the default configuration cannot be read, which is a bug.
pub fn document() -> inferkit::Result<String> {
    let config = load(&Sources::default()).map_err(|error| inferkit::Error::internal(error.to_string()))?;
    let platform = Platform::start(&config, &BTreeMap::new())?;
    let app = App::with_registry(config, ModelRegistry::builder().build()?, platform);
    Ok(document_of(&service(&app)))
}

fn document_of(service: &OpenApiService<Apis, ()>) -> String {
    polish::polished(&service.spec())
}

/// Swagger UI with everything inline; poem-openapi's own document in it is replaced by the polished one.
fn page_of(service: &OpenApiService<Apis, ()>) -> String {
    let document = document_of(service).replace("</", "<\\/");
    service.swagger_ui_html().replacen(&service.spec(), &document, 1)
}

/// A text that is made at the first request.
#[derive(Default)]
struct Lazy(OnceLock<Bytes>);

impl Lazy {
    fn answer(&self, content_type: &str, make: impl FnOnce() -> String) -> Response {
        let body = self.0.get_or_init(|| Bytes::from(make())).clone();
        Response::builder()
            .header(header::CONTENT_TYPE, content_type)
            .body(body)
    }
}

#[cfg(test)]
mod tests;
