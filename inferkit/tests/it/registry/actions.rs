//! Download, load and cancel as actions: what they return, what they refuse, what observers see.

use inferkit::DownloadOptions;
use inferkit::Error;
use inferkit::Event;
use inferkit::LoadOptions;
use inferkit::ModelRegistry;
use inferkit::OperationKind;
use inferkit::OperationState;
use inferkit::RuntimeStatus;
use inferkit::UnloadOptions;
use tokio::sync::broadcast;

use super::alone;
use super::end;
use super::error_code;
use super::eventually;
use super::load;
use super::register;
use super::registry;
use super::state;
use super::until;
use crate::fake::Act;
use crate::fake::Fake;

fn again() -> DownloadOptions {
    let mut options = DownloadOptions::default();
    options.force = true;
    options
}

#[tokio::test]
async fn work_of_the_same_kind_is_joined_and_of_another_kind_refused_with_its_id() {
    let fake = Fake::cold().on_download([Act::Wait]);
    let model = alone(&fake).await;
    let first = model.download(DownloadOptions::default()).unwrap();
    assert_eq!(
        (first.kind, first.state, first.changed),
        (OperationKind::Download, OperationState::Running, true)
    );
    assert_eq!(model.download(again()).unwrap().id, first.id);
    for refused in [
        model.load(LoadOptions::default()),
        model.unload(UnloadOptions::default()),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(
            (error.code(), error.param()),
            ("operation_conflict", Some(first.id.as_str()))
        );
    }
    assert_eq!(model.status().operation.as_deref(), Some(first.id.as_str()));
    fake.open();
    assert_eq!(end(&model, Ok(first)).await.state, OperationState::Succeeded);
    assert_eq!(fake.counts(), (1, 0));
}

#[tokio::test]
async fn where_there_is_nothing_to_do_the_operation_has_succeeded_and_changed_nothing() {
    let fake = Fake::present();
    let registry = registry();
    let model = register(&registry, "fake", &fake).await;
    let mut idle = vec![
        model.download(DownloadOptions::default()).unwrap(),
        model.unload(UnloadOptions::default()).unwrap(),
    ];
    load(&model).await;
    idle.push(model.load(LoadOptions::default()).unwrap());
    idle.push(model.download(DownloadOptions::default()).unwrap());
    for operation in idle {
        assert_eq!(
            (operation.state, operation.changed),
            (OperationState::Succeeded, false),
            "{operation:?}"
        );
        assert!(registry.operation(&operation.id).is_ok(), "it can be looked up");
    }
    assert_eq!(fake.counts(), (0, 1));
}

#[tokio::test]
async fn a_load_without_files_and_a_download_over_a_loaded_model_are_refused() {
    let fake = Fake::cold();
    let model = alone(&fake).await;
    assert_eq!(model.load(LoadOptions::default()).unwrap_err().code(), "not_downloaded");
    model.ensure_loaded().await.unwrap();
    assert_eq!(model.download(again()).unwrap_err().code(), "model_in_use");
}

#[tokio::test]
async fn a_download_by_force_runs_although_the_files_are_there() {
    let fake = Fake::present();
    let model = alone(&fake).await;
    assert!(end(&model, model.download(again())).await.changed);
    assert_eq!((fake.counts(), state(&model)), ((1, 0), RuntimeStatus::Unloaded));
}

#[tokio::test]
async fn a_cancelled_download_is_not_downloaded_and_may_start_again() {
    let fake = Fake::cold().on_download([Act::Wait]);
    let model = alone(&fake).await;
    let operation = model.download(DownloadOptions::default()).unwrap();
    eventually(|| fake.counts() == (1, 0)).await;
    assert_eq!(model.cancel().unwrap().state, OperationState::Cancelling);
    let operation = end(&model, Ok(operation)).await;
    assert_eq!(
        (operation.state, error_code(&operation)),
        (OperationState::Cancelled, Some("cancelled"))
    );
    let status = model.status();
    assert_eq!(status.runtime_status, RuntimeStatus::NotDownloaded);
    assert_eq!(status.error.unwrap().error.code(), "cancelled");
    assert!(model.ensure_loaded().await.is_ok());
}

#[tokio::test]
async fn a_cancelled_load_is_unloaded() {
    let fake = Fake::present().on_load([Act::Wait]);
    let model = alone(&fake).await;
    let operation = model.load(LoadOptions::default());
    eventually(|| fake.counts() == (0, 1)).await;
    model.cancel().unwrap();
    assert_eq!(end(&model, operation).await.state, OperationState::Cancelled);
    assert_eq!(state(&model), RuntimeStatus::Unloaded);
}

#[tokio::test]
async fn work_that_is_cancelled_before_it_begins_is_never_asked_of_the_wrapper() {
    let fake = Fake::present();
    let model = alone(&fake).await;
    let operation = model.load(LoadOptions::default());
    // With one thread for all tasks, the load's has not come to its turn.
    model.cancel().unwrap();
    assert_eq!(end(&model, operation).await.state, OperationState::Cancelled);
    assert_eq!((state(&model), fake.counts()), (RuntimeStatus::Unloaded, (0, 0)));
}

#[tokio::test]
async fn a_wrapper_deaf_to_cancellation_is_cancelling_until_it_ends_and_its_model_is_dropped() {
    let registry = registry();
    let (deaf, other) = (Fake::present().on_load([Act::WaitDeaf]), Fake::present());
    let (model, other) = (
        register(&registry, "deaf", &deaf).await,
        register(&registry, "other", &other).await,
    );
    let operation = model.load(LoadOptions::default()).unwrap();
    eventually(|| deaf.counts().1 == 1).await;
    assert_eq!(
        registry.cancel(&operation.id).unwrap().state,
        OperationState::Cancelling
    );
    assert!(other.ensure_loaded().await.is_ok());
    assert_eq!(state(&model), RuntimeStatus::Loading);

    deaf.open();
    assert_eq!(end(&model, Ok(operation)).await.state, OperationState::Cancelled);
    assert_eq!(state(&model), RuntimeStatus::Unloaded);
    assert!(!deaf.in_memory());
}

