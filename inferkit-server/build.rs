//! Notes the revision and the compiler for `/version`, where the environment does not name them.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=INFERKIT_GIT");
    println!("cargo:rerun-if-env-changed=INFERKIT_RUSTC");
    println!("cargo:rerun-if-changed=build.rs");
    // A path that is not there would run this at every build.
    for path in ["../.git/HEAD", "../.git/logs/HEAD"]
        .into_iter()
        .filter(|path| Path::new(path).exists())
    {
        println!("cargo:rerun-if-changed={path}");
    }
    note("INFERKIT_GIT", "git", &["rev-parse", "--short=12", "HEAD"]);
    note(
        "INFERKIT_RUSTC",
        &std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned()),
        &["--version"],
    );
}

/// Sets `name` for the crate to what a program prints; a source package without git leaves it unset.
fn note(name: &str, program: &str, arguments: &[&str]) {
    if std::env::var_os(name).is_some() {
        return;
    }
    let output = Command::new(program).args(arguments).output();
    if let Some(output) = output.ok().filter(|output| output.status.success()) {
        println!(
            "cargo:rustc-env={name}={}",
            String::from_utf8_lossy(&output.stdout).trim()
        );
    }
}
