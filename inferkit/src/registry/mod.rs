//! The life of models: who is downloaded, loaded, serving, failing; leases on ready models.
//!
//! ```text
//! not_downloaded ─download▶ downloading ─▶ unloaded ─load▶ loading ─▶ loaded ─unload▶ unloading ─▶ unloaded
//!       ▲   cancel, refusal     │             ▲    cancel    │
//!       └───────────────────────┤             └──────────────┤
//!                               └─ fault ─▶ failed ◀─ fault ─┘
//!                                             ▲
//!                                             └─ breaks ─ loaded
//! ```
//!
//! **Invariant:** the registry knows no family; all it knows of a model is its [`crate::ModelWrapper`].

mod budget;
mod builder;
mod drive;
mod ensure;
mod event;
mod handle;
mod health;
mod journal;
mod lease;
mod machine;
mod models;
mod names;
mod operation;
mod order;
mod policy;
mod room;
mod serving;
mod shared;
mod slot;
mod status;
mod work;
mod wreck;

pub use builder::RegistryBuilder;
pub use event::Event;
pub use handle::ModelHandle;
pub use handle::UnloadOptions;
pub use lease::Lease;
pub use models::ModelRegistry;
pub use operation::Operation;
pub use operation::OperationKind;
pub use operation::OperationState;
pub use policy::ModelPolicy;
pub use policy::OnDemand;
pub use status::ErrorReport;
pub use status::ModelStatus;
pub use status::RuntimeStatus;
