//! A model's chat template: a Jinja program that writes a conversation as one text.
//!
//! The environment is that of the reference (transformers): blocks trimmed, loop controls, Python's
//! methods on strings and maps, and the functions `raise_exception` and `strftime_now`.
//!
//! **Invariant:** a template is a program from the internet. It reaches nothing but its context, and
//! its source, work, memory and output are bounded.

mod clock;
mod json;
mod python;

use minijinja::Environment;
use minijinja::ErrorKind;
use minijinja::UndefinedBehavior;
use minijinja::syntax::SyntaxConfig;
use minijinja_contrib::pycompat::unknown_method_callback;
use time::OffsetDateTime;

use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;
use crate::formats::contain;

/// Longest template source; the longest published one has 17 kB.
const MAX_SOURCE_BYTES: usize = 1 << 20;
/// Deepest macro recursion; published templates stay below ten.
const MAX_RECURSION: usize = 64;
/// Work that any conversation may take: instructions, and one for every 64 bytes made.
const BASE_FUEL: u64 = 1_000_000;
/// Work allowed in addition for each byte of the conversation.
const FUEL_PER_BYTE: u64 = 20;
/// Longest prompt text per byte of the conversation, beyond [`BASE_OUTPUT`].
const OUTPUT_PER_BYTE: usize = 8;
const BASE_OUTPUT: usize = 1 << 20;

/// The name under which the template is kept, and which its errors show.
const NAME: &str = "chat_template";

/// A chat template, parsed and ready to render.
#[derive(Debug)]
pub(super) struct Template {
    environment: Environment<'static>,
    source: String,
}

impl Template {
    /// Parses a template; `origin` names the file it comes from.
    ///
    /// # Errors
    /// [`Error::BadModel`] for a source that is too long or no template.
    pub(super) fn new(source: &str, origin: &str) -> Result<Self> {
        if source.len() > MAX_SOURCE_BYTES {
            return Err(Error::bad_model(format!(
                "{origin}: the chat template has {} bytes, more than the {MAX_SOURCE_BYTES} that are read",
                source.len()
            )));
        }
        let mut environment = environment()?;
        contain(origin, || {
            environment
                .add_template_owned(NAME, without_generation_blocks(source))
                .map_err(|error| {
                    Error::bad_model(format!(
                        "{origin}: the chat template does not parse: {error:#}; correct the template"
                    ))
                })
        })?;
        Ok(Self {
            environment,
            source: source.to_owned(),
        })
    }

    /// The source, to ask what a template knows.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Renders a conversation of `size` bytes as of `now`.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when the template refuses the conversation, by its own exception or
    /// because a value is not of the kind it takes; [`Error::BadModel`] when it exceeds its bounds or
    /// uses what does not exist.
    pub(super) fn render(&self, context: &serde_json::Value, size: usize, now: OffsetDateTime) -> Result<String> {
        contain("the chat template", || {
            let mut environment = self.environment.clone();
            environment.set_fuel(Some(BASE_FUEL + FUEL_PER_BYTE * size as u64));
            environment.add_function("strftime_now", move |format: &str| clock::format(now, format));
            let mut output = BoundedOutput {
                text: Vec::new(),
                room: BASE_OUTPUT + OUTPUT_PER_BYTE * size,
            };
            environment
                .get_template(NAME)
                .and_then(|template| {
                    template
                        .render_captured_to(context_value(context), &mut output)
                        .map(drop)
                })
                .map_err(|error| refusal(&error, context))?;
            String::from_utf8(output.text).map_err(|_| Error::internal("the chat template wrote half a character"))
        })
    }
}

fn context_value(context: &serde_json::Value) -> minijinja::Value {
    minijinja::Value::from(minijinja::value::Serde(context))
}

/// The reference's environment.
fn environment() -> Result<Environment<'static>> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
        .map_err(|error| Error::internal("the template syntax is refused").with_source(error))?;
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_recursion_limit(MAX_RECURSION);
    environment.set_debug(false);
    environment.set_unknown_method_callback(unknown_method_callback);
    environment.set_formatter(|output, _, value| python::print(output, value));
    environment.add_filter("tojson", json::tojson);
    environment.add_filter("string", python::string);
    // Python cannot iterate over None; templates ask to tell lists from null.
    environment.add_test("iterable", |value: &minijinja::Value| {
        !value.is_none() && value.try_iter().is_ok()
    });
    environment.add_function("raise_exception", |message: &str| -> Result<String, minijinja::Error> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, "raised").with_source(Raised(message.to_owned())))
    });
    Ok(environment)
}

