//! What the fuzz targets in `inferkit-server/fuzz` call: the readers of what people write and clients send, and the
//! promises they make.
//!
//! Exists under `cargo fuzz`, and in the unit tests, which replay the corpus and feed mutated inputs through the same
//! functions. A broken promise is a panic here.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use futures_util::stream;
use poem::Body;
use poem::Request;
use poem::error::ResponseError;
use tokio::runtime::Builder;
use tokio::runtime::Runtime;

use crate::body::Fields;
use crate::body::read_form;
use crate::config;
use crate::config::Config;
use crate::config::ConfigError;
use crate::config::Sources;
use crate::error::ApiError;
use crate::routes::audio::SpeakerBounds;
use crate::routes::v1::chats;
use crate::routes::v1::forms;

/// Reads `text` as a configuration file and, behind a zero byte, `NAME=value` lines of the environment: a refusal is one
/// line, and what is accepted is shown in a form that reads back as the same.
pub fn configuration(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    // A key file may be any path of this machine, and reading one may never end.
    if text.contains("key_file") || text.contains("_KEY_FILE") {
        return;
    }
    let (file, environment) = text.split_once('\0').unwrap_or((text, ""));
    let pairs = environment.lines().filter_map(|line| line.split_once('='));
    let env = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    match configured(file, env) {
        Ok(config) => {
            let shown = config::effective_toml(&config);
            // What is masked is no longer what it was.
            if !shown.contains("***") {
                let again = configured(&shown, BTreeMap::new());
                let again = again.unwrap_or_else(|error| unreachable!("{error} in what was shown:\n{shown}"));
                let values = |config: &Config| config::effective_json(config)["values"].to_string();
                assert_eq!(values(&again), values(&config), "another configuration:\n{shown}");
            }
        }
        Err(error) => assert_one_line(&error.to_string()),
    }
}

fn configured(file: &str, env: BTreeMap<String, String>) -> Result<Config, ConfigError> {
    let sources = Sources {
        env,
        ..Sources::default()
    };
    config::layered(Some((PathBuf::from("fuzz.toml"), file.to_owned())), &sources)
}

/// Reads `body` as a form with the boundary `fuzz`, in pieces of as many bytes as its first byte says, and its fields as
/// OpenAI's routes do: the caller is told of a fault of his, in one line.
pub fn form(body: &[u8]) {
    let Some((piece, body)) = body.split_first() else {
        return;
    };
    let (file, fields) = match RUNTIME.with(|runtime| received(runtime, body, usize::from(*piece).max(1))) {
        Ok(Some(form)) => form,
        Ok(None) => return,
        Err(error) => return assert_callers_fault(&error),
    };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    assert!(length <= body.len() as u64, "a file of {length} bytes from nowhere");
    let count = fields.clone().unknown().len();
    for read in [forms::transcription, forms::translation, speakers] {
        match read(fields.clone()) {
            Ok(unknown) => assert!(unknown.len() <= count, "fields from nowhere: {unknown:?}"),
            Err(error) => assert_callers_fault(&error),
        }
    }
}

thread_local! {
    static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
}

/// The form's file and fields; `None` where this machine has no runtime.
fn received(runtime: &OnceCell<Runtime>, body: &[u8], piece: usize) -> Result<Option<(File, Fields)>, ApiError> {
    let Some(runtime) = running(runtime) else {
        return Ok(None);
    };
    let pieces: Vec<_> = body
        .chunks(piece)
        .map(|piece| std::io::Result::Ok(piece.to_vec()))
        .collect();
    let request = Request::builder()
        .content_type("multipart/form-data; boundary=fuzz")
        .body(Body::from_bytes_stream(stream::iter(pieces)));
    let (request, mut body) = request.split();
    let form = runtime.block_on(read_form(&request, &mut body));
    form.map(Some).map_err(|error| {
        let error = error.downcast::<ApiError>();
        error.unwrap_or_else(|other| unreachable!("an error without a body: {other}"))
    })
}

fn running(runtime: &OnceCell<Runtime>) -> Option<&Runtime> {
    if runtime.get().is_none() {
        let _ = runtime.set(Builder::new_current_thread().build().ok()?);
    }
    runtime.get()
}

/// The fields about speakers.
fn speakers(mut fields: Fields) -> Result<Vec<String>, ApiError> {
    SpeakerBounds::take(&mut fields)?;
    Ok(fields.unknown())
}

/// Reads `body` as the JSON of a chat request: the caller is told of a fault of his, in one line.
pub fn chat(body: &[u8]) {
    if let Err(error) = chats::completion(body) {
        assert_callers_fault(&error);
    }
}

fn assert_callers_fault(error: &ApiError) {
    assert!(error.status().is_client_error(), "{}: {error}", error.code);
    assert_one_line(&error.message);
    assert_one_line(error.param.as_deref().unwrap_or_default());
}

fn assert_one_line(message: &str) {
    assert!(!message.contains(char::is_control), "not one line: {message:?}");
}

#[cfg(test)]
mod tests;
