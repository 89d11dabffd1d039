//! The state of `top`: what it knows of the server, and what is selected.

use crate::{failure::Failure, output::plain, remote::reading};
use seawall::{Mode, State};
use seawall_server::wire::{Activity, CircuitLine, Line, OperationView, Snapshot};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The number of events that are remembered.
const KEPT: usize = 200;

/// A change of the view.
#[derive(Debug)]
pub(super) enum Change {
    Snapshot(Box<Snapshot>),
    Happened(Line),
    /// The stream is cut, and will be opened again.
    Cut {
        why: String,
        again_in: Duration,
    },
    /// There is nothing to wait for.
    Ended(Failure),
    /// A message of an unknown type, from a newer server.
    Unknown,
}

impl Change {
    /// A message of the stream.
    ///
    /// # Errors
    /// The field that is missing or is not what it should be.
    pub(super) fn of(kind: &str, data: &str) -> Result<Self, String> {
        let named = |told| format!("{kind}: {told}");
        Ok(match kind {
            "snapshot" => Self::Snapshot(Box::new(reading(data).map_err(named)?.read)),
            "event" => Self::Happened(reading(data).map_err(named)?.read),
            _ => Self::Unknown,
        })
    }
}

/// A stream that is cut.
#[derive(Clone, Debug)]
pub(super) struct Broken {
    pub(super) since: Instant,
    pub(super) why: String,
    pub(super) again_at: Instant,
}

/// A snapshot, and when it came.
pub(super) type Received = (Snapshot, Instant);

/// The content of the view.
#[derive(Debug)]
pub(super) struct View {
    pub(super) where_it_is: String,
    pub(super) colours: bool,
    /// The latest snapshot, and when it came; none before the first.
    pub(super) now: Option<Received>,
    pub(super) events: VecDeque<Line>,
    pub(super) broken: Option<Broken>,
    pub(super) failure: Option<Failure>,
    pub(super) filter: String,
    pub(super) typing: bool,
    /// The name of the operation that is looked at: rows change their places.
    pub(super) selected: Option<String>,
    /// The snapshot and the events at the beginning of the pause.
    paused: Option<(Option<Received>, VecDeque<Line>)>,
}

impl View {
    pub(super) fn new(where_it_is: String, colours: bool) -> Self {
        Self {
            where_it_is,
            colours,
            now: None,
            events: VecDeque::new(),
            broken: None,
            failure: None,
            filter: String::new(),
            typing: false,
            selected: None,
            paused: None,
        }
    }

    pub(super) fn take(&mut self, change: Change) {
        match change {
            Change::Snapshot(now) => {
                self.broken = None;
                self.now = Some((*now, Instant::now()));
            }
            Change::Happened(one) => self.note(one),
            Change::Cut { why, again_in } => {
                let now = Instant::now();
                let since = self.broken.as_ref().map_or(now, |broken| broken.since);
                self.broken = Some(Broken { since, why, again_at: now + again_in });
            }
            Change::Ended(failure) => self.failure = Some(failure),
            Change::Unknown => {}
        }
    }

    /// The tail comes again with each connection: what is known is left out.
    fn note(&mut self, one: Line) {
        let after = |last: &Line| (&one.at, one.id) > (&last.at, last.id);
        if self.events.back().is_none_or(after) {
            if self.events.len() == KEPT {
                self.events.pop_front();
            }
            self.events.push_back(one);
        }
    }

    pub(super) fn toggle_pause(&mut self) {
        self.paused = match self.paused {
            Some(_) => None,
            None => Some((self.now.clone(), self.events.clone())),
        };
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    pub(super) fn clear_filter(&mut self) {
        self.filter.clear();
        self.typing = false;
    }

    /// The snapshot to show, and its age.
    pub(super) fn snapshot(&self) -> Option<(&Snapshot, Duration)> {
        let (shown, at) = match &self.paused {
            Some((shown, _)) => shown.as_ref()?,
            None => self.now.as_ref()?,
        };
        // A snapshot that waits for the next one counts on; one that is held does not.
        let age = if self.is_paused() { Duration::ZERO } else { at.elapsed() };
        Some((shown, age))
    }

    /// The events to show, oldest first.
    pub(super) fn tail(&self) -> Vec<&Line> {
        let events = self.paused.as_ref().map_or(&self.events, |(_, events)| events);
        events.iter().filter(|one| self.passes(&one.operation)).collect()
    }

    fn passes(&self, name: &str) -> bool {
        name.to_lowercase().contains(&self.filter.to_lowercase())
    }

    /// The operations to show, worst first.
    pub(super) fn rows(&self) -> Vec<&OperationView> {
        let all = self.snapshot().map_or(&[][..], |(now, _)| &now.operations);
        let mut rows: Vec<&OperationView> =
            all.iter().filter(|one| self.passes(&one.name)).collect();
        rows.sort_by(|a, b| {
            let errors = error_share(b).unwrap_or(0.0).total_cmp(&error_share(a).unwrap_or(0.0));
            rank(a).cmp(&rank(b)).then(errors).then_with(|| a.name.cmp(&b.name))
        });
        rows
    }

    /// The place of the selected operation among the rows.
    pub(super) fn selected_row(&self) -> Option<usize> {
        let wanted = self.selected.as_ref()?;
        self.rows().iter().position(|row| row.name == *wanted)
    }

    pub(super) fn select(&mut self, by: isize) {
        let rows = self.rows();
        let Some(last) = rows.len().checked_sub(1) else { return };
        let next = match self.selected_row() {
            Some(row) => row.saturating_add_signed(by).min(last),
            None => 0,
        };
        self.selected = rows.get(next).map(|row| row.name.clone());
    }
}

/// Whether a circuit refuses calls, all of them or all but probes.
pub(super) fn is_broken(circuit: &CircuitLine) -> bool {
    circuit.mode == Mode::Enforce && (circuit.state.is_open() || circuit.state == State::HalfOpen)
}

/// The rank of an operation in the list: the smaller, the worse.
fn rank(one: &OperationView) -> u8 {
    match &one.circuit {
        // Between two probes it is the same outage: its row keeps its place.
        Some(circuit) if is_broken(circuit) => 0,
        Some(circuit) if circuit.mode == Mode::Enforce && circuit.state != State::Closed => 2,
        _ => 3,
    }
}

/// Of the calls that were made, those that failed; none where none were.
pub(super) fn error_share(one: &OperationView) -> Option<f64> {
    let Activity { calls, failures, timed_out, caller_faults, rejected, .. } = one.rates;
    let made = calls - rejected - caller_faults;
    let failed = failures + timed_out;
    (failed > 0.0 || made > 0.0).then(|| (failed / made.max(failed)).min(1.0))
}

/// The time of day of an event.
pub(super) fn time(one: &Line) -> String {
    plain(one.at.get(11..19).unwrap_or(&one.at))
}
