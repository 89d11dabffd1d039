//! Files that a command of ours prints: `codegen` writes them, `check` fails when one is stale.

use crate::cargo::{cargo, output, root};
use std::fs;

struct Generated {
    path: &'static str,
    /// Arguments of cargo; what the command prints is the file.
    ///
    /// Commands of seawall run in release, since the tests need that build of it anyway.
    command: &'static str,
}

const FILES: &[Generated] = &[
    Generated {
        path: "docs/schema.json",
        command: "run --release --quiet --package seawall-cli -- schema",
    },
    Generated {
        path: "docs/reference.md",
        command: "run --release --quiet --package seawall-cli -- schema --markdown",
    },
];

/// Every file is what its command prints.
pub(crate) fn check() -> Result<(), String> {
    each(|file, fresh| {
        let committed = fs::read_to_string(root().join(file.path)).ok();
        compare(file, committed.as_deref(), fresh)
    })
}

/// Writes every file again.
pub(crate) fn write() -> Result<(), String> {
    each(|file, fresh| {
        let path = root().join(file.path);
        if fs::read_to_string(&path).is_ok_and(|committed| committed == fresh) {
            println!("{}: up to date", file.path);
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", file.path))?;
        }
        fs::write(&path, fresh).map_err(|error| format!("{}: {error}", file.path))?;
        println!("{}: written", file.path);
        Ok(())
    })
}

fn each(action: impl Fn(&Generated, &str) -> Result<(), String>) -> Result<(), String> {
    let outcome = |file| action(file, &print(file)?);
    let failures: Vec<String> = FILES.iter().filter_map(|file| outcome(file).err()).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

fn print(file: &Generated) -> Result<String, String> {
    let Generated { path, command } = file;
    let text = output(cargo(command)).map_err(|error| format!("{path}: {error}"))?;
    if text.trim().is_empty() {
        return Err(format!("{path}: `cargo {command}` printed nothing"));
    }
    Ok(text)
}

fn compare(file: &Generated, committed: Option<&str>, fresh: &str) -> Result<(), String> {
    let state = match committed {
        Some(committed) if committed == fresh => return Ok(()),
        Some(committed) => {
            let same = committed.lines().zip(fresh.lines()).take_while(|(old, new)| old == new);
            format!("stale from line {}", same.count() + 1)
        }
        None => "missing".to_owned(),
    };
    let Generated { path, command } = file;
    Err(format!("{path} is {state}: `cargo xtask codegen` writes it, from `cargo {command}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Generated = Generated { path: "docs/a.json", command: "run -- a" };

    #[test]
    fn a_file_that_matches_is_no_failure() {
        assert_eq!(compare(&FILE, Some("1\n2\n"), "1\n2\n"), Ok(()));
    }

    #[test]
    fn a_stale_file_is_named_with_the_command_that_mends_it() {
        let mend = "`cargo xtask codegen` writes it, from `cargo run -- a`";
        let stale = compare(&FILE, Some("1\n2\n"), "1\n3\n").unwrap_err();
        assert_eq!(stale, format!("docs/a.json is stale from line 2: {mend}"));
        let longer = compare(&FILE, Some("1\n"), "1\n3\n").unwrap_err();
        assert_eq!(longer, format!("docs/a.json is stale from line 2: {mend}"));
        let missing = compare(&FILE, None, "1\n").unwrap_err();
        assert_eq!(missing, format!("docs/a.json is missing: {mend}"));
    }
}
