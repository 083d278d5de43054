//! What OpenAI's clients speak.

mod audio;
mod chat;
mod models;

pub use audio::AudioApi;
#[cfg(any(fuzzing, test))]
pub(crate) use audio::fuzzing as forms;
pub(crate) use audio::verbose_json;
pub use chat::ChatApi;
#[cfg(any(fuzzing, test))]
pub(crate) use chat::fuzzing as chats;
pub use models::ModelsApi;
