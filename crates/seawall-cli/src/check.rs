//! `seawall check FILE`: every mistake at once, each with path and line.

use clap::Args;
use seawall_config::LoadError;
use seawall_server::GatewayConfig;
use std::{path::PathBuf, process::ExitCode};

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The configuration file (YAML, JSON or TOML, by its ending).
    file: PathBuf,
}

impl Check {
    pub(crate) fn run(self) -> ExitCode {
        match read(&self.file) {
            Ok(_) => {
                println!("{}: no mistakes", self.file.display());
                ExitCode::SUCCESS
            }
            Err(code) => code,
        }
    }
}

/// Reads a configuration; tells of its mistakes on standard error, and gives the code to exit with.
pub(crate) fn read(file: &std::path::Path) -> Result<GatewayConfig, ExitCode> {
    match seawall_config::load_file::<GatewayConfig>(file) {
        Ok(loaded) => Ok(loaded),
        Err(error) => {
            eprintln!("{error}");
            if let LoadError::Io { .. } = error {
                eprintln!("docs/gateway.md shows a file to start from; `seawall demo` needs none");
            }
            Err(ExitCode::from(2))
        }
    }
}
