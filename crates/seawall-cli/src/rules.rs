//! `seawall rules`: alert rules for Prometheus and a dashboard for Grafana, from the metrics that a server exports.

use crate::{failure::Ended, file, output};
use clap::{Args, Subcommand};
use std::{path::PathBuf, process::ExitCode};

mod grafana;
mod prometheus;

/// Arguments of `rules`.
#[derive(Debug, Args)]
pub(crate) struct Rules {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes alert rules for Prometheus, as a file for `rule_files`
    Prometheus {
        /// A configuration file whose `monitoring.alerts` set the thresholds; left out: the defaults
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Writes a dashboard for Grafana, as JSON to import
    Grafana,
}

impl Rules {
    pub(crate) fn run(self) -> Ended {
        match self.command {
            Command::Prometheus { config } => {
                let config = file::load_or_default(config.as_deref())?;
                output::write(&prometheus::file(&config.monitoring.alerts))
            }
            Command::Grafana => output::json(&grafana::dashboard()),
        }?;
        Ok(ExitCode::SUCCESS)
    }
}
