//! One model of a registry: its state, its operation, its weights, its observers.
//!
//! The thin shell around [`super::machine`]: it asks the machine, keeps what belongs to the state,
//! and tells observers.
//!
//! **Invariant:** everything that changes does so under one lock that is never held while waiting,
//! and is told before the lock is released; so observers see changes in their order.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::Weak;
use std::time::Duration;
use std::time::SystemTime;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;
use crate::registry::ErrorReport;
use crate::registry::Event;
use crate::registry::ModelPolicy;
use crate::registry::ModelStatus;
use crate::registry::Operation;
use crate::registry::OperationKind;
use crate::registry::OperationState;
use crate::registry::drive;
use crate::registry::machine::Input;
use crate::registry::machine::Refusal;
use crate::registry::machine::State;
use crate::registry::machine::Step;
use crate::registry::models::Models;
use crate::registry::order::Conclusion;
use crate::registry::order::Inspection;
use crate::registry::order::Origin;
use crate::registry::order::Outcome;
use crate::registry::order::Request;
use crate::registry::order::Running;
use crate::registry::serving::Serving;
use crate::registry::serving::bytes_of;
use crate::registry::shared::Shared;
use crate::registry::shared::closing;
use crate::registry::shared::locked;
use crate::registry::wreck::Wreck;
use crate::wrapper::FileInventory;
use crate::wrapper::Job;
use crate::wrapper::MemoryRange;
use crate::wrapper::ModelInfo;
use crate::wrapper::ModelWrapper;

/// Shortest time between two statuses that differ only in who uses the model.
const USE_INTERVAL: Duration = Duration::from_millis(100);

pub(super) struct Slot {
    pub(super) key: String,
    pub(super) policy: ModelPolicy,
    pub(super) wrapper: Arc<dyn ModelWrapper>,
    pub(super) shared: Arc<Shared>,
    pub(super) runtime: Handle,
    /// The other models of the registry, which may make room for this one.
    pub(super) models: Weak<Models>,
    core: Mutex<Core>,
    status: watch::Sender<ModelStatus>,
    /// Told when the last lease is dropped, and when a wreck has left memory.
    pub(super) freed: Notify,
}

/// What changes over a model's life.
pub(super) struct Core {
    pub(super) state: State,
    pub(super) info: ModelInfo,
    pub(super) files: FileInventory,
    /// Longest context that the files allow, in tokens.
    pub(super) max_model_len: Option<usize>,
    /// The memory that a load is thought to take.
    pub(super) memory_range: Option<MemoryRange>,
    pub(super) running: Option<Running>,
    /// Present while the state is `Loaded`, and while `Unloading` until the weights are dropped.
    pub(super) serving: Option<Serving>,
    /// Present after the model broke, until its weights are dropped.
    pub(super) wreck: Option<Wreck>,
    pub(super) leases: usize,
    pub(super) last_used: (Instant, Option<SystemTime>),
    pub(super) error: Option<ErrorReport>,
    /// When the error happened or last blocked an operation, on a clock that never jumps.
    pub(super) error_at: Instant,
    /// Bytes it took when it was last loaded.
    last_bytes: Option<u64>,
    told_at: Instant,
    telling: bool,
}

