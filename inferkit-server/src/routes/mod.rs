//! The routes: from HTTP to the library and back, and the table of all of them.

#![expect(clippy::unused_async, reason = "poem-openapi takes async functions only")]

pub mod admin;
pub(crate) mod audio;
pub mod health;
mod held;
pub mod product;
mod scope;
mod table;
pub mod v1;

use std::sync::Arc;

use crate::app::App;

pub(crate) use held::holding;
pub(crate) use held::until_ended;
pub(crate) use held::why_ended;
pub use scope::Scope;
pub use table::BodyKind;
pub use table::Found;
pub use table::ROUTES;
pub use table::Route;
pub use table::find;

/// All operations of the document.
pub type Apis = (
    health::HealthApi,
    v1::ChatApi,
    v1::ModelsApi,
    v1::AudioApi,
    product::TranscribeApi,
    product::DiarizationApi,
    admin::ModelsApi,
    admin::OperationsApi,
    admin::StatusApi,
    admin::EventsApi,
    admin::ServerApi,
    admin::TokenApi,
);

/// All operations on `app`.
pub fn apis(app: &Arc<App>) -> Apis {
    (
        health::HealthApi(app.clone()),
        v1::ChatApi(app.clone()),
        v1::ModelsApi(app.clone()),
        v1::AudioApi(app.clone()),
        product::TranscribeApi(app.clone()),
        product::DiarizationApi(app.clone()),
        admin::ModelsApi(app.clone()),
        admin::OperationsApi(app.clone()),
        admin::StatusApi(app.clone()),
        admin::EventsApi(app.clone()),
        admin::ServerApi(app.clone()),
        admin::TokenApi(app.clone()),
    )
}

#[cfg(test)]
mod tests;
