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
