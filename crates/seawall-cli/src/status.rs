//! `seawall status`: how a server is, and its whole fleet.

use crate::{
    failure::{Ended, Failure},
    output,
    output::{Paint, Tone, plain},
    remote::Server,
    table::{Cell, Table},
};
use clap::Args;
use seawall::{Mode, State};
use seawall_server::wire::{
    AlertList, CircuitBreakers, FleetInstance, FleetKind, FleetView, InstanceReport, InstanceState,
};
use serde_json::json;
use std::process::ExitCode;

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Show all instances of the fleet
    #[arg(long)]
    fleet: bool,
    #[command(flatten)]
    server: Server,
}

impl Status {
    pub(crate) fn run(self) -> Ended {
        if self.fleet {
            self.server.show(&self.server.remote.read("/fleet")?, fleet)?;
        } else {
            self.one()?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn one(&self) -> Result<(), Failure> {
        let remote = &self.server.remote;
        let instance = remote.read::<InstanceReport>("/fleet/instance")?;
        let circuits = remote.read::<CircuitBreakers>("/circuit-breakers")?;
        let alerts = remote.read::<AlertList>("/monitoring/alerts?max_alerts=1000")?;
        if self.server.json {
            return output::json(&json!({
                "instance": instance.json,
                "circuit_breakers": circuits.json["circuit_breakers"],
                "alerts": alerts.json["alerts"],
            }));
        }
        let text = one(&instance.read, &circuits.read, &alerts.read, Paint::of_stdout());
        output::write(&text)
    }
}

fn state(state: InstanceState) -> Tone {
    match state {
        InstanceState::Ready => Tone::Good,
        InstanceState::Draining => Tone::Warning,
        InstanceState::Refused => Tone::Bad,
        InstanceState::Gone => Tone::Quiet,
    }
}

fn one(
    instance: &InstanceReport,
    circuits: &CircuitBreakers,
    alerts: &AlertList,
    paint: Paint,
) -> String {
    let mut table = Table::new(&["", ""]);
    let mut row = |name: &str, cell: Cell| table.row(vec![Cell::text(name), cell]);
    row("instance", Cell::text(format!("{}, {}", instance.name, instance.address)));
    row("state", Cell::toned(state(instance.state), instance.state.label()));
    row("version", Cell::text(format!("{}, since {}", instance.version, instance.started_at)));
    let of_fleet = match instance.fleet_revision {
        Some(number) => format!(", the fleet's {number}"),
        None => String::new(),
    };
    row("revision", Cell::text(format!("{}{of_fleet}", instance.revision)));
    row("last minute", Cell::text(activity(instance)));
    if let Some(reason) = &instance.reason {
        row("reason", Cell::toned(Tone::Bad, reason));
    }
    if !instance.degraded.is_empty() {
        row("degraded", Cell::toned(Tone::Warning, instance.degraded.join(", ")));
    }
    let is_open = |state| matches!(state, State::Open | State::ForcedOpen);
    for (name, breaker) in &circuits.circuit_breakers {
        if is_open(breaker.state) && breaker.mode == Mode::Enforce {
            row("open circuit", Cell::toned(Tone::Bad, name));
        }
    }
    let lasting: Vec<_> = alerts.alerts.iter().filter(|one| one.ended_at.is_none()).collect();
    for alert in &lasting {
        let text = format!("{}: {}", alert.level.label(), alert.description);
        row("alert", Cell::toned(Tone::of_level(alert.level), text));
    }
    if lasting.is_empty() {
        row("alerts", Cell::text("none"));
    }
    table.text(paint)
}

fn activity(instance: &InstanceReport) -> String {
    let (calls, errors) = (instance.calls_per_second, instance.error_share * 100.0);
    format!("{calls:.1} calls/s, {errors:.1} % errors")
}

const COLUMNS: &[&str] = &[
    "instance",
    "state",
    "revision",
    "version",
    "calls/s",
    "errors",
    "open",
    "heartbeat",
    "address",
    "",
];

fn fleet(view: &FleetView, paint: Paint) -> String {
    let mut table = Table::new(COLUMNS);
    view.instances.iter().for_each(|one| table.row(row(one)));
    let revision = match &view.revision {
        Some(revision) => format!(
            "the fleet's revision is {}, by {} on {}, {}\n",
            revision.number,
            plain(&revision.who),
            plain(&revision.instance),
            plain(&revision.at)
        ),
        None => String::new(),
    };
    let kind = match view.kind {
        FleetKind::Alone => "this instance is on its own: `fleet` is not configured\n",
        FleetKind::Listed => "the instances are a list: a change is made on one alone\n",
        FleetKind::Shared => "",
    };
    let degraded = match &view.degraded {
        Some(why) => paint.tone(Tone::Bad, &format!("the store is lost: {}\n", plain(why))),
        None => String::new(),
    };
    table.text(paint) + &revision + kind + &degraded
}

fn row(one: &FleetInstance) -> Vec<Cell> {
    let report = &one.report;
    let is_gone = report.state == InstanceState::Gone;
    let number = |text: String| Cell::number(if is_gone { "-".into() } else { text });
    let revision = report.fleet_revision.map_or_else(|| "-".to_owned(), |it| it.to_string());
    let age = one.heartbeat_age_seconds.map_or_else(|| "never".into(), |age| format!("{age:.1} s"));
    let notes = [
        one.differs.then(|| "differs".to_owned()),
        report.changed_alone.then(|| "changed alone".to_owned()),
        (!report.degraded.is_empty()).then(|| format!("degraded: {}", report.degraded.join(", "))),
        report.reason.clone(),
    ];
    let notes: Vec<String> = notes.into_iter().flatten().collect();
    let name = if one.is_asked { format!("{} *", report.name) } else { report.name.clone() };
    vec![
        Cell::text(name),
        Cell::toned(state(report.state), report.state.label()),
        Cell::number(revision),
        Cell::text(&report.version),
        number(format!("{:.1}", report.calls_per_second)),
        number(format!("{:.1} %", report.error_share * 100.0)),
        number(report.open_circuits.to_string()),
        Cell::number(age),
        Cell::text(&report.address),
        Cell::toned(Tone::Warning, notes.join("; ")),
    ]
}
