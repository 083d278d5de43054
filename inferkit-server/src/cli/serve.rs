//! `serve`: start, say what runs where, reload, and end well.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use inferkit::OnDemand;
use toml::Value;

use crate::app::App;
use crate::cli::ConfigFile;
use crate::cli::Failure;
use crate::cli::Flags;
use crate::cli::LogFormatArg;
use crate::config::Bind;
use crate::config::Config;
use crate::config::Sources;
use crate::config::load;
use crate::events::pump;
use crate::logs;
use crate::logs::LevelHandle;
use crate::logs::Log;
use crate::routes::health::features;
use crate::serve::Listening;
use crate::serve::Signals;
use crate::serve::Wish;
use crate::serve::listen;
use crate::serve::serve;
use crate::serve::tls_config;

/// Serves until it is told to end.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  inferkit-server serve --bind 127.0.0.1:9000\n  \
    inferkit-server serve --config inferkit.toml --preload qwen --log-format json")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Listens here: address and port, or unix:/path.
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<String>,
    /// Brings these models up at once.
    #[arg(long, value_name = "KEY", num_args = 1..)]
    preload: Vec<String>,
    /// Never asks the hub.
    #[arg(long)]
    offline: bool,
    /// Lets everybody in on an address that others can reach.
    #[arg(long)]
    insecure_no_auth: bool,
    /// How log lines are written.
    #[arg(long, value_enum)]
    log_format: Option<LogFormatArg>,
}

impl ServeArgs {
    fn sources(&self) -> Sources {
        let mut flags: Flags = self.file.flags();
        if let Some(bind) = &self.bind {
            flags.push(("server.bind".to_owned(), Value::from(bind.clone()), "--bind"));
        }
        for key in &self.preload {
            flags.push((format!("models.{key}.preload"), Value::from(true), "--preload"));
        }
        if self.offline {
            flags.push(("storage.offline".to_owned(), Value::from(true), "--offline"));
        }
        if let Some(format) = self.log_format {
            let word = match format {
                LogFormatArg::Text => "text",
                LogFormatArg::Json => "json",
            };
            flags.push(("log.format".to_owned(), Value::from(word), "--log-format"));
        }
        Sources::of_process(self.file.config.clone(), flags)
    }
}

/// Serves until a signal ends it.
pub(crate) fn run(arguments: &ServeArgs) -> Result<(), Failure> {
    let sources = arguments.sources();
    let config = load(&sources)?;
    check_open(&config, arguments.insecure_no_auth)?;
    let log = logs::begin(&config.log).map_err(Failure::Usage)?;
    announce(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(serve_until_told(config, sources, log));
    // Work on blocking threads that did not stop in time must not hold the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    done
}

/// Refuses to be open to others by accident.
fn check_open(config: &Config, insecure_no_auth: bool) -> Result<(), Failure> {
    match config.server.bind {
        Bind::Tcp(address) if !address.ip().is_loopback() && config.keys.is_empty() && !insecure_no_auth => {
            Err(Failure::Usage(format!(
                "{address} can be reached by others and there is no API key; make one with `inferkit-server token new`, \
                 or allow everybody with --insecure-no-auth"
            )))
        }
        Bind::Tcp(_) | Bind::Unix(_) => Ok(()),
    }
}

/// The first lines of the log: what runs, and what should be known.
fn announce(config: &Config) {
    let files: Vec<String> = config.files.iter().map(|file| file.display().to_string()).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        git = option_env!("INFERKIT_GIT"),
        features = features().join(","),
        configuration = if files.is_empty() {
            "defaults".to_owned()
        } else {
            files.join(",")
        },
        "inferkit-server starts"
    );
    for warning in config.values.warnings() {
        tracing::warn!("{warning}");
    }
    if let (Bind::Tcp(address), true) = (&config.server.bind, config.keys.is_empty())
        && !address.ip().is_loopback()
    {
        tracing::warn!(%address, "authentication is off: everybody who reaches this address may do everything");
    }
}

