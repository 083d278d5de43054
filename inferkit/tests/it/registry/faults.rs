//! One model's panic, hang or failure is its own.

use std::fmt::Debug;
use std::sync::Mutex;
use std::time::Duration;

use inferkit::DownloadOptions;
use inferkit::Error;
use inferkit::LoadOptions;
use inferkit::OperationState;
use inferkit::RuntimeStatus;
use inferkit::UnloadOptions;
use tracing::Event;
use tracing::Level;
use tracing::Metadata;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::span;

use super::alone;
use super::end;
use super::error_code;
use super::eventually;
use super::register;
use super::registry;
use super::state;
use super::until_state;
use crate::fake::Act;
use crate::fake::Fake;

/// Loads a model that does `act` beside one that serves; gives the operation's error.
async fn beside_another(act: Act) -> Error {
    let registry = registry();
    let (good, bad) = (Fake::present(), Fake::present().on_load([act]));
    let (good, bad_model) = (
        register(&registry, "good", &good).await,
        register(&registry, "bad", &bad).await,
    );
    let lease = good.ensure_loaded().await.unwrap();
    let operation = end(&bad_model, bad_model.load(LoadOptions::default())).await;
    assert_eq!(operation.state, OperationState::Failed);
    let status = bad_model.status();
    assert_eq!(status.runtime_status, RuntimeStatus::Failed);
    assert!(!bad.in_memory());
    assert!(lease.chat().is_ok());
    assert_eq!(state(&good), RuntimeStatus::Loaded);
    assert!(good.ensure_loaded().await.is_ok());

    let error = operation.error.unwrap();
    assert_eq!(
        status.error.unwrap().error.code(),
        error.code(),
        "model and operation tell the same"
    );
    bad_model.load(LoadOptions::default()).unwrap();
    until_state(&bad_model, RuntimeStatus::Loaded).await;
    error
}

#[tokio::test]
async fn a_load_that_panics_fails_alone_with_the_panics_text() {
    let error = beside_another(Act::Panic).await;
    assert_eq!(error.code(), "internal_error");
    assert!(error.to_string().contains("the fake was told to panic"), "{error}");
}

#[tokio::test]
async fn a_load_that_fails_fails_alone() {
    let error = beside_another(Act::Fail(Error::bad_model("w.bin: header"))).await;
    assert_eq!(error.to_string(), "w.bin: header");
}

/// The clock stands still and leaps to the next timer as soon as all else waits.
#[tokio::test]
async fn work_that_hangs_is_given_up_and_the_others_serve() {
    let registry = registry();
    let (good, bad) = (Fake::present(), Fake::present().on_load([Act::Hang]));
    let (good, bad) = (
        register(&registry, "good", &good).await,
        register(&registry, "bad", &bad).await,
    );
    let lease = good.ensure_loaded().await.unwrap();
    tokio::time::pause();
    let operation = end(&bad, bad.load(LoadOptions::default())).await;
    let error = operation.error.unwrap();
    assert_eq!(error.code(), "timeout");
    assert!(error.to_string().contains("no progress for 600 s"), "{error}");
    assert_eq!(state(&bad), RuntimeStatus::Failed);
    assert!(lease.chat().is_ok());
    assert!(good.ensure_loaded().await.is_ok());
}

#[tokio::test]
async fn what_given_up_work_brings_late_is_dropped() {
    let fake = Fake::present().on_load([Act::WaitDeaf]);
    let model = alone(&fake).await;
    tokio::time::pause();
    let operation = end(&model, model.load(LoadOptions::default())).await;
    assert_eq!(error_code(&operation), Some("timeout"));

    fake.open();
    eventually(|| fake.most_in_memory() == 1 && !fake.in_memory()).await;
    assert_eq!(state(&model), RuntimeStatus::Failed);
}

#[tokio::test]
async fn a_download_that_says_done_and_leaves_files_missing_has_failed() {
    let fake = Fake::cold().on_download([Act::Lie]);
    let registry = registry();
    let model = register(&registry, "fake", &fake).await;
    let operation = end(&model, model.download(DownloadOptions::default())).await;
    assert_eq!(state(&model), RuntimeStatus::Failed);
    let error = operation.error.unwrap().to_string();
    assert!(error.contains("w.bin is missing"), "{error}");
}