impl Slot {
    pub(super) fn new(
        key: String,
        (wrapper, policy): (Arc<dyn ModelWrapper>, ModelPolicy),
        seen: Inspection,
        (shared, models): (Arc<Shared>, Weak<Models>),
    ) -> Self {
        let now = Instant::now();
        let core = Core {
            state: State::at_rest(seen.files.complete),
            info: seen.info,
            files: seen.files,
            max_model_len: seen.max_model_len,
            memory_range: seen.memory_range,
            running: None,
            serving: None,
            wreck: None,
            leases: 0,
            last_used: (now, None),
            error: None,
            error_at: now,
            last_bytes: None,
            told_at: now,
            telling: false,
        };
        let status = watch::Sender::new(core.status(&key, &policy));
        let runtime = Handle::current();
        Self {
            key,
            policy,
            wrapper,
            shared,
            runtime,
            models,
            core: Mutex::new(core),
            status,
            freed: Notify::new(),
        }
    }

    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        locked(&self.core)
    }

    pub(super) fn status(&self) -> ModelStatus {
        self.core().status(&self.key, &self.policy)
    }

    pub(super) fn watch(&self) -> watch::Receiver<ModelStatus> {
        let core = self.core();
        // Who uses the model is told with a delay; a new observer starts with the truth.
        self.status.send_replace(core.status(&self.key, &self.policy));
        self.status.subscribe()
    }

    /// Tells every observer how the model stands.
    pub(super) fn tell(&self, core: &mut Core) {
        core.told_at = Instant::now();
        let status = core.status(&self.key, &self.policy);
        self.shared.events.tell(|| Event::Model(Box::new(status.clone())));
        self.status.send_replace(status);
    }

    /// Tells every observer that the model's use has changed, now or with the changes that follow soon.
    pub(super) fn tell_use(self: &Arc<Self>, core: &mut Core) {
        if core.telling {
            return;
        }
        let since = core.told_at.elapsed();
        if since >= USE_INTERVAL {
            return self.tell(core);
        }
        core.telling = true;
        let slot = Arc::clone(self);
        self.runtime.spawn(async move {
            tokio::time::sleep(USE_INTERVAL.saturating_sub(since)).await;
            let mut core = slot.core();
            core.telling = false;
            slot.tell(&mut core);
        });
    }

    /// Starts what is wanted, joins what runs, or says why neither can be.
    pub(super) fn start(self: &Arc<Self>, core: &mut Core, request: Request, origin: Origin) -> Result<Operation> {
        let kind = request.kind();
        match core.state.step(Input::Ask(request.ask())) {
            Step::Begin(state) => {
                if origin == Origin::Caller && self.shared.closing.is_cancelled() {
                    return Err(closing());
                }
                let entry = self.shared.journal.begin(kind, &self.key);
                let operation = entry.borrow().clone();
                let running = Running {
                    entry,
                    job: Job::new(),
                    origin,
                };
                core.state = state;
                core.running = Some(running.clone());
                core.error = None;
                self.tell(core);
                self.runtime.spawn(drive::run(Arc::clone(self), running, request));
                Ok(operation)
            }
            Step::Join => match &core.running {
                Some(running) => Ok(running.entry.borrow().clone()),
                None => Err(Error::internal(format!(
                    "the model '{}' is at work without an operation",
                    self.key
                ))),
            },
            Step::Stay | Step::Become(_) => Ok(self.shared.journal.nothing_to_do(kind, &self.key)),
            Step::Refuse(refusal) => Err(self.refused(core, kind, refusal)),
        }
    }

    fn refused(&self, core: &Core, kind: OperationKind, refusal: Refusal) -> Error {
        let key = &self.key;
        let wanted = kind.as_str();
        match refusal {
            Refusal::Conflict => {
                let running = core.running.as_ref().map(|running| running.entry.borrow().clone());
                let (running, id) = running.map_or(("work", None), |running| (running.kind.as_str(), Some(running.id)));
                Error::InvalidRequest {
                    code: RequestFault::OperationConflict,
                    message: format!(
                        "the model '{key}' cannot {wanted} while its {running} runs ({}); wait for it or cancel it",
                        id.as_deref().unwrap_or("no id"),
                    ),
                    param: id,
                }
            }
            Refusal::NotDownloaded => Error::invalid(
                RequestFault::NotDownloaded,
                None,
                format!("the files of the model '{key}' are not all there; download it first"),
            ),
            Refusal::InUse => Error::invalid(
                RequestFault::ModelInUse,
                None,
                format!("the model '{key}' is loaded from its files; unload it before they are fetched again"),
            ),
        }
    }

    /// Ends an operation: the one place where a result becomes a state.
    pub(super) fn finish(self: &Arc<Self>, running: &Running, outcome: Outcome, seen: Option<Inspection>) {
        let mut core = self.core();
        if let Some(seen) = seen {
            core.take_in(seen);
        }
        let kind = running.entry.borrow().kind;
        let Conclusion {
            ending,
            error,
            report,
            loaded,
        } = outcome.concluded(kind, &self.key, &core.files);
        let complete = core.files.complete;
        if let Some(error) = error.as_ref().filter(|error| !error.is_cancelled()) {
            tracing::warn!(model = self.key, kind = kind.as_str(), code = error.code(), %error, "an operation failed");
        }
        if let Step::Become(state) = core.state.step(Input::Ended { ending, complete }) {
            core.state = state;
        }
        if let Some(loaded) = loaded {
            core.last_bytes = Some(bytes_of(&loaded));
            core.last_used.0 = Instant::now();
            let serving = Serving::new(loaded);
            self.watch_idleness(Arc::downgrade(&serving.loaded));
            self.watch_health(&serving.loaded);
            core.serving = Some(serving);
        }
        if core.serving.is_none() && core.wreck.is_none() {
            self.shared.budget.release(&self.key);
        }
        core.running = None;
        core.error = report;
        core.error_at = Instant::now();
        self.tell(&mut core);
        self.shared.journal.change(&running.entry, |operation| {
            operation.state = match &error {
                None => OperationState::Succeeded,
                Some(error) if error.is_cancelled() => OperationState::Cancelled,
                Some(_) => OperationState::Failed,
            };
            operation.finished_at = Some(SystemTime::now());
            operation.progress = running.job.progress().borrow().clone();
            operation.error = error;
        });
        // It may have broken while it was to be unloaded and was not.
        if let Some(reason) = core
            .serving
            .as_ref()
            .and_then(|serving| serving.loaded.health.failure())
        {
            self.break_down(&mut core, reason);
        }
    }

    /// Takes in what the wrapper tells of the model while nothing runs.
    pub(super) fn saw(&self, seen: Inspection) {
        let mut core = self.core();
        let input = Input::Files {
            complete: seen.files.complete,
        };
        let state = match core.state.step(input) {
            Step::Become(state) => state,
            Step::Stay | Step::Join | Step::Begin(_) | Step::Refuse(_) => core.state,
        };
        let known = (core.state, &core.info, &core.files, core.max_model_len);
        if (state, &seen.info, &seen.files, seen.max_model_len) != known {
            core.state = state;
            core.take_in(seen);
            self.tell(&mut core);
        }
    }

    /// Asks the running operation to stop; gives the last one when nothing runs.
    pub(super) fn cancel(&self) -> Result<Operation> {
        let core = self.core();
        if let Some(running) = &core.running {
            return self.stop(running);
        }
        let last = self.shared.journal.last_of(&self.key);
        let last = last.unwrap_or_else(|| self.shared.journal.nothing_to_do(OperationKind::Download, &self.key));
        Ok(Operation { changed: false, ..last })
    }

    /// Asks the operation `id` to stop, if it is the one that runs; gives it as it then is.
    pub(super) fn cancel_operation(&self, id: &str) -> Result<Operation> {
        let core = self.core();
        match core.running.as_ref().filter(|running| running.entry.borrow().id == id) {
            Some(running) => self.stop(running),
            None => self.shared.journal.find(id).map(|entry| entry.borrow().clone()),
        }
    }

    fn stop(&self, running: &Running) -> Result<Operation> {
        let Operation { kind, id, .. } = running.entry.borrow().clone();
        if kind == OperationKind::Unload {
            return Err(Error::InvalidRequest {
                code: RequestFault::OperationConflict,
                message: format!(
                    "the model '{}' is being unloaded, which cannot be cancelled; wait for it",
                    self.key
                ),
                param: Some(id),
            });
        }
        running.job.cancel();
        self.shared
            .journal
            .change(&running.entry, |operation| operation.state = OperationState::Cancelling);
        Ok(running.entry.borrow().clone())
    }
}

