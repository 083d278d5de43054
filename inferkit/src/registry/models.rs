//! The models of a process by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::time::Duration;

use tokio::sync::broadcast;

use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;
use crate::registry::Event;
use crate::registry::ModelHandle;
use crate::registry::ModelPolicy;
use crate::registry::ModelStatus;
use crate::registry::OnDemand;
use crate::registry::Operation;
use crate::registry::RegistryBuilder;
use crate::registry::UnloadOptions;
use crate::registry::drive;
use crate::registry::names::check_names;
use crate::registry::names::invalid;
use crate::registry::order::Origin;
use crate::registry::order::Request;
use crate::registry::shared::Shared;
use crate::registry::shared::closing;
use crate::registry::slot::Slot;
use crate::wrapper::ModelWrapper;

/// Time that running work has to stop when the registry shuts down.
const STOP_WORK: Duration = Duration::from_secs(10);

/// The models of a process: finds them by name, drives their life, tells of it.
///
/// Clones are the same registry. There is no global one: a process may have several. Registering and
/// everything that follows needs a tokio runtime with its timer, on which the registry's tasks run; the
/// models' own work runs on threads beside it.
///
/// ```
/// # async fn run(wrapper: std::sync::Arc<dyn inferkit::ModelWrapper>) -> inferkit::Result<()> {
/// use inferkit::ModelPolicy;
/// use inferkit::ModelRegistry;
///
/// let models = ModelRegistry::builder().build()?;
/// models.register("qwen", wrapper, ModelPolicy::default()).await?;
/// let lease = models.get("qwen")?.ensure_loaded().await?;
/// let chat = lease.chat()?;
/// # let _ = chat;
/// models.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ModelRegistry {
    models: Arc<Models>,
}

/// What the clones of a registry share.
pub(super) struct Models {
    shared: Arc<Shared>,
    by_key: RwLock<BTreeMap<String, Arc<Slot>>>,
}

impl ModelRegistry {
    pub(super) fn new(shared: Shared) -> Self {
        Self {
            models: Arc::new(Models::new(shared)),
        }
    }

    /// Begins a registry.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::new()
    }

    /// Adds a model under `key`, which is `[a-z0-9][a-z0-9_-]{0,62}`. Asks the wrapper for its files; starts
    /// nothing.
    ///
    /// # Errors
    /// [`RequestFault::InvalidValue`] for a key of another form and for a key or alias that is taken; the
    /// wrapper's error when it cannot read its directory.
    pub async fn register(
        &self,
        key: impl Into<String>,
        wrapper: Arc<dyn ModelWrapper>,
        policy: ModelPolicy,
    ) -> Result<ModelHandle> {
        let key = key.into();
        let shared = &self.models.shared;
        check_names(&key, &policy)?;
        self.models.check_free(&self.models.slots(), &key, &policy)?;
        let seen = drive::inspect(&key, &wrapper, shared.stall_timeout).await?;
        let around = (Arc::clone(shared), Arc::downgrade(&self.models));
        let slot = Arc::new(Slot::new(key.clone(), (wrapper, policy), seen, around));

        let mut by_key = self.models.by_key.write().unwrap_or_else(PoisonError::into_inner);
        let others: Vec<_> = by_key.values().cloned().collect();
        self.models.check_free(&others, &key, &slot.policy)?;
        by_key.insert(key, Arc::clone(&slot));
        Ok(ModelHandle::new(slot))
    }

    /// The model of that name: its key, one of its aliases, or its repository. Case matters. Where models
    /// share a repository, its name means the first by key.
    ///
    /// # Errors
    /// [`RequestFault::ModelNotFound`].
    pub fn get(&self, name: &str) -> Result<ModelHandle> {
        let slots = self.models.slots();
        let found = slots
            .iter()
            .find(|slot| slot.key == name)
            .or_else(|| {
                slots
                    .iter()
                    .find(|slot| slot.policy.aliases.iter().any(|alias| alias == name))
            })
            .or_else(|| {
                slots
                    .iter()
                    .find(|slot| slot.core().info.source.repository() == Some(name))
            });
        found.map(|slot| ModelHandle::new(Arc::clone(slot))).ok_or_else(|| {
            let name: String = name.chars().take(200).collect();
            Error::invalid(
                RequestFault::ModelNotFound,
                "model",
                format!("The model '{name}' does not exist."),
            )
        })
    }

    /// All models, by key.
    pub fn models(&self) -> Vec<ModelHandle> {
        self.models.slots().into_iter().map(ModelHandle::new).collect()
    }

    /// How all models stand, by key.
    pub fn statuses(&self) -> Vec<ModelStatus> {
        self.models.slots().iter().map(|slot| slot.status()).collect()
    }

    /// Every change from this moment on. An observer that falls 1024 events behind misses some, and is told.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.models.shared.events.subscribe()
    }

    /// Operations at work and the last 100 that ended, newest first.
    pub fn operations(&self) -> Vec<Operation> {
        self.models.shared.journal.newest_first()
    }

    /// The operation of that id.
    ///
    /// # Errors
    /// [`RequestFault::OperationNotFound`] for an id that is unknown or no longer kept.
    pub fn operation(&self, id: &str) -> Result<Operation> {
        self.models.shared.journal.find(id).map(|entry| entry.borrow().clone())
    }

    /// Asks an operation to stop; one that has ended is returned as it is.
    ///
    /// # Errors
    /// [`RequestFault::OperationNotFound`]; [`RequestFault::OperationConflict`] for an unload, which cannot
    /// be cancelled.
    pub fn cancel(&self, id: &str) -> Result<Operation> {
        let operation = self.operation(id)?;
        let slots = self.models.slots();
        match slots.iter().find(|slot| slot.key == operation.model) {
            Some(slot) if !operation.state.is_finished() => slot.cancel_operation(id),
            Some(_) | None => Ok(operation),
        }
    }

    /// Starts to bring up every model whose policy says `preload`, whatever its `on_demand` says. Returns
    /// at once; what becomes of it shows in the models' statuses.
    pub fn preload(&self) {
        for slot in self.models.slots().into_iter().filter(|slot| slot.policy.preload) {
            let runtime = slot.runtime.clone();
            runtime.spawn(async move {
                match slot.bring_up(OnDemand::Download).await {
                    Ok(_) => tracing::info!(model = slot.key, "preloaded"),
                    Err(error) => tracing::warn!(model = slot.key, %error, "not preloaded"),
                }
            });
        }
    }

    /// Ends everything: starts nothing any more, cancels running work, ends leases, unloads all models.
    ///
    /// Returns when that is done, after at most about half a minute. Requests that should finish first are
    /// to be waited for before. A registry that is dropped without this lets running work finish.
    pub async fn shutdown(&self) {
        self.models.shared.closing.cancel();
        let stopping = self.models.slots().into_iter().map(stop);
        futures_util::future::join_all(stopping).await;
    }
}

