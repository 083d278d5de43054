//! Every route in one table: its scope, its body, and the errors it can give.
//!
//! The front looks requests up here before anything else, so that an unknown path, a wrong method and
//! a missing key are refused before a body is read; the document takes security and error answers
//! from here. A test holds table, document and router equal.

use poem::http::Method;

use crate::routes::Scope;

/// One method of one path.
#[derive(Debug)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path; a segment that begins with `:` takes any one segment.
    pub path: &'static str,
    /// Which keys open it.
    pub scope: Scope,
    /// What kind of body it takes.
    pub body: BodyKind,
    /// The `operationId` in the document; empty for routes outside of it.
    pub operation: &'static str,
    /// Statuses of 400 and more that only this route can give; those of all routes are added.
    pub errors: &'static [u16],
}

/// What kind of body a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// None; whatever is sent is thrown away.
    None,
    /// JSON, up to `limits.max_json_bytes`.
    Json,
    /// A form with a recording in it, up to `limits.max_audio_bytes`.
    Form,
}

const fn get(path: &'static str, scope: Scope, operation: &'static str, errors: &'static [u16]) -> Route {
    Route {
        method: Method::GET,
        path,
        scope,
        body: BodyKind::None,
        operation,
        errors,
    }
}

const fn post(path: &'static str, scope: Scope, operation: &'static str, errors: &'static [u16]) -> Route {
    Route {
        method: Method::POST,
        path,
        scope,
        body: BodyKind::Json,
        operation,
        errors,
    }
}

/// A route that takes a recording.
const fn audio(path: &'static str, operation: &'static str) -> Route {
    Route {
        method: Method::POST,
        path,
        scope: Scope::Inference,
        body: BodyKind::Form,
        operation,
        errors: &[403, 404, 429, 503],
    }
}

/// An action without a body.
const fn bare(method: Method, path: &'static str, operation: &'static str, errors: &'static [u16]) -> Route {
    Route {
        method,
        path,
        scope: Scope::Admin,
        body: BodyKind::None,
        operation,
        errors,
    }
}

const fn page(path: &'static str) -> Route {
    get(path, Scope::Public, "", &[])
}

/// All routes.
pub static ROUTES: &[Route] = &[
    page("/openapi.json"),
    page("/docs"),
    get("/healthz", Scope::Public, "getHealth", &[]),
    page("/health"),
    get("/readyz", Scope::Public, "getReadiness", &[]),
    get("/version", Scope::Public, "getVersion", &[]),
    post(
        "/v1/chat/completions",
        Scope::Inference,
        "createChatCompletion",
        &[403, 404, 429, 503],
    ),
    audio("/v1/audio/transcriptions", "createTranscription"),
    audio("/v1/audio/translations", "createTranslation"),
    audio("/v1/audio/diarization", "createDiarization"),
    audio("/api/audio/transcribe", "transcribeAudio"),
    audio("/api/diarization/process", "diarizeAudio"),
    get("/v1/models", Scope::Inference, "listModels", &[]),
    get("/v1/models/:model", Scope::Inference, "getModel", &[404]),
    get("/api/admin/status", Scope::Admin, "getStatus", &[]),
    get("/api/admin/events", Scope::Admin, "streamEvents", &[]),
    get("/api/admin/gpus", Scope::Admin, "listGpus", &[]),
    get("/api/admin/gpus/history", Scope::Admin, "getGpuHistory", &[]),
    get("/api/admin/dependencies", Scope::Admin, "listDependencies", &[]),
    get("/api/admin/config", Scope::Admin, "getConfig", &[]),
    get("/api/admin/hf-token", Scope::Admin, "getHfToken", &[]),
    Route {
        method: Method::PUT,
        path: "/api/admin/hf-token",
        scope: Scope::Admin,
        body: BodyKind::Json,
        operation: "setHfToken",
        errors: &[409],
    },
    bare(Method::DELETE, "/api/admin/hf-token", "clearHfToken", &[409]),
    bare(Method::POST, "/api/admin/hf-token/verify", "verifyHfToken", &[409]),
    bare(Method::POST, "/api/admin/drain", "startDrain", &[]),
    bare(Method::DELETE, "/api/admin/drain", "stopDrain", &[]),
    get("/api/admin/models", Scope::Admin, "listAdminModels", &[]),
    get("/api/admin/models/:key", Scope::Admin, "getAdminModel", &[404]),
    post(
        "/api/admin/models/:key/download",
        Scope::Admin,
        "downloadModel",
        &[404, 409],
    ),
    post(
        "/api/admin/models/:key/load",
        Scope::Admin,
        "loadModel",
        &[404, 409, 503],
    ),
    post(
        "/api/admin/models/:key/unload",
        Scope::Admin,
        "unloadModel",
        &[404, 409],
    ),
    post(
        "/api/admin/models/:key/cancel",
        Scope::Admin,
        "cancelModelOperation",
        &[404, 409],
    ),
    get("/api/admin/operations", Scope::Admin, "listOperations", &[404]),
    get("/api/admin/operations/:id", Scope::Admin, "getOperation", &[404]),
    post(
        "/api/admin/operations/:id/cancel",
        Scope::Admin,
        "cancelOperation",
        &[404, 409],
    ),
];

