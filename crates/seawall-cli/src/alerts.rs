//! `seawall alerts`: what is raised, and who takes care of it.

use crate::{
    failure::Ended,
    output,
    output::{Paint, Tone},
    remote::{Remote, Reply},
    table::{Cell, Table},
};
use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use seawall_server::wire::{Alert, AlertList};
use std::process::ExitCode;

/// Arguments of `alerts`.
#[derive(Debug, Args)]
pub(crate) struct Alerts {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only those of this level
    #[arg(long, value_enum)]
    level: Option<Level>,
    /// How many, the latest first
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says that you take care of it
    Acknowledge {
        /// The alert's number
        id: u64,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Info,
    Warning,
    Error,
    Critical,
}

impl Alerts {
    pub(crate) fn run(self) -> Ended {
        let root = "/monitoring/alerts";
        let (json, text) = match self.command {
            Some(Command::Acknowledge { id }) => {
                let path = format!("{root}/{id}/acknowledge");
                let reply: Reply<Alert> = self.remote.send(&Method::POST, &path, None)?;
                (reply.json, acknowledged(&reply.read))
            }
            None => {
                let level = self.level.and_then(|level| level.to_possible_value());
                let level = level.map(|level| format!("&level={}", level.get_name()));
                let limit = self.limit;
                let path = format!("{root}?max_alerts={limit}{}", level.unwrap_or_default());
                let reply: Reply<AlertList> = self.remote.read(&path)?;
                (reply.json, list(&reply.read, Paint::of_stdout()))
            }
        };
        if self.json { output::json(&json) } else { output::write(&text) }?;
        Ok(ExitCode::SUCCESS)
    }
}

fn list(all: &AlertList, paint: Paint) -> String {
    let mut table = Table::new(&["id", "level", "since", "until", "operation", "what", "taken by"]);
    for alert in &all.alerts {
        let tone = match alert.ended_at {
            None => Tone::of_level(alert.level),
            Some(_) => Tone::Quiet,
        };
        table.row(vec![
            Cell::number(alert.id.to_string()),
            Cell::toned(tone, alert.level.label()),
            Cell::text(alert.began()),
            match &alert.ended_at {
                None => Cell::toned(tone, "it lasts"),
                Some(at) => Cell::text(at),
            },
            Cell::maybe(alert.operation.as_deref()),
            Cell::text(&alert.description),
            Cell::maybe(alert.acknowledged_by.as_deref()),
        ]);
    }
    if table.is_empty() { "no alerts\n".into() } else { table.text(paint) }
}

fn acknowledged(alert: &Alert) -> String {
    let who = output::plain(alert.acknowledged_by.as_deref().unwrap_or("nobody"));
    format!("alert {} ({}) is taken by {who}\n", alert.id, output::plain(&alert.title))
}
