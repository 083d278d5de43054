//! Whole lives at random: whatever is asked and however it ends, the status says what is so.

use std::time::Duration;

use inferkit::DownloadOptions;
use inferkit::Error;
use inferkit::HubFault;
use inferkit::LoadOptions;
use inferkit::ModelHandle;
use inferkit::ModelStatus;
use inferkit::Operation;
use inferkit::Result;
use inferkit::RuntimeStatus;
use inferkit::UnloadOptions;
use proptest::prelude::*;

use super::alone;
use super::end;
use super::eventually;
use super::state;
use crate::fake::Act;
use crate::fake::Fake;

#[derive(Debug, Clone, Copy)]
enum Command {
    Download,
    Load,
    Unload,
    Request,
    Cancel,
    LoseFiles,
    Break,
    BreakInUse,
}

fn command() -> impl Strategy<Value = Command> {
    use Command::*;
    prop::sample::select(vec![
        Download, Load, Unload, Request, Cancel, LoseFiles, Break, BreakInUse,
    ])
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => Just(Act::Succeed),
        1 => Just(Act::Fail(Error::hub(HubFault::Network, "reset"))),
        1 => Just(Act::Fail(Error::hub(HubFault::Offline, "offline"))),
        1 => Just(Act::Fail(Error::bad_model("header"))),
        1 => Just(Act::Lie),
    ]
}

/// The status agrees with itself, with the files and with the memory.
fn check(status: &ModelStatus, fake: &Fake) {
    use RuntimeStatus::*;
    let state = status.runtime_status;
    assert_eq!(
        status.operation.is_some(),
        matches!(state, Downloading | Loading | Unloading),
        "{status:?}"
    );
    assert_eq!(status.memory.is_some(), state == Loaded, "{status:?}");
    assert_eq!(fake.in_memory(), state == Loaded, "{status:?}");
    assert_eq!(status.active_requests, 0, "{status:?}");
    match state {
        NotDownloaded => assert!(!status.files.complete, "{status:?}"),
        Unloaded => assert!(status.files.complete, "{status:?}"),
        Failed => assert!(status.error.is_some(), "{status:?}"),
        Downloading | Loading | Loaded | Unloading => {}
    }
}

/// Waits for what an action began; a refusal began nothing.
async fn settled(model: &ModelHandle, operation: Result<Operation>) {
    if let Ok(operation) = operation {
        assert!(end(model, Ok(operation)).await.state.is_finished());
    }
}

/// Waits for what follows behind the status when a model has said that it is broken: that the registry sees
/// it, and that the weights are dropped.
async fn settled_health(fake: &Fake, model: &ModelHandle) {
    eventually(|| match state(model) {
        RuntimeStatus::Loaded => fake.health().failure().is_none(),
        RuntimeStatus::Failed => model.status().memory.is_none(),
        _ => true,
    })
    .await;
}

async fn live(fake: &Fake, model: &ModelHandle, command: Command) {
    match command {
        Command::Download => settled(model, model.download(DownloadOptions::default())).await,
        Command::Load => settled(model, model.load(LoadOptions::default())).await,
        Command::Unload => settled(model, model.unload(UnloadOptions::default())).await,
        Command::Request => drop(model.ensure_loaded().await),
        Command::Cancel => {
            let loading = model.load(LoadOptions::default());
            // With one thread for all tasks, the load begins now.
            tokio::task::yield_now().await;
            settled(model, model.cancel()).await;
            settled(model, loading).await;
        }
        Command::LoseFiles => {
            fake.set_present(false);
            model.refresh_files().await.unwrap();
        }
        Command::Break => {
            fake.health().fail(Error::generation_failed("broken"));
            settled_health(fake, model).await;
        }
        Command::BreakInUse => {
            let lease = model.lease();
            fake.health().fail(Error::generation_failed("broken"));
            // Meanwhile others meet a broken model that is in use.
            tokio::time::sleep(Duration::from_millis(1)).await;
            drop(lease);
            settled_health(fake, model).await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_status_says_what_is_so_whatever_happens(
        commands in prop::collection::vec(command(), 1..12),
        downloads in prop::collection::vec(act(), 0..6),
        loads in prop::collection::vec(act(), 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let fake = Fake::cold().on_download(downloads).on_load(loads);
            let model = alone(&fake).await;
            for command in commands {
                live(&fake, &model, command).await;
                check(&model.status(), &fake);
            }
        });
    }

    #[test]
    fn whatever_is_asked_at_once_a_wrapper_has_one_duty_at_a_time(
        callers in prop::collection::vec(prop::collection::vec(command(), 1..6), 2..6),
        loads in prop::collection::vec(act(), 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
        runtime.block_on(async {
            let fake = Fake::cold().on_load(loads);
            let model = alone(&fake).await;
            let callers: Vec<_> = callers
                .into_iter()
                .map(|commands| {
                    let (fake, model) = (fake.clone(), model.clone());
                    tokio::spawn(async move {
                        for command in commands {
                            live(&fake, &model, command).await;
                        }
                    })
                })
                .collect();
            for caller in callers {
                caller.await.unwrap();
            }
            settled_health(&fake, &model).await;
            check(&model.status(), &fake);
            assert!(fake.most_at_work() <= 1, "{} at once", fake.most_at_work());
            assert!(fake.most_in_memory() <= 1, "{} in memory at once", fake.most_in_memory());
        });
    }
}
