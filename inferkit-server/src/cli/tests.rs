use std::process::Command;

use clap::CommandFactory;

use super::*;

fn code(arguments: &[&str]) -> ExitCode {
    run_with(["inferkit-server"].iter().chain(arguments).map(OsString::from))
}

#[test]
fn the_command_line_is_sound_and_every_command_has_examples() {
    let mut command = Cli::command();
    command.clone().debug_assert();
    let help = command.render_long_help().to_string();
    assert!(
        help.contains("Examples:") && help.contains("--insecure-no-auth"),
        "{help}"
    );
    for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
        let has_own = sub.get_subcommands().next().is_some();
        let help = sub.render_long_help().to_string();
        assert!(has_own || help.matches("inferkit-server ").count() >= 2, "{help}");
    }
}

#[test]
fn a_wrong_command_line_and_a_wrong_configuration_are_exit_code_two() {
    assert_eq!(code(&["--no-such-flag"]), ExitCode::from(2));
    assert_eq!(
        code(&["config", "check", "--config", "/nonexistent.toml"]),
        ExitCode::from(2)
    );
    assert_eq!(
        code(&["serve", "--bind", "0.0.0.0:0"]),
        ExitCode::from(2),
        "open without keys"
    );
    assert_eq!(
        code(&["token", "new", "--name", "a\"b", "--scopes", "admin"]),
        ExitCode::from(2)
    );
}

#[test]
fn what_only_tells_is_exit_code_zero() {
    assert_eq!(code(&["--help"]), ExitCode::SUCCESS);
    assert_eq!(code(&["--version"]), ExitCode::SUCCESS);
    assert_eq!(code(&["config", "show", "--defaults"]), ExitCode::SUCCESS);
    assert_eq!(
        code(&["token", "new", "--name", "a", "--scopes", "admin,metrics"]),
        ExitCode::SUCCESS
    );
}

#[test]
fn a_document_that_cannot_be_written_is_exit_code_one() {
    assert_eq!(
        code(&["openapi", "--out", "/nonexistent/openapi.json"]),
        ExitCode::from(1)
    );
}

#[test]
fn the_hubs_token_and_the_models_are_told_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let models_dir = folder.path().to_str().unwrap();
    assert_eq!(
        code(&["token", "status", "--models-dir", models_dir]),
        ExitCode::SUCCESS
    );
    assert_eq!(code(&["token", "clear", "--models-dir", models_dir]), ExitCode::SUCCESS);
    assert_eq!(
        code(&["models", "list", "--json", "--models-dir", models_dir]),
        ExitCode::SUCCESS
    );
    assert_eq!(
        code(&["models", "pull", "no-such-model", "--models-dir", models_dir]),
        ExitCode::from(2)
    );
    assert_eq!(
        code(&["models", "pull", "canary", "--models-dir", models_dir]),
        ExitCode::from(1),
        "not in this version"
    );
}

/// Set in the process that is started.
const CHILD: &str = "INFERKIT_TEST_OF_INSTRUCTIONS";

/// What `doctor` says in a process of its own, where the variable names these instructions, or is not there.
///
/// The variable is read once a process, hence the test starts itself again.
fn doctor_with(kernels: Option<&str>) -> String {
    let name = "cli::tests::instructions_that_are_not_there_are_refused_with_the_choices";
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", name, "--test-threads", "1"]).env(CHILD, "1");
    match kernels {
        Some(kernels) => child.env("INFERKIT_KERNELS", kernels),
        None => child.env_remove("INFERKIT_KERNELS"),
    };
    let child = child.output().unwrap();
    String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr)
}

#[test]
fn instructions_that_are_not_there_are_refused_with_the_choices() {
    if std::env::var_os(CHILD).is_some() {
        let folder = tempfile::tempdir().unwrap();
        code(&["doctor", "--models-dir", folder.path().to_str().unwrap()]);
        return;
    }
    let line = |kernels| {
        let text = doctor_with(kernels);
        let line = text
            .lines()
            .find(|line| line.starts_with("ok ") && line.contains(" kernels "));
        line.unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    assert!(line(Some("Portable")).contains(" portable "));
    assert_eq!(line(Some("")), line(None), "an empty one names nothing");
    // Of another kind of processor, and of none.
    let other = if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" };
    for (kernels, reasons) in [
        (
            "avx1024",
            [
                "INFERKIT_KERNELS names the kernel tier \"avx1024\"",
                "does not exist: choose one of portable",
            ],
        ),
        (
            other,
            [
                "this processor cannot run the kernel tier",
                "unset INFERKIT_KERNELS or choose one of portable",
            ],
        ),
    ] {
        let text = doctor_with(Some(kernels));
        assert!(reasons.iter().all(|reason| text.contains(reason)), "{text}");
        let blocking = text.lines().find(|line| line.starts_with("error: not usable: "));
        assert!(blocking.is_some_and(|line| line.contains("kernels")), "{text}");
    }
}
