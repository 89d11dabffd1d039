//! What a connector sees of shared circuits: reports out, the circuit of all instances in.

use super::{CircuitReport, FleetCircuit, OpenBy, SharedCircuit, Sharing};
use crate::{
    attributes::Key,
    event::{Event, Kind, Observer, Transition},
    name::Name,
    policies::circuit_breaker::{
        CircuitBreaker,
        cell::{Cell, Cells},
    },
    policy::{Controls, Mode},
    sync::lock,
    time::Instant,
};
use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// The circuits of one breaker, as the connector sees them that shares them with other instances through a store. It does
/// no I/O.
///
/// The connector says [`connected`](Self::connected) each time that the store has answered. It takes what
/// [`poll_reports`](Self::poll_reports) has to the store, and [`reports`](Self::reports) three times in each
/// [`lease`](Self::lease), and hands in the answers with [`answered`](Self::answered); what the store says by itself goes to
/// [`learned`](Self::learned). Where it does not answer within [`timeout`](Self::timeout) the connector says
/// [`lost`](Self::lost). Once it falls silent altogether, the instance goes on alone after a [`lease`](Self::lease).
#[derive(Clone)]
pub struct SharedCircuits {
    operation: Name,
    /// The place of the breaker in its pipeline.
    index: usize,
    breaker: Arc<CircuitBreaker>,
    sharing: Arc<Sharing>,
    controls: Arc<Controls>,
    observer: Option<Arc<dyn Observer>>,
}

impl SharedCircuits {
    /// The view on this breaker, if its circuits are shared.
    pub(crate) fn of(
        operation: &Name,
        (index, breaker): (usize, &Arc<CircuitBreaker>),
        controls: &Arc<Controls>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Option<Self> {
        Some(Self {
            operation: operation.clone(),
            index,
            sharing: breaker.sharing.clone()?,
            breaker: breaker.clone(),
            controls: controls.clone(),
            observer,
        })
    }

    /// Its name in the store: that of its configuration, or of its operation.
    pub fn name(&self) -> &str {
        self.sharing.settings.name.as_deref().unwrap_or(&self.operation)
    }

    /// What tells this breaker from others of the same name in the same process.
    pub fn member(&self) -> String {
        format!("{}/{}", self.index, self.operation)
    }

    /// Whose failures open the circuit of all.
    pub fn open_by(&self) -> OpenBy {
        self.sharing.settings.open_by
    }

    /// How long the store may take for an answer.
    pub fn timeout(&self) -> Duration {
        self.sharing.settings.timeout
    }

    /// How long the right to probe lasts without a renewal, and how long an answer of the store counts.
    pub fn lease(&self) -> Duration {
        self.sharing.settings.lease
    }

    /// Whether both are views on one breaker of this process, in one pipeline.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.breaker, &other.breaker) && Arc::ptr_eq(&self.controls, &other.controls)
    }

    /// Whether the circuits are shared now. A breaker in shadow, or that is off, keeps to itself: it has nothing to report, and
    /// learns nothing.
    pub fn takes_part(&self) -> bool {
        self.controls.modes().of(self.index) == Mode::Enforce
    }

    /// Whether this instance goes on alone, because the store does not answer.
    pub fn is_degraded(&self, now: Instant) -> bool {
        self.takes_part() && !self.sharing.is_connected(now)
    }

    /// The number up to which all changes of the common circuits are known here.
    pub fn seen(&self) -> u64 {
        lock(&self.sharing.board).seen
    }

    /// The reports to take to the store now: of circuits that changed, and of those whose calls would probe. Where there is
    /// none, the waker is woken when there is.
    pub fn poll_reports(&self, now: Instant, cx: &mut Context<'_>) -> Poll<Vec<CircuitReport>> {
        let keys = {
            let mut board = lock(&self.sharing.board);
            if board.changed.is_empty() || !self.takes_part() {
                board.connector = Some(cx.waker().clone());
                return Poll::Pending;
            }
            std::mem::take(&mut board.changed)
        };
        Poll::Ready(self.report(now, keys.into_iter().filter_map(|key| self.find(key))))
    }