#[tokio::test]
async fn cancelling_where_nothing_runs_gives_the_last_operation_unchanged() {
    let fake = Fake::present();
    let registry = registry();
    let model = register(&registry, "fake", &fake).await;
    assert!(!model.cancel().unwrap().changed, "no operation yet");
    load(&model).await;
    let last = model.cancel().unwrap();
    assert_eq!(
        (last.kind, last.state, last.changed),
        (OperationKind::Load, OperationState::Succeeded, false)
    );
    assert_eq!(registry.cancel(&last.id).unwrap().state, OperationState::Succeeded);
    assert_eq!(state(&model), RuntimeStatus::Loaded);
    assert_eq!(registry.cancel("op_0").unwrap_err().code(), "operation_not_found");
    assert_eq!(registry.operation("op_0").unwrap_err().code(), "operation_not_found");
    assert_eq!(model.wait("op_0").await.unwrap_err().code(), "operation_not_found");
}

#[tokio::test]
async fn files_that_come_and_go_behind_the_registry_are_seen_when_it_looks() {
    let fake = Fake::cold();
    let model = alone(&fake).await;
    fake.set_present(true);
    assert_eq!(
        model.refresh_files().await.unwrap().runtime_status,
        RuntimeStatus::Unloaded
    );
    fake.set_present(false);
    assert_eq!(
        model.refresh_files().await.unwrap().runtime_status,
        RuntimeStatus::NotDownloaded
    );
}

/// All events so far.
fn drain(events: &mut broadcast::Receiver<Event>) -> Vec<Event> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

#[tokio::test]
async fn events_come_in_order_and_end_where_the_watch_is() {
    let registry = registry();
    let fake = Fake::cold();
    let model = register(&registry, "fake", &fake).await;
    let (mut events, watch) = (registry.events(), model.watch());
    drop(model.ensure_loaded().await.unwrap());
    end(&model, model.unload(UnloadOptions::default())).await;
    // The use of the model is told last, with a delay.
    until(&model, |status| status.active_requests == 0).await;

    let events = drain(&mut events);
    let mut states: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Model(status) => Some(status.runtime_status.as_str()),
            _ => None,
        })
        .collect();
    states.dedup();
    assert_eq!(
        states,
        ["downloading", "unloaded", "loading", "loaded", "unloading", "unloaded"]
    );
    assert_eq!(watch.borrow().runtime_status.as_str(), "unloaded");

    let operations: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Operation(operation) => Some((operation.kind.as_str(), operation.state.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(
        operations,
        [
            ("download", "running"),
            ("download", "succeeded"),
            ("load", "running"),
            ("load", "succeeded"),
            ("unload", "running"),
            ("unload", "succeeded"),
        ]
    );
}

#[tokio::test]
async fn progress_is_passed_on_sparingly_and_its_last_word_is_kept() {
    let registry = registry();
    let fake = Fake::cold().on_download([Act::Report(10_000)]);
    let model = register(&registry, "fake", &fake).await;
    let mut events = registry.events();
    let operation = end(&model, model.download(DownloadOptions::default())).await;
    assert_eq!(
        (operation.progress.done_bytes, operation.progress.total_bytes),
        (10_000, Some(10_000))
    );
    let told = drain(&mut events)
        .iter()
        .filter(|event| matches!(event, Event::Operation(_)))
        .count();
    assert!(told < 100, "ten thousand reports became {told} events");
}

#[tokio::test]
async fn operations_are_listed_newest_first() {
    let registry = registry();
    let fake = Fake::cold();
    let model = register(&registry, "fake", &fake).await;
    model.ensure_loaded().await.unwrap();
    let kinds: Vec<_> = registry.operations().iter().map(|operation| operation.kind).collect();
    assert_eq!(kinds, [OperationKind::Load, OperationKind::Download]);
}

#[tokio::test]
async fn a_registry_that_shuts_down_stops_work_frees_memory_and_starts_nothing() {
    let registry = registry();
    let (served, fetched) = (Fake::present(), Fake::cold().on_download([Act::Wait]));
    let (serving, fetching) = (
        register(&registry, "a", &served).await,
        register(&registry, "b", &fetched).await,
    );
    let lease = serving.ensure_loaded().await.unwrap();
    let holder = tokio::spawn(async move {
        lease.ended().await;
        drop(lease);
    });
    let download = fetching.download(DownloadOptions::default()).unwrap();
    eventually(|| fetched.counts() == (1, 0)).await;
    registry.shutdown().await;

    holder.await.unwrap();
    assert!(!served.in_memory());
    assert_eq!(
        registry.operation(&download.id).unwrap().state,
        OperationState::Cancelled
    );
    let refusals: [Option<Error>; 4] = [
        serving.ensure_loaded().await.err(),
        serving.load(LoadOptions::default()).err(),
        fetching.download(DownloadOptions::default()).err(),
        registry
            .register("c", Fake::cold() as _, inferkit::ModelPolicy::default())
            .await
            .err(),
    ];
    for error in refusals {
        assert_eq!(error.map(|error| error.code()), Some("server_shutting_down"));
    }
}

#[test]
fn a_registry_that_would_give_up_all_work_is_not_built() {
    let error = ModelRegistry::builder()
        .stall_timeout(std::time::Duration::ZERO)
        .build()
        .unwrap_err();
    assert_eq!(error.param(), Some("stall_timeout"));
}
