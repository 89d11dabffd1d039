//! `seawall retries pause|release`: the brake for all retries and hedges, or those of one operation.

use crate::{
    failure::Ended,
    output,
    output::Paint,
    remote::{Reply, Server},
};
use clap::{Args, Subcommand};
use http::Method;
use seawall_server::wire::{PauseChange, PauseRequest};
use std::process::ExitCode;

/// Arguments of `retries`.
#[derive(Debug, Args)]
pub(crate) struct Retries {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lets no further retry and no further hedge begin
    Pause {
        /// The name of the operation; left out: all operations
        name: Option<String>,
    },
    /// Lets retries and hedges begin again
    Release {
        /// The name of the operation; left out: all operations
        name: Option<String>,
    },
}

impl Retries {
    pub(crate) fn run(self) -> Ended {
        let (paused, operation) = match self.command {
            Command::Pause { name } => (true, name),
            Command::Release { name } => (false, name),
        };
        let (remote, request) = (&self.server.remote, PauseRequest { paused, operation });
        let reply: Reply<PauseChange> = remote.send(&Method::POST, "/retries/pause", &request)?;
        let done = reply.read.paused;
        if done != paused {
            return Err(remote.strange(&format!("paused: {done} to paused: {paused}")));
        }
        self.server.show(&reply, changed)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn changed(change: &PauseChange, _: Paint) -> String {
    let word = if change.paused { "paused" } else { "released" };
    let names: Vec<String> = change.operations.iter().map(|name| output::plain(name)).collect();
    format!("retries and hedges {word}: {}\n", names.join(", "))
}
