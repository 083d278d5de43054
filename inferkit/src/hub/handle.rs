//! The hub as the rest of the library sees it: where a model's files are, and how to get them here.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;

use crate::error::Error;
use crate::error::HubFault;
use crate::error::RequestFault;
use crate::error::Result;
use crate::hub::DownloadOptions;
use crate::hub::FileInventory;
use crate::hub::FileSelection;
use crate::hub::Source;
use crate::hub::TokenStatus;
use crate::hub::TokenStore;
use crate::hub::cache::RepositoryCache;
use crate::hub::local;
use crate::hub::network::Network;
use crate::hub::repository;
use crate::hub::request::Patience;
use crate::hub::request::Request;
use crate::job::Job;

/// The public hub.
const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// The hub and the folder that its files are kept in. Clones are the same hub.
///
/// ```no_run
/// # async fn example() -> inferkit::Result<()> {
/// use inferkit::{DownloadOptions, FileSelection, Hub, Job, Source};
///
/// let hub = Hub::builder("models").build()?;
/// let source = Source::hub("Qwen/Qwen3-0.6B");
/// let folder =
///     hub.download(&source, &FileSelection::safetensors(), &DownloadOptions::default(), &Job::new()).await?;
/// # let _ = folder;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    models_dir: PathBuf,
    offline: bool,
    tokens: TokenStore,
    network: Network,
}

/// What a [`Hub`] is made of.
#[derive(Debug, Clone)]
#[must_use]
pub struct HubBuilder {
    models_dir: PathBuf,
    endpoint: String,
    offline: bool,
    tokens: Option<TokenStore>,
    patience: Patience,
}

impl HubBuilder {
    /// Talks to the hub or mirror at `endpoint`, such as `https://huggingface.co`.
    pub fn endpoint(self, endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            ..self
        }
    }

    /// Never opens a connection; what is not there is an error.
    pub fn offline(self, offline: bool) -> Self {
        Self { offline, ..self }
    }

    /// Takes the token from `tokens` instead of the file in the models directory.
    pub fn token_store(self, tokens: TokenStore) -> Self {
        Self {
            tokens: Some(tokens),
            ..self
        }
    }

    #[cfg(all(test, feature = "hub"))]
    pub(crate) fn patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// The hub. Opens no connection.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for an endpoint that is no address; those of [`TokenStore::open`].
    pub fn build(self) -> Result<Hub> {
        let endpoint = checked_endpoint(&self.endpoint)?.to_owned();
        let tokens = match self.tokens {
            Some(tokens) => tokens,
            None => TokenStore::open(&self.models_dir)?,
        };
        let network = Network::new(endpoint, self.patience);
        let shared = Shared {
            models_dir: self.models_dir,
            offline: self.offline,
            tokens,
            network,
        };
        Ok(Hub {
            shared: Arc::new(shared),
        })
    }
}

impl Hub {
    /// Starts with the public hub and the token that lies in `models_dir`.
    pub fn builder(models_dir: impl Into<PathBuf>) -> HubBuilder {
        HubBuilder {
            models_dir: models_dir.into(),
            endpoint: DEFAULT_ENDPOINT.to_owned(),
            offline: false,
            tokens: None,
            patience: Patience::default(),
        }
    }

    /// The folder that files are kept in.
    pub fn models_dir(&self) -> &Path {
        &self.shared.models_dir
    }

    /// The address of the hub, without a slash at its end.
    pub fn endpoint(&self) -> &str {
        self.shared.network.endpoint()
    }

    /// Whether the network is left alone.
    pub fn is_offline(&self) -> bool {
        self.shared.offline
    }

    /// The token of all downloads.
    pub fn tokens(&self) -> &TokenStore {
        &self.shared.tokens
    }

    /// The page on which the licence of a gated repository is accepted.
    pub fn license_url(&self, repository: &str) -> String {
        format!("{}/{repository}", self.endpoint())
    }

    /// Which of the selected files are here. Reads the disk, never the network.
    ///
    /// Sizes are known once a download has listed the repository; before, the inventory may be empty.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for names that are none; [`Error::Unavailable`] when a folder cannot be read.
    pub fn inventory(&self, source: &Source, selection: &FileSelection) -> Result<FileInventory> {
        match source {
            Source::Path(path) => local::inventory(path, selection),
            Source::Hub { repository, revision } => {
                let cache = RepositoryCache::new(&self.shared.models_dir, repository)?;
                let commit = cache.commit_of(repository::checked_revision(revision)?);
                let inventory = commit.as_deref().map(|commit| cache.inventory(commit, selection));
                Ok(FileInventory {
                    resolved_revision: commit,
                    ..inventory.unwrap_or_default()
                })
            }
        }
    }

    /// The commit at which the source's revision was last seen, if it is a repository that is known here.
    pub fn resolved_revision(&self, source: &Source) -> Option<String> {
        let Source::Hub { repository, revision } = source else {
            return None;
        };
        let revision = repository::checked_revision(revision).ok()?;
        RepositoryCache::new(&self.shared.models_dir, repository)
            .ok()?
            .commit_of(revision)
    }

    /// The folder (or, for a path to a file, the file) to load from, if all selected files are here. Reads the
    /// disk, never the network.
    ///
    /// # Errors
    /// As [`Hub::inventory`].
    pub fn locate(&self, source: &Source, selection: &FileSelection) -> Result<Option<PathBuf>> {
        if !self.inventory(source, selection)?.complete {
            return Ok(None);
        }
        match source {
            Source::Path(path) => Ok(Some(path.clone())),
            Source::Hub { repository, revision } => {
                let cache = RepositoryCache::new(&self.shared.models_dir, repository)?;
                Ok(cache.commit_of(revision).map(|commit| cache.snapshot(&commit)))
            }
        }
    }

