//! `ensure_loaded`: what a request starts, waits for and is told.

use std::sync::Arc;
use std::time::Duration;

use inferkit::DownloadOptions;
use inferkit::Error;
use inferkit::HubFault;
use inferkit::ModelPolicy;
use inferkit::ModelRegistry;
use inferkit::OnDemand;
use inferkit::RuntimeStatus;
use inferkit::UnavailableFault;

use super::MOMENT;
use super::alone;
use super::eventually;
use super::load;
use super::register;
use super::registry;
use super::state;
use super::until_state;
use crate::fake::Act;
use crate::fake::Fake;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_callers_of_a_cold_model_cause_one_download_and_one_load() {
    let fake = Fake::cold().on_download([Act::Wait]).on_load([Act::Wait]);
    let model = alone(&fake).await;
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let model = model.clone();
            tokio::spawn(async move { model.ensure_loaded().await })
        })
        .collect();
    until_state(&model, RuntimeStatus::Downloading).await;
    fake.open();
    until_state(&model, RuntimeStatus::Loading).await;
    fake.open();

    let mut leases = Vec::new();
    for caller in callers {
        leases.push(caller.await.unwrap().unwrap());
    }
    assert_eq!(fake.counts(), (1, 1));
    assert_eq!(model.status().active_requests, 100);
    drop(leases);
    assert_eq!(model.status().active_requests, 0);
}

#[tokio::test]
async fn a_caller_that_stops_waiting_leaves_no_trace_and_the_work_goes_on() {
    let fake = Fake::cold().on_download([Act::Wait]);
    let model = alone(&fake).await;
    assert!(
        tokio::time::timeout(MOMENT, model.ensure_loaded()).await.is_err(),
        "the download waits for the gate"
    );

    fake.open();
    until_state(&model, RuntimeStatus::Unloaded).await;
    assert_eq!(model.status().active_requests, 0);
    assert_eq!(fake.counts(), (1, 0), "nobody waits for the load any more");
}

#[tokio::test]
async fn a_caller_whose_patience_ends_is_told_the_step_and_when_to_ask_again() {
    let fake = Fake::cold().on_download([Act::Wait]);
    let registry = registry();
    let model = register(&registry, "fake", &fake).await;
    let download = model.download(DownloadOptions::default()).unwrap();
    eventually(|| registry.operation(&download.id).unwrap().progress.phase == "waiting").await;
    let error = model.ensure_loaded_within(MOMENT).await.unwrap_err();
    assert_eq!(error.code(), "model_loading");
    assert!(
        error.to_string().contains("'fake' is being downloaded (waiting): 50 %"),
        "{error}"
    );
    assert!(matches!(
        error,
        Error::Unavailable {
            retry_after: Some(_),
            ..
        }
    ));
    fake.open();
}

#[tokio::test]
async fn the_policy_decides_what_a_request_may_start() {
    for (policy, present, expected) in [
        (OnDemand::Never, true, Some("model_not_loaded")),
        (OnDemand::Never, false, Some("model_not_loaded")),
        (OnDemand::Load, false, Some("model_not_loaded")),
        (OnDemand::Load, true, None),
        (OnDemand::Download, false, None),
    ] {
        let fake = Fake::new("a/b", present);
        let policy = ModelPolicy::default().with_on_demand(policy);
        let model = registry().register("m", fake.clone(), policy.clone()).await.unwrap();
        let told = model.ensure_loaded().await.err().map(|error| error.code());
        assert_eq!(told, expected, "{policy:?}, files present: {present}");
    }
}

#[tokio::test]
async fn a_request_for_a_model_in_memory_needs_no_policy() {
    let fake = Fake::present();
    let policy = ModelPolicy::default().with_on_demand(OnDemand::Never);
    let model = registry().register("m", fake.clone(), policy).await.unwrap();
    load(&model).await;
    assert!(model.ensure_loaded().await.is_ok());
}

#[tokio::test]
async fn a_refusal_by_the_hub_is_told_as_it_is_and_the_model_is_not_failed() {
    for code in [
        HubFault::GatedNoToken,
        HubFault::GatedNotAccepted,
        HubFault::TokenInvalid,
        HubFault::Offline,
    ] {
        let fake = Fake::cold().on_download([Act::Fail(Error::hub(code, "see the page"))]);
        let model = alone(&fake).await;
        assert_eq!(model.ensure_loaded().await.unwrap_err().code(), code.as_str());
        let status = model.status();
        assert_eq!(status.runtime_status, RuntimeStatus::NotDownloaded);
        assert_eq!(
            status.error.unwrap().error.code(),
            code.as_str(),
            "the error stays to be seen"
        );
        assert!(model.ensure_loaded().await.is_ok(), "the next request tries again");
    }
}

