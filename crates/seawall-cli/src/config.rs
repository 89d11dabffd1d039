//! `seawall config`: the configuration of a running server: seen, changed, and put back.

use crate::{
    failure::{Ended, Failure},
    file, output,
    output::{Paint, Tone, plain},
    remote::{Remote, Reply},
    table::{Cell, Table},
};
use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use seawall_server::{
    PROTECTED,
    wire::{ConfigAnswer, ConfigChanged, RevisionHistory},
};
use serde_json::{Value, json};
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
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The configuration in force, defaults included
    Show {
        /// Also say where each value comes from
        #[arg(long)]
        origins: bool,
    },
    /// What a file would change; nothing is changed
    Diff {
        #[command(flatten)]
        change: Change,
    },
    /// Checks a file's fields, then puts all of them in force, or nothing
    Apply {
        #[command(flatten)]
        change: Change,
        /// Only if this revision is in force
        #[arg(long, value_name = "REVISION")]
        expect: Option<u64>,
    },
    /// The revisions, the latest first, with who made them and what they changed
    History {
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
        limit: u64,
    },
    /// Puts a former revision in force again, as a new one
    Rollback {
        /// Its number
        revision: u64,
        /// Only say what would change
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
struct Change {
    /// The file (YAML, JSON or TOML, by its ending)
    file: PathBuf,
    /// `merge` lays the fields over what the server's files and variables say, in place of the former change;
    /// `replace` puts them in place of everything
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// The environment whose section of the file counts
    #[arg(long, env = "SEAWALL_ENV", value_parser = file::environments())]
    env: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Mode {
    #[default]
    Merge,
    Replace,
}

impl Config {
    pub(crate) fn run(self) -> Ended {
        match &self.command {
            Command::Show { origins } => self.show(*origins),
            Command::Diff { change } => self.put(change, true, None),
            Command::Apply { change, expect } => self.put(change, false, *expect),
            Command::History { limit } => self.history(*limit),
            Command::Rollback { revision, dry_run } => {
                let asked = json!({ "revision": revision, "dry_run": dry_run });
                let reply = self.remote.send(&Method::POST, "/config/rollback", Some(&asked))?;
                self.changed(&reply, *dry_run)
            }
        }?;
        Ok(ExitCode::SUCCESS)
    }

    fn show(&self, origins: bool) -> Result<(), Failure> {
        let reply: Reply<ConfigAnswer> = self.remote.read("/config")?;
        if self.json {
            return output::json(&reply.json);
        }
        let answer = &reply.read;
        let mut table = Table::new(if origins { &["", "", ""] } else { &["", ""] });
        for (path, value) in seawall_config::leaves(&answer.document) {
            let origin = answer.sources.get(&path).map_or("-", String::as_str);
            let origin = Cell::toned(Tone::Quiet, format!("({origin})"));
            let mut row = vec![Cell::text(&path), Cell::text(value.to_string())];
            row.extend(origins.then_some(origin));
            table.row(row);
        }
        let mut text = format!("revision {}\n", answer.revision);
        text += &table.text(Paint::of_stdout());
        output::write(&(text + &difference::warnings(&answer.warnings)))
    }

    fn put(&self, change: &Change, dry_run: bool, expect: Option<u64>) -> Result<(), Failure> {
        let configuration = fields(&change.file, change.env.as_deref())?;
        let mode = change.mode.to_possible_value().map(|mode| mode.get_name().to_owned());
        let mut asked = json!({ "configuration": configuration, "mode": mode, "dry_run": dry_run });
        if let Some(expect) = expect {
            asked["expected_revision"] = json!(expect);
        }
        let reply = self.remote.send(&Method::PUT, "/config", Some(&asked))?;
        self.changed(&reply, dry_run)
    }

    fn changed(&self, reply: &Reply<ConfigChanged>, dry_run: bool) -> Result<(), Failure> {
        if dry_run && reply.read.applied {
            return Err(self.remote.strange("applied: true to dry_run: true"));
        }
        if self.json {
            return output::json(&reply.json);
        }
        output::write(&difference::changed(&reply.read, dry_run, Paint::of_stdout()))
    }

    fn history(&self, limit: u64) -> Result<(), Failure> {
        let reply: Reply<RevisionHistory> =
            self.remote.read(&format!("/config/history?limit={limit}"))?;
        if self.json {
            return output::json(&reply.json);
        }
        output::write(&difference::history(&reply.read, Paint::of_stdout()))
    }
}

/// A file's fields, without those that a server does not take through its API.
fn fields(file: &Path, environment: Option<&str>) -> Result<Value, Failure> {
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
    Ok(Value::Object(fields))
}
