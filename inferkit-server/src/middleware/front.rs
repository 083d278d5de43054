//! The front: everything that happens to a request before and after its handler, in one place.

use std::borrow::Cow;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use http_body_util::combinators::BoxBody;
use hyper::body::Body as _;
use poem::Body;
use poem::Endpoint;
use poem::IntoEndpoint;
use poem::IntoResponse;
use poem::Request;
use poem::Response;
use poem::error::ResponseError;
use poem::http::HeaderMap;
use poem::http::HeaderName;
use poem::http::HeaderValue;
use poem::http::Method;
use poem::http::Version;
use poem::http::header;
use tokio::time::Instant;
use tokio::time::Sleep;
use tokio::time::sleep_until;
use tracing::Instrument;

use crate::body::BodyFault;
use crate::body::BodyLimit;
use crate::body::FaultFlag;
use crate::error::ApiError;
use crate::error::shown;
use crate::life::Life;
use crate::middleware::Auth;
use crate::middleware::BrowserRules;
use crate::middleware::Notes;
use crate::middleware::Traffic;
use crate::middleware::record::Record;
use crate::middleware::request_id::request_id;
use crate::routes::BodyKind;
use crate::routes::Found;
use crate::routes::Route;
use crate::routes::Scope;
use crate::routes::find;

/// Longest head, request line and headers together.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The log's name for requests that match no route.
const OTHER: &str = "other";

/// What the front needs to know.
#[derive(Debug)]
pub struct Door {
    /// Keys.
    pub auth: Auth,
    /// Hosts and origins.
    pub browser: BrowserRules,
    /// Whether new requests are refused.
    pub life: Arc<Life>,
    /// Running and ended requests.
    pub traffic: Arc<Traffic>,
    /// Longest JSON body.
    pub max_json_bytes: u64,
    /// Longest upload of a recording.
    pub max_audio_bytes: u64,
    /// Longest recording; a request about one may take that much longer.
    pub max_audio_seconds: Duration,
    /// Longest a request may take; `None` is for ever.
    pub request_timeout: Option<Duration>,
    /// Whether unknown fields are errors.
    pub reject_unknown: bool,
    /// Whether browsers are told to come by TLS only.
    pub hsts: bool,
}

/// An endpoint with the front around it. It answers every request and never fails.
pub struct Front<E> {
    door: Arc<Door>,
    inner: E,
}

impl<E: Endpoint> Front<E> {
    /// Puts the front around `inner`.
    pub fn new(door: Arc<Door>, inner: impl IntoEndpoint<Endpoint = E>) -> Self {
        Self {
            door,
            inner: inner.into_endpoint(),
        }
    }

