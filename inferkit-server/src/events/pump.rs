//! From the sources of events into the ring, at most two a second of each thing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use inferkit::Event;
use inferkit::RuntimeStatus;
use poem_openapi::types::ToJSON;
use serde::Serialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::app::App;
use crate::routes::admin;

/// Least time between two events of the same thing.
const PACE: Duration = Duration::from_millis(500);
/// How often held-back events are looked at.
const TICK: Duration = Duration::from_millis(100);

/// A line of the log that readers of events should see.
#[derive(Debug, Clone, Serialize)]
pub struct LogLine {
    /// When.
    pub time: String,
    /// `warn` or `error`.
    pub level: String,
    /// The part of the program.
    pub target: String,
    /// What happened.
    pub message: String,
    /// The request it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// Carries events into the ring until the process begins to end.
pub async fn pump(app: Arc<App>, mut log: broadcast::Receiver<LogLine>) {
    let mut registry = app.registry.events();
    let mut samples = app.platform.monitor.watch();
    let mut token = app.platform.hub.tokens().watch();
    let mut dependencies = app.platform.watch_dependencies();
    let mut ticks = tokio::time::interval(TICK);
    let stopping = app.life().stopping();
    let mut paced = Paced::default();
    loop {
        tokio::select! {
            event = registry.recv() => match event {
                Ok(event) => paced.take(&app, &event),
                Err(RecvError::Lagged(_)) => push_all_models(&app),
                Err(RecvError::Closed) => break,
            },
            _ = ticks.tick() => paced.flush(&app, Instant::now()),
            Ok(()) = samples.changed() => app.events.push("sample", admin::sample_json(&app)),
            Ok(()) = dependencies.changed() => app.events.push("dependencies", admin::dependencies_json(&app)),
            Ok(()) = token.changed() => app.events.push("hf_token", admin::token_json(&app)),
            Ok(line) = log.recv() => {
                app.events.push("log", serde_json::to_string(&line).unwrap_or_default());
            }
            () = stopping.cancelled() => break,
        }
    }
    app.events.push("shutdown", "{}");
}

fn push_all_models(app: &App) {
    for model in app.registry.statuses() {
        app.events
            .push("model", admin::model_view(app, &model).to_json_string());
    }
}

/// Holds back what comes too fast; the last word on each thing is always said.
#[derive(Default)]
struct Paced {
    things: HashMap<(&'static str, String), Thing>,
}

struct Thing {
    said: Instant,
    held_back: Option<String>,
}

impl Paced {
    fn take(&mut self, app: &App, event: &Event) {
        match event {
            Event::Model(model) => {
                let resting = !matches!(
                    model.runtime_status,
                    RuntimeStatus::Downloading | RuntimeStatus::Loading | RuntimeStatus::Unloading
                );
                let urgent = resting && model.operation.is_none() && model.active_requests == 0;
                self.say(
                    app,
                    "model",
                    &model.key,
                    admin::model_view(app, model).to_json_string(),
                    urgent,
                );
            }
            Event::Operation(operation) => {
                let data = admin::operation_view(operation).to_json_string();
                self.say(app, "operation", &operation.id, data, operation.state.is_finished());
            }
            _ => {}
        }
    }

    fn say(&mut self, app: &App, name: &'static str, id: &str, data: String, urgent: bool) {
        let now = Instant::now();
        let key = (name, id.to_owned());
        match self.things.get_mut(&key) {
            Some(thing) if !urgent && now.duration_since(thing.said) < PACE => thing.held_back = Some(data),
            _ => {
                self.things.insert(
                    key,
                    Thing {
                        said: now,
                        held_back: None,
                    },
                );
                app.events.push(name, data);
            }
        }
    }

    fn flush(&mut self, app: &App, now: Instant) {
        self.things.retain(|(name, _), thing| {
            if now.duration_since(thing.said) < PACE {
                return true;
            }
            match thing.held_back.take() {
                Some(data) => {
                    app.events.push(name, data);
                    thing.said = now;
                    true
                }
                None => false,
            }
        });
    }
}
