//! The log: one line an event on stderr, for people or as one JSON object.
//!
//! Every line of a request carries its id. Prompts, answers, file names of uploads, tokens and keys
//! never enter the log; there is no switch that lets them.

use std::fmt;
use std::io;
use std::time::SystemTime;

use serde_json::Map;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;
use tokio::sync::broadcast;
use tracing::Event;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::FormatEvent;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::FormattedFields;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::clock::rfc3339;
use crate::config::LogFormat;
use crate::config::LogSettings;
use crate::events::LogLine;

/// RFC 3339 with microseconds and `Z`.
const TIMESTAMP: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// Changes the level of a running log.
pub type LevelHandle = reload::Handle<EnvFilter, Registry>;

/// Warnings that a reader of events may fall behind before it misses some.
const TAPPED: usize = 64;

/// A running log.
#[derive(Debug)]
pub struct Log {
    /// Changes its level.
    pub level: LevelHandle,
    /// Warnings and errors as they are logged.
    pub warnings: broadcast::Receiver<LogLine>,
}

/// What is logged under `directives`.
///
/// The readers of recordings log every oddity of a file, up to ERROR, and none of it is about this server: they are silent
/// unless a directive names them.
///
/// # Errors
/// When the directives cannot be read.
pub fn filter(directives: &str) -> Result<EnvFilter, ParseError> {
    if directives.contains("symphonia") {
        return EnvFilter::try_new(directives);
    }
    EnvFilter::try_new(format!("{directives},symphonia=off"))
}

/// Begins to log; panics go to the log as well.
///
/// # Errors
/// When the directives cannot be read or something logs already.
pub fn begin(settings: &LogSettings) -> Result<Log, String> {
    let filter = filter(&settings.directives).map_err(|error| error.to_string())?;
    let (filter, handle) = reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer()
        .fmt_fields(JsonFields::new())
        .event_format(Line {
            format: settings.format,
        })
        .with_writer(io::stderr);
    let (tap, warnings) = broadcast::channel(TAPPED);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(Tap(tap))
        .try_init()
        .map_err(|error| error.to_string())?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let text = panic.payload_as_str().unwrap_or("a value that is no text");
        tracing::error!(place, message = "panic", panic = text);
    }));
    Ok(Log {
        level: handle,
        warnings,
    })
}

/// Copies warnings and errors for the readers of events.
struct Tap(broadcast::Sender<LogLine>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Tap {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let about = event.metadata();
        if *about.level() > tracing::Level::WARN {
            return;
        }
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flatten() {
            let extensions = span.extensions();
            let text = extensions
                .get::<FormattedFields<JsonFields>>()
                .map(|fields| fields.fields.as_str());
            if let Some(Ok(inherited)) = text.map(serde_json::from_str::<Map<String, Value>>) {
                fields.0.extend(inherited);
            }
        }
        event.record(&mut fields);
        let text = |name: &str| fields.0.get(name).and_then(Value::as_str).map(str::to_owned);
        // Nobody listening is no error.
        let _ = self.0.send(LogLine {
            time: rfc3339(SystemTime::now()),
            level: about.level().as_str().to_ascii_lowercase(),
            target: about.target().to_owned(),
            message: text("message").unwrap_or_default(),
            request_id: text("request_id"),
        });
    }
}

/// One event as one line.
struct Line {
    format: LogFormat,
}

impl<S, F> FormatEvent<S, F> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    F: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, F>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            let text = extensions
                .get::<FormattedFields<F>>()
                .map(|fields| fields.fields.as_str());
            if let Some(Ok(inherited)) = text.map(serde_json::from_str::<Map<String, Value>>) {
                fields.0.extend(inherited);
            }
        }
        event.record(&mut fields);
        let message = fields.0.shift_remove("message").unwrap_or_default();
        let about = event.metadata();
        let now = OffsetDateTime::from(SystemTime::now())
            .format(TIMESTAMP)
            .unwrap_or_default();
        let line = match self.format {
            LogFormat::Json => json_line(&now, about, message, fields.0),
            LogFormat::Text => text_line(&now, about, &message, &fields.0),
        };
        writeln!(writer, "{line}")
    }
}

fn json_line(now: &str, about: &tracing::Metadata<'_>, message: Value, fields: Map<String, Value>) -> String {
    let mut line = Map::new();
    line.insert("ts".to_owned(), now.into());
    line.insert("level".to_owned(), about.level().as_str().to_ascii_lowercase().into());
    line.insert("target".to_owned(), about.target().into());
    line.insert("msg".to_owned(), message);
    for (name, value) in fields {
        line.entry(name).or_insert(value);
    }
    Value::Object(line).to_string()
}

fn text_line(now: &str, about: &tracing::Metadata<'_>, message: &Value, fields: &Map<String, Value>) -> String {
    let mut line = format!(
        "{now} {:>5} {}: {}",
        about.level().as_str(),
        about.target(),
        plain(message)
    );
    for (name, value) in fields {
        line.extend([" ", name, "=", &plain(value)]);
    }
    line
}

/// A value without quotes where it is one word; a text with quotes and escapes otherwise.
fn plain(value: &Value) -> String {
    match value.as_str() {
        Some(text) if !text.contains(|c: char| c.is_control() || c == '"') => text.to_owned(),
        _ => value.to_string(),
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // Three digits are enough for any time in milliseconds.
        self.set(field, Value::from((value * 1e3).round() / 1e3));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Memory {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn logged(format: LogFormat, run: impl FnOnce()) -> String {
        let memory = Memory::default();
        let lines = tracing_subscriber::fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(Line { format })
            .with_writer(memory.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), run);
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn request() {
        let span = tracing::info_span!("request", request_id = "req_1");
        span.in_scope(|| tracing::info!(target: "inferkit::access", status = 200, key = None::<&str>, duration_ms = 1.23456, "request"));
    }

    #[test]
    fn the_readers_of_recordings_are_silent_unless_a_directive_names_them() {
        let written = |directives: &str| filter(directives).unwrap().to_string();
        assert!(written("info").contains("symphonia=off"), "{}", written("info"));
        assert!(!written("warn,symphonia=debug").contains("off"));
        assert!(filter("inferkit=loud").is_err());
    }

    #[test]
    fn a_json_line_is_one_flat_object_with_the_requests_id() {
        let line: Map<String, Value> = serde_json::from_str(&logged(LogFormat::Json, request)).unwrap();
        let names: Vec<&str> = line.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["ts", "level", "target", "msg", "request_id", "status", "duration_ms"]
        );
        assert_eq!(
            (line["level"].as_str(), line["duration_ms"].as_f64()),
            (Some("info"), Some(1.235))
        );
        let ts = line["ts"].as_str().unwrap();
        assert!(ts.len() == 27 && ts.ends_with('Z'), "{ts}");
    }

    #[test]
    fn a_text_line_is_one_line_whatever_is_logged() {
        let line = logged(LogFormat::Text, request);
        assert!(
            line.ends_with(" INFO inferkit::access: request request_id=req_1 status=200 duration_ms=1.235\n"),
            "{line}"
        );
        let line = logged(LogFormat::Text, || tracing::warn!(path = "a\nb", "x\r\ny"));
        assert_eq!(line.matches('\n').count(), 1, "{line}");
    }
}