/// What a look-up found.
#[derive(Debug)]
pub enum Found {
    /// The route.
    Route(&'static Route),
    /// The path exists, the method does not; the methods that do, for `Allow`.
    WrongMethod(String),
    /// Nothing at that path.
    Nothing,
}

/// Looks up a method and a raw path. `HEAD` finds what `GET` finds.
pub fn find(method: &Method, path: &str) -> Found {
    let wanted = if method == Method::HEAD { &Method::GET } else { method };
    let mut allowed: Vec<&str> = Vec::new();
    for route in ROUTES.iter().filter(|route| matches(route.path, path)) {
        if route.method == *wanted {
            return Found::Route(route);
        }
        if route.method == Method::GET {
            allowed.extend(["GET", "HEAD"]);
        } else {
            allowed.push(route.method.as_str());
        }
    }
    if allowed.is_empty() {
        Found::Nothing
    } else {
        Found::WrongMethod(allowed.join(", "))
    }
}

fn matches(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(name), Some(segment)) if name.starts_with(':') && !segment.is_empty() => {}
            (Some(name), Some(segment)) if name == segment => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(method: &Method, path: &str) -> Option<&'static str> {
        match find(method, path) {
            Found::Route(route) => Some(route.path),
            Found::WrongMethod(_) | Found::Nothing => None,
        }
    }

    #[test]
    fn a_parameter_takes_exactly_one_segment() {
        assert_eq!(path(&Method::GET, "/v1/models/a%2Fb"), Some("/v1/models/:model"));
        for nothing in ["/v1/models/", "/v1/models/a/b", "/v1", "/healthz/", "//healthz", ""] {
            assert_eq!(path(&Method::GET, nothing), None, "{nothing}");
        }
    }

    #[test]
    fn head_finds_what_get_finds() {
        assert_eq!(path(&Method::HEAD, "/healthz"), Some("/healthz"));
        assert!(matches!(
            find(&Method::HEAD, "/api/admin/models/x/load"),
            Found::WrongMethod(_)
        ));
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let Found::WrongMethod(allow) = find(&Method::OPTIONS, "/v1/models") else {
            panic!("found")
        };
        assert_eq!(allow, "GET, HEAD");
    }

    #[test]
    fn no_route_stands_twice() {
        for (index, route) in ROUTES.iter().enumerate() {
            let twin = ROUTES[..index]
                .iter()
                .find(|other| other.path == route.path && other.method == route.method);
            assert!(twin.is_none(), "{} {}", route.method, route.path);
        }
    }
}
