//! Examples of the document, each a file that tests also send or compare with.

use serde_json::Value;

/// `operation`, status or `request`, text.
const EXAMPLES: &[(&str, &str, &str)] = &[
    ("getHealth", "200", include_str!("examples/health.json")),
    ("getReadiness", "200", include_str!("examples/ready.json")),
    ("getReadiness", "503", include_str!("examples/not_ready.json")),
    ("getModel", "404", include_str!("examples/model_not_found.json")),
    ("listModels", "200", include_str!("examples/models.json")),
    ("downloadModel", "request", include_str!("examples/download.json")),
    ("downloadModel", "202", include_str!("examples/operation.json")),
    ("loadModel", "request", include_str!("examples/load.json")),
    ("unloadModel", "request", include_str!("examples/unload.json")),
    ("streamEvents", "200", include_str!("examples/events.txt")),
];

/// The example of an operation's request body.
pub(crate) fn request(operation: &str) -> Option<Value> {
    find(operation, "request")
}

/// The example of an operation's answer of that status.
pub(crate) fn response(operation: &str, status: &str) -> Option<Value> {
    find(operation, status)
}

fn find(operation: &str, place: &str) -> Option<Value> {
    let (_, _, text) = EXAMPLES
        .iter()
        .find(|(name, where_, _)| *name == operation && *where_ == place)?;
    Some(serde_json::from_str(text).unwrap_or_else(|_| Value::from(*text)))
}
