//! Browser safety: which hosts and origins may talk to this server.
//!
//! A page of another site can make a browser send requests to a server on the same machine. The Host
//! check stops names that were re-pointed to it (DNS rebinding); the origin rules stop changes of
//! state by other sites. Programs that send neither header are not touched.

use std::net::IpAddr;

use poem::Request;
use poem::Response;
use poem::http::HeaderMap;
use poem::http::HeaderValue;
use poem::http::Method;
use poem::http::StatusCode;
use poem::http::Version;
use poem::http::header;

use crate::error::ApiError;
use crate::error::shown;

/// Who may talk to the server, from the configuration.
#[derive(Debug, Clone, Default)]
pub struct BrowserRules {
    /// Names allowed in `Host`; `None` turns the check off.
    pub allowed_hosts: Option<Vec<String>>,
    /// Origins whose pages may use `/v1`; `*` is any.
    pub cors_origins: Vec<String>,
    /// Origins whose pages may use `/api/admin`.
    pub admin_cors_origins: Vec<String>,
}

/// Methods and headers that a page of an allowed origin may use.
const ALLOW_METHODS: &str = "GET, POST, PUT, DELETE";
const ALLOW_HEADERS: &str = "authorization, content-type, x-request-id, last-event-id, x-stainless-arch, \
    x-stainless-lang, x-stainless-os, x-stainless-package-version, x-stainless-retry-count, x-stainless-runtime, \
    x-stainless-runtime-version, x-stainless-timeout, openai-organization, openai-project";
const EXPOSE_HEADERS: &str = "X-Request-Id, Retry-After, X-Inferkit-Ignored";

impl BrowserRules {
    /// Checks `Host`.
    ///
    /// # Errors
    /// `invalid_value` for an HTTP/1.1 request without one, `host_not_allowed` for a foreign name.
    pub(crate) fn check_host(&self, request: &Request) -> Result<(), ApiError> {
        let host = host_of(request);
        if host.is_none() && request.version() == Version::HTTP_11 {
            return Err(ApiError::new(
                "invalid_value",
                "the request has no Host header; HTTP/1.1 demands one",
            ));
        }
        let (Some(allowed), Some(host)) = (&self.allowed_hosts, host) else {
            return Ok(());
        };
        let name = without_port(host);
        let own = ["localhost", "127.0.0.1", "[::1]"]
            .iter()
            .any(|own| own.eq_ignore_ascii_case(name));
        if own
            || allowed
                .iter()
                .any(|entry| entry.eq_ignore_ascii_case(name) || entry.eq_ignore_ascii_case(host))
        {
            return Ok(());
        }
        let message = format!(
            "the host {} is not allowed; add it to server.allowed_hosts",
            shown(host)
        );
        Err(ApiError::new("host_not_allowed", message))
    }

    /// Refuses changes of state by pages of other sites.
    ///
    /// # Errors
    /// `cross_origin_forbidden`.
    pub(crate) fn check_origin(&self, request: &Request) -> Result<(), ApiError> {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return Ok(());
        }
        let origin = request.header(header::ORIGIN);
        if let Some(origin) = origin
            && (is_own(origin, request) || self.allows(origin, request.uri().path()))
        {
            return Ok(());
        }
        let site = request.header("sec-fetch-site").unwrap_or("none");
        if origin.is_none() && !matches!(site, "cross-site" | "same-site") {
            return Ok(());
        }
        let from = origin.map_or_else(|| "another site".to_owned(), shown);
        let message = format!("a page of {from} may not change anything here; add it to server.cors_origins");
        Err(ApiError::new("cross_origin_forbidden", message))
    }

    /// Answers the question a browser asks before it lets a page of another origin send a request.
    pub(crate) fn preflight(&self, request: &Request) -> Option<Response> {
        let origin = request.header(header::ORIGIN)?;
        let asks = request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !asks || !self.allows(origin, request.uri().path()) {
            return None;
        }
        let mut response = Response::builder()
            .status(StatusCode::NO_CONTENT)
            .header(header::ACCESS_CONTROL_ALLOW_METHODS, ALLOW_METHODS)
            .header(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOW_HEADERS)
            .header(header::ACCESS_CONTROL_MAX_AGE, "600")
            .finish();
        self.mark(Some(origin), request.uri().path(), response.headers_mut());
        Some(response)
    }

    /// Lets a page of an allowed origin read the answer.
    pub(crate) fn mark(&self, origin: Option<&str>, path: &str, headers: &mut HeaderMap) {
        let Some(origin) = origin.filter(|origin| self.allows(origin, path)) else {
            return;
        };
        if let Ok(origin) = HeaderValue::from_str(origin) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::VARY, HeaderValue::from_static("Origin"));
            headers.insert(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(EXPOSE_HEADERS),
            );
        }
    }

    fn allows(&self, origin: &str, path: &str) -> bool {
        let list = if path.starts_with("/v1/") {
            &self.cors_origins
        } else if path.starts_with("/api/admin/") {
            &self.admin_cors_origins
        } else {
            return false;
        };
        list.iter()
            .any(|entry| entry == origin || entry == "*" && origin != "null")
    }
}

