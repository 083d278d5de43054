//! What a registry may do with a model of its own accord.

use std::time::Duration;

/// What a request for a model that is not loaded may start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum OnDemand {
    /// Download and load.
    #[default]
    Download,
    /// Load, if the files are present.
    Load,
    /// Nothing.
    Never,
}

impl OnDemand {
    /// The spelling used in the configuration and over HTTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Load => "load",
            Self::Never => "never",
        }
    }
}

/// What a registry may do with a model of its own accord.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelPolicy {
    /// Other names under which the model is found.
    pub aliases: Vec<String>,
    /// What a request for it may start.
    pub on_demand: OnDemand,
    /// Whether it may be unloaded while idle when another model needs its memory.
    pub evict_idle: bool,
    /// Idle time after which it is unloaded; `None` never.
    pub idle_unload: Option<Duration>,
    /// Whether it is loaded when the process starts.
    pub preload: bool,
}

impl Default for ModelPolicy {
    fn default() -> Self {
        Self {
            aliases: Vec::new(),
            on_demand: OnDemand::default(),
            evict_idle: true,
            idle_unload: None,
            preload: false,
        }
    }
}

impl ModelPolicy {
    /// Sets what a request may start.
    #[must_use]
    pub fn with_on_demand(self, on_demand: OnDemand) -> Self {
        Self { on_demand, ..self }
    }

    /// Sets other names.
    #[must_use]
    pub fn with_aliases(self, aliases: Vec<String>) -> Self {
        Self { aliases, ..self }
    }
}
