//! Operations: what was started, how far it is, and stopping it.

use std::sync::Arc;

use inferkit::Operation;
use poem_openapi::ApiResponse;
use poem_openapi::Object;
use poem_openapi::OpenApi;
use poem_openapi::param::Path;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use serde::Deserialize;

use crate::app::App;
use crate::body::OptionalBody;
use crate::error::ApiError;
use crate::error::shown;
use crate::openapi::Tag;
use crate::routes::admin::view::OperationView;

/// Most operations that a list holds.
const MAX_LISTED: usize = 100;
/// The states that a list can be narrowed to.
const STATES: [&str; 6] = ["queued", "running", "cancelling", "succeeded", "failed", "cancelled"];

/// `/api/admin/operations`.
pub struct OperationsApi(pub(crate) Arc<App>);

/// Operations.
#[derive(Debug, Object)]
struct OperationList {
    /// Newest first.
    operations: Vec<OperationView>,
}

/// How to cancel.
#[derive(Debug, Default, Object, Deserialize)]
#[serde(default)]
pub(crate) struct CancelRequest {
    /// Whether what was fetched is kept; this version always keeps it.
    keep_partial: Option<bool>,
}

impl CancelRequest {
    /// Refuses what cannot be done.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        match self.keep_partial {
            Some(false) => Err(ApiError::new(
                "unsupported_value",
                "keep_partial: partial files are always kept in this version; leave the field out",
            )
            .with_param("keep_partial")),
            Some(true) | None => Ok(()),
        }
    }
}

/// The answer to an action.
#[derive(ApiResponse)]
pub(crate) enum Started {
    /// Nothing was to be done.
    #[oai(status = 200)]
    Done(Json<OperationView>),
    /// The work has begun, or was already running.
    #[oai(status = 202)]
    Running(
        Json<OperationView>,
        /// Where the operation is told.
        #[oai(header = "Location")]
        String,
    ),
}

impl From<&Operation> for Started {
    fn from(operation: &Operation) -> Self {
        let view = Json(OperationView::from(operation));
        if operation.state.is_finished() && !operation.changed {
            Self::Done(view)
        } else {
            Self::Running(view, format!("/api/admin/operations/{}", operation.id))
        }
    }
}

/// The answer to a cancellation.
#[derive(ApiResponse)]
pub(crate) enum Cancelled {
    /// It has already ended.
    #[oai(status = 200)]
    Ended(Json<OperationView>),
    /// It is stopping.
    #[oai(status = 202)]
    Stopping(Json<OperationView>),
}

impl From<&Operation> for Cancelled {
    fn from(operation: &Operation) -> Self {
        let view = Json(OperationView::from(operation));
        if operation.state.is_finished() {
            Self::Ended(view)
        } else {
            Self::Stopping(view)
        }
    }
}

/// An operation as events show it.
pub(crate) fn operation_view(operation: &Operation) -> OperationView {
    OperationView::from(operation)
}

#[OpenApi]
impl OperationsApi {
    /// Operations, newest first.
    ///
    /// Those at work and the last 100 that ended; they are lost when the process ends.
    #[oai(
        path = "/api/admin/operations",
        method = "get",
        operation_id = "listOperations",
        tag = "Tag::Admin"
    )]
    async fn list(
        &self,
        /// Only those of this model.
        model: Query<Option<String>>,
        /// Only those in this state.
        state: Query<Option<String>>,
        /// At most this many, 1 to 100.
        limit: Query<Option<usize>>,
    ) -> poem::Result<Json<OperationList>> {
        let limit = limit.0.unwrap_or(MAX_LISTED);
        if !(1..=MAX_LISTED).contains(&limit) {
            let message = format!("limit is {limit}; give 1 to {MAX_LISTED}");
            return Err(ApiError::invalid_value("limit", message).into());
        }
        if let Some(state) = state.0.as_deref().filter(|state| !STATES.contains(state)) {
            let message = format!("state is {}; give one of {}", shown(state), STATES.join(", "));
            return Err(ApiError::invalid_value("state", message).into());
        }
        let key = match &model.0 {
            Some(model) => Some(self.0.registry.get(model).map_err(ApiError::from)?.key().to_owned()),
            None => None,
        };
        let wanted = |operation: &&Operation| {
            key.as_ref().is_none_or(|key| operation.model == *key)
                && state.0.as_ref().is_none_or(|state| operation.state.as_str() == state)
        };
        let operations = self.0.registry.operations();
        let operations = operations
            .iter()
            .filter(wanted)
            .take(limit)
            .map(OperationView::from)
            .collect();
        Ok(Json(OperationList { operations }))
    }

    /// One operation.
    ///
    /// How far it is, or how it ended.
    #[oai(
        path = "/api/admin/operations/:id",
        method = "get",
        operation_id = "getOperation",
        tag = "Tag::Admin"
    )]
    async fn get(
        &self,
        /// The operation's id.
        id: Path<String>,
    ) -> poem::Result<Json<OperationView>> {
        let operation = self.0.registry.operation(&id.0).map_err(ApiError::from)?;
        Ok(Json(OperationView::from(&operation)))
    }

    /// Asks an operation to stop.
    ///
    /// A download keeps what was fetched; an unload cannot be cancelled.
    #[oai(
        path = "/api/admin/operations/:id/cancel",
        method = "post",
        operation_id = "cancelOperation",
        tag = "Tag::Admin"
    )]
    async fn cancel(
        &self,
        /// The operation's id.
        id: Path<String>,
        body: OptionalBody<CancelRequest>,
    ) -> poem::Result<Cancelled> {
        body.0.check()?;
        let operation = self.0.registry.cancel(&id.0).map_err(ApiError::from)?;
        Ok(Cancelled::from(&operation))
    }
}
