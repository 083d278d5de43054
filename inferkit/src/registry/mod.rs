//! The life of models: who is downloaded, loaded, serving, failing; leases on ready models.
//!
//! ```text
//! not_downloaded ─download▶ downloading ─▶ unloaded ─load▶ loading ─▶ loaded ─unload▶ unloading ─▶ unloaded
//!       ▲   cancel, refusal     │             ▲    cancel    │
//!       └───────────────────────┤             └──────────────┤
//!                               └─ fault ─▶ failed ◀─ fault ─┘
//! ```
//!
//! **Invariant:** the registry knows no family; all it knows of a model is its [`crate::ModelWrapper`].

mod event;
mod operation;
mod policy;
mod status;

pub use event::Event;
pub use operation::Operation;
pub use operation::OperationKind;
pub use operation::OperationState;
pub use policy::ModelPolicy;
pub use policy::OnDemand;
pub use status::ErrorReport;
pub use status::ModelStatus;
pub use status::RuntimeStatus;
