//! From poem-openapi's document to a true and valid one.
//!
//! Each step mends something that poem-openapi gets wrong, and says what. The function
//! is deterministic: the same document in gives the same bytes out.

use poem_openapi::registry::Registry;
use poem_openapi::types::Type;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::error::ErrorBody;
use crate::openapi::examples;
use crate::routes::BodyKind;
use crate::routes::ROUTES;
use crate::routes::Route;
use crate::routes::Scope;

/// The polished document, pretty-printed, with a final line end.
pub(crate) fn polished(document: &str) -> String {
    let mut document: Value = serde_json::from_str(document).unwrap_or_default();
    add_schema::<ErrorBody>(&mut document);
    walk(&mut document);
    for route in ROUTES.iter().filter(|route| !route.operation.is_empty()) {
        let method = route.method.as_str().to_lowercase();
        let pointer = format!(
            "/paths/{}/{method}",
            template(route.path).replace('~', "~0").replace('/', "~1")
        );
        if let Some(operation) = document.pointer_mut(&pointer).and_then(Value::as_object_mut) {
            finish(operation, route);
        }
    }
    let scheme = json!({
        "type": "http",
        "scheme": "bearer",
        "description": "A key of the configuration (`auth.keys`). Without configured keys none is needed."
    });
    document["components"]["securitySchemes"] = json!({ "ApiKey": scheme });
    format!("{}\n", serde_json::to_string_pretty(&document).unwrap_or_default())
}

/// A schema that the middleware sends and no handler mentions, so that poem-openapi leaves it out.
fn add_schema<T: Type>(document: &mut Value) {
    let mut registry = Registry::new();
    T::register(&mut registry);
    for (name, schema) in registry.schemas {
        document["components"]["schemas"][name] = serde_json::to_value(schema).unwrap_or_default();
    }
}

/// `/v1/models/:model` as `/v1/models/{model}`.
fn template(path: &str) -> String {
    let segment = |part: &str| {
        part.strip_prefix(':')
            .map_or_else(|| part.to_owned(), |name| format!("{{{name}}}"))
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// What holds for every part of the document.
fn walk(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.contains_key("oneOf") || object.contains_key("anyOf") {
                object.shift_remove("type");
            }
            shorten_media_types(object);
            describe_streams(object);
            tidy_references(object);
            if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
                mark_times(properties);
            }
            require_nullable(object);
            object.values_mut().for_each(walk);
        }
        Value::Array(items) => items.iter_mut().for_each(walk),
        _ => {}
    }
}

fn shorten_media_types(object: &mut Map<String, Value>) {
    if object.contains_key("application/json; charset=utf-8") {
        let renamed = std::mem::take(object)
            .into_iter()
            .map(|(name, value)| match name.as_str() {
                "application/json; charset=utf-8" => ("application/json".to_owned(), value),
                _ => (name, value),
            });
        object.extend(renamed.collect::<Vec<_>>());
    }
}

/// A stream is text; what its data lines hold is told beside it, so that no client parses it as one JSON.
fn describe_streams(object: &mut Map<String, Value>) {
    if object.get("format").and_then(Value::as_str) == Some("event-stream") {
        let items = object.shift_remove("items").unwrap_or_default();
        object.insert("type".to_owned(), "string".into());
        object.shift_remove("format");
        object.insert("x-event-schema".to_owned(), items);
    }
}

/// poem-openapi repeats description and nullability inside `allOf`, beside the reference.
fn tidy_references(object: &mut Map<String, Value>) {
    if let Some(parts) = object.get_mut("allOf").and_then(Value::as_array_mut)
        && parts.iter().any(|part| part.get("$ref").is_some())
    {
        parts.retain(|part| part.get("$ref").is_some());
    }
}

/// A field that may be null is always sent.
fn require_nullable(object: &mut Map<String, Value>) {
    let Some(properties) = object.get("properties").and_then(Value::as_object) else {
        return;
    };
    let nullable = properties.iter().filter(|(_, schema)| schema["nullable"] == true);
    let mut names: Vec<Value> = nullable.map(|(name, _)| name.as_str().into()).collect();
    if !names.is_empty() {
        let required = object.entry("required").or_insert_with(|| json!([]));
        required
            .as_array_mut()
            .into_iter()
            .for_each(|required| required.append(&mut names));
    }
}

/// Fields whose names say that they are times of `/api`.
fn mark_times(properties: &mut Map<String, Value>) {
    for (name, schema) in properties {
        if let (true, Some(schema)) = (
            name.ends_with("_at") || name == "time" || name == "at",
            schema.as_object_mut(),
        ) && schema.get("type").and_then(Value::as_str) == Some("string")
        {
            schema.insert("format".to_owned(), "date-time".into());
        }
    }
}