async fn serve_until_told(config: Config, sources: Sources, log: Log) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let listening = listen(&config.server)
        .await
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let app = App::new(config, &sources.env)
        .await
        .map_err(|error| Failure::Usage(error.to_string()))?;
    tell_where(&app.config, &listening);
    tell_missing(&app);
    app.registry.preload();
    let reload = Reload {
        sources,
        level: log.level,
        certificates: listening.certificates(),
    };
    let looking = app.clone();
    tokio::task::spawn_blocking(move || looking.platform.look());
    let watching = tokio::spawn(watch(signals, app.clone(), reload));
    let pumping = tokio::spawn(pump(app.clone(), log.warnings));
    serve(listening, app.endpoint(), &app.config.limits, app.life()).await;
    app.registry.shutdown().await;
    tracing::info!("ended");
    watching.abort();
    pumping.abort();
    Ok(())
}

fn tell_where(config: &Config, listening: &Listening) {
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    for address in listening.addresses() {
        let address = address.strip_prefix("socket://").unwrap_or(&address);
        let url = address
            .parse::<SocketAddr>()
            .map(|address| format!("{scheme}://{address}"));
        tracing::info!(address = url.unwrap_or_else(|_| address.to_owned()), "listening");
    }
}

/// Says which command fetches a model whose files are not here.
fn tell_missing(app: &App) {
    for model in app.registry.statuses() {
        if model.policy.on_demand != OnDemand::Never && !model.files.complete {
            let source = model.info.source.to_string();
            if model.info.source.repository().is_none() {
                tracing::info!(
                    model = model.key,
                    source,
                    "the model's files are not at its path: put them there, or name a repository of the hub as its source"
                );
                continue;
            }
            let command = format!("inferkit-server models pull {}", model.key);
            tracing::info!(
                model = model.key,
                source,
                command,
                "the model's files are not here: this command fetches them; `make demo` fetches a small model instead"
            );
        }
    }
}

/// Follows the signals for the life of the process.
async fn watch(mut signals: Signals, app: Arc<App>, reload: Reload) {
    loop {
        match signals.next().await {
            Wish::Reload => reload.run(&app),
            Wish::Drain => {
                app.life().set_draining(true);
                tracing::info!("draining: new inference is refused");
            }
            Wish::End => break,
        }
    }
    let delay = app.config.limits.drain_delay;
    tracing::info!(
        requests = app.door.traffic.in_flight(),
        drain_delay_seconds = delay.as_secs_f64(),
        "ending"
    );
    app.life().leave();
    let ending = async {
        tokio::time::sleep(delay).await;
        app.life().stop();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = ending => {}
        () = signals.exit_when_told_again() => {}
    }
}

/// What can be changed without a restart.
struct Reload {
    sources: Sources,
    level: LevelHandle,
    certificates: Option<tokio::sync::mpsc::Sender<poem::listener::RustlsConfig>>,
}

impl Reload {
    /// Reads keys, certificates and log level again; with a fault in any of them, nothing changes.
    fn run(&self, app: &App) {
        match self.try_run(app) {
            Ok(()) => tracing::info!(
                keys = app.door.auth.is_on(),
                "keys, certificates and log level were read again"
            ),
            Err(fault) => tracing::error!(%fault, "nothing was changed"),
        }
    }

    fn try_run(&self, app: &App) -> Result<(), Failure> {
        let config = load(&self.sources)?;
        let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
        let certificates = config
            .server
            .tls
            .as_ref()
            .map(tls_config)
            .transpose()
            .map_err(|error| failed(&error))?;
        if app.door.auth.is_on() && config.keys.is_empty() {
            return Err(Failure::Usage(
                "the last API key cannot be removed while the server runs; restart it".to_owned(),
            ));
        }
        let filter = logs::filter(&config.log.directives).map_err(|error| failed(&error))?;
        self.level.reload(filter).map_err(|error| failed(&error))?;
        if let (Some(sender), Some(certificates)) = (&self.certificates, certificates) {
            let sent = sender.try_send(certificates);
            sent.map_err(|_| failed(&"the last certificates are still being taken over; try again"))?;
        }
        app.door.auth.replace(config.keys);
        Ok(())
    }
}