fn host_of(request: &Request) -> Option<&str> {
    request
        .header(header::HOST)
        .or_else(|| request.uri().authority().map(poem::http::uri::Authority::as_str))
}

/// A host without its port; an IPv6 address keeps its brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !is_bare_ipv6(host) => name,
        _ => host,
    }
}

fn is_bare_ipv6(host: &str) -> bool {
    matches!(host.parse::<IpAddr>(), Ok(IpAddr::V6(_)))
}

/// Whether `origin` is this very server, as the client addressed it.
fn is_own(origin: &str, request: &Request) -> bool {
    let scheme = request.scheme().as_str();
    origin.split_once("://").is_some_and(|(origin_scheme, origin_host)| {
        origin_scheme == scheme && host_of(request).is_some_and(|host| host.eq_ignore_ascii_case(origin_host))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> BrowserRules {
        BrowserRules {
            allowed_hosts: Some(vec!["box.lan".to_owned()]),
            cors_origins: vec!["https://app.example".to_owned()],
            admin_cors_origins: Vec::new(),
        }
    }

    fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Request {
        let mut builder = Request::builder().method(method).uri(path.parse().unwrap());
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.finish()
    }

    #[test]
    fn own_names_and_listed_ones_pass_and_others_do_not() {
        for host in [
            "localhost",
            "localhost:8080",
            "127.0.0.1:1",
            "[::1]:8080",
            "[::1]",
            "box.lan:80",
            "BOX.lan",
        ] {
            assert!(
                rules()
                    .check_host(&request(Method::GET, "/v1/models", &[("host", host)]))
                    .is_ok(),
                "{host}"
            );
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8080",
            "",
            "::2",
        ] {
            let error = rules()
                .check_host(&request(Method::GET, "/v1/models", &[("host", host)]))
                .unwrap_err();
            assert_eq!(error.code, "host_not_allowed", "{host}");
        }
        assert!(
            rules().check_host(&request(Method::GET, "/", &[])).is_err(),
            "HTTP/1.1 without Host"
        );
    }

    #[test]
    fn other_sites_may_not_change_anything() {
        let post = |headers: &[(&str, &str)]| {
            let headers = [&[("host", "localhost:8080")], headers].concat();
            rules().check_origin(&request(Method::POST, "/v1/chat/completions", &headers))
        };
        for headers in [
            &[][..],
            &[("origin", "http://localhost:8080")],
            &[("origin", "https://app.example"), ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-origin")],
        ] {
            assert!(post(headers).is_ok(), "{headers:?}");
        }
        for headers in [
            &[("origin", "null")][..],
            &[("origin", "http://localhost:9090")],
            &[("origin", "https://evil.example")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
        ] {
            assert_eq!(post(headers).unwrap_err().code, "cross_origin_forbidden", "{headers:?}");
        }
    }

    #[test]
    fn an_allowed_origin_is_answered_and_another_is_not() {
        let asks = [
            ("origin", "https://app.example"),
            ("access-control-request-method", "POST"),
        ];
        let response = rules()
            .preflight(&request(Method::OPTIONS, "/v1/chat/completions", &asks))
            .unwrap();
        assert_eq!(
            response.header("access-control-allow-origin"),
            Some("https://app.example")
        );
        assert!(response.header("access-control-allow-credentials").is_none());
        assert!(
            rules()
                .preflight(&request(Method::OPTIONS, "/api/admin/status", &asks))
                .is_none()
        );
        let foreign = [
            ("origin", "https://evil.example"),
            ("access-control-request-method", "POST"),
        ];
        assert!(
            rules()
                .preflight(&request(Method::OPTIONS, "/v1/chat/completions", &foreign))
                .is_none()
        );
    }
}