/// Security, error answers, headers and examples of one operation.
fn finish(operation: &mut Map<String, Value>, route: &Route) {
    let is_public = route.scope == Scope::Public;
    let security = if is_public {
        json!([])
    } else {
        json!([{ "ApiKey": [] }])
    };
    operation.insert("security".to_owned(), security);
    operation.insert("x-inferkit-scope".to_owned(), route.scope.as_str().into());
    let summary = operation.get("summary").cloned().unwrap_or_default();
    let answers = operation.entry("responses").or_insert_with(|| json!({}));
    let Some(answers) = answers.as_object_mut() else { return };
    for status in error_statuses(route) {
        answers
            .entry(status.to_string())
            .or_insert_with(|| error_answer(status));
    }
    for (status, answer) in answers.iter_mut() {
        if answer["description"].as_str().is_none_or(str::is_empty) {
            answer["description"] = summary.clone();
        }
        add_headers(answer, status, route);
        if let Some(example) = examples::response(route.operation, status) {
            add_example(answer, &example);
        }
    }
    answers.sort_keys();
    if let Some(example) = examples::request(route.operation)
        && let Some(body) = operation.get_mut("requestBody")
    {
        add_example(body, &example);
    }
}

/// Statuses of 400 and more that the route can give.
fn error_statuses(route: &Route) -> Vec<u16> {
    let mut statuses = vec![400, 403, 408, 431, 500];
    if route.scope != Scope::Public {
        statuses.extend([401, 429, 503]);
    }
    if route.body != BodyKind::None {
        statuses.extend([413, 415]);
    }
    if route.scope != Scope::Public && route.operation != "streamEvents" {
        statuses.push(504);
    }
    statuses.extend(route.errors);
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

fn error_answer(status: u16) -> Value {
    let description = match status {
        400 => "The request is wrong.",
        401 => "The key is missing or unknown.",
        403 => "The key, the host or the origin is not allowed to do this, or the hub refuses the model.",
        404 => "There is no such thing.",
        408 => "The request arrived too slowly.",
        409 => "The state of the model or of the token does not allow this.",
        413 => "The body is too long.",
        415 => "The body is of another kind than the route takes.",
        429 => "Too many requests, or too many wrong keys.",
        431 => "The head of the request is too long.",
        500 => "Something went wrong inside the server.",
        503 => "The model or the server is not ready for this.",
        _ => "The request took too long.",
    };
    json!({
        "description": description,
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/ErrorBody" } } }
    })
}

fn add_headers(answer: &mut Value, status: &str, route: &Route) {
    let Some(answer) = answer.as_object_mut() else { return };
    let headers = answer.entry("headers").or_insert_with(|| json!({}));
    let Some(headers) = headers.as_object_mut() else { return };
    let text = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    rename_headers(headers);
    headers.insert("X-Request-Id".to_owned(), text("Names the request in the log."));
    if matches!(status, "429" | "503") {
        let schema = json!({ "type": "integer", "format": "int32", "minimum": 1, "maximum": 60 });
        let retry = json!({ "description": "Seconds after which trying again makes sense.", "schema": schema });
        headers.insert("Retry-After".to_owned(), retry);
    }
    if matches!(status, "409" | "503" | "504") {
        headers.insert(
            "X-Should-Retry".to_owned(),
            text("`false` where trying again does not help."),
        );
    }
    if status == "401" {
        headers.insert("WWW-Authenticate".to_owned(), text("The kind of key that is wanted."));
    }
    if status.starts_with('2') && route.body == BodyKind::Json {
        headers.insert(
            "X-Inferkit-Ignored".to_owned(),
            text("Fields of the body that are not known here."),
        );
    }
}

/// poem-openapi writes header names in capitals.
fn rename_headers(headers: &mut Map<String, Value>) {
    if let Some(location) = headers.remove("LOCATION") {
        headers.insert("Location".to_owned(), location);
    }
}

fn add_example(holder: &mut Value, example: &Value) {
    let content = holder.get_mut("content").and_then(Value::as_object_mut);
    for (kind, media) in content.into_iter().flatten() {
        let fits =
            kind == "application/json" && !example.is_string() || kind == "text/event-stream" && example.is_string();
        if let (true, Some(media)) = (fits, media.as_object_mut()) {
            media.insert("example".to_owned(), example.clone());
        }
    }
}
