//! Models, operations, events and the state of the machine, for those who run the server.

mod models;
mod operations;
mod view;

pub use models::ModelsApi;
pub use operations::OperationsApi;
