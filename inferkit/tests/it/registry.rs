//! The registry under everything that callers and wrappers may do.

mod actions;
mod faults;
mod lives;
mod names;
mod requests;
mod room;
mod threads;
mod unloading;
mod wrecks;

use std::sync::Arc;
use std::time::Duration;

use inferkit::LoadOptions;
use inferkit::ModelHandle;
use inferkit::ModelPolicy;
use inferkit::ModelRegistry;
use inferkit::ModelStatus;
use inferkit::Operation;
use inferkit::OperationState;
use inferkit::Result;
use inferkit::RuntimeStatus;

use crate::fake::BYTES;
use crate::fake::Fake;

fn registry() -> ModelRegistry {
    ModelRegistry::builder().build().unwrap()
}

/// A registry with memory for so many fakes.
fn room_for(models: u64) -> ModelRegistry {
    ModelRegistry::builder()
        .memory_limit(Some(models * BYTES))
        .build()
        .unwrap()
}

fn evicting() -> LoadOptions {
    let mut options = LoadOptions::default();
    options.evict = true;
    options
}

async fn register(registry: &ModelRegistry, key: &str, fake: &Arc<Fake>) -> ModelHandle {
    registry
        .register(key, Arc::clone(fake) as _, ModelPolicy::default())
        .await
        .unwrap()
}

async fn three(registry: &ModelRegistry) -> [(Arc<Fake>, ModelHandle); 3] {
    let fakes = ["a", "b", "c"].map(|key| (key, Fake::present()));
    let [a, b, c] = fakes.map(|(key, fake)| async move {
        let model = register(registry, key, &fake).await;
        (fake, model)
    });
    [a.await, b.await, c.await]
}

/// A registry of its own with one model.
async fn alone(fake: &Arc<Fake>) -> ModelHandle {
    register(&registry(), "fake", fake).await
}

fn state(model: &ModelHandle) -> RuntimeStatus {
    model.status().runtime_status
}

/// Waits until the model's status is as wanted.
async fn until(model: &ModelHandle, wanted: impl FnMut(&ModelStatus) -> bool) -> ModelStatus {
    model.watch().wait_for(wanted).await.unwrap().clone()
}

async fn until_state(model: &ModelHandle, wanted: RuntimeStatus) {
    until(model, |status| status.runtime_status == wanted).await;
}

/// Waits for an action's end.
async fn end(model: &ModelHandle, operation: Result<Operation>) -> Operation {
    model.wait(&operation.unwrap().id).await.unwrap()
}

async fn load(model: &ModelHandle) {
    let operation = end(model, model.load(LoadOptions::default())).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{:?}", operation.error);
}

fn error_code(operation: &Operation) -> Option<&'static str> {
    operation.error.as_ref().map(inferkit::Error::code)
}

/// A time that is over at once, for what is known to take for ever.
const MOMENT: Duration = Duration::from_millis(20);

/// Lets the others work until `so` is so; only what will not come fails, after ten seconds.
async fn eventually(so: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !so() {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "what was waited for did not come"
        );
        tokio::task::yield_now().await;
    }
}
