//! What is asked of the network, and with how much patience.

use std::time::Duration;

use crate::hub::FileSelection;
use crate::hub::TokenStore;
use crate::hub::cache::RepositoryCache;

/// How long to wait and how often to try.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "hub"), expect(dead_code, reason = "nobody waits without a network"))]
pub(crate) struct Patience {
    /// For a connection.
    pub(crate) connect: Duration,
    /// For the next byte.
    pub(crate) stall: Duration,
    /// Before the second try; doubled before each further one.
    pub(crate) backoff: Duration,
    /// Tries of one file.
    pub(crate) tries: u32,
}

impl Default for Patience {
    /// Patient with a slow line, not with a dead one.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: seconds(10),
            stall: seconds(30),
            backoff: seconds(1),
            tries: 5,
        }
    }
}

/// One download of a repository's files, names checked.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(feature = "hub"),
    expect(dead_code, reason = "nothing is asked without a network")
)]
pub(crate) struct Request<'a> {
    pub(crate) repository: &'a str,
    pub(crate) revision: &'a str,
    pub(crate) selection: &'a FileSelection,
    /// Whether the content of files that are there is checked and what differs is fetched again.
    pub(crate) force: bool,
    pub(crate) cache: &'a RepositoryCache,
    pub(crate) tokens: &'a TokenStore,
}
