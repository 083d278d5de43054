//! `config show` and `config check`.

use clap::Args;
use clap::Subcommand;

use crate::cli::ConfigFile;
use crate::cli::Failure;
use crate::cli::print;
use crate::config::effective_json;
use crate::config::effective_toml;
use crate::config::template;

/// Shows or checks the configuration.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Prints every value with its origin; secrets are masked.
    #[command(
        after_help = "Examples:\n  inferkit-server config show\n  inferkit-server config show --defaults > inferkit.toml"
    )]
    Show {
        #[command(flatten)]
        file: ConfigFile,
        /// Prints files, values and origins as JSON.
        #[arg(long)]
        json: bool,
        /// Prints a commented file of all defaults instead.
        #[arg(long, conflicts_with = "json")]
        defaults: bool,
    },
    /// Reads the configuration and says whether it can be used.
    #[command(
        after_help = "Examples:\n  inferkit-server config check\n  inferkit-server config check --config new.toml"
    )]
    Check {
        #[command(flatten)]
        file: ConfigFile,
    },
}

pub(crate) fn run(arguments: &ConfigArgs) -> Result<(), Failure> {
    match &arguments.command {
        ConfigCommand::Show { defaults: true, .. } => print(template().trim_end()),
        ConfigCommand::Show { file, json: true, .. } => {
            let shown = serde_json::to_string_pretty(&effective_json(&file.load()?));
            print(&shown.map_err(|error| Failure::Failed(error.to_string()))?)
        }
        ConfigCommand::Show { file, .. } => print(effective_toml(&file.load()?).trim_end()),
        ConfigCommand::Check { file } => {
            let config = file.load()?;
            for warning in config.values.warnings() {
                print(&format!("warning: {warning}"))?;
            }
            let files: Vec<String> = config.files.iter().map(|path| path.display().to_string()).collect();
            let origin = if files.is_empty() {
                "no file, defaults".to_owned()
            } else {
                files.join(", ")
            };
            print(&format!(
                "the configuration can be used ({origin}; {} models)",
                config.models.len()
            ))
        }
    }
}
