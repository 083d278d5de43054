//! `models`: what is configured, and fetching it without a server.

use std::io::IsTerminal;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::Subcommand;
use inferkit::DownloadOptions;
use inferkit::ModelHandle;
use inferkit::Operation;
use inferkit::OperationState;
use poem_openapi::types::ToJSON;
use serde_json::json;

use crate::app::App;
use crate::cli::ConfigFile;
use crate::cli::Failure;
use crate::cli::print;
use crate::routes::admin::model_view;

/// Between two lines of progress: on a terminal, and elsewhere.
const PACES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Models: what is configured, and fetching it without a server.
#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// Lists the configured models and whether their files are here.
    #[command(after_help = "Examples:\n  inferkit-server models list\n  inferkit-server models list --json")]
    List {
        #[command(flatten)]
        file: ConfigFile,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Fetches the files of models; Ctrl-C keeps what was fetched.
    #[command(after_help = "Examples:\n  inferkit-server models pull qwen\n  \
        inferkit-server models pull qwen --revision main --json")]
    Pull {
        #[command(flatten)]
        file: ConfigFile,
        /// Keys of the models.
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
        /// Branch, tag or commit instead of the configured one.
        #[arg(long)]
        revision: Option<String>,
        /// Prints the outcome of each model as a line of JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(arguments: &ModelsArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        match &arguments.command {
            ModelsCommand::List { file, json } => list(open(file).await?.as_ref(), *json),
            ModelsCommand::Pull {
                file,
                keys,
                revision,
                json,
            } => {
                let app = open(file).await?;
                for key in keys {
                    pull(&app, key, revision.clone(), *json).await?;
                }
                Ok(())
            }
        }
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    done
}

async fn open(file: &ConfigFile) -> Result<Arc<App>, Failure> {
    let env = std::env::vars().collect();
    Ok(App::new(file.load()?, &env).await?)
}

fn list(app: &App, json: bool) -> Result<(), Failure> {
    let statuses = app.registry.statuses();
    if json {
        let models: Vec<_> = statuses
            .iter()
            .filter_map(|model| model_view(app, model).to_json())
            .collect();
        return print(&json!({ "models": models }).to_string());
    }
    for model in statuses {
        let (status, bytes) = (model.runtime_status.as_str(), model.files.bytes_present());
        let (key, family) = (&model.key, &model.info.family);
        print(&format!(
            "{key:<16} {family:<10} {status:<16} {bytes:>14} bytes  {}",
            model.info.source
        ))?;
    }
    Ok(())
}

async fn pull(app: &App, key: &str, revision: Option<String>, json: bool) -> Result<(), Failure> {
    let handle = app
        .registry
        .get(key)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let mut options = DownloadOptions::default();
    options.revision = revision;
    let operation = handle.download(options)?;
    let ended = follow(app, &handle, &operation.id).await?;
    if json {
        let error = ended
            .error
            .as_ref()
            .map(|error| json!({ "code": error.code(), "message": error.to_string() }));
        let (state, changed) = (ended.state.as_str(), ended.changed);
        print(&json!({ "model": key, "state": state, "changed": changed, "error": error }).to_string())?;
    }
    match (ended.state, ended.error) {
        (OperationState::Succeeded, _) if json => Ok(()),
        (OperationState::Succeeded, _) if ended.changed => print(&format!("{key}: all files are here")),
        (OperationState::Succeeded, _) => print(&format!("{key}: all files were here already")),
        (_, Some(error)) => Err(Failure::Failed(format!("{key}: {error}"))),
        (_, None) => Err(Failure::Failed(format!(
            "{key}: the download was stopped; run it again to go on"
        ))),
    }
}

/// Waits for the end and tells how far it is on stderr.
async fn follow(app: &App, handle: &ModelHandle, id: &str) -> Result<Operation, Failure> {
    let pace = if std::io::stderr().is_terminal() {
        PACES.0
    } else {
        PACES.1
    };
    let mut ticks = tokio::time::interval(pace);
    loop {
        tokio::select! {
            ended = handle.wait(id) => return Ok(ended?),
            _ = tokio::signal::ctrl_c() => {
                handle.cancel()?;
                handle.wait(id).await?;
                return Err(Failure::Interrupted);
            }
            _ = ticks.tick() => {
                let progress = app.registry.operation(id)?.progress;
                let total = progress.total_bytes.map_or_else(|| "?".to_owned(), |total| total.to_string());
                let line = format!("{}: {} {}/{total} bytes", handle.key(), progress.phase, progress.done_bytes);
                // Progress is for whoever looks; nobody looking is no error.
                let _ = writeln!(std::io::stderr(), "{line}");
            }
        }
    }
}
