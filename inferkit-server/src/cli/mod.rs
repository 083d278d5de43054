//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;

use crate::openapi;

/// Chat, speech and diarization over HTTP.
#[derive(Debug, Parser)]
#[command(name = "inferkit-server", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints the API's document without starting a server.
    Openapi {
        /// Writes to this file instead.
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let Command::Openapi { out } = Cli::parse().command;
    let Ok(document) = openapi::document() else {
        return ExitCode::FAILURE;
    };
    if let Some(path) = out {
        return std::fs::write(path, document).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    print!("{document}");
    ExitCode::SUCCESS
}