    async fn answer(&self, mut request: Request) -> Response {
        join_model_name(&mut request);
        let found = find(request.method(), request.uri().path());
        let (template, (deadline, for_recording), body) = match &found {
            Found::Route(route) => (route.path, self.deadline(route), route.body),
            Found::WrongMethod(_) | Found::Nothing => (OTHER, (None, Duration::ZERO), BodyKind::None),
        };
        let notes = Notes::new(request_id(&request), self.door.reject_unknown).with_deadline(deadline, for_recording);
        let record = Record::open(self.door.traffic.clone(), &request, template, notes.clone());
        let head = Head::of(&request);
        let span = tracing::info_span!("request", request_id = notes.facts().request_id);
        let flag = FaultFlag::default();
        let passed = AssertUnwindSafe(self.pass(request, found, &notes, &flag).instrument(span.clone())).catch_unwind();
        let mut response = match passed.await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => error_response(&error, &flag, body),
            Err(panic) => span.in_scope(|| ApiError::internal(panic_text(panic.as_ref())).as_response()),
        };
        head.finish(&mut response, &notes, &flag);
        if self.door.hsts {
            let value = "max-age=31536000";
            set(response.headers_mut(), header::STRICT_TRANSPORT_SECURITY, value);
        }
        self.door
            .browser
            .mark(head.origin.as_deref(), &head.path, response.headers_mut());
        record.follow(response)
    }

    /// The checks, then the handler within its time.
    async fn pass(&self, request: Request, found: Found, notes: &Notes, flag: &FaultFlag) -> poem::Result<Response> {
        let mut request = request;
        let max_bytes = match &found {
            Found::Route(route) => self.max_bytes(route.body),
            Found::WrongMethod(_) | Found::Nothing => self.max_bytes(BodyKind::None),
        };
        let limit = BodyLimit {
            max_bytes,
            expects_continue: request.headers().contains_key(header::EXPECT),
        };
        let body = limit.wrap(request.take_body(), flag);
        request.set_body(body);
        let route = match self.check(&request, found)? {
            Checked::Answered(response) => return Ok(response),
            Checked::Route(route) => route,
        };
        notes.facts().key = self.door.auth.check(&request, route.scope)?;
        self.check_open(route)?;
        check_length(&request, route, max_bytes)?;
        if request.method() == Method::HEAD {
            request.set_method(Method::GET);
        }
        request.set_data(notes.clone());
        let handled = self
            .inner
            .call(request)
            .map(|answer| answer.map(IntoResponse::into_response));
        within_deadline(handled, notes).await.unwrap_or_else(|| {
            let message = "the request took longer than limits.request_timeout allows";
            Err(ApiError::new("request_deadline_exceeded", message).into())
        })
    }

    /// The checks that need the head alone and no key.
    fn check(&self, request: &Request, found: Found) -> Result<Checked, ApiError> {
        if head_bytes(request) > MAX_HEAD_BYTES {
            let message = format!("the head of the request is longer than {MAX_HEAD_BYTES} bytes; send fewer headers");
            return Err(ApiError::new("headers_too_large", message));
        }
        if !matches!(&found, Found::Route(route) if matches!(route.path, "/healthz" | "/health" | "/readyz")) {
            self.door.browser.check_host(request)?;
        }
        if let Some(response) = self.door.browser.preflight(request) {
            return Ok(Checked::Answered(response));
        }
        let route = match found {
            Found::Route(route) => route,
            Found::WrongMethod(allow) => {
                let message = format!("{} is not possible here; use {allow}", shown(request.method().as_str()));
                return Err(ApiError::new("method_not_allowed", message).with_header("allow", Cow::Owned(allow)));
            }
            Found::Nothing => {
                let message = format!("there is nothing at {}", shown(request.uri().path()));
                return Err(ApiError::new("unknown_url", message));
            }
        };
        self.door.browser.check_origin(request)?;
        Ok(Checked::Route(route))
    }

    /// Refuses what a server that drains or ends does not begin.
    fn check_open(&self, route: &Route) -> Result<(), ApiError> {
        let life = &self.door.life;
        let refused = match route.scope {
            Scope::Public | Scope::Metrics => false,
            Scope::Inference => life.is_stopping() || life.is_draining() && route.method == Method::POST,
            Scope::Admin => life.is_stopping(),
        };
        if refused {
            return Err(ApiError::new(
                "server_shutting_down",
                "the server takes no new requests; send it to another",
            ));
        }
        Ok(())
    }

    /// When a request of that route is over, and how much of the time is for a recording whose length is not known yet.
    fn deadline(&self, route: &Route) -> (Option<Instant>, Duration) {
        if route.operation == "streamEvents" {
            return (None, Duration::ZERO);
        }
        let recording = match route.body {
            BodyKind::Form => self.door.max_audio_seconds,
            BodyKind::None | BodyKind::Json => Duration::ZERO,
        };
        let deadline = self
            .door
            .request_timeout
            .map(|timeout| Instant::now() + timeout + recording);
        (deadline, recording)
    }

    fn max_bytes(&self, body: BodyKind) -> u64 {
        match body {
            BodyKind::Form => self.door.max_audio_bytes,
            BodyKind::None | BodyKind::Json => self.door.max_json_bytes,
        }
    }
}

/// What `handled` gives, `None` once the time is over. The handler may bring the end nearer while it is at work.
async fn within_deadline<T>(handled: impl Future<Output = T>, notes: &Notes) -> Option<T> {
    let mut handled = std::pin::pin!(handled);
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    std::future::poll_fn(|context| {
        if let Poll::Ready(answer) = handled.as_mut().poll(context) {
            return Poll::Ready(Some(answer));
        }
        let Some(deadline) = notes.deadline() else {
            return Poll::Pending;
        };
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(context).map(|()| None)
    })
    .await
}

enum Checked {
    Answered(Response),
    Route(&'static Route),
}

impl<E: Endpoint> Endpoint for Front<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        Ok(self.answer(request).await)
    }
}

/// What of the request's head the answer's head depends on.
struct Head {
    path: String,
    origin: Option<String>,
    without_body: bool,
    version: Version,
}

impl Head {
    fn of(request: &Request) -> Self {
        Self {
            path: request.uri().path().to_owned(),
            origin: request.header(header::ORIGIN).map(str::to_owned),
            without_body: request.method() == Method::HEAD,
            version: request.version(),
        }
    }

