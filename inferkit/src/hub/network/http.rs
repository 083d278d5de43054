//! The two requests that a file takes: its name and size, then its bytes.

use std::time::Duration;

use reqwest::Client;
use reqwest::Response;
use reqwest::StatusCode;
use reqwest::Url;
use reqwest::header;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;
use secrecy::ExposeSecret;
use secrecy::SecretString;

use super::content::ContentHash;
use super::fault::Asked;
use super::fault::Refusal;
use super::fault::of_transport;
use crate::error::Error;
use crate::error::HubFault;
use crate::error::Result;
use crate::hub::request::Patience;

pub(super) const USER_AGENT: &str = concat!("inferkit/", env!("CARGO_PKG_VERSION"));

/// Redirects followed to the name that a repository has by now.
const MAX_RENAMES: usize = 5;

/// Longest time a hub may ask us to wait.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(1);

/// Connections to the hub.
#[derive(Debug)]
pub(super) struct Http {
    /// Follows redirects, to which the token goes only within the same host.
    pub(super) follow: Client,
    /// Shows redirects: the hub's own answer names the content, that of the store behind it does not.
    stay: Client,
}

/// What the hub says of a file before sending it.
#[derive(Debug)]
pub(super) struct Announced {
    pub(super) hash: ContentHash,
    pub(super) bytes: u64,
}

/// An error and how long the hub asks us to wait before the next try.
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) retry_after: Option<Duration>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            retry_after: None,
        }
    }
}

impl Http {
    pub(super) fn new(endpoint: &str, patience: &Patience) -> Result<Self> {
        let client = |redirects| {
            let mut builder = Client::builder()
                .user_agent(USER_AGENT)
                .connect_timeout(patience.connect)
                .read_timeout(patience.stall)
                .redirect(redirects);
            if is_this_machine(endpoint) {
                builder = builder.no_proxy();
            }
            builder.build().map_err(|error| {
                let message = "no connection to the hub can be made: check the certificates of this machine";
                Error::hub(HubFault::Network, message).with_source(error)
            })
        };
        Ok(Self {
            follow: client(reqwest::redirect::Policy::limited(10))?,
            stay: client(reqwest::redirect::Policy::none())?,
        })
    }

    /// Asks for the hash and size of the file at `url`.
    pub(super) async fn announced(
        &self,
        url: &Url,
        token: Option<&SecretString>,
        asked: &Asked<'_>,
    ) -> Result<Announced, Failure> {
        let mut url = url.clone();
        for _ in 0..=MAX_RENAMES {
            let answer = self.stay.head(url.clone()).headers(headers(token)).send().await;
            let answer = answer.map_err(|error| of_transport(asked, error))?;
            let location = answer
                .headers()
                .get(header::LOCATION)
                .and_then(|value| value.to_str().ok());
            let renamed = location.filter(|to| to.starts_with('/') && !to.starts_with("//"));
            if let Some(next) = renamed
                .and_then(|to| url.join(to).ok())
                .filter(|_| answer.status().is_redirection())
            {
                url = next;
                continue;
            }
            if !answer.status().is_success() && !answer.status().is_redirection() {
                return Err(refused(&answer, asked));
            }
            return announcement(answer.headers(), asked).map_err(Failure::from);
        }
        Err(asked.malformed("a circle of redirects").into())
    }

    /// Asks for the bytes at `url` from `start` on. The answer may begin at 0 all the same.
    pub(super) async fn bytes(
        &self,
        url: &Url,
        start: u64,
        token: Option<&SecretString>,
        asked: &Asked<'_>,
    ) -> Result<(Response, u64), Failure> {
        let mut request = self.follow.get(url.clone()).headers(headers(token));
        if start > 0 {
            request = request.header(header::RANGE, format!("bytes={start}-"));
        }
        let answer = request.send().await.map_err(|error| of_transport(asked, error))?;
        if !answer.status().is_success() {
            // Behind a redirect another machine answers, of whose refusals the hub knows nothing.
            if answer.url().host_str() != url.host_str() {
                let message = format!(
                    "the store behind {} answers {}: try again later",
                    asked.endpoint,
                    answer.status().as_u16()
                );
                return Err(Error::hub(HubFault::HubUnavailable, message).into());
            }
            return Err(refused(&answer, asked));
        }
        let begin = if answer.status() == StatusCode::PARTIAL_CONTENT {
            range_start(answer.headers())
        } else {
            Some(0)
        };
        match begin {
            Some(begin) if begin == start || begin == 0 => Ok((answer, begin)),
            _ => Err(asked.malformed("another part than was asked").into()),
        }
    }
}

fn headers(token: Option<&SecretString>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // Hash and size are those of the content as it is, not as it may be packed.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let bearer = token.and_then(|token| HeaderValue::from_str(&format!("Bearer {}", token.expose_secret())).ok());
    if let Some(mut bearer) = bearer {
        bearer.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, bearer);
    }
    headers
}

fn announcement(headers: &HeaderMap, asked: &Asked<'_>) -> Result<Announced> {
    let text = |names: [&str; 2]| {
        names
            .iter()
            .find_map(|name| headers.get(*name))
            .and_then(|value| value.to_str().ok())
    };
    let hash = text(["x-linked-etag", "etag"])
        .and_then(ContentHash::parse)
        .ok_or_else(|| asked.malformed("no hash of the content"))?;
    let bytes = text(["x-linked-size", "content-length"])
        .and_then(|size| size.parse().ok())
        .ok_or_else(|| asked.malformed("no size"))?;
    Ok(Announced { hash, bytes })
}

fn refused(answer: &Response, asked: &Asked<'_>) -> Failure {
    let code = answer
        .headers()
        .get("x-error-code")
        .and_then(|value| value.to_str().ok());
    let refusal = Refusal {
        status: answer.status().as_u16(),
        code,
        not_found: HubFault::FileNotFound,
    };
    let seconds = answer
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let retry_after = seconds.map(|seconds| Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
    Failure {
        error: refusal.error(asked),
        retry_after,
    }
}

/// Where the part in the body begins, by a header such as `bytes 100-199/200`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// Whether `endpoint` is this machine, to which no proxy knows a way.
fn is_this_machine(endpoint: &str) -> bool {
    let url = Url::parse(endpoint).ok();
    let host = url.as_ref().and_then(|url| url.host_str());
    host.is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}