/// With one thread for all tasks, a wrapper that holds its thread would hold everything.
#[tokio::test(flavor = "current_thread")]
async fn a_wrapper_that_blocks_its_thread_stalls_no_other_model() {
    let registry = registry();
    let (slow, quick) = (Fake::present().on_load([Act::Block]), Fake::cold());
    let (slow_model, quick) = (
        register(&registry, "slow", &slow).await,
        register(&registry, "quick", &quick).await,
    );
    slow_model.load(LoadOptions::default()).unwrap();
    assert!(quick.ensure_loaded().await.is_ok());
    assert_eq!(state(&slow_model), RuntimeStatus::Loading);
    slow.open();
    until_state(&slow_model, RuntimeStatus::Loaded).await;
}

#[tokio::test]
async fn a_loaded_model_whose_thread_panics_has_failed_with_the_panics_text_and_can_be_loaded_again() {
    let registry = registry();
    let (good, bad) = (Fake::present(), Fake::present());
    let (good_model, bad_model) = (
        register(&registry, "good", &good).await,
        register(&registry, "bad", &bad).await,
    );
    good_model.ensure_loaded().await.unwrap();
    let lease = bad_model.ensure_loaded().await.unwrap();
    assert!(lease.failure().is_none());
    let health = bad.health();
    let thread = std::thread::spawn(move || health.guard("the fake's thread", || panic!("out of luck")));
    thread.join().unwrap();
    until_state(&bad_model, RuntimeStatus::Failed).await;

    let error = bad_model.status().error.unwrap().error;
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        (
            "generation_failed",
            "generation failed: the fake's thread panicked (out of luck)"
        )
    );
    lease.ended().await;
    assert_eq!(lease.failure().unwrap().code(), "generation_failed");
    let refused = bad_model.ensure_loaded().await.unwrap_err();
    assert_eq!(refused.code(), "model_failed");
    drop(lease);
    eventually(|| !bad.in_memory()).await;
    assert_eq!(state(&good_model), RuntimeStatus::Loaded);

    let operation = end(&bad_model, bad_model.load(LoadOptions::default())).await;
    assert_eq!(operation.state, OperationState::Succeeded);
    assert!(bad_model.ensure_loaded().await.is_ok());
}

#[tokio::test]
async fn what_an_earlier_load_says_late_of_its_health_changes_nothing() {
    let fake = Fake::present();
    let model = alone(&fake).await;
    model.ensure_loaded().await.unwrap();
    let earlier = fake.health();
    end(&model, model.unload(UnloadOptions::default())).await;
    model.ensure_loaded().await.unwrap();
    earlier.fail(Error::generation_failed("too late"));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(state(&model), RuntimeStatus::Loaded);
}

#[tokio::test]
async fn a_model_that_breaks_while_an_unload_is_given_up_has_failed() {
    let fake = Fake::present();
    let model = alone(&fake).await;
    let lease = model.ensure_loaded().await.unwrap();
    tokio::time::pause();
    let operation = model.unload(UnloadOptions::default()).unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    fake.health().fail(Error::generation_failed("broken"));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(state(&model), RuntimeStatus::Unloading);
    model.wait(&operation.id).await.unwrap();
    assert_eq!(state(&model), RuntimeStatus::Failed);
    assert_eq!(model.status().error.unwrap().error.code(), "generation_failed");
    drop(lease);
    eventually(|| !fake.in_memory()).await;
}

/// The warnings of this process, a line each.
static WARNINGS: Mutex<String> = Mutex::new(String::new());

/// Keeps warnings. It is for all threads: which of them meets a place in the code first decides whether
/// that place is heard at all.
struct KeepWarnings;

impl Subscriber for KeepWarnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = WARNINGS.lock().unwrap();
        event.record(&mut |field: &Field, value: &dyn Debug| text.extend([format!("{field}={value:?} ")]));
        text.push('\n');
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The warnings about the model `key` so far.
fn warnings_of(key: &str) -> Vec<String> {
    let all = WARNINGS.lock().unwrap();
    let of_it = all.lines().filter(|line| line.contains(&format!("model=\"{key}\"")));
    of_it.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_failure_stands_in_the_log_with_its_model_and_cause_and_a_cancel_does_not() {
    tracing::subscriber::set_global_default(KeepWarnings).unwrap();
    let registry = registry();
    let fake = Fake::present().on_load([
        Act::Fail(Error::cancelled()),
        Act::Fail(Error::bad_model("w.bin: header")),
    ]);
    let model = register(&registry, "logged", &fake).await;
    end(&model, model.load(LoadOptions::default())).await;
    assert_eq!(warnings_of("logged"), Vec::<String>::new());
    end(&model, model.load(LoadOptions::default())).await;
    let warnings = warnings_of("logged");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("kind=\"load\"") && warnings[0].contains("error=w.bin: header"),
        "{warnings:?}"
    );
}
