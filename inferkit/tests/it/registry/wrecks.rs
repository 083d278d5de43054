//! A loaded model that broke, until it has left memory.

use std::sync::Arc;
use std::time::Duration;

use inferkit::DownloadOptions;
use inferkit::Error;
use inferkit::Lease;
use inferkit::LoadOptions;
use inferkit::ModelHandle;
use inferkit::ModelRegistry;
use inferkit::OperationState;
use inferkit::RuntimeStatus;
use inferkit::UnavailableFault;
use inferkit::UnloadOptions;

use super::MOMENT;
use super::alone;
use super::end;
use super::error_code;
use super::eventually;
use super::evicting;
use super::register;
use super::registry;
use super::room_for;
use super::state;
use super::three;
use super::until;
use super::until_state;
use crate::fake::Act;
use crate::fake::BYTES;
use crate::fake::Fake;

/// Loads the model and breaks it while it is used.
async fn broken(fake: &Fake, model: &ModelHandle) -> Lease {
    let lease = model.ensure_loaded().await.unwrap();
    fake.health().fail(Error::generation_failed("broken"));
    until_state(model, RuntimeStatus::Failed).await;
    lease
}

/// A model that broke, which nobody uses and which does not leave memory, and `other` in the same registry.
async fn beside_one_that_stays(registry: &ModelRegistry, other: &Arc<Fake>) -> (Arc<Fake>, ModelHandle, ModelHandle) {
    let fake = Fake::present();
    let model = register(registry, "fake", &fake).await;
    let other = register(registry, "other", other).await;
    fake.set_stays(true);
    drop(broken(&fake, &model).await);
    (fake, model, other)
}

/// Three models: one to break, an idle one, and one that is not loaded.
async fn with_an_idle_one(registry: &ModelRegistry) -> [(Arc<Fake>, ModelHandle); 3] {
    let models = three(registry).await;
    drop(models[1].1.ensure_loaded().await.unwrap());
    models
}

#[tokio::test]
async fn it_is_loaded_again_once_its_leases_have_ended_and_it_has_left_memory() {
    let registry = registry();
    let fake = Fake::present();
    let model = register(&registry, "fake", &fake).await;
    let lease = broken(&fake, &model).await;
    fake.set_stays(true);
    let load = model.load(LoadOptions::default()).unwrap();
    tokio::time::sleep(MOMENT).await;
    drop(lease);
    tokio::time::sleep(MOMENT).await;
    assert_eq!(state(&model), RuntimeStatus::Loading);
    assert_eq!(fake.counts(), (0, 1));
    let progress = registry.operation(&load.id).unwrap().progress;
    assert_eq!(progress.phase, "waiting for the failed model to leave memory");
    let operation = model.wait(&load.id);
    fake.set_stays(false);
    assert_eq!(operation.await.unwrap().state, OperationState::Succeeded);
    assert_eq!((fake.counts(), fake.most_in_memory()), ((0, 2), 1));
}

#[tokio::test]
async fn its_memory_is_told_until_it_has_left() {
    let fake = Fake::present();
    let model = alone(&fake).await;
    let lease = broken(&fake, &model).await;
    let taken = |model: &ModelHandle| model.status().memory.map(|memory| memory.weights_bytes);
    assert_eq!(taken(&model), Some(BYTES / 2));
    drop(lease);
    until(&model, |status| status.memory.is_none()).await;
    assert!(!fake.in_memory());
    assert_eq!(state(&model), RuntimeStatus::Failed);
}

#[tokio::test]
async fn files_are_fetched_again_once_it_has_left_memory() {
    let fake = Fake::present();
    let model = alone(&fake).await;
    fake.set_stays(true);
    drop(broken(&fake, &model).await);
    let download = model.download(DownloadOptions::default());
    tokio::time::sleep(MOMENT).await;
    assert_eq!(fake.counts().0, 0);
    fake.set_stays(false);
    end(&model, download).await;
    assert_eq!((state(&model), fake.in_memory()), (RuntimeStatus::Unloaded, false));
    assert_eq!(fake.counts().0, 1);
}

#[tokio::test]
async fn a_load_that_is_cancelled_beside_it_ends_at_once_and_the_model_has_failed_as_before() {
    let fake = Fake::present();
    let model = alone(&fake).await;
    let lease = broken(&fake, &model).await;
    let load = model.load(LoadOptions::default());
    tokio::time::sleep(MOMENT).await;
    model.cancel().unwrap();
    assert_eq!(end(&model, load).await.state, OperationState::Cancelled);
    let status = model.status();
    assert_eq!(status.runtime_status, RuntimeStatus::Failed);
    assert_eq!(status.error.unwrap().error.code(), "generation_failed");
    assert_eq!(fake.counts(), (0, 1), "no work began");
    drop(lease);
}

/// The clock stands still and leaps to the next timer as soon as all else waits.
#[tokio::test]
async fn leases_that_do_not_end_keep_the_model_failed_for_its_first_reason() {
    let registry = room_for(1);
    let (fake, other) = (Fake::present(), Fake::present());
    let model = register(&registry, "fake", &fake).await;
    let other = register(&registry, "other", &other).await;
    let lease = broken(&fake, &model).await;
    tokio::time::pause();
    let operation = end(&model, model.load(LoadOptions::default())).await;
    tokio::time::resume();
    let error = operation.error.unwrap();
    assert_eq!(error.code(), "busy");
    assert!(error.to_string().contains("still keep it in memory"), "{error}");
    let status = model.status();
    assert_eq!(status.runtime_status, RuntimeStatus::Failed);
    assert_eq!(status.error.unwrap().error.code(), "generation_failed");
    let operation = end(&other, other.load(LoadOptions::default())).await;
    assert_eq!(error_code(&operation), Some("insufficient_memory"), "it is still there");

    drop(lease);
    let operation = end(&model, model.load(LoadOptions::default())).await;
    assert_eq!(operation.state, OperationState::Succeeded);
    assert_eq!(fake.most_in_memory(), 1);
}

