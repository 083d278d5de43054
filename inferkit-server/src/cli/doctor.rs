//! `doctor`: what this machine has, what is missing, and what to do.

use clap::Args;
use inferkit::Dependency;
use poem_openapi::types::ToJSON;

use crate::cli::ConfigFile;
use crate::cli::Failure;
use crate::cli::print;
use crate::platform::Platform;
use crate::routes::admin::dependency_view;

/// Says what this machine has, what is missing, and what to do.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  inferkit-server doctor\n  inferkit-server doctor --config new.toml --json")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &DoctorArgs) -> Result<(), Failure> {
    let config = arguments.file.load()?;
    let found = Platform::start(&config, &std::env::vars().collect())?.look();
    if arguments.json {
        let found: Vec<_> = found.iter().filter_map(|one| dependency_view(one).to_json()).collect();
        print(&serde_json::json!({ "dependencies": found }).to_string())?;
    } else {
        for warning in config.values.warnings() {
            print(&format!("warning: {warning}"))?;
        }
        for one in found.iter() {
            let version = one.version.as_deref().unwrap_or("-");
            print(&format!(
                "{:<14} {:<24} {version:<16} {}",
                one.status.as_str(),
                one.name,
                one.hint
            ))?;
        }
    }
    let unusable: Vec<&str> = found.iter().filter(|one| one.is_blocking()).map(name).collect();
    if unusable.is_empty() {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "not usable: {}; see the hints above",
        unusable.join(", ")
    )))
}

fn name(dependency: &Dependency) -> &str {
    &dependency.name
}
