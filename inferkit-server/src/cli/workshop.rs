//! What the commands that run a model in this process share: the app, the file, progress, and Ctrl-C.

use std::fs::File;
use std::future::Future;
use std::io::IsTerminal;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::cli::ConfigFile;
use crate::cli::Failure;
use crate::error::ApiError;

/// Longest wait for a model that is fetched and loaded.
pub(crate) const PATIENCE: Duration = Duration::from_hours(1);

/// Runs `work` with the configured models, until it ends or Ctrl-C.
pub(crate) fn with_app<T, F>(file: &ConfigFile, work: impl FnOnce(Arc<App>) -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let config = file.load()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let app = App::new(config, &std::env::vars().collect()).await?;
        tokio::select! {
            done = work(app) => done,
            _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
        }
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    done
}

/// Opens the recording.
pub(crate) fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::Usage(format!("{}: {error}; name a recording", path.display())))
}

/// Tells how far the work is, to whoever looks at a terminal.
pub(crate) fn tell_progress(done_seconds: f64, total_seconds: f64) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r{done_seconds:.0} of {total_seconds:.0} seconds");
        if done_seconds >= total_seconds {
            let _ = writeln!(stderr);
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Failed(error.message)
    }
}
