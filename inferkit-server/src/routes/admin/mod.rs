//! Models, operations, events and the state of the machine, for those who run the server.

mod events;
mod machine;
mod models;
mod operations;
mod server;
mod status;
mod token;
mod view;

pub use events::EventsApi;
pub(crate) use machine::dependency_view;
pub use models::ModelsApi;
pub(crate) use models::model_view;
pub use operations::OperationsApi;
pub(crate) use operations::operation_view;
pub use server::ServerApi;
pub(crate) use server::dependencies_json;
pub use status::StatusApi;
pub(crate) use status::sample_json;
pub use token::TokenApi;
pub(crate) use token::token_json;
