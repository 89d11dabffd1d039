//! `seawall retries pause|release`: the brake for all retries and hedges, or those of one operation.

use crate::{
    failure::Ended,
    output,
    remote::{Remote, Reply},
};
use clap::{Args, Subcommand};
use http::Method;
use seawall_server::wire::PauseChange;
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
        let answer: Reply<PauseChange> =
            self.remote.send(&Method::POST, "/retries/pause", Some(&asked))?;
        let PauseChange { paused: done, operations } = &answer.read;
        if *done != paused {
            return Err(self.remote.strange(&format!("paused: {done} to paused: {paused}")));
        }
        if self.json {
            output::json(&answer.json)?;
        } else {
            let word = if paused { "paused" } else { "released" };
            let names: Vec<String> = operations.iter().map(|name| output::plain(name)).collect();
            output::write(&format!("retries and hedges {word}: {}\n", names.join(", ")))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
