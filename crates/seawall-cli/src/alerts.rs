//! `seawall alerts`: what is raised, and who takes care of it.

use crate::{
    failure::Ended,
    output,
    output::{Paint, Tone},
    remote::{Server, word},
    table::{Cell, Table},
};
use clap::{Args, Subcommand};
use seawall_server::wire::{Alert, AlertList, Level};
use std::process::ExitCode;

/// Arguments of `alerts`.
#[derive(Debug, Args)]
pub(crate) struct Alerts {
    #[command(subcommand)]
    command: Option<Command>,
    /// Show only alerts of this level
    #[arg(long, value_parser = word::<Level>(Level::ALL.map(Level::label)))]
    level: Option<Level>,
    /// Show at most this many alerts, the latest first
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Acknowledges an alert: says that you take care of it
    Acknowledge {
        /// The number of the alert, as the list shows it
        id: u64,
    },
}

impl Alerts {
    pub(crate) fn run(self) -> Ended {
        let (remote, root) = (&self.server.remote, "/monitoring/alerts");
        match self.command {
            Some(Command::Acknowledge { id }) => {
                self.server.show(&remote.post(&format!("{root}/{id}/acknowledge"))?, acknowledged)
            }
            None => {
                let level = self.level.map(|level| format!("&level={}", level.label()));
                let (limit, level) = (self.limit, level.unwrap_or_default());
                self.server.show(&remote.read(&format!("{root}?max_alerts={limit}{level}"))?, list)
            }
        }?;
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

fn acknowledged(alert: &Alert, _: Paint) -> String {
    let who = output::plain(alert.acknowledged_by.as_deref().unwrap_or("nobody"));
    format!("alert {} ({}) is taken by {who}\n", alert.id, output::plain(&alert.title))
}
