//! `seawall dlq`: dead letters looked at, replayed, removed, and carried to another place.

use crate::{
    failure::{Ended, Failure, Failure::Unusable},
    output::Paint,
    remote::{Reply, Server, part},
};
use clap::{Args, Subcommand};
use http::Method;
use seawall_server::wire::{
    ImportAnswer, Job, LetterChange, LetterId, LetterQuery, LetterSelection, PurgeRequest,
    ReplayOrder, ResealRequest, Resealed, Selection,
};
use serde::Serialize;
use std::{path::PathBuf, process::ExitCode, thread, time::Duration};

mod transfer;
mod view;

/// How often a replay that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Arguments of `dlq`.
#[derive(Debug, Args)]
pub(crate) struct Dlq {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists letters, the newest first
    List {
        #[command(flatten)]
        filter: Filter,
        /// Show at most this many letters
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
        limit: u64,
        /// Show only letters behind this one, the last of the page before
        #[arg(long)]
        after: Option<LetterId>,
    },
    /// Shows one letter whole: its attempts, its headers, and its payload if the key may see it
    Show {
        /// The identifier of the letter
        id: LetterId,
    },
    /// Shows letters by their kind of failure, the largest group first
    Groups {
        #[command(flatten)]
        filter: Filter,
    },
    /// Shows the numbers of all queues
    Stats,
    /// Replays letters that wait: those that are named, or all that the filter means
    Replay(ReplayArguments),
    /// Lists replays with their progress, or changes one
    Jobs {
        #[command(subcommand)]
        change: Option<Change>,
    },
    /// Lets quarantined letters be replayed again
    Release {
        /// The identifiers of the letters
        #[arg(required = true)]
        ids: Vec<LetterId>,
    },
    /// Deletes letters
    Delete {
        /// The identifiers of the letters
        #[arg(required = true)]
        ids: Vec<LetterId>,
    },
    /// Deletes all letters that the filter means; without a filter, all
    Purge {
        #[command(flatten)]
        filter: Filter,
        /// The number of letters that you expect to delete; with any other number nothing is deleted
        #[arg(long)]
        expect: u64,
    },
    /// Encrypts all letters with the newest key that are not encrypted with it yet
    Reseal,
    /// Writes letters with their payloads as lines of JSON
    Export {
        #[command(flatten)]
        filter: Filter,
        /// The file to write; left out: the standard output
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Stores letters that were exported
    Import {
        /// The file with the letters
        file: PathBuf,
    },
}

/// Which letters are meant: those to which all that is given applies.
#[derive(Debug, Default, Args, Serialize)]
struct Filter {
    /// Letters in this queue
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    /// Letters in this state: waiting, replaying, replayed or quarantined
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// Letters of this operation, such as `POST /orders/*`
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    /// Letters of this class of error
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    error_class: Option<String>,
    /// Letters of this tenant
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// Letters of the group with this fingerprint
    #[arg(long = "group")]
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    /// Letters with this text in operation, error, tenant or idempotency key
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Letters made at this time or later, such as 2026-11-29T14:00:00Z
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// Letters made before this time
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

#[derive(Debug, Args)]
struct ReplayArguments {
    /// The identifiers of the letters; left out: all that the filter means
    ids: Vec<LetterId>,
    #[command(flatten)]
    filter: Filter,
    /// Replay all letters that wait; needed where neither identifiers nor a filter are given
    #[arg(long)]
    all: bool,
    /// Replays that begin in a second
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// Replays that are on their way at once
    #[arg(long, default_value_t = 4)]
    concurrency: usize,
    /// Count the letters that would be replayed, and replay none
    #[arg(long)]
    dry_run: bool,
    /// Wait until the replay is over
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// Sends no further letters until the replay is resumed
    Pause {
        /// The identifier of the replay
        id: LetterId,
    },
    /// Goes on with a replay that was paused
    Resume {
        /// The identifier of the replay
        id: LetterId,
    },
    /// Ends a replay; letters on their way end as they do
    Cancel {
        /// The identifier of the replay
        id: LetterId,
    },
}

impl Filter {
    fn query(&self) -> Result<LetterQuery, Failure> {
        let value = serde_json::to_value(self).map_err(|error| Unusable(error.to_string()))?;
        serde_path_to_error::deserialize(value)
            .map_err(|error| Unusable(format!("--{}: {}", error.path(), error.inner())))
    }

