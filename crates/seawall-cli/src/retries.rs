//! `seawall retries pause|release`: the brake for all retries and hedges, or those of one operation.

use crate::{failure::Ended, output, remote::Remote, table::shown};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::json;
use std::process::ExitCode;

/// Arguments of `retries`.
#[derive(Debug, Args)]
pub(crate) struct Retries {
    #[command(subcommand)]
    command: Command,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lets no retry and no hedge begin
    Pause {
        /// The operation; left out: all
        name: Option<String>,
    },
    /// Lets them begin again
    Release {
        /// The operation; left out: all
        name: Option<String>,
    },
}

impl Retries {
    pub(crate) fn run(self) -> Ended {
        let (paused, name) = match &self.command {
            Command::Pause { name } => (true, name),
            Command::Release { name } => (false, name),
        };
        let asked = json!({ "paused": paused, "operation": name });
        let answer = self.remote.send(&Method::POST, "/retries/pause", Some(&asked))?;
        if self.json {
            output::json(&answer)?;
        } else {
            let word = if answer["paused"] == true { "paused" } else { "released" };
            let names = answer["operations"].as_array().into_iter().flatten();
            let names: Vec<String> = names.map(|name| output::plain(&shown(name))).collect();
            output::write(&format!("retries and hedges {word}: {}\n", names.join(", ")))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
