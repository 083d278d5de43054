//! Runs one operation from its beginning to its end.
//!
//! Each operation has a task of its own that outlives whoever asked for it. The wrapper's work runs
//! on another thread still ([`super::work`]), so that this task is left whatever the wrapper does.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::error::Result;
use crate::error::UnavailableFault;
use crate::registry::UnloadOptions;
use crate::registry::order::Inspection;
use crate::registry::order::Outcome;
use crate::registry::order::Request;
use crate::registry::order::Running;
use crate::registry::room::Terms;
use crate::registry::serving::bytes_of;
use crate::registry::slot::Slot;
use crate::registry::work::Work;
use crate::wrapper::DownloadOptions;
use crate::wrapper::Job;
use crate::wrapper::LoadOptions;
use crate::wrapper::Loaded;
use crate::wrapper::ModelWrapper;

/// Time that leases have to end after they were told to.
const FORCED_END: Duration = Duration::from_secs(10);

/// Runs the operation that [`Slot::start`] began.
pub(super) async fn run(slot: Arc<Slot>, running: Running, request: Request) {
    let outcome = match slot.wait_for_wreck(&running).await {
        Ok(()) => carry_out(&slot, &running, request)
            .await
            .unwrap_or_else(Outcome::Failed),
        Err(blocked) => blocked,
    };
    let seen = match &outcome {
        Outcome::Loaded(_) | Outcome::Unloaded | Outcome::Blocked { .. } => None,
        // A wrapper that hangs is not asked again.
        Outcome::Failed(error) if is_timeout(error) => None,
        Outcome::Downloaded | Outcome::Failed(_) => look(&slot).await.ok(),
    };
    slot.finish(&running, outcome, seen);
}

async fn carry_out(slot: &Arc<Slot>, running: &Running, request: Request) -> Result<Outcome> {
    running.job.check()?;
    match request {
        Request::Download(options) => download(slot, running, options).await.map(|()| Outcome::Downloaded),
        Request::Load(options) => load(slot, running, options).await.map(Outcome::Loaded),
        Request::Unload(options) => unload(slot, &options).await.map(|()| Outcome::Unloaded),
    }
}

async fn download(slot: &Slot, running: &Running, options: DownloadOptions) -> Result<()> {
    let (wrapper, job) = (Arc::clone(&slot.wrapper), running.job.clone());
    let work = async move { wrapper.download(&options, &job).await };
    watched(slot, running, work).await
}

async fn load(slot: &Arc<Slot>, running: &Running, mut options: LoadOptions) -> Result<Loaded> {
    options.threads.get_or_insert_with(|| slot.shared.threads.clone());
    let likely_bytes = slot.core().likely_bytes();
    let terms = Terms::new(&options, &running.job);
    slot.reserve(likely_bytes, &terms).await?;
    let loaded = loop {
        let releases = slot.shared.budget.releases();
        let (wrapper, job, options_there) = (Arc::clone(&slot.wrapper), running.job.clone(), options.clone());
        let work = async move { wrapper.load(&options_there, &job).await };
        match watched(slot, running, work).await {
            Err(error) if is_short_of_memory(&error) && slot.make_room(releases, &terms).await? => {}
            result => break result?,
        }
    };
    let admitted = match running.job.check() {
        Ok(()) => slot.reserve(bytes_of(&loaded), &terms).await,
        cancelled => cancelled,
    };
    if let Err(error) = admitted {
        discard(slot, loaded).await?;
        return Err(error);
    }
    Ok(loaded)
}

async fn unload(slot: &Slot, options: &UnloadOptions) -> Result<()> {
    if !slot.idle_within(options.timeout).await {
        if !options.force {
            return Err(busy(slot, "ask again later, or end them by force"));
        }
        slot.end_leases();
        if !slot.idle_within(FORCED_END).await {
            slot.renew_leases();
            return Err(busy(slot, "they did not end when told to; ask again later"));
        }
    }
    match slot.take_weights() {
        Some(weights) => discard(slot, weights).await,
        None => Ok(()),
    }
}

fn busy(slot: &Slot, remedy: &str) -> Error {
    let leases = slot.core().leases;
    let message = format!(
        "the model '{}' still serves {leases} requests and stays loaded: {remedy}",
        slot.key
    );
    Error::unavailable(UnavailableFault::Busy, message)
}

/// Whether a load failed for want of memory.
pub(super) const fn is_short_of_memory(error: &Error) -> bool {
    matches!(
        error,
        Error::Unavailable {
            code: UnavailableFault::InsufficientMemory,
            ..
        }
    )
}

/// Runs the wrapper's work on a thread of its own and passes on its progress.
async fn watched<T, F>(slot: &Slot, running: &Running, work: F) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let work = Work::start(&slot.runtime, &slot.key, work)?;
    let journal = &slot.shared.journal;
    let report = |progress| journal.change(&running.entry, |operation| operation.progress = progress);
    let result = work.watched(&running.job, slot.shared.stall_timeout, report).await;
    match result {
        // Work that is cancelled may end in an error of any kind.
        Err(error) if running.job.is_cancelled() && !is_timeout(&error) => Err(Error::cancelled()),
        result => result,
    }
}

const fn is_timeout(error: &Error) -> bool {
    matches!(
        error,
        Error::Unavailable {
            code: UnavailableFault::Timeout,
            ..
        }
    )
}

/// Drops the weights, which may take long, on a thread of its own.
pub(super) async fn discard<T: Send + 'static>(slot: &Slot, weights: T) -> Result<()> {
    let work = Work::start(&slot.runtime, &slot.key, async move {
        drop(weights);
        Ok(())
    })?;
    work.watched(&Job::new(), slot.shared.stall_timeout, |_| {}).await
}

/// Asks the wrapper what its model is and which files are there.
pub(super) async fn look(slot: &Slot) -> Result<Inspection> {
    inspect(&slot.key, &slot.wrapper, slot.shared.stall_timeout).await
}

/// Asks `wrapper` what its model is and which files are there.
pub(super) async fn inspect(key: &str, wrapper: &Arc<dyn ModelWrapper>, patience: Duration) -> Result<Inspection> {
    let wrapper = Arc::clone(wrapper);
    let work = async move {
        let (info, files) = (wrapper.describe(), wrapper.files().await?);
        let (max_model_len, memory_range) = if files.complete {
            (wrapper.max_model_len(), wrapper.memory_range(&files))
        } else {
            (None, None)
        };
        Ok(Inspection {
            info,
            files,
            max_model_len,
            memory_range,
        })
    };
    Work::start(&tokio::runtime::Handle::current(), key, work)?
        .watched(&Job::new(), patience, |_| {})
        .await
}
