//! The token that opens gated repositories: one for the whole process, kept in one file.
//!
//! Every part that talks to the hub holds a clone of one [`TokenStore`] and asks it anew each time, so
//! that a changed token counts for all of them at once.
//!
//! **Invariant:** the token leaves this module only as a [`SecretString`]; no text made here holds it.

mod file;

use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::SystemTime;

use secrecy::ExposeSecret;
use secrecy::SecretString;
use tokio::sync::watch;

use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;

/// The hub token of this process. Clones are the same store.
#[derive(Clone)]
pub struct TokenStore {
    shared: Arc<Shared>,
}

struct Shared {
    origin: Origin,
    /// The token as last read, and the lock under which it changes.
    held: Mutex<Held>,
    status: watch::Sender<TokenStatus>,
}

enum Origin {
    /// A file in the folder of that path.
    File { folder: PathBuf },
    /// Given by the embedder for good.
    Given,
}

#[derive(Default)]
struct Held {
    token: Option<SecretString>,
    updated_at: Option<SystemTime>,
}

/// Where the token comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenSource {
    /// The store's own file, which can be changed here.
    File,
    /// The embedder's environment, which cannot.
    Env,
}

impl TokenSource {
    /// The spelling used over HTTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Env => "env",
        }
    }
}

/// What may be told of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenStatus {
    /// Whether there is one.
    pub present: bool,
    /// Where it comes from, or would.
    pub source: TokenSource,
    /// Its ends, such as `hf_…abcd`.
    pub masked: Option<String>,
    /// Whether the hub knows it; `None` as long as the hub was not asked.
    pub verified: Option<bool>,
    /// The user whose token it is, once verified.
    pub user: Option<String>,
    /// When it was set.
    pub updated_at: Option<SystemTime>,
    /// Why the file cannot be used, in a sentence.
    pub problem: Option<String>,
}

impl TokenStore {
    /// The store whose file `.hf_token` lies in `models_dir`. The folder need not exist yet.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there is a file that others can read, that belongs to another user, or
    /// that holds no token.
    pub fn open(models_dir: impl Into<PathBuf>) -> Result<Self> {
        let store = Self::with_origin(
            Origin::File {
                folder: models_dir.into(),
            },
            Held::default(),
        );
        match store.reload() {
            Some(problem) => Err(problem),
            None => Ok(store),
        }
    }

    /// A store that always answers `token`, such as one from the embedder's environment.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it cannot be a token.
    pub fn with_override(token: SecretString) -> Result<Self> {
        check(&token)?;
        Ok(Self::with_origin(
            Origin::Given,
            Held {
                token: Some(token),
                updated_at: None,
            },
        ))
    }

    fn with_origin(origin: Origin, held: Held) -> Self {
        let source = match origin {
            Origin::File { .. } => TokenSource::File,
            Origin::Given => TokenSource::Env,
        };
        let status = watch::Sender::new(describe(&held, source, None));
        Self {
            shared: Arc::new(Shared {
                origin,
                held: Mutex::new(held),
                status,
            }),
        }
    }

    /// Keeps `token` in the file and hands it to everybody who asks from now on. Writes to the disk.
    ///
    /// # Errors
    /// [`RequestFault::TokenFromEnvironment`] when the embedder gave the token; [`Error::InvalidRequest`]
    /// unless it is 8 to 256 visible ASCII characters; [`Error::Unavailable`] when it cannot be written.
    pub fn set(&self, token: SecretString) -> Result<TokenStatus> {
        let folder = self.folder()?;
        check(&token)?;
        let mut held = self.lock();
        let updated_at = file::write(folder, &token)?;
        *held = Held {
            token: Some(token),
            updated_at: Some(updated_at),
        };
        Ok(self.publish(&held, None))
    }

    /// Removes the token and its file; fine when there is none.
    ///
    /// # Errors
    /// [`RequestFault::TokenFromEnvironment`] when the embedder gave the token; [`Error::Unavailable`] when
    /// the file cannot be removed.
    pub fn clear(&self) -> Result<TokenStatus> {
        let folder = self.folder()?;
        let mut held = self.lock();
        file::remove(folder)?;
        *held = Held::default();
        Ok(self.publish(&held, None))
    }

