//! Programs the tests need beside cargo: found, or installed where that is possible.

use crate::cargo::{output, show};
use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

struct Tool {
    name: &'static str,
    /// A command that succeeds when the tool is there.
    probe: &'static [&'static str],
    debian_packages: &'static [&'static str],
    /// A service that the package brings and that we do not want.
    service: Option<&'static str>,
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "nginx",
        probe: &["nginx", "-v"],
        debian_packages: &["nginx"],
        service: Some("nginx"),
    },
    Tool {
        name: "chromium",
        probe: &["chromium", "--version"],
        debian_packages: &["chromium"],
        service: None,
    },
    Tool {
        name: "chromedriver",
        probe: &["chromedriver", "--version"],
        debian_packages: &["chromium-driver"],
        service: None,
    },
    Tool {
        name: "promtool",
        probe: &["promtool", "--version"],
        debian_packages: &["prometheus"],
        service: Some("prometheus"),
    },
    Tool {
        name: "python3",
        probe: &["python3", "-c", "import ensurepip, venv"],
        debian_packages: &["python3", "python3-venv"],
        service: None,
    },
    Tool {
        name: "redis-server",
        probe: &["redis-server", "--version"],
        debian_packages: &["redis-server"],
        service: Some("redis-server"),
    },
    Tool {
        name: "valgrind",
        probe: &["valgrind", "--version"],
        debian_packages: &["valgrind"],
        service: None,
    },
    Tool {
        name: "pkill",
        probe: &["pkill", "--version"],
        debian_packages: &["procps"],
        service: None,
    },
];

/// Sees to it that every tool is there, or says how to get those that are not.
pub(crate) fn provide(install: bool) -> Result<(), String> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    if !install {
        return Err(advice(&missing));
    }
    if !is_root() || !succeeds(&["apt-get", "--version"]) {
        return Err(advice(&missing));
    }
    show(apt_get(&["update"]))?;
    show(apt_get(&install_words(&missing)))?;
    missing.iter().filter_map(|tool| tool.service).for_each(stop);
    let still = self::missing();
    if still.is_empty() { Ok(()) } else { Err(advice(&still)) }
}

/// The search path with the folders of system programs, which only root has by default.
pub(crate) fn search_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    folders.extend(system);
    env::join_paths(folders).unwrap_or(path)
}

fn missing() -> Vec<&'static Tool> {
    TOOLS.iter().filter(|tool| !succeeds(tool.probe)).collect()
}

fn advice(missing: &[&Tool]) -> String {
    let names: Vec<&str> = missing.iter().map(|tool| tool.name).collect();
    format!(
        "missing: {}. On Debian this installs what the tests need:\n  apt-get {}",
        names.join(", "),
        install_words(missing).join(" ")
    )
}

fn install_words(missing: &[&Tool]) -> Vec<&'static str> {
    let packages = missing.iter().flat_map(|tool| tool.debian_packages).copied();
    ["install", "-y", "--no-install-recommends"].into_iter().chain(packages).collect()
}

fn apt_get(words: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(words).env("DEBIAN_FRONTEND", "noninteractive");
    // Packages start their service after they are installed, but not in single-user mode.
    command.env("RUNLEVEL", "1");
    command
}

/// Stops a service. Systemd ignores the run level: where it runs, the service has started by now.
fn stop(service: &str) {
    if Path::new("/run/systemd/system").exists() {
        let mut command = Command::new("systemctl");
        command.args(["disable", "--now", service]);
        if let Err(error) = show(command) {
            println!("{service} may still run: {error}");
        }
    }
}

fn is_root() -> bool {
    let mut command = Command::new("id");
    command.arg("-u");
    output(command).is_ok_and(|id| id.trim() == "0")
}

fn succeeds(words: &[&str]) -> bool {
    let [program, arguments @ ..] = words else { return false };
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", search_path());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_tells_what_is_there() {
        assert!(succeeds(&["cargo", "--version"]));
        assert!(!succeeds(&["cargo", "--no-such-option"]));
        assert!(!succeeds(&["no-such-program-anywhere"]));
        assert!(!succeeds(&[]));
    }

    #[test]
    fn advice_names_the_tools_and_the_command() {
        let tool =
            |name, debian_packages| Tool { name, probe: &[], debian_packages, service: None };
        let (one, two) = (tool("one", &["one-light"]), tool("two", &["two", "two-data"]));
        assert_eq!(
            advice(&[&one, &two]),
            "missing: one, two. On Debian this installs what the tests need:\n  \
             apt-get install -y --no-install-recommends one-light two two-data"
        );
    }
}
