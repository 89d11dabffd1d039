//! `seawall config`: the configuration of a running server: seen, changed, and put back.

use crate::{
    failure::{Ended, Failure},
    file,
    output::{Paint, Tone, plain},
    remote::{Reply, Server, word},
    table::{Cell, Table},
};
use clap::{Args, Subcommand};
use http::Method;
use seawall_server::{
    PROTECTED,
    wire::{ChangeMode, ConfigAnswer, ConfigChanged, ConfigRequest, RollbackRequest},
};
use serde_json::{Map, Value};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

mod difference;

/// Arguments of `config`.
#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the configuration in force, defaults included
    Show {
        /// Show also where each value comes from
        #[arg(long)]
        origins: bool,
    },
    /// Shows what a file would change, and changes nothing
    Diff {
        #[command(flatten)]
        change: Change,
    },
    /// Checks a file's fields, then puts all of them in force, or nothing
    Apply {
        #[command(flatten)]
        change: Change,
        /// Apply the change only if this revision is in force
        #[arg(long, value_name = "REVISION")]
        expect: Option<u64>,
        /// Apply the change on this instance alone, until the next change of its fleet
        #[arg(long)]
        local: bool,
    },
    /// Lists the revisions, the latest first, with who made them and what they changed
    History {
        /// Show at most this many revisions
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
        limit: u64,
    },
    /// Puts a former revision in force again, as a new one
    Rollback {
        /// The number of the revision
        revision: u64,
        /// Show what would change, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Change this instance alone, until the next change of its fleet
        #[arg(long)]
        local: bool,
    },
}

#[derive(Debug, Args)]
struct Change {
    /// The file (YAML, JSON or TOML, by its ending)
    file: PathBuf,
    /// `merge` lays the fields over what the server's files and variables say, in place of the former change;
    /// `replace` puts them in place of everything
    #[arg(long, default_value = "merge", value_parser = word::<ChangeMode>(["merge", "replace"]))]
    mode: ChangeMode,
    /// The environment whose section of the file is used
    #[arg(long, env = "SEAWALL_ENV", value_parser = file::environments())]
    env: Option<String>,
}

impl Config {
    pub(crate) fn run(self) -> Ended {
        let (server, remote) = (&self.server, &self.server.remote);
        match &self.command {
            Command::Show { origins } => server
                .show(&remote.read("/config")?, |answer, paint| shown(answer, *origins, paint)),
            Command::Diff { change } => self.put(change, true, None, false),
            Command::Apply { change, expect, local } => self.put(change, false, *expect, *local),
            Command::History { limit } => {
                let reply = remote.read(&format!("/config/history?limit={limit}"))?;
                server.show(&reply, difference::history)
            }
            Command::Rollback { revision, dry_run, local } => {
                let (revision, dry_run) = (*revision, *dry_run);
                let request = RollbackRequest { revision, dry_run, expected_revision: None };
                let reply =
                    remote.send(&Method::POST, &reaching("/config/rollback", *local), &request)?;
                self.changed(&reply, dry_run)
            }
        }?;
        Ok(ExitCode::SUCCESS)
    }

    fn put(
        &self,
        change: &Change,
        dry_run: bool,
        expect: Option<u64>,
        local: bool,
    ) -> Result<(), Failure> {
        let request = ConfigRequest {
            configuration: fields(&change.file, change.env.as_deref())?,
            mode: change.mode,
            dry_run,
            expected_revision: expect,
        };
        let path = reaching("/config", local);
        self.changed(&self.server.remote.send(&Method::PUT, &path, &request)?, dry_run)
    }

    fn changed(&self, reply: &Reply<ConfigChanged>, dry_run: bool) -> Result<(), Failure> {
        if dry_run && reply.read.applied {
            return Err(self.server.remote.strange("applied: true to dry_run: true"));
        }
        self.server.show(reply, |answer, paint| difference::changed(answer, dry_run, paint))
    }
}

/// The path of a change that reaches the whole fleet, or one instance alone.
fn reaching(path: &str, local: bool) -> String {
    if local { format!("{path}?local=true") } else { path.to_owned() }
}

fn shown(answer: &ConfigAnswer, origins: bool, paint: Paint) -> String {
    let mut table = Table::new(if origins { &["", "", ""] } else { &["", ""] });
    for (path, value) in seawall_config::leaves(&answer.document) {
        let origin = answer.sources.get(&path).map_or("-", String::as_str);
        let origin = Cell::toned(Tone::Quiet, format!("({origin})"));
        let mut row = vec![Cell::text(&path), Cell::text(value.to_string())];
        row.extend(origins.then_some(origin));
        table.row(row);
    }
    let warnings = difference::warnings(&answer.warnings);
    format!("revision {}\n{}{warnings}", answer.revision, table.text(paint))
}

/// A file's fields, without those that a server does not take through its API.
fn fields(file: &Path, environment: Option<&str>) -> Result<Map<String, Value>, Failure> {
    let mut fields = file::given(file, environment)?;
    let left_out: Vec<&str> =
        PROTECTED.into_iter().filter(|name| fields.remove(*name).is_some()).collect();
    if !left_out.is_empty() {
        let names = plain(&left_out.join(", "));
        eprintln!("seawall: left out: {names} (set in the server's own files and variables only)");
    }
    if fields.is_empty() && !left_out.is_empty() {
        // Nothing at all means: take the former change away. That is not what was written.
        let told =
            "nothing is left of the file to send; write {} to take the change through the API away";
        return Err(Failure::Unusable(told.into()));
    }
    Ok(fields)
}
