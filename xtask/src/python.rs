//! Programs from the Python Package Index that the tests need, in an environment of their own under `target`.

use crate::{
    cargo::{output, show},
    tools,
};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

/// The packages with their versions, so that two runs test the same.
const PACKAGES: &[&str] =
    &["schemathesis==4.32.5", "openai==3.57.0", "anthropic==2.14.0", "google-genai==3.6.1"];

/// The folder of the programs.
pub(crate) fn programs(target: &Path) -> PathBuf {
    target.join("python/bin")
}

/// Sees to it that every package is there.
pub(crate) fn provide(target: &Path, install: bool) -> Result<(), String> {
    let missing: Vec<&str> =
        PACKAGES.iter().filter(|package| !is_there(target, package)).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !install {
        let all = missing.join(" ");
        return Err(format!(
            "missing: {all}. `cargo xtask test tools` installs what the tests need"
        ));
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(target.join("python")).env("PATH", tools::search_path());
    show(make)?;
    let mut fetch = Command::new(programs(target).join("python"));
    fetch.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(&missing);
    show(fetch)
}

/// Whether a package is installed in the version that is asked for.
fn is_there(target: &Path, package: &str) -> bool {
    let Some((name, version)) = package.split_once("==") else { return false };
    let mut ask = Command::new(programs(target).join("python"));
    let question = format!("import importlib.metadata as m; print(m.version({name:?}))");
    ask.args(["-c", &question]);
    output(ask).is_ok_and(|found| found.trim() == version)
}

/// The search path with these programs first.
pub(crate) fn search_path(target: &Path) -> OsString {
    let system = tools::search_path();
    let folders = std::iter::once(programs(target)).chain(std::env::split_paths(&system));
    std::env::join_paths(folders).unwrap_or(system)
}
