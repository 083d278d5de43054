//! What the server knows of the machine and of the hub.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use inferkit::Dependency;
use inferkit::DiskRole;
use inferkit::Hub;
use inferkit::InspectOptions;
use inferkit::Monitor;
use inferkit::MonitorOptions;
use inferkit::Result;
use inferkit::TokenStore;
use secrecy::SecretString;
use tokio::sync::watch;

use crate::config::Config;

/// Hub, monitor, and what the process needs from the system.
#[derive(Debug)]
pub struct Platform {
    /// The hub and its token.
    pub hub: Hub,
    /// Processor, memory, disks, GPUs.
    pub monitor: Monitor,
    dependencies: watch::Sender<Arc<Vec<Dependency>>>,
    options: InspectOptions,
}

impl Platform {
    /// Opens the token store and starts to watch the machine.
    ///
    /// # Errors
    /// When the token's file can be read by others or holds no token.
    pub fn start(config: &Config, env: &BTreeMap<String, String>) -> Result<Self> {
        let models_dir = &config.storage.models_dir;
        let tokens = token_store(models_dir, env)?;
        let hub = Hub::builder(models_dir)
            .endpoint(config.storage.hub_endpoint.clone())
            .offline(config.storage.offline)
            .token_store(tokens)
            .build()?;
        let disks = MonitorOptions::default()
            .with_disk(DiskRole::Models, models_dir.clone())
            .with_disk(DiskRole::Temp, std::env::temp_dir());
        let mut options = InspectOptions::new(models_dir);
        options.offline = config.storage.offline;
        options.library_path = env.get("LD_LIBRARY_PATH").cloned().unwrap_or_default();
        options.tls_roots = env.get("SSL_CERT_FILE").map(PathBuf::from);
        Ok(Self {
            hub,
            monitor: Monitor::start(disks)?,
            dependencies: watch::Sender::default(),
            options,
        })
    }

    /// What was found when the process last looked; empty in the first moments.
    pub fn dependencies(&self) -> Arc<Vec<Dependency>> {
        self.dependencies.borrow().clone()
    }

    /// Tells when what is found has changed.
    pub fn watch_dependencies(&self) -> watch::Receiver<Arc<Vec<Dependency>>> {
        self.dependencies.subscribe()
    }

    /// Looks at all that the process needs. Blocks; call it off the async threads.
    pub fn look(&self) -> Arc<Vec<Dependency>> {
        let mut options = self.options.clone().with_token(self.hub.tokens().status());
        if let Some(sample) = self.monitor.newest() {
            options = options.with_gpu(sample.gpu.clone());
        }
        let found = Arc::new(inferkit::inspect(&options));
        self.dependencies.send_if_modified(|known| {
            let changed = *known != found;
            known.clone_from(&found);
            changed
        });
        found
    }
}

/// The token of the environment if there is one, else the file in the models directory.
pub(crate) fn token_store(models_dir: &Path, env: &BTreeMap<String, String>) -> Result<TokenStore> {
    match token_of_environment(env) {
        Some(token) => TokenStore::with_override(SecretString::from(token)),
        None => TokenStore::open(models_dir),
    }
}

/// A file that somebody named goes before files that a platform puts in place, and files before the variable.
fn token_of_environment(env: &BTreeMap<String, String>) -> Option<String> {
    let files = [
        env.get("HF_TOKEN_FILE").map(PathBuf::from),
        env.get("CREDENTIALS_DIRECTORY")
            .map(|folder| Path::new(folder).join("hf-token")),
        Some(PathBuf::from("/run/secrets/hf_token")),
    ];
    let from_file = files
        .into_iter()
        .flatten()
        .find_map(|path| std::fs::read_to_string(path).ok());
    let token = from_file.or_else(|| env.get("HF_TOKEN").cloned())?;
    Some(token.trim().to_owned()).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_named_wins_over_the_variable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "hf_from_a_file\n").unwrap();
        let mut env = BTreeMap::from([("HF_TOKEN".to_owned(), "hf_from_the_variable".to_owned())]);
        assert_eq!(token_of_environment(&env).as_deref(), Some("hf_from_the_variable"));
        env.insert("HF_TOKEN_FILE".to_owned(), path.display().to_string());
        assert_eq!(token_of_environment(&env).as_deref(), Some("hf_from_a_file"));
        assert_eq!(token_of_environment(&BTreeMap::new()), None);
    }
}
