//! What OpenAI's clients speak.

mod audio;
mod chat;
mod models;

pub use audio::AudioApi;
pub(crate) use audio::verbose_json;
pub use chat::ChatApi;
pub use models::ModelsApi;