/// Stops what runs for a model and unloads it.
async fn stop(slot: Arc<Slot>) {
    if let Some(id) = slot.status().operation {
        // An unload cannot be cancelled; it is waited for like the others.
        let _ = slot.cancel_operation(&id);
        if tokio::time::timeout(STOP_WORK, slot.wait(&id)).await.is_err() {
            tracing::warn!(
                model = slot.key,
                operation = id,
                "work did not stop in time and is left behind"
            );
        }
    }
    let options = UnloadOptions::default().with_timeout(Duration::ZERO).forced();
    let unloading = slot.start(&mut slot.core(), Request::Unload(options), Origin::Registry);
    // Work that was left behind above keeps it from being unloaded.
    let Ok(unloading) = unloading else { return };
    let left = async {
        let ended = slot.wait(&unloading.id).await;
        slot.wreck_left().await;
        ended
    };
    let left = tokio::time::timeout(2 * STOP_WORK, left).await;
    if !matches!(left, Ok(Ok(Operation { error: None, .. }))) {
        tracing::warn!(
            model = slot.key,
            "the model was not unloaded in time and is left behind"
        );
    }
}

impl Models {
    pub(super) fn new(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
            by_key: RwLock::default(),
        }
    }

    /// All models, by key.
    pub(super) fn slots(&self) -> Vec<Arc<Slot>> {
        self.by_key
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// Fails if a name of a new model is taken by another, or the registry is closed.
    fn check_free(&self, others: &[Arc<Slot>], key: &str, policy: &ModelPolicy) -> Result<()> {
        if self.shared.closing.is_cancelled() {
            return Err(closing());
        }
        let taken = |name: &str| {
            others
                .iter()
                .any(|slot| slot.key == name || slot.policy.aliases.iter().any(|alias| alias == name))
        };
        if taken(key) {
            return Err(invalid(
                "key",
                format!("the key '{key}' is the name of another model; choose another"),
            ));
        }
        match policy.aliases.iter().find(|alias| taken(alias)) {
            Some(alias) => Err(invalid(
                "aliases",
                format!("the alias '{alias}' is the name of another model; choose another"),
            )),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ModelRegistry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.models.slots().iter().map(|slot| slot.key.clone()).collect();
        formatter
            .debug_struct("ModelRegistry")
            .field("models", &keys)
            .finish_non_exhaustive()
    }
}
