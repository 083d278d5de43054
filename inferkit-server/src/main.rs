//! The reference server of inferkit.

use std::process::ExitCode;

fn main() -> ExitCode {
    inferkit_server::cli::run()
}
