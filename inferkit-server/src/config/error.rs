//! Why a configuration cannot be used.

use std::path::PathBuf;

/// Why a configuration cannot be used. The text names the place, what was found, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file that was named cannot be read.
    #[error("{}: {source}; correct --config or INFERKIT_CONFIG", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },

    /// The file is no TOML.
    #[error("{place}: {message}")]
    Syntax {
        /// File and line.
        place: String,
        /// What the parser found.
        message: String,
    },

    /// A name that does not exist.
    #[error("{place}: there is no key {key}; {hint}")]
    UnknownKey {
        /// File and line, or the variable.
        place: String,
        /// The key.
        key: String,
        /// The nearest name, or where to look.
        hint: String,
    },

    /// A value of the wrong kind or out of range.
    #[error("{place}: {key} is {found}; give {expected}")]
    Value {
        /// File and line, the variable, or the flag.
        place: String,
        /// The key.
        key: String,
        /// What stands there.
        found: String,
        /// What may stand there.
        expected: String,
    },

    /// A key whose feature is not in this version.
    #[error("{place}: {key} cannot be set: {reason}")]
    NotInThisVersion {
        /// File and line, the variable, or the flag.
        place: String,
        /// The key.
        key: String,
        /// What is missing.
        reason: String,
    },

    /// Values that are right alone and wrong together.
    #[error("{0}")]
    Combination(String),
}