    fn finish(&self, response: &mut Response, notes: &Notes, flag: &FaultFlag) {
        let headers = response.headers_mut();
        set(
            headers,
            HeaderName::from_static("x-request-id"),
            &notes.facts().request_id,
        );
        set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        if ["/v1/", "/api/", "/metrics"]
            .iter()
            .any(|prefix| self.path.starts_with(prefix))
        {
            headers
                .entry(header::CACHE_CONTROL)
                .or_insert(HeaderValue::from_static("no-store"));
        } else {
            set(headers, header::X_FRAME_OPTIONS, "DENY");
            set(headers, header::REFERRER_POLICY, "no-referrer");
        }
        if let Some(names) = notes.ignored_header() {
            set(headers, HeaderName::from_static("x-inferkit-ignored"), &names);
        }
        if self.version >= Version::HTTP_2 {
            headers.remove(header::CONNECTION);
        } else if !flag.is_finished() {
            set(headers, header::CONNECTION, "close");
        }
        if self.without_body {
            drop_body(response);
        }
    }
}

/// An answer to `HEAD` tells the length of the body that `GET` would have.
fn drop_body(response: &mut Response) {
    let body: BoxBody<bytes::Bytes, std::io::Error> = response.take_body().into();
    if let Some(length) = body.size_hint().exact() {
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response.set_body(Body::empty());
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Turns whatever a handler or extractor failed with into the one error body.
fn error_response(error: &poem::Error, flag: &FaultFlag, body: BodyKind) -> Response {
    match flag.fault() {
        Some(BodyFault::TooLarge) => return too_large(body).as_response(),
        Some(BodyFault::TooSlow) => {
            return ApiError::new("request_timeout", "the body arrives too slowly; send at least 1 KiB/s")
                .as_response();
        }
        None => {}
    }
    // Not `error.into_response()`: that replaces the extensions, and with them the code that the log names.
    if let Some(error) = error.downcast_ref::<ApiError>() {
        return error.as_response();
    }
    if let Some(fault) = error.downcast_ref::<poem_openapi::error::ParseParamError>() {
        let message = format!("{}: {}", fault.name, fault.reason);
        return ApiError::invalid_value(fault.name, message).as_response();
    }
    let answer = match error.status().as_u16() {
        400 | 422 => ApiError::new("invalid_value", error.to_string()),
        404 => ApiError::new("unknown_url", "there is nothing at this path"),
        405 => ApiError::new("method_not_allowed", "this method is not possible here"),
        413 => too_large(body),
        415 => ApiError::new("unsupported_media_type", error.to_string()),
        _ => ApiError::internal(error),
    };
    answer.as_response()
}

fn too_large(body: BodyKind) -> ApiError {
    let limit = match body {
        BodyKind::Form => "limits.max_audio_bytes",
        BodyKind::None | BodyKind::Json => "limits.max_json_bytes",
    };
    let message = format!("the body is longer than {limit} allows; send a shorter one");
    ApiError::new("payload_too_large", message)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref().cloned());
    format!("a handler panicked: {}", text.unwrap_or_default())
}

fn check_length(request: &Request, route: &Route, max_bytes: u64) -> Result<(), ApiError> {
    let declared = request
        .header(header::CONTENT_LENGTH)
        .and_then(|length| length.parse::<u64>().ok());
    if route.body != BodyKind::None && declared.is_some_and(|declared| declared > max_bytes) {
        return Err(too_large(route.body));
    }
    Ok(())
}

/// Length of the head as it came, give or take the line ends.
fn head_bytes(request: &Request) -> usize {
    let line = request.method().as_str().len() + request.uri().to_string().len() + "HTTP/1.1".len() + 4;
    let header = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    line + request.headers().iter().map(header).sum::<usize>()
}

/// `/v1/models/owner/name` is read as `/v1/models/owner%2Fname`.
fn join_model_name(request: &mut Request) {
    let Some(name) = request.uri().path().strip_prefix("/v1/models/") else {
        return;
    };
    if request.method() == Method::GET || request.method() == Method::HEAD {
        let parts: Vec<&str> = name.split('/').collect();
        if let [owner, name] = parts[..]
            && !owner.is_empty()
            && !name.is_empty()
        {
            let query = request
                .uri()
                .query()
                .map(|query| format!("?{query}"))
                .unwrap_or_default();
            if let Ok(uri) = format!("/v1/models/{owner}%2F{name}{query}").parse() {
                *request.uri_mut() = uri;
            }
        }
    }
}

#[cfg(test)]
mod tests;
