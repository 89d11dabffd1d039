//! Ratchets: rules that no compiler checks, for what otherwise slowly gets worse.
//!
//! They are about sizes of files, what the core must not name, the prose of comments, links of documents, and the
//! dependencies between crates.

mod crates;
mod markdown;
mod modules;
mod paths;
mod prose;
mod rust;
mod tokens;

use crate::cargo::{metadata, root};
use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// One finding: something to mend.
#[derive(Debug, PartialEq)]
struct Finding {
    /// Relative to the root, with forward slashes.
    file: String,
    /// From 1; 0 is the file as a whole.
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, what } = self;
        if *line == 0 { write!(f, "{file}: {what}") } else { write!(f, "{file}:{line}: {what}") }
    }
}

/// Applies every rule to the checkout.
pub(crate) fn check() -> Result<(), String> {
    let root = root();
    let mut findings = Vec::new();
    for file in files(root)? {
        let name = relative(root, &file);
        let ours = name.starts_with("crates/") || name.starts_with("xtask/");
        let text = || fs::read_to_string(&file).map_err(|error| format!("{name}: {error}"));
        if name.ends_with(".rs") && ours {
            findings.extend(rust::findings(&name, &text()?));
        }
        if name.ends_with(".md") {
            let exists = |target: &str| root.join(target).exists();
            findings.extend(markdown::findings(&name, &text()?, &exists));
        }
    }
    findings.extend(of_crates(root)?);
    if findings.is_empty() {
        return Ok(());
    }
    Err(findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("\n"))
}

fn of_crates(root: &Path) -> Result<Vec<Finding>, String> {
    let packages = crates::read(&metadata("--no-deps")?, root)?;
    let mut findings = crates::direction(&packages);
    for package in &packages {
        let text = fs::read_to_string(root.join(&package.manifest))
            .map_err(|error| format!("{}: {error}", package.manifest))?;
        findings.extend(crates::lints(&package.manifest, &text));
    }
    Ok(findings)
}

/// Every file below the folder, in order, without what is hidden or built.
fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        entries.push((entry.path(), entry.file_type().map_err(failed)?));
    }
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut found = Vec::new();
    for (path, kind) in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if kind.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            found.extend(files(&path)?);
        } else if kind.is_file() {
            found.push(path);
        }
    }
    Ok(found)
}

fn relative(root: &Path, path: &Path) -> String {
    let path = path.strip_prefix(root).unwrap_or(path);
    path.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/")
}