    /// What may be told of the token, as it was when last read.
    pub fn status(&self) -> TokenStatus {
        self.shared.status.borrow().clone()
    }

    /// The status, and a way to wait for its changes.
    pub fn watch(&self) -> watch::Receiver<TokenStatus> {
        self.shared.status.subscribe()
    }

    /// The newest token. Looks at the file, so that one replaced by hand counts as well; a file that cannot be
    /// used counts as none, and the status says why.
    pub fn token(&self) -> Option<SecretString> {
        if let Some(problem) = self.reload() {
            tracing::warn!(error = %problem, "the hub token cannot be used");
        }
        self.lock().token.clone()
    }

    /// Notes what the hub said of `token`, unless another one has taken its place meanwhile.
    pub(crate) fn note_verified(&self, token: &SecretString, verified: bool, user: Option<String>) -> TokenStatus {
        let held = self.lock();
        if held.token.as_ref().is_some_and(|current| same(current, token)) {
            self.shared.status.send_modify(|status| {
                status.verified = Some(verified);
                status.user = user;
            });
        }
        self.status()
    }

    /// Reads the file if there is one to read; returns why it cannot be used.
    fn reload(&self) -> Option<Error> {
        let Origin::File { folder } = &self.shared.origin else {
            return None;
        };
        let mut held = self.lock();
        let (found, problem) = match file::read(folder).and_then(|found| {
            if let Some((token, _)) = &found {
                check(token).map_err(|_| file::unusable(folder, "does not hold a token"))?;
            }
            Ok(found)
        }) {
            Ok(found) => (found, None),
            Err(problem) => (None, Some(problem)),
        };
        let unchanged = match (&held.token, &found) {
            (Some(before), Some((now, _))) => same(before, now),
            (None, None) => self.shared.status.borrow().problem == problem.as_ref().map(ToString::to_string),
            _ => false,
        };
        if !unchanged {
            *held = found.map_or_else(Held::default, |(token, at)| Held {
                token: Some(token),
                updated_at: Some(at),
            });
            self.publish(&held, problem.as_ref());
        }
        problem
    }

    fn publish(&self, held: &Held, problem: Option<&Error>) -> TokenStatus {
        let source = self.shared.status.borrow().source;
        let status = describe(held, source, problem);
        self.shared.status.send_replace(status.clone());
        status
    }

    fn folder(&self) -> Result<&Path> {
        match &self.shared.origin {
            Origin::File { folder } => Ok(folder),
            Origin::Given => Err(Error::invalid(
                RequestFault::TokenFromEnvironment,
                None,
                "the hub token is set by the environment; change it there and start again",
            )),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        // The token is replaced whole, so that it is sound even after a panic.
        self.shared.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TokenStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenStore")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// Checks that `token` can be one: 8 to 256 visible ASCII characters. The error does not show it.
pub(crate) fn check(token: &SecretString) -> Result<()> {
    let text = token.expose_secret();
    if (8..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    let message = "the token is not 8 to 256 visible ASCII characters; copy it again from the hub's settings";
    Err(Error::invalid(RequestFault::InvalidValue, "token", message))
}

fn describe(held: &Held, source: TokenSource, problem: Option<&Error>) -> TokenStatus {
    TokenStatus {
        present: held.token.is_some(),
        source,
        masked: held.token.as_ref().map(mask),
        verified: None,
        user: None,
        updated_at: held.updated_at,
        problem: problem.map(ToString::to_string),
    }
}

/// The ends of a token: its kind, and the last four characters where they are a small part of it.
fn mask(token: &SecretString) -> String {
    let text = token.expose_secret();
    let head = if text.starts_with("hf_") { "hf_" } else { "" };
    let tail = if text.len() >= 20 {
        text.get(text.len() - 4..).unwrap_or_default()
    } else {
        ""
    };
    format!("{head}…{tail}")
}

fn same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

#[cfg(test)]
mod tests;
