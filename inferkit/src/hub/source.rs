//! Where a model's files come from.

use std::fmt;
use std::path::PathBuf;

/// Where a model's files come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// A repository of the hub.
    Hub {
        /// `owner/name`.
        repository: String,
        /// Branch, tag or commit.
        revision: String,
    },
    /// A folder or a single file on this machine.
    Path(PathBuf),
}

impl Source {
    /// A repository of the hub at its branch `main`.
    pub fn hub(repository: impl Into<String>) -> Self {
        Self::Hub {
            repository: repository.into(),
            revision: "main".to_owned(),
        }
    }

    /// A folder or file on this machine.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self::Path(path.into())
    }

    /// The repository's name, if it is one.
    pub fn repository(&self) -> Option<&str> {
        match self {
            Self::Hub { repository, .. } => Some(repository),
            Self::Path(_) => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub { repository, revision } if revision == "main" => formatter.write_str(repository),
            Self::Hub { repository, revision } => write!(formatter, "{repository}@{revision}"),
            Self::Path(path) => write!(formatter, "{}", path.display()),
        }
    }
}
