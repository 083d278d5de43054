//! What OpenAI's clients speak.

mod models;

pub use models::ModelsApi;
