//! Configuration: from flags, environment, file and defaults to typed values that know their origin.
//!
//! ```text
//! flag > INFERKIT_… > file > default ─ keys: is the name known, does the value fit ─▶ Values
//!     ─ settings: types, ranges ─▶ Config ─▶ what runs
//! ```
//!
//! **Invariant:** [`keys`](crate::config) is the one list of names, kinds and defaults: reading, `config
//! show`, error messages and the generated file all come from it.

#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod api_keys;
mod builtin;
mod error;
mod keys;
mod load;
mod quantity;
mod settings;
mod show;
mod toml_file;
mod values;

pub use error::ConfigError;
pub use load::Sources;
#[cfg(any(fuzzing, test))]
pub(crate) use load::layered;
pub use load::load;
pub use settings::Bind;
pub use settings::Config;
pub use settings::Limits;
pub use settings::LogFormat;
pub use settings::LogSettings;
pub use settings::ModelSettings;
pub use settings::ServerSettings;
pub use settings::StorageSettings;
pub use settings::TlsSettings;
pub use show::effective_json;
pub use show::effective_toml;
pub use show::template;
pub use values::Origin;
pub use values::Values;
