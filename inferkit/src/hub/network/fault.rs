//! What an answer of the hub means, and what to do about it.
//!
//! The hub tells a gate from a missing repository by the header `X-Error-Code`, not by the status: both are
//! 401 or 403. None of its own words are passed on; they may hold what was sent.

use hf_hub::HFError;

use crate::error::Error;
use crate::error::HubFault;

/// What was asked, for the words of an error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) endpoint: &'a str,
    /// The revision or file.
    pub(super) what: &'a str,
    pub(super) repository: Option<&'a str>,
    /// Whether a token was sent.
    pub(super) with_token: bool,
}

/// An answer that is no success.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal<'a> {
    pub(super) status: u16,
    /// The header `X-Error-Code`.
    pub(super) code: Option<&'a str>,
    /// What a 404 without code means here.
    pub(super) not_found: HubFault,
}

impl Refusal<'_> {
    /// Which fault it is.
    pub(super) fn fault(self, with_token: bool) -> HubFault {
        let gated = if with_token {
            HubFault::GatedNotAccepted
        } else {
            HubFault::GatedNoToken
        };
        match (self.code, self.status) {
            (Some("GatedRepo"), _) => gated,
            (Some("RepoNotFound"), _) => HubFault::RepositoryNotFound,
            (Some("RevisionNotFound"), _) => HubFault::RevisionNotFound,
            (Some("EntryNotFound"), _) => HubFault::FileNotFound,
            (_, 401) if with_token => HubFault::TokenInvalid,
            (_, 401 | 403) => gated,
            (_, 404) => self.not_found,
            _ => HubFault::HubUnavailable,
        }
    }

    /// The error that says so.
    pub(super) fn error(self, asked: &Asked<'_>) -> Error {
        let fault = self.fault(asked.with_token);
        Error::hub(fault, asked.message(fault, self.status))
    }
}

impl Asked<'_> {
    fn place(&self) -> String {
        match self.repository {
            Some(repository) => format!("{}/{repository}", self.endpoint),
            None => self.endpoint.to_owned(),
        }
    }

    fn message(&self, fault: HubFault, status: u16) -> String {
        let (place, what) = (self.place(), self.what);
        match fault {
            HubFault::GatedNoToken => {
                format!("{place} is gated: accept its licence at {place} and set a hub token of that account")
            }
            HubFault::GatedNotAccepted => {
                format!("the hub token's owner has no access to {place}: accept its licence at {place} and try again")
            }
            HubFault::TokenInvalid => {
                format!("{} does not know the hub token: set a valid one", self.endpoint)
            }
            HubFault::RepositoryNotFound if self.with_token => {
                format!("there is no {place}, or the token may not see it: correct the source or the token's rights")
            }
            HubFault::RepositoryNotFound => {
                format!("there is no {place}, or it is private: correct the source or set a hub token")
            }
            HubFault::RevisionNotFound => {
                format!("{place} has no revision {what}: give a branch, tag or commit that it has")
            }
            HubFault::FileNotFound => format!("{place} has no file {what}: correct the file's name or the revision"),
            _ if status == 429 => {
                format!("{place} answers that there are too many requests (429): try again in some minutes")
            }
            _ if status >= 500 => format!("{place} answers with an error of its own ({status}): try again later"),
            _ => format!("{place} answers {status} when asked for {what}: check that the endpoint is a model hub"),
        }
    }

    /// An answer that cannot be understood.
    pub(super) fn malformed(&self, found: &str) -> Error {
        let place = self.place();
        let message = format!(
            "{place} answers with {found} for {}: check that the endpoint is a model hub",
            self.what
        );
        Error::hub(HubFault::HubUnavailable, message)
    }
}

/// No answer within the time for it.
pub(super) fn timed_out(asked: &Asked<'_>) -> Error {
    let message = format!(
        "{} does not answer in time: check the network and try again",
        asked.endpoint
    );
    Error::hub(HubFault::Network, message)
}

/// An error of the way to the hub.
pub(super) fn of_transport(asked: &Asked<'_>, error: reqwest::Error) -> Error {
    let what = if error.is_timeout() {
        "does not answer in time"
    } else if error.is_connect() {
        "cannot be reached"
    } else if error.is_decode() {
        return asked
            .malformed("something that is no answer")
            .with_source(error.without_url());
    } else {
        "broke off its answer"
    };
    // An address may hold a signature that opens the file.
    let message = format!("{} {what}: check the network or proxy and try again", asked.endpoint);
    Error::hub(HubFault::Network, message).with_source(error.without_url())
}

/// An error of the hub's client.
pub(super) fn of_client(asked: &Asked<'_>, error: HFError) -> Error {
    let (context, not_found) = match error {
        HFError::Request { source, .. } => return of_transport(asked, source),
        HFError::Http { context } | HFError::Conflict { context } => (Some(context), HubFault::RepositoryNotFound),
        HFError::AuthRequired { context } | HFError::Forbidden { context } | HFError::RateLimited { context, .. } => {
            (Some(context), HubFault::RepositoryNotFound)
        }
        HFError::RepoNotFound { context, .. } => (context, HubFault::RepositoryNotFound),
        HFError::RevisionNotFound { context, .. } => (context, HubFault::RevisionNotFound),
        HFError::EntryNotFound { context, .. } => (context, HubFault::FileNotFound),
        other => {
            return asked
                .malformed("something that is no answer")
                .with_source(std::io::Error::other(other.to_string()));
        }
    };
    let (status, code) = context.map_or((404, None), |context| (context.status.as_u16(), context.error_code));
    Refusal {
        status,
        code: code.as_deref(),
        not_found,
    }
    .error(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(status: u16, code: Option<&str>, with_token: bool) -> &'static str {
        Refusal {
            status,
            code,
            not_found: HubFault::FileNotFound,
        }
        .fault(with_token)
        .as_str()
    }

    #[test]
    fn a_refusal_is_told_by_its_code_and_only_then_by_its_status() {
        assert_eq!(fault(401, Some("GatedRepo"), false), "gated_no_token");
        assert_eq!(fault(403, Some("GatedRepo"), true), "gated_not_accepted");
        assert_eq!(fault(401, Some("RepoNotFound"), false), "repository_not_found");
        assert_eq!(fault(404, Some("RevisionNotFound"), true), "revision_not_found");
        assert_eq!(fault(404, Some("EntryNotFound"), true), "file_not_found");
        assert_eq!(fault(401, None, true), "token_invalid");
        assert_eq!(fault(401, None, false), "gated_no_token");
        assert_eq!(fault(403, None, true), "gated_not_accepted");
        assert_eq!(fault(404, None, true), "file_not_found");
        for status in [400, 429, 500, 502, 503] {
            assert_eq!(fault(status, None, true), "hub_unavailable");
        }
    }

    #[test]
    fn each_message_ends_with_what_to_do_and_a_gate_names_its_page() {
        let asked = Asked {
            endpoint: "https://hub.test",
            what: "main",
            repository: Some("owner/name"),
            with_token: true,
        };
        let text = |status, code| {
            let refusal = Refusal {
                status,
                code,
                not_found: HubFault::RevisionNotFound,
            };
            refusal.error(&asked).to_string()
        };
        assert!(text(403, Some("GatedRepo")).contains("accept its licence at https://hub.test/owner/name"));
        assert!(text(401, None).ends_with("set a valid one"));
        assert!(text(404, None).contains("no revision main: give a branch"));
        assert!(text(503, None).ends_with("(503): try again later"));
        assert!(text(429, None).ends_with("try again in some minutes"));
        assert!(text(400, None).ends_with("check that the endpoint is a model hub"));
    }
}