#[tokio::test]
async fn a_passing_fault_is_tried_again_when_it_has_aged() {
    let network = || Act::Fail(Error::hub(HubFault::Network, "connection reset"));
    let fake = Fake::cold().on_download([network()]);
    let model = alone(&fake).await;
    for _ in 0..2 {
        let error = model.ensure_loaded().await.unwrap_err();
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            ("model_failed", "connection reset")
        );
    }
    assert_eq!(fake.counts(), (1, 0), "the fault is fresh");

    let fake = Fake::cold().on_download([network()]);
    let hasty = ModelRegistry::builder()
        .retry_failed_after(Duration::ZERO)
        .build()
        .unwrap();
    let model = register(&hasty, "fake", &fake).await;
    model.ensure_loaded().await.unwrap_err();
    assert!(model.ensure_loaded().await.is_ok(), "the fault has aged");
}

#[tokio::test]
async fn a_lasting_fault_is_not_tried_again_by_requests_but_by_actions() {
    let fake = Fake::present().on_load([Act::Fail(Error::bad_model("w.bin: header"))]);
    let hasty = ModelRegistry::builder()
        .retry_failed_after(Duration::ZERO)
        .build()
        .unwrap();
    let model = register(&hasty, "fake", &fake).await;
    for _ in 0..2 {
        let error = model.ensure_loaded().await.unwrap_err();
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            ("model_failed", "w.bin: header")
        );
        assert_eq!(model.lease().unwrap_err().code(), "model_failed");
    }
    assert_eq!(fake.counts(), (0, 1));
    load(&model).await;
}

#[tokio::test]
async fn short_memory_is_told_as_it_is() {
    let short = Error::unavailable(UnavailableFault::InsufficientMemory, "needs 9 of 5");
    let fake = Fake::present().on_load([Act::Fail(short)]);
    let model = alone(&fake).await;
    assert_eq!(model.ensure_loaded().await.unwrap_err().code(), "insufficient_memory");
    assert_eq!(state(&model), RuntimeStatus::Failed);
    assert_eq!(model.ensure_loaded().await.unwrap_err().code(), "insufficient_memory");
}

#[tokio::test]
async fn a_request_whose_work_is_cancelled_is_told_so() {
    let fake = Fake::present().on_load([Act::Wait]);
    let model = alone(&fake).await;
    let waiting = tokio::spawn({
        let model = model.clone();
        async move { model.ensure_loaded().await }
    });
    eventually(|| fake.counts() == (0, 1)).await;
    model.cancel().unwrap();
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.code(), "model_not_loaded");
    assert!(error.to_string().contains("its load was cancelled"), "{error}");
}

#[tokio::test]
async fn a_lease_says_which_task_the_model_offers() {
    let fake = Fake::present();
    let model = alone(&fake).await;
    assert_eq!(model.lease().unwrap_err().code(), "model_not_loaded");
    let lease = model.ensure_loaded().await.unwrap();
    assert!(lease.chat().is_ok());
    assert_eq!((lease.key(), lease.device.as_str()), ("fake", "cpu"));
    for error in [
        lease.embedding().err(),
        lease.transcription().err(),
        lease.diarization().err(),
    ] {
        let error = error.expect("the fake only chats");
        assert_eq!(error.code(), "unsupported_model_task");
        assert!(error.to_string().contains("but: chat"), "{error}");
    }
}

#[tokio::test]
async fn models_with_preload_come_up_on_their_own_whatever_requests_may_start() {
    let registry = registry();
    let (fake, other) = (Fake::cold(), Fake::cold());
    let mut policy = ModelPolicy::default().with_on_demand(OnDemand::Never);
    policy.preload = true;
    let model = registry.register("fake", fake.clone(), policy).await.unwrap();
    register(&registry, "other", &other).await;
    registry.preload();
    until_state(&model, RuntimeStatus::Loaded).await;
    assert_eq!(other.counts(), (0, 0));
}

#[test]
fn the_public_types_cross_threads() {
    const fn crosses_threads<T: Send + Sync + 'static>() {}
    crosses_threads::<ModelRegistry>();
    crosses_threads::<inferkit::RegistryBuilder>();
    crosses_threads::<inferkit::ModelHandle>();
    crosses_threads::<inferkit::Lease>();
    crosses_threads::<inferkit::Loaded>();
    crosses_threads::<inferkit::Event>();
    crosses_threads::<inferkit::Operation>();
    crosses_threads::<inferkit::ModelStatus>();
    crosses_threads::<inferkit::Job>();
    crosses_threads::<Error>();
    crosses_threads::<Arc<dyn inferkit::ModelWrapper>>();
}
