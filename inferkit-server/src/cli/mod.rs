//! The command line: data on stdout, messages on stderr, one line an error.
//!
//! Exit codes: 0 done, 1 failed, 2 usage or configuration, 130 interrupted.

#![expect(clippy::doc_markdown, reason = "doc comments of arguments are printed as help")]

mod config;
mod diarize;
mod doctor;
mod health;
mod models;
mod remote;
mod serve;
mod token;
mod transcribe;
mod workshop;

use std::ffi::OsString;
use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use toml::Value;

use crate::config::Config;
use crate::config::ConfigError;
use crate::config::Sources;
use crate::config::load;
use crate::openapi;

const EXAMPLES: &str = "Examples:
  inferkit-server                                      serve the demo models on http://127.0.0.1:8080
  inferkit-server --config inferkit.toml --preload qwen
  inferkit-server transcribe talk.mp3 --format srt
  inferkit-server token new --name app --scopes inference
  inferkit-server config show";

/// Chat, speech and diarization over HTTP, natively in one process.
#[derive(Debug, Parser)]
#[command(name = "inferkit-server", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves until it is told to end; the same as no command.
    Serve(serve::ServeArgs),
    /// Prints the API's document without starting a server.
    #[command(after_help = "Examples:\n  inferkit-server openapi\n  inferkit-server openapi --out doc/openapi.json")]
    Openapi {
        /// Writes to this file instead.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Shows or checks the configuration.
    Config(config::ConfigArgs),
    /// Asks the configured address whether the server runs; for container health checks.
    #[command(after_help = "Examples:\n  inferkit-server health\n  inferkit-server health --config inferkit.toml")]
    Health(ConfigFile),
    /// Says what this machine has, what is missing, and what to do.
    Doctor(doctor::DoctorArgs),
    /// Lists and fetches models.
    Models(models::ModelsArgs),
    /// Writes down what is said in a recording, in this process or by a running server.
    Transcribe(transcribe::TranscribeArgs),
    /// Tells who speaks when in a recording, in this process or by a running server.
    Diarize(diarize::DiarizeArgs),
    /// Makes API keys, and keeps the hub's token.
    Token(token::TokenArgs),
}

/// Where the configuration is.
#[derive(Debug, Clone, Default, Args)]
struct ConfigFile {
    /// Reads this file; otherwise INFERKIT_CONFIG, ./inferkit.toml, the user's folder, /etc/inferkit.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keeps models here.
    #[arg(long, value_name = "FOLDER")]
    models_dir: Option<PathBuf>,
}

impl ConfigFile {
    fn flags(&self) -> Flags {
        let models_dir = self.models_dir.iter();
        models_dir
            .map(|path| {
                (
                    "storage.models_dir".to_owned(),
                    Value::from(path.display().to_string()),
                    "--models-dir",
                )
            })
            .collect()
    }

    fn load(&self) -> Result<Config, Failure> {
        Ok(load(&Sources::of_process(self.config.clone(), self.flags()))?)
    }
}

/// Key, value, flag.
type Flags = Vec<(String, Value, &'static str)>;

/// How log lines are written.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormatArg {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The configuration or the command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// Something did not work.
    #[error("{0}")]
    Failed(String),
    /// Told to stop.
    #[error("interrupted; what was fetched is kept, run it again to go on")]
    Interrupted,
    /// Whoever read our output has left.
    #[error("the reader of the output has left")]
    BrokenPipe,
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<inferkit::Error> for Failure {
    fn from(error: inferkit::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    run_with(std::env::args_os())
}

fn run_with(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; a reader that has left is none either.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let done = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Openapi { out } => print_document(out),
        Command::Config(arguments) => config::run(&arguments),
        Command::Health(file) => health::run(&file),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Models(arguments) => models::run(&arguments),
        Command::Transcribe(arguments) => transcribe::run(&arguments),
        Command::Diarize(arguments) => diarize::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
    };
    match done {
        Ok(()) | Err(Failure::BrokenPipe) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "error: {failure}");
            ExitCode::from(match failure {
                Failure::Usage(_) => 2,
                Failure::Interrupted => 130,
                Failure::Failed(_) | Failure::BrokenPipe => 1,
            })
        }
    }
}

fn print_document(out: Option<PathBuf>) -> Result<(), Failure> {
    let document = openapi::document()?;
    match out {
        Some(path) => std::fs::write(&path, document)
            .map_err(|error| Failure::Failed(format!("{}: {error}; choose another --out", path.display()))),
        None => Ok(io::stdout().write_all(document.as_bytes())?),
    }
}

/// Prints one line of data.
fn print(line: &str) -> Result<(), Failure> {
    Ok(writeln!(io::stdout(), "{line}")?)
}

#[cfg(test)]
mod tests;
