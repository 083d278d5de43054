//! What OpenAI's clients speak.

mod chat;
mod models;

pub use chat::ChatApi;
pub use models::ModelsApi;
