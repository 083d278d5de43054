//! Leaving memory: what leases hold off, and what force ends.

use std::time::Duration;

use inferkit::ModelPolicy;
use inferkit::OperationState;
use inferkit::RuntimeStatus;
use inferkit::UnloadOptions;

use super::MOMENT;
use super::alone;
use super::end;
use super::error_code;
use super::registry;
use super::state;
use super::until;
use super::until_state;
use crate::fake::Fake;

#[tokio::test]
async fn an_unload_waits_for_the_leases_gives_no_new_ones_and_then_frees_the_memory() {
    let fake = Fake::present();
    let model = alone(&fake).await;
    let leases = [model.ensure_loaded().await.unwrap(), model.lease().unwrap()];
    let operation = model.unload(UnloadOptions::default()).unwrap();
    assert_eq!(model.lease().unwrap_err().code(), "model_not_loaded");
    assert_eq!(model.ensure_loaded().await.unwrap_err().code(), "model_not_loaded");

    for lease in leases {
        assert_eq!(state(&model), RuntimeStatus::Unloading);
        assert!(fake.in_memory());
        drop(lease);
    }
    assert_eq!(end(&model, Ok(operation)).await.state, OperationState::Succeeded);
    assert_eq!(state(&model), RuntimeStatus::Unloaded);
    assert!(!fake.in_memory());
    assert!(model.status().memory.is_none());
}

#[tokio::test]
async fn an_unload_cannot_be_cancelled() {
    let fake = Fake::present();
    let model = alone(&fake).await;
    let lease = model.ensure_loaded().await.unwrap();
    let operation = model.unload(UnloadOptions::default()).unwrap();
    let error = model.cancel().unwrap_err();
    assert_eq!(
        (error.code(), error.param()),
        ("operation_conflict", Some(operation.id.as_str()))
    );
    drop(lease);
    end(&model, Ok(operation)).await;
}

#[tokio::test]
async fn an_unload_that_waits_in_vain_fails_as_busy_and_the_model_serves_on() {
    let fake = Fake::present();
    let model = alone(&fake).await;
    let lease = model.ensure_loaded().await.unwrap();
    let operation = end(&model, model.unload(UnloadOptions::default().with_timeout(MOMENT))).await;
    assert_eq!(
        (operation.state, error_code(&operation)),
        (OperationState::Failed, Some("busy"))
    );
    assert_eq!(state(&model), RuntimeStatus::Loaded);
    assert!(lease.chat().is_ok() && model.lease().is_ok());
    assert!(
        tokio::time::timeout(MOMENT, lease.ended()).await.is_err(),
        "the lease was not told to end"
    );
}

#[tokio::test]
async fn an_unload_by_force_ends_the_leases() {
    let fake = Fake::present();
    let model = alone(&fake).await;
    let lease = model.ensure_loaded().await.unwrap();
    let operation = model.unload(UnloadOptions::default().with_timeout(MOMENT).forced());
    lease.ended().await;
    drop(lease);
    assert_eq!(end(&model, operation).await.state, OperationState::Succeeded);
    assert!(!fake.in_memory());
}

/// The clock stands still and leaps to the next timer; nothing else runs here that could be overtaken.
#[tokio::test]
async fn leases_that_do_not_end_when_forced_keep_the_model_loaded() {
    let fake = Fake::present();
    let model = alone(&fake).await;
    let lease = model.ensure_loaded().await.unwrap();
    tokio::time::pause();
    let operation = end(&model, model.unload(UnloadOptions::default().forced())).await;
    assert_eq!(error_code(&operation), Some("busy"));
    assert_eq!(state(&model), RuntimeStatus::Loaded);
    lease.ended().await;
    let later = model.lease().unwrap();
    assert!(
        tokio::time::timeout(Duration::from_secs(1), later.ended())
            .await
            .is_err(),
        "a new lease serves"
    );
}

#[tokio::test]
async fn a_model_that_nobody_uses_is_unloaded_once_its_time_is_over() {
    let fake = Fake::present();
    let mut policy = ModelPolicy::default();
    policy.idle_unload = Some(Duration::from_millis(30));
    let model = registry().register("fake", fake.clone(), policy).await.unwrap();
    let lease = model.ensure_loaded().await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(state(&model), RuntimeStatus::Loaded, "a lease holds it");

    drop(lease);
    until_state(&model, RuntimeStatus::Unloaded).await;
    assert!(!fake.in_memory());
    assert!(model.ensure_loaded().await.is_ok(), "it comes back when asked for");
    until(&model, |status| status.runtime_status == RuntimeStatus::Unloaded).await;
    assert_eq!(fake.counts(), (0, 2));
}
