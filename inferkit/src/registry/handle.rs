//! One model of a registry in a caller's hands.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::error::Error;
use crate::error::Result;
use crate::registry::ModelStatus;
use crate::registry::Operation;
use crate::registry::drive;
use crate::registry::lease::Lease;
use crate::registry::order::Origin;
use crate::registry::order::Request;
use crate::registry::slot::Slot;
use crate::wrapper::DownloadOptions;
use crate::wrapper::LoadOptions;

/// One model of a registry. Clones are the same model.
///
/// Every action returns as soon as its work has begun; [`ModelHandle::wait`] waits for its end. Work
/// goes on when nobody waits for it.
#[derive(Clone)]
pub struct ModelHandle {
    slot: Arc<Slot>,
}

/// How to unload.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnloadOptions {
    /// Whether requests that outlast the timeout are ended; otherwise the model stays loaded.
    pub force: bool,
    /// Time that running requests have to finish.
    pub timeout: Duration,
}

impl Default for UnloadOptions {
    fn default() -> Self {
        Self {
            force: false,
            timeout: Duration::from_secs(30),
        }
    }
}

impl UnloadOptions {
    /// Ends requests that outlast the timeout.
    #[must_use]
    pub fn forced(self) -> Self {
        Self { force: true, ..self }
    }

    /// Sets the time that running requests have to finish.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }
}

impl ModelHandle {
    pub(super) const fn new(slot: Arc<Slot>) -> Self {
        Self { slot }
    }

    /// The model's key.
    pub fn key(&self) -> &str {
        &self.slot.key
    }

    /// How the model stands at this moment.
    pub fn status(&self) -> ModelStatus {
        self.slot.status()
    }

    /// The newest status, and a way to wait for more. Who uses the model is told at most ten times a second.
    pub fn watch(&self) -> watch::Receiver<ModelStatus> {
        self.slot.watch()
    }

    /// Looks at the model's files, which somebody else may have changed, and returns the new status.
    ///
    /// # Errors
    /// When the wrapper cannot read its directory.
    pub async fn refresh_files(&self) -> Result<ModelStatus> {
        self.slot.saw(drive::look(&self.slot).await?);
        Ok(self.status())
    }

    /// Starts to make the model's files present.
    ///
    /// Returns the running download if there is one, and an operation with `changed: false` when the
    /// files are there and the options do not ask for more. Beside a model that broke it waits as
    /// [`ModelHandle::load`] does.
    ///
    /// # Errors
    /// [`crate::RequestFault::OperationConflict`] while a load or unload runs (its id is the error's
    /// `param`); [`crate::RequestFault::ModelInUse`] when files of a loaded model are to be fetched again.
    pub fn download(&self, options: DownloadOptions) -> Result<Operation> {
        self.start(Request::Download(options))
    }

    /// Starts to load the model.
    ///
    /// One that broke is loaded again once its leases have ended, which were told to, and it has left memory;
    /// when they do not end within ten seconds, the operation fails as `busy`.
    ///
    /// Returns the running load if there is one, and an operation with `changed: false` when the model
    /// is loaded.
    ///
    /// # Errors
    /// [`crate::RequestFault::NotDownloaded`] when files are missing,
    /// [`crate::RequestFault::OperationConflict`] while a download or unload runs.
    pub fn load(&self, options: LoadOptions) -> Result<Operation> {
        self.start(Request::Load(options))
    }

    /// Starts to unload the model: no lease is given any more, and the memory is freed once the last
    /// one is dropped.
    ///
    /// When that takes longer than the timeout, the leases are told to end ([`Lease::ended`]) if the
    /// options say so; otherwise the operation fails as `busy` and the model serves on. A model that broke
    /// leaves memory by itself, and there is nothing to unload.
    ///
    /// # Errors
    /// [`crate::RequestFault::OperationConflict`] while a download or load runs.
    pub fn unload(&self, options: UnloadOptions) -> Result<Operation> {
        self.start(Request::Unload(options))
    }

    fn start(&self, request: Request) -> Result<Operation> {
        self.slot.start(&mut self.slot.core(), request, Origin::Caller)
    }

    /// Asks the running download or load to stop; it has stopped once the operation is finished. What
    /// was fetched is kept. When nothing runs, returns the last operation with `changed: false`.
    ///
    /// # Errors
    /// [`crate::RequestFault::OperationConflict`] while the model is being unloaded.
    pub fn cancel(&self) -> Result<Operation> {
        self.slot.cancel()
    }

    /// Waits until the operation has ended, and returns it.
    ///
    /// # Errors
    /// [`crate::RequestFault::OperationNotFound`] for an id that is unknown or forgotten. A failed
    /// operation is no error here: see [`Operation::error`].
    pub async fn wait(&self, operation_id: &str) -> Result<Operation> {
        self.slot.wait(operation_id).await
    }

    /// A lease on the loaded model; downloads and loads it first, as its policy allows.
    ///
    /// Any number of callers cause one download and one load. A caller may stop waiting at any time;
    /// the work goes on.
    ///
    /// ```
    /// # async fn ask(models: &inferkit::ModelRegistry) -> inferkit::Result<()> {
    /// let lease = models.get("qwen")?.ensure_loaded().await?;
    /// println!("{} answers on {}", lease.key(), lease.device);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::UnavailableFault::ModelNotLoaded`] when the policy does not allow it, the work was
    /// cancelled, or the model is being unloaded; [`crate::UnavailableFault::ModelFailed`] with the
    /// fault's message after a fault, unless it may be tried again and is old enough; the error itself
    /// when the hub refuses or memory is short.
    pub async fn ensure_loaded(&self) -> Result<Lease> {
        self.slot.bring_up(self.slot.policy.on_demand).await
    }

    /// As [`ModelHandle::ensure_loaded`], waiting for no longer than `patience`.
    ///
    /// # Errors
    /// Besides those, [`crate::UnavailableFault::ModelLoading`] once the time is over, which says how
    /// far the work is and when to ask again.
    pub async fn ensure_loaded_within(&self, patience: Duration) -> Result<Lease> {
        match tokio::time::timeout(patience, self.ensure_loaded()).await {
            Ok(result) => result,
            Err(_) => Err(self.slot.not_ready()),
        }
    }

    /// A lease, if the model is loaded at this moment.
    ///
    /// # Errors
    /// [`crate::UnavailableFault::ModelNotLoaded`], [`crate::UnavailableFault::ModelLoading`] or
    /// [`crate::UnavailableFault::ModelFailed`], by what the model is doing.
    pub fn lease(&self) -> Result<Lease> {
        let lease = self.slot.lease(&mut self.slot.core());
        lease.ok_or_else(|| self.slot.not_ready())
    }
}

impl Slot {
    pub(super) async fn wait(&self, id: &str) -> Result<Operation> {
        let mut operation = self.shared.journal.find(id)?.subscribe();
        let ended = operation.wait_for(|operation| operation.state.is_finished()).await;
        ended
            .map(|operation| operation.clone())
            .map_err(|_| Error::internal(format!("the operation {id} was lost")))
    }
}

impl fmt::Debug for ModelHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ModelHandle")
            .field("key", &self.key())
            .finish_non_exhaustive()
    }
}