impl Core {
    fn status(&self, key: &str, policy: &ModelPolicy) -> ModelStatus {
        let loaded = self.serving.as_ref().map(|serving| &serving.loaded);
        ModelStatus {
            key: key.to_owned(),
            info: self.info.clone(),
            policy: policy.clone(),
            runtime_status: self.state.runtime_status(),
            files: self.files.clone(),
            device: loaded.map(|loaded| loaded.device.clone()),
            dtype: loaded.map(|loaded| loaded.dtype.clone()),
            memory: match &self.wreck {
                Some(wreck) => Some(wreck.memory),
                None => loaded.map(|loaded| loaded.memory),
            },
            memory_range: self.memory_range,
            max_model_len: match loaded {
                Some(loaded) => loaded.max_model_len,
                None => self.max_model_len,
            },
            loaded_at: self.serving.as_ref().map(|serving| serving.since),
            last_used_at: self.last_used.1,
            active_requests: self.leases,
            queued_requests: loaded.and_then(|loaded| loaded.queue()).map(|queue| queue.waiting),
            tokens_per_second: loaded
                .and_then(|loaded| loaded.chat.as_ref())
                .and_then(|chat| chat.tokens_per_second()),
            operation: self.running.as_ref().map(|running| running.entry.borrow().id.clone()),
            error: self.error.clone(),
        }
    }

    fn take_in(&mut self, seen: Inspection) {
        self.info = seen.info;
        self.files = seen.files;
        self.max_model_len = seen.max_model_len;
        self.memory_range = seen.memory_range;
    }

    /// Whether what runs was wanted by `origin`.
    pub(super) fn is_left_by(&self, origin: Origin) -> bool {
        self.running.as_ref().is_some_and(|running| running.origin == origin)
    }

    /// Since when nobody uses the model, if it serves and nobody does.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.state == State::Loaded && self.leases == 0).then_some(self.last_used.0)
    }

    /// Bytes that loading is likely to take: what it took last, else what the files take.
    pub(super) fn likely_bytes(&self) -> u64 {
        self.last_bytes.unwrap_or_else(|| self.files.bytes_present())
    }
}
