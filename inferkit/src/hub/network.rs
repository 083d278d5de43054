//! The conversation with the hub: which commit a revision is, what it holds, then file by file.
//!
//! Questions about repositories and users go through `hf-hub`. Files are fetched over plain HTTP here: with
//! resuming, hashes and time limits, none of which `hf-hub` has, and without its second protocol, which
//! reports each transfer to the hub.

mod content;
mod fault;
mod fetch;
mod http;
mod meter;

use std::sync::OnceLock;
use std::time::Duration;

use futures_util::StreamExt;
use hf_hub::HFClient;
use hf_hub::repository::RepoTreeEntry;
use secrecy::ExposeSecret;
use secrecy::SecretString;

use crate::error::Error;
use crate::error::HubFault;
use crate::error::Result;
use crate::hub::listing::ListedFile;
use crate::hub::listing::Listing;
use crate::hub::listing::MAX_FILES;
use crate::hub::repository;
use crate::hub::request::Patience;
use crate::hub::request::Request;
use crate::job::Job;
use crate::job::Progress;
use fault::Asked;
use fetch::Fetch;
use http::Http;
use meter::Meter;

/// How long the hub may take to say whose token it is.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(10);

/// The way to one hub.
#[derive(Debug)]
pub(crate) struct Network {
    endpoint: String,
    patience: Patience,
    /// Made at the first use: reading the system's certificates would delay a start that needs no hub.
    http: OnceLock<Http>,
}

impl Network {
    pub(crate) fn new(endpoint: String, patience: Patience) -> Self {
        Self {
            endpoint,
            patience,
            http: OnceLock::new(),
        }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Makes the files of `request` present; returns their commit.
    pub(crate) async fn download(&self, request: &Request<'_>, job: &Job) -> Result<String> {
        job.report(Progress::phase("listing files"));
        let token = request.tokens.token();
        let commit = self.commit_of(request, token.as_ref()).await?;
        let listing = self.listing_of(request, &commit, token.as_ref()).await?;
        let chosen = listing
            .select(request.selection)
            .map_err(|error| self.named(request, error))?;
        // A branch that moved keeps its older files in use until the newer ones are all here.
        let before = request.cache.commit_of(request.revision);
        if !before.is_some_and(|before| request.cache.inventory(&before, request.selection).complete) {
            request.cache.remember_commit(request.revision, &commit)?;
        }

        let http = self.http()?;
        let mut meter = Meter::new(job, &chosen);
        for file in chosen {
            // The newest token counts, even for a download that began before it was set.
            let token = request.tokens.token();
            let fetch = Fetch {
                http,
                endpoint: &self.endpoint,
                patience: &self.patience,
                request,
                commit: &commit,
                token,
            };
            fetch.file(file, &mut meter).await?;
        }
        request.cache.remember_commit(request.revision, &commit)?;
        Ok(commit)
    }

    /// The user whose token `token` is.
    pub(crate) async fn owner_of(&self, token: &SecretString) -> Result<String> {
        let client = self.client(Some(token))?;
        let asked = Asked {
            endpoint: &self.endpoint,
            what: "the token",
            repository: None,
            with_token: true,
        };
        let answer = tokio::time::timeout(VERIFY_TIMEOUT, client.whoami().send()).await;
        let answer = answer.map_err(|_| fault::timed_out(&asked))?;
        Ok(answer.map_err(|error| fault::of_client(&asked, error))?.username)
    }

    async fn commit_of(&self, request: &Request<'_>, token: Option<&SecretString>) -> Result<String> {
        if repository::is_commit(request.revision) {
            return Ok(request.revision.to_owned());
        }
        let asked = self.asked(request, token);
        let client = self.client(token)?;
        let (owner, name) = repository::owner_and_name(request.repository)?;
        let info = client.model(owner, name).info().revision(request.revision).send().await;
        let info = info.map_err(|error| fault::of_client(&asked, error))?;
        info.sha
            .filter(|commit| repository::is_commit(commit))
            .ok_or_else(|| asked.malformed("no commit"))
    }

    async fn listing_of(&self, request: &Request<'_>, commit: &str, token: Option<&SecretString>) -> Result<Listing> {
        // What a commit holds never changes.
        if let Some(listing) = request.cache.listing(commit) {
            return Ok(listing);
        }
        let asked = self.asked(request, token);
        let client = self.client(token)?;
        let (owner, name) = repository::owner_and_name(request.repository)?;
        let model = client.model(owner, name);
        let tree = model
            .list_tree()
            .revision(commit)
            .recursive(true)
            .limit(MAX_FILES + 1)
            .send();
        let mut tree = std::pin::pin!(tree.map_err(|error| fault::of_client(&asked, error))?);
        let mut files = Vec::new();
        while let Some(entry) = tree.next().await {
            if let RepoTreeEntry::File { path, size, .. } = entry.map_err(|error| fault::of_client(&asked, error))? {
                files.push(ListedFile {
                    path,
                    bytes: Some(size),
                });
            }
        }
        if files.len() > MAX_FILES {
            return Err(asked.malformed("too many files"));
        }
        let listing = Listing::checked(files)?;
        request.cache.remember_listing(commit, &listing)?;
        Ok(listing)
    }

    fn asked<'a>(&'a self, request: &Request<'a>, token: Option<&SecretString>) -> Asked<'a> {
        Asked {
            endpoint: &self.endpoint,
            what: request.revision,
            repository: Some(request.repository),
            with_token: token.is_some(),
        }
    }

    /// Adds the repository to an error about its files.
    fn named(&self, request: &Request<'_>, error: Error) -> Error {
        match error {
            Error::Hub {
                code: HubFault::FileNotFound,
                message,
                ..
            } => Error::hub(
                HubFault::FileNotFound,
                format!("{}/{}: {message}", self.endpoint, request.repository),
            ),
            other => other,
        }
    }

    fn http(&self) -> Result<&Http> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let made = Http::new(&self.endpoint, &self.patience)?;
        Ok(self.http.get_or_init(|| made))
    }

    /// A client that knows `token` and nothing of the environment.
    fn client(&self, token: Option<&SecretString>) -> Result<HFClient> {
        // Without a token of its own the client looks for one in the environment and in the home folder. One
        // that cannot stand in a header keeps it from looking and is never sent.
        let token = token.map_or("\n", |token| token.expose_secret());
        HFClient::builder()
            .endpoint(&self.endpoint)
            .token(token)
            .user_agent(http::USER_AGENT)
            .client(self.http()?.follow.clone())
            .cache_dir("")
            .cache_enabled(false)
            .retry_max_attempts(2)
            .retry_base_delay(self.patience.backoff / 4)
            .build()
            .map_err(|error| Error::internal("the hub's client cannot be made").with_source(error))
    }
}

#[cfg(test)]
mod test_hub;
#[cfg(test)]
mod tests;