    /// The filter as parameters of a path, each behind an `&`.
    fn parameters(&self) -> Result<String, Failure> {
        // What the server would not understand is found here.
        self.query()?;
        let value = serde_json::to_value(self).map_err(|error| Unusable(error.to_string()))?;
        let pairs = value.as_object().into_iter().flatten();
        Ok(pairs
            .map(|(name, value)| format!("&{name}={}", part(value.as_str().unwrap_or_default())))
            .collect())
    }
}

impl Dlq {
    pub(crate) fn run(self) -> Ended {
        let (server, remote) = (&self.server, &self.server.remote);
        match &self.command {
            Command::List { filter, limit, after } => {
                let after = after.map(|id| format!("&after={id}")).unwrap_or_default();
                let path = format!("/dlq/letters?limit={limit}{after}{}", filter.parameters()?);
                server.show(&remote.read(&path)?, view::list)
            }
            Command::Show { id } => {
                server.show(&remote.read(&format!("/dlq/letters/{id}"))?, view::letter)
            }
            Command::Groups { filter } => {
                let parameters = filter.parameters()?;
                let path = format!("/dlq/groups?{}", parameters.trim_start_matches('&'));
                server.show(&remote.read(&path)?, view::groups)
            }
            Command::Stats => server.show(&remote.read("/dlq/stats")?, view::stats),
            Command::Replay(arguments) => return self.replay(arguments),
            Command::Jobs { change: None } => server
                .show(&remote.read("/dlq/replays")?, |jobs: &Vec<Job>, paint| {
                    view::jobs(jobs, paint)
                }),
            Command::Jobs { change: Some(change) } => {
                let (id, verb) = match change {
                    Change::Pause { id } => (id, "pause"),
                    Change::Resume { id } => (id, "resume"),
                    Change::Cancel { id } => (id, "cancel"),
                };
                server.show(&remote.post(&format!("/dlq/replays/{id}/{verb}"))?, view::job)
            }
            Command::Release { ids } => self.change("release", &selected(ids), "released"),
            Command::Delete { ids } => self.change("delete", &selected(ids), "deleted"),
            Command::Purge { filter, expect } => {
                let purge = PurgeRequest { query: filter.query()?, expect: *expect };
                self.change("purge", &purge, "deleted")
            }
            Command::Reseal => return self.reseal(),
            Command::Export { filter, out } => {
                transfer::export(remote, &filter.parameters()?, out.as_deref())
            }
            Command::Import { file } => return self.import(file),
        }?;
        Ok(ExitCode::SUCCESS)
    }

    fn change(&self, verb: &str, body: &impl Serialize, done: &str) -> Result<(), Failure> {
        let reply = self.server.remote.send(&Method::POST, &format!("/dlq/{verb}"), body)?;
        self.server.show(&reply, |change: &LetterChange, _: Paint| {
            format!("{} letters {done}\n", change.letters)
        })
    }

    fn reseal(&self) -> Ended {
        let mut all = Resealed::default();
        loop {
            let request = ResealRequest { after: all.next };
            let step: Reply<Resealed> =
                self.server.remote.send(&Method::POST, "/dlq/reseal", &request)?;
            all.resealed += step.read.resealed;
            all.unreadable += step.read.unreadable;
            all.next = step.read.next;
            if all.next.is_none() {
                break;
            }
            eprintln!("{} letters encrypted so far", all.resealed);
        }
        let left = all.unreadable > 0;
        let json = serde_json::to_value(&all).map_err(|error| Unusable(error.to_string()))?;
        self.server.show(&Reply { json, read: all }, |all: &Resealed, _| view::resealed(all))?;
        Ok(if left { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn import(&self, file: &std::path::Path) -> Ended {
        let reply = transfer::import(&self.server.remote, file)?;
        let refused = reply.read.refused > 0;
        self.server.show(&reply, |answer: &ImportAnswer, _| view::imported(answer))?;
        Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn replay(&self, arguments: &ReplayArguments) -> Ended {
        let remote = &self.server.remote;
        let query = arguments.filter.query()?;
        let filtered = query != LetterQuery::default();
        let selection = match (arguments.ids.is_empty(), filtered, arguments.all) {
            (false, false, false) => Selection::Ids(arguments.ids.clone()),
            (true, true, false) | (true, false, true) => Selection::Query(query),
            (true, false, false) => {
                let told = "name letters, give a filter such as --queue, or --all";
                return Err(Unusable(told.into()));
            }
            _ => {
                let told = "give one of these: identifiers, a filter, --all";
                return Err(Unusable(told.into()));
            }
        };
        let order = ReplayOrder {
            selection,
            rate: arguments.rate,
            concurrency: arguments.concurrency,
            dry_run: arguments.dry_run,
        };
        let mut reply = remote.send::<Job>(&Method::POST, "/dlq/replays", &order)?;
        while (arguments.wait || arguments.dry_run) && !reply.read.is_over() {
            thread::sleep(LOOK_EVERY);
            reply = remote.read(&format!("/dlq/replays/{}", reply.read.id))?;
        }
        let failed = reply.read.progress.failed > 0;
        self.server.show(&reply, view::job)?;
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn selected(ids: &[LetterId]) -> LetterSelection {
    LetterSelection { ids: ids.to_vec() }
}