    /// The reports of all circuits of which there is something to say again, whether or not they changed: what keeps a lease
    /// and a vote, and what the store may have lost.
    pub fn reports(&self, now: Instant) -> Vec<CircuitReport> {
        if !self.takes_part() {
            return Vec::new();
        }
        match &self.breaker.cells {
            Cells::One(_) => self.report(now, self.find(Key::NONE)),
            Cells::Keyed(keyed) => {
                let all = keyed.by_key.all().into_iter().map(|(_, cell)| Shown::Keyed(cell));
                self.report(now, all.filter(|cell| cell.get().is_notable()))
            }
        }
    }

    fn report<'a>(
        &'a self,
        now: Instant,
        cells: impl IntoIterator<Item = Shown<'a>>,
    ) -> Vec<CircuitReport> {
        let of = |cell: Shown<'_>| cell.get().report(&self.breaker.config, now);
        let reports = cells.into_iter().filter_map(of).map(|(report, change)| {
            self.tell(change);
            report
        });
        reports.collect()
    }

    /// The store answered a report. What has happened here since the report is newer than the answer, and stays.
    pub fn answered(&self, now: Instant, report: &CircuitReport, fleet: &FleetCircuit) {
        if let Some(cell) = self.find(report.key).filter(|_| self.takes_part()) {
            self.tell(cell.get().learn(&self.breaker.config, now, fleet, Some(report)));
        }
    }

    /// The store says what the circuit of all instances is. Older news than those that are known change nothing.
    pub fn learned(&self, now: Instant, fleet: &FleetCircuit) {
        if !self.takes_part() {
            return;
        }
        let known = self.find(fleet.key);
        let cell = match &self.breaker.cells {
            // A circuit that was never asked for here equals one that is closed.
            Cells::Keyed(keyed) if known.is_none() && fleet.open.is_some() => {
                Some(Shown::Keyed(keyed.cell(fleet.key, now, &self.breaker.config)))
            }
            _ => known,
        };
        if let Some(cell) = cell {
            self.tell(cell.get().learn(&self.breaker.config, now, fleet, None));
        }
    }

    /// The store has answered, and all it said was handed in: `instances` share the circuits now, and no change has a number
    /// above `seen` that is not known here. `asked` is when it was asked.
    pub fn connected(&self, now: Instant, asked: Instant, instances: u32, seen: u64) {
        let was_lost = !self.sharing.is_connected(now);
        let mut board = lock(&self.sharing.board);
        (board.instances, board.seen) = (instances, seen);
        drop(board);
        self.sharing.connect(asked);
        if was_lost {
            self.emit(now, Kind::StoreFound { policy: "circuit_breaker" });
        }
    }

    /// The store does not answer: this instance goes on alone. Returns whether that is new.
    pub fn lost(&self, now: Instant) -> bool {
        let is_new = self.sharing.disconnect();
        if is_new {
            self.emit(now, Kind::StoreLost { policy: "circuit_breaker" });
        }
        is_new
    }

    fn find(&self, key: Key) -> Option<Shown<'_>> {
        match &self.breaker.cells {
            Cells::One(cell) => (key == Key::NONE).then_some(Shown::One(cell)),
            Cells::Keyed(keyed) => keyed.by_key.find(key).map(Shown::Keyed),
        }
    }

    fn tell(&self, change: Option<Transition>) {
        if let Some(change) = change {
            self.emit(change.at, Kind::CircuitChanged(change));
        }
    }

    fn emit(&self, at: Instant, kind: Kind) {
        if let Some(observer) = &self.observer {
            let operation = &self.operation;
            observer.observe(&Event { at, operation, execution: 0, shadow: false, kind });
        }
    }
}

/// One circuit of the breaker.
enum Shown<'a> {
    One(&'a Cell),
    Keyed(Arc<Cell>),
}

impl Shown<'_> {
    fn get(&self) -> &Cell {
        match self {
            Self::One(cell) => cell,
            Self::Keyed(cell) => cell,
        }
    }
}

impl fmt::Debug for SharedCircuits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        f.debug_struct("SharedCircuits").field("name", &name).finish_non_exhaustive()
    }
}

impl CircuitBreaker {
    /// How it is shared with other instances, if it is.
    pub fn shared(&self) -> Option<&SharedCircuit> {
        self.config.shared.as_ref()
    }
}
