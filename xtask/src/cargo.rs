//! Commands, as the steps run them: from the root of the checkout, with the cargo that runs us.

use serde_json::Value;
use std::{
    env,
    ffi::OsStr,
    io::IsTerminal,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate has a folder of its own")
}

/// Cargo with these arguments, separated by spaces.
pub(crate) fn cargo(arguments: &str) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments.split_whitespace()).current_dir(root());
    // `cargo run` describes xtask in these. A build script that watches them would run again whenever
    // cargo is called from here after it was called from a shell, or the other way round.
    let describes_xtask = |name: &str| {
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|start| name.starts_with(start))
    };
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(describes_xtask) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs to the end with its output passed through.
pub(crate) fn show(mut command: Command) -> Result<(), String> {
    println!("$ {}", spoken(&command));
    let status = command.status().map_err(|error| cannot_start(&command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("{status}: {}", spoken(&command))) }
}

/// Runs to the end in silence; the output is the failure's text.
pub(crate) fn capture(mut command: Command) -> Result<(), String> {
    if std::io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    output(command).map(drop)
}

/// Runs to the end in silence; what it printed when it succeeded.
pub(crate) fn output(mut command: Command) -> Result<String, String> {
    let Output { status, stdout, stderr } =
        command.output().map_err(|error| cannot_start(&command, &error))?;
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    if status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&stderr);
    Err(format!("{status}: {}\n{stdout}{stderr}", spoken(&command)))
}

/// The parsed output of `cargo metadata`.
pub(crate) fn metadata(arguments: &str) -> Result<Value, String> {
    let text = output(cargo(&format!("metadata --format-version 1 {arguments}")))?;
    serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))
}

/// The folder of what cargo builds.
pub(crate) fn target_directory() -> Result<PathBuf, String> {
    let metadata = metadata("--no-deps")?;
    let directory = metadata["target_directory"].as_str();
    directory.map(PathBuf::from).ok_or_else(|| "cargo metadata names no target directory".into())
}

/// The command as one would type it.
pub(crate) fn spoken(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = [name].into_iter().chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    format!("cannot start `{}`: {error}", spoken(command))
}
