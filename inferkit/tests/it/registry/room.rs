//! Memory: what is evicted for whom, and what is not.

use inferkit::Error;
use inferkit::LoadOptions;
use inferkit::ModelPolicy;
use inferkit::OperationState;
use inferkit::RuntimeStatus;
use inferkit::UnavailableFault;

use super::end;
use super::error_code;
use super::evicting;
use super::load;
use super::register;
use super::registry;
use super::room_for;
use super::state;
use super::three;
use super::until_state;
use crate::fake::Act;
use crate::fake::Fake;

#[tokio::test]
async fn the_model_idle_for_longest_makes_room_for_a_request() {
    let registry = room_for(2);
    let [(fake_a, a), (fake_b, b), (_, c)] = three(&registry).await;
    a.ensure_loaded().await.unwrap();
    b.ensure_loaded().await.unwrap();
    a.ensure_loaded().await.unwrap();

    c.ensure_loaded().await.unwrap();
    assert!(fake_a.in_memory(), "a was used after b");
    assert_eq!((state(&b), fake_b.in_memory()), (RuntimeStatus::Unloaded, false));
}

#[tokio::test]
async fn models_in_use_and_models_that_may_not_be_evicted_stay() {
    let registry = room_for(2);
    let [(_, a), (_, b), _] = three(&registry).await;
    let mut policy = ModelPolicy::default();
    policy.evict_idle = false;
    let kept = registry.register("kept", Fake::present() as _, policy).await.unwrap();
    load(&kept).await;
    let lease = a.ensure_loaded().await.unwrap();

    let error = b.ensure_loaded().await.unwrap_err();
    assert_eq!(error.code(), "insufficient_memory");
    assert!(
        error.to_string().contains("needs 100 bytes and 0 of 200 are free"),
        "{error}"
    );
    assert_eq!(
        (state(&kept), state(&a)),
        (RuntimeStatus::Loaded, RuntimeStatus::Loaded)
    );

    drop(lease);
    assert!(end(&b, b.load(evicting())).await.error.is_none());
    assert_eq!(
        (state(&kept), state(&a)),
        (RuntimeStatus::Loaded, RuntimeStatus::Unloaded)
    );
}

#[tokio::test]
async fn a_load_evicts_nobody_unless_told_to_and_by_force_exceeds_the_limit() {
    let registry = room_for(1);
    let [(fake_a, a), (_, b), _] = three(&registry).await;
    load(&a).await;
    let operation = end(&b, b.load(LoadOptions::default())).await;
    assert_eq!(
        (operation.state, error_code(&operation)),
        (OperationState::Failed, Some("insufficient_memory"))
    );

    let mut options = LoadOptions::default();
    options.force = true;
    assert!(end(&b, b.load(options)).await.error.is_none());
    assert!(fake_a.in_memory());
}

#[tokio::test]
async fn many_loads_at_once_never_exceed_the_limit() {
    let registry = room_for(2);
    let models = three(&registry).await;
    let operations = models.each_ref().map(|(_, model)| model.load(LoadOptions::default()));
    let mut loaded = 0;
    for ((_, model), operation) in models.iter().zip(operations) {
        loaded += usize::from(end(model, operation).await.error.is_none());
    }
    assert_eq!(loaded, 2);
}

#[tokio::test]
async fn a_device_short_of_memory_is_relieved_and_tried_again() {
    let short = || {
        Act::Fail(Error::unavailable(
            UnavailableFault::InsufficientMemory,
            "the device is full",
        ))
    };
    let registry = registry();
    let idle = Fake::present();
    let idle_model = register(&registry, "idle", &idle).await;
    load(&idle_model).await;
    let big = Fake::present().on_load([short(), short(), Act::Succeed]);
    let big_model = register(&registry, "big", &big).await;

    let operation = end(&big_model, big_model.load(evicting())).await;
    assert_eq!(
        error_code(&operation),
        Some("insufficient_memory"),
        "only one model could be evicted"
    );
    assert_eq!((big.counts(), idle.in_memory()), ((0, 2), false));
    assert!(end(&big_model, big_model.load(evicting())).await.error.is_none());
}

#[tokio::test]
async fn a_load_that_is_cancelled_while_room_is_made_ends_at_once() {
    let registry = room_for(1);
    let [(fake_a, a), (fake_b, b), _] = three(&registry).await;
    load(&a).await;
    fake_a.set_stays(true);
    let loading = b.load(evicting());
    until_state(&a, RuntimeStatus::Unloading).await;
    b.cancel().unwrap();
    assert_eq!(end(&b, loading).await.state, OperationState::Cancelled);
    assert_eq!((state(&b), fake_b.counts()), (RuntimeStatus::Unloaded, (0, 0)));
    fake_a.set_stays(false);
    until_state(&a, RuntimeStatus::Unloaded).await;
}
