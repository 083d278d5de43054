//! How a registry is made.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::nn::Threads;
use crate::registry::ModelRegistry;
use crate::registry::budget::Budget;
use crate::registry::event::Events;
use crate::registry::journal::Journal;
use crate::registry::names::invalid;
use crate::registry::shared::Shared;

/// How a registry is made.
#[derive(Debug, Clone)]
#[must_use = "a builder makes nothing until `build`"]
pub struct RegistryBuilder {
    stall_timeout: Duration,
    retry_failed_after: Duration,
    memory_limit: Option<u64>,
    threads: Option<Threads>,
}

impl RegistryBuilder {
    pub(super) const fn new() -> Self {
        Self {
            stall_timeout: Duration::from_mins(10),
            retry_failed_after: Duration::from_secs(30),
            memory_limit: None,
            threads: None,
        }
    }

    /// Sets how long a download or load may show no progress before it is given up; 10 minutes at first.
    pub fn stall_timeout(self, stall_timeout: Duration) -> Self {
        Self { stall_timeout, ..self }
    }

    /// Sets the age of a passing fault after which a request tries again; 30 seconds at first.
    pub fn retry_failed_after(self, retry_failed_after: Duration) -> Self {
        Self {
            retry_failed_after,
            ..self
        }
    }

    /// Sets the bytes that all models in memory together may take, weights and caches; no limit at first.
    ///
    /// What a model takes is known once it was loaded; before that the size of its files counts.
    pub fn memory_limit(self, memory_limit: Option<u64>) -> Self {
        Self { memory_limit, ..self }
    }

    /// Sets the threads that all models compute with on the processor; at first as many as this process may use.
    ///
    /// [`crate::LoadOptions::threads`] goes before it.
    pub fn threads(self, threads: Threads) -> Self {
        Self {
            threads: Some(threads),
            ..self
        }
    }

    /// Makes an empty registry.
    ///
    /// # Errors
    /// [`crate::RequestFault::InvalidValue`] for a stall timeout of zero.
    pub fn build(self) -> Result<ModelRegistry> {
        if self.stall_timeout.is_zero() {
            return Err(invalid(
                "stall_timeout",
                "the stall timeout is 0, which gives up all work at once; set one of minutes".to_owned(),
            ));
        }
        let events = Events::new();
        let shared = Shared {
            journal: Journal::new(events.clone()),
            events,
            budget: Budget::new(self.memory_limit),
            threads: self.threads.unwrap_or_default(),
            stall_timeout: self.stall_timeout,
            retry_failed_after: self.retry_failed_after,
            closing: CancellationToken::new(),
        };
        Ok(ModelRegistry::new(shared))
    }
}