/// An exception that a template raises on purpose.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

/// Nesting of a conversation beyond which a template that recurses over it may run out of levels by no
/// fault of its own; published tools' schemas stay below ten levels inside the four around them.
const DEEP_CONVERSATION: usize = 16;

/// What minijinja says of values that a template makes too large and of recursion without an end.
const RUNAWAY: [&str; 5] = [
    "recursion limit exceeded",
    "range has too many elements",
    "cannot create range with step of 0",
    "repeated string is too large",
    "repeated sequence is too large",
];

/// Whether the template has run away of its own accord.
fn is_runaway(error: &minijinja::Error, context: &serde_json::Value) -> bool {
    let said = format!("{error:#}");
    RUNAWAY
        .iter()
        .enumerate()
        .any(|(kind, text)| said.contains(text) && (kind > 0 || !is_nested_beyond(context, DEEP_CONVERSATION)))
}

/// Whether `value` has more than `levels` levels of lists and maps.
fn is_nested_beyond(value: &serde_json::Value, levels: usize) -> bool {
    let Some(inner) = levels.checked_sub(1) else {
        return value.is_array() || value.is_object();
    };
    match value {
        serde_json::Value::Array(items) => items.iter().any(|item| is_nested_beyond(item, inner)),
        serde_json::Value::Object(entries) => entries.values().any(|item| is_nested_beyond(item, inner)),
        _ => false,
    }
}

/// Whose fault a failed rendering is.
fn refusal(error: &minijinja::Error, context: &serde_json::Value) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(found) = cause {
        if let Some(Raised(message)) = found.downcast_ref() {
            return Error::invalid(
                RequestFault::InvalidValue,
                "messages",
                format!("the model's chat template refuses the conversation: {message}"),
            );
        }
        cause = found.source();
    }
    let line = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
    match error.kind() {
        ErrorKind::OutOfFuel | ErrorKind::WriteFailure => Error::bad_model(format!(
            "the chat template takes more work or room than a conversation needs{line}; correct the template"
        )),
        _ if is_runaway(error, context) => Error::bad_model(format!(
            "the chat template runs away{line}: {error}; correct the template"
        )),
        ErrorKind::SyntaxError
        | ErrorKind::TooManyArguments
        | ErrorKind::MissingArgument
        | ErrorKind::BadEscape
        | ErrorKind::TemplateNotFound
        | ErrorKind::UnknownFilter
        | ErrorKind::UnknownFunction
        | ErrorKind::UnknownTest
        | ErrorKind::UnknownMethod => Error::bad_model(format!(
            "the chat template cannot be rendered: {error:#}; correct the template"
        )),
        _ => Error::invalid(
            RequestFault::InvalidValue,
            "messages",
            format!("the model's chat template cannot take this conversation: {error}{line}"),
        ),
    }
}

/// Takes output until there is no room for more.
struct BoundedOutput {
    text: Vec<u8>,
    room: usize,
}

impl std::io::Write for BoundedOutput {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.text.len() + bytes.len() > self.room {
            return Err(std::io::Error::other("the prompt is too long"));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Turns `{% generation %}` blocks, which mark an assistant's words for training, into plain ones.
fn without_generation_blocks(source: &str) -> String {
    let mut rest = source;
    let mut kept = String::with_capacity(source.len());
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        kept.push_str(before);
        let Some(end) = tag.find("%}").map(|end| end + 2) else {
            break;
        };
        let (tag, after) = tag.split_at(end);
        let word = tag
            .trim_start_matches("{%")
            .trim_end_matches("%}")
            .trim_matches(['-', '+'])
            .trim();
        match word {
            "generation" => kept.push_str(&tag.replace("generation", "if true")),
            "endgeneration" => kept.push_str(&tag.replace("endgeneration", "endif")),
            _ => kept.push_str(tag),
        }
        rest = after;
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests;