#[tokio::test]
async fn another_model_gets_its_memory_once_it_has_left() {
    let (registry, other) = (room_for(1), Fake::present());
    let (fake, model, other) = beside_one_that_stays(&registry, &other).await;
    let load = other.load(LoadOptions::default());
    tokio::time::sleep(MOMENT).await;
    assert_eq!(state(&other), RuntimeStatus::Loading);
    fake.set_stays(false);
    assert_eq!(end(&other, load).await.state, OperationState::Succeeded);
    assert!(!fake.in_memory());
    assert_eq!(state(&model), RuntimeStatus::Failed);
}

#[tokio::test]
async fn another_model_short_of_memory_on_its_device_is_tried_again_once_it_has_left() {
    let short = Error::unavailable(UnavailableFault::InsufficientMemory, "out of memory");
    let other_fake = Fake::present().on_load([Act::Fail(short)]);
    let registry = registry();
    let (fake, _, other) = beside_one_that_stays(&registry, &other_fake).await;
    let load = other.load(LoadOptions::default());
    tokio::time::sleep(MOMENT).await;
    fake.set_stays(false);
    assert_eq!(end(&other, load).await.state, OperationState::Succeeded);
    assert_eq!(other_fake.counts(), (0, 2));
}

#[tokio::test]
async fn another_models_load_that_waits_for_it_can_be_cancelled() {
    let (registry, other_fake) = (room_for(1), Fake::present());
    let (fake, _, other) = beside_one_that_stays(&registry, &other_fake).await;
    let load = other.load(LoadOptions::default());
    tokio::time::sleep(MOMENT).await;
    other.cancel().unwrap();
    assert_eq!(end(&other, load).await.state, OperationState::Cancelled);
    assert_eq!((state(&other), other_fake.counts()), (RuntimeStatus::Unloaded, (0, 0)));
    assert!(fake.in_memory());
    fake.set_stays(false);
}

/// The clock stands still and leaps to the next timer as soon as all else waits.
#[tokio::test]
async fn requests_beside_one_that_stays_start_a_load_no_more_often_than_for_any_fault() {
    let registry = registry();
    let fake = Fake::present();
    let model = register(&registry, "fake", &fake).await;
    let lease = model.ensure_loaded().await.unwrap();
    let passing = Error::unavailable(UnavailableFault::Timeout, "the device is silent");
    fake.health().fail(passing);
    until_state(&model, RuntimeStatus::Failed).await;
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(31)).await;
    let error = model.ensure_loaded().await.unwrap_err();
    assert!(error.to_string().contains("still keep it in memory"), "{error}");
    let operations = registry.operations().len();
    let error = model.ensure_loaded().await.unwrap_err();
    assert!(error.to_string().contains("the device is silent"), "{error}");
    assert_eq!(registry.operations().len(), operations);
    drop(lease);
}

/// The clock stands still and leaps to the next timer as soon as all else waits.
#[tokio::test]
async fn one_that_does_not_leave_is_not_waited_for_while_an_idle_model_can_make_room() {
    let registry = room_for(2);
    let [(broken_fake, model), (idle_fake, _), (_, wanted)] = with_an_idle_one(&registry).await;
    broken_fake.set_stays(true);
    drop(broken(&broken_fake, &model).await);
    let after_its_time = async |options: LoadOptions| {
        tokio::time::pause();
        let load = wanted.load(options).unwrap();
        tokio::time::sleep(Duration::from_secs(11)).await;
        tokio::time::resume();
        wanted.wait(&load.id).await.unwrap()
    };
    let operation = after_its_time(LoadOptions::default()).await;
    assert_eq!(error_code(&operation), Some("insufficient_memory"));
    let operation = after_its_time(evicting()).await;
    assert_eq!(operation.state, OperationState::Succeeded);
    assert!(broken_fake.in_memory() && !idle_fake.in_memory());
    broken_fake.set_stays(false);
}

#[tokio::test]
async fn one_in_use_is_not_waited_for_by_another_model_and_an_idle_one_makes_room() {
    let registry = room_for(2);
    let [(broken_fake, model), (idle_fake, idle), (_, wanted)] = with_an_idle_one(&registry).await;
    let lease = broken(&broken_fake, &model).await;
    assert!(wanted.ensure_loaded().await.is_ok());
    assert_eq!((state(&idle), idle_fake.in_memory()), (RuntimeStatus::Unloaded, false));
    assert!(broken_fake.in_memory(), "its lease is alive");
    drop(lease);
}

#[tokio::test]
async fn a_registry_that_shuts_down_waits_until_it_has_left_memory() {
    let registry = registry();
    let fake = Fake::present();
    let model = register(&registry, "fake", &fake).await;
    let lease = broken(&fake, &model).await;
    fake.set_stays(true);
    drop(lease);
    let letting_go = Arc::clone(&fake);
    let later = std::thread::spawn(move || {
        std::thread::sleep(MOMENT);
        letting_go.set_stays(false);
    });
    registry.shutdown().await;
    assert!(!fake.in_memory());
    later.join().unwrap();
}

#[tokio::test]
async fn there_is_nothing_to_unload_and_it_leaves_by_itself() {
    let fake = Fake::present();
    let model = alone(&fake).await;
    let lease = broken(&fake, &model).await;
    let operation = end(&model, model.unload(UnloadOptions::default().forced())).await;
    assert!(!operation.changed);
    lease.ended().await;
    drop(lease);
    eventually(|| !fake.in_memory()).await;
}