    /// Makes the selected files present and returns the folder to load from; files that are here are kept.
    ///
    /// With the hub out of reach, files that are all here already are good enough. Cancelling `job` keeps what
    /// was fetched, and the next download goes on from there. `options.revision` wins over the source's own and
    /// has to be put into the source to [`Hub::locate`] its files.
    ///
    /// # Errors
    /// [`Error::Hub`] with what the hub or the network did, `offline` without either; [`Error::Unavailable`]
    /// when cancelled or the disk is full; [`Error::InvalidRequest`] for names that are none.
    pub async fn download(
        &self,
        source: &Source,
        selection: &FileSelection,
        options: &DownloadOptions,
        job: &Job,
    ) -> Result<PathBuf> {
        job.check()?;
        let (repository, revision) = match source {
            Source::Path(path) => return local::locate(path, selection),
            Source::Hub { repository, revision } => (repository, options.revision.as_ref().unwrap_or(revision)),
        };
        let cache = RepositoryCache::new(&self.shared.models_dir, repository)?;
        let revision = repository::checked_revision(revision)?;
        let pinned = Source::Hub {
            repository: repository.clone(),
            revision: revision.to_owned(),
        };
        if self.shared.offline {
            return self.locate(&pinned, selection)?.ok_or_else(|| offline(&pinned));
        }
        let tokens = &self.shared.tokens;
        let request = Request {
            repository,
            revision,
            selection,
            force: options.force,
            cache: &cache,
            tokens,
        };
        let fetched = tokio::select! {
            biased;
            () = job.cancelled() => Err(Error::cancelled()),
            fetched = self.shared.network.download(&request, job) => fetched,
        };
        match fetched {
            Ok(commit) => Ok(cache.snapshot(&commit)),
            Err(error) if is_out_of_reach(&error) && !options.force => match self.locate(&pinned, selection)? {
                Some(folder) => {
                    tracing::warn!(repository, %error, "the hub is out of reach; the files that are here are used");
                    Ok(folder)
                }
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Asks the hub whose token the stored one is, and notes the answer in the status.
    ///
    /// # Errors
    /// [`RequestFault::NoToken`] without one; [`HubFault::TokenInvalid`] when the hub does not know it;
    /// [`Error::Hub`] when the hub cannot be asked.
    pub async fn verify_token(&self) -> Result<TokenStatus> {
        let tokens = &self.shared.tokens;
        let token = tokens.token().ok_or_else(|| {
            Error::invalid(
                RequestFault::NoToken,
                None,
                "there is no hub token to verify; set one first",
            )
        })?;
        self.refuse_offline("the token cannot be verified")?;
        match self.shared.network.owner_of(&token).await {
            Ok(user) => Ok(tokens.note_verified(&token, true, Some(user))),
            Err(error) => {
                if is_invalid_token(&error) {
                    tokens.note_verified(&token, false, None);
                }
                Err(error)
            }
        }
    }

    /// Keeps `token` unless the hub refuses it; a hub that cannot be asked leaves it unverified.
    ///
    /// # Errors
    /// [`HubFault::TokenInvalid`] when the hub does not know it, and those of [`TokenStore::set`].
    pub async fn set_verified_token(&self, token: SecretString) -> Result<TokenStatus> {
        crate::hub::token::check(&token)?;
        let owner = match self.refuse_offline("the token cannot be verified") {
            Ok(()) => self.shared.network.owner_of(&token).await,
            Err(error) => Err(error),
        };
        match owner {
            Err(error) if is_invalid_token(&error) => Err(error),
            owner => {
                let status = self.shared.tokens.set(token.clone())?;
                Ok(owner.map_or(status, |user| {
                    self.shared.tokens.note_verified(&token, true, Some(user))
                }))
            }
        }
    }

    fn refuse_offline(&self, consequence: &str) -> Result<()> {
        if self.shared.offline {
            let message = format!("offline mode is on: {consequence}; turn it off to reach the hub");
            return Err(Error::hub(HubFault::Offline, message));
        }
        Ok(())
    }
}

/// An `http` or `https` address without credentials; the token belongs in the store.
fn checked_endpoint(endpoint: &str) -> Result<&str> {
    let trimmed = endpoint.trim_end_matches('/');
    let rest = trimmed
        .strip_prefix("https://")
        .or_else(|| trimmed.strip_prefix("http://"));
    let sound = rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with('/')
            && rest.bytes().all(|b| b.is_ascii_graphic() && !b"@?#\\".contains(&b))
    });
    if sound {
        return Ok(trimmed);
    }
    let message = "the hub's endpoint is no address such as https://huggingface.co; correct it";
    Err(Error::invalid(RequestFault::InvalidValue, "hub_endpoint", message))
}

fn offline(source: &Source) -> Error {
    let message = format!(
        "offline mode is on and not all files of {source} are here; copy them into the models directory or turn it off"
    );
    Error::hub(HubFault::Offline, message)
}

const fn is_out_of_reach(error: &Error) -> bool {
    matches!(
        error,
        Error::Hub {
            code: HubFault::Network | HubFault::HubUnavailable | HubFault::Offline,
            ..
        }
    )
}

const fn is_invalid_token(error: &Error) -> bool {
    matches!(
        error,
        Error::Hub {
            code: HubFault::TokenInvalid,
            ..
        }
    )
}

#[cfg(test)]
mod tests;
