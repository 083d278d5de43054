//! From a model's settings to the wrapper that runs it.

use std::sync::Arc;

use inferkit::Hub;
use inferkit::ModelWrapper;
use inferkit::Result;
use inferkit::catalog;
use inferkit::catalog::ModelSpec;
use inferkit::catalog::Services;

use crate::config::Config;
use crate::config::ModelSettings;

/// The wrapper of a configured model.
///
/// # Errors
/// When the library knows no such family.
pub fn wrapper(config: &Config, settings: &ModelSettings, hub: &Hub) -> Result<Arc<dyn ModelWrapper>> {
    let mut spec = ModelSpec::new(settings.family.clone(), settings.source.clone());
    spec.device = settings.device;
    spec.dtype = settings.dtype;
    spec.cache_dtype = settings.cache_dtype;
    spec.memory_budget = settings.memory_budget;
    spec.max_model_len = settings.max_model_len;
    spec.max_queued = Some(config.limits.max_queued);
    spec.queue_timeout = Some(config.limits.queue_timeout);
    catalog::wrapper(&spec, &Services::new(hub.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;
    use crate::config::load;

    #[test]
    fn every_built_in_model_is_of_a_family_that_the_library_runs() {
        let folder = tempfile::tempdir().unwrap();
        let hub = Hub::builder(folder.path()).offline(true).build().unwrap();
        let config = load(&Sources::default()).unwrap();
        assert!(config.models.len() >= 3);
        for (key, settings) in &config.models {
            let wrapper = wrapper(&config, settings, &hub).unwrap();
            assert_eq!(&wrapper.describe().family, key);
        }
    }
}
