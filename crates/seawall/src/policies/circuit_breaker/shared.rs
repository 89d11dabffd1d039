//! A circuit that several instances share: what this instance knows of it.
//!
//! The core does no I/O. A connector ([`SharedCircuits`]) takes reports of what happened here to a store, and brings back
//! what the circuit of all instances is. The store numbers the changes of that circuit, so that older news change nothing,
//! and leases the right to probe to one instance at a time. Calls go on deciding by the word of their circuit alone; only
//! where one would begin to probe, and no other, is asked here whether this instance may ([`Link::may_probe`]). While the
//! store does not answer, or the connector has fallen silent, it may: then each instance goes on alone.

use crate::{
    attributes::Key,
    event::{Transition, Why},
    sync::{AtomicU64, Mutex, Ordering, lock},
    time::{Instant, is_due, nanos},
};
use std::{collections::HashSet, sync::Arc, task::Waker, time::Duration};

mod follow;
mod handle;
mod settings;

pub use follow::{CircuitReport, FleetCircuit, ProbeLease, ReportedState};
pub use handle::SharedCircuits;
pub use settings::{OpenBy, SharedCircuit};

use follow::Known;

/// The gate of an instance that may not probe, …
const SHUT: u64 = 0;
/// … and of one that may without a lease: the circuit of all is closed.
const WIDE: u64 = u64::MAX;
/// In place of an instant: a call has asked for the lease, and the store has not answered yet.
const ASKED: u64 = u64::MAX;
/// The longest pause between two questions for the lease.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The state of sharing on this instance, as views show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SharedCircuitView {
    /// Whether this instance goes on alone, because the store does not answer.
    pub degraded: bool,
    /// Whether this instance is the one that may probe.
    pub probes: bool,
    /// How many share the circuit, as far as is known: the breakers of this name in all instances that are alive.
    pub instances: u32,
}

/// What all circuits of one breaker have in common towards the store.
#[derive(Debug)]
pub(super) struct Sharing {
    pub(super) settings: SharedCircuit,
    /// Until when the last answer of the store counts, in nanoseconds; 0 while it is lost.
    connected_until: AtomicU64,
    board: Mutex<Board>,
}

/// What the connector and the circuits leave for one another.
#[derive(Debug, Default)]
struct Board {
    /// The circuits with something to report.
    changed: HashSet<Key>,
    connector: Option<Waker>,
    /// All changes up to this number are known here.
    seen: u64,
    instances: u32,
}

impl Sharing {
    pub(super) fn new(settings: SharedCircuit) -> Self {
        Self { settings, connected_until: AtomicU64::new(0), board: Mutex::default() }
    }

    /// Whether the store has answered lately.
    fn is_connected(&self, now: Instant) -> bool {
        let until = self.connected_until.load(Ordering::Acquire);
        !is_due(now, until, nanos(self.settings.lease))
    }

    /// The store has answered a question that was put at `asked`.
    fn connect(&self, asked: Instant) {
        self.connected_until.store((asked + self.settings.lease).as_nanos(), Ordering::Release);
    }

    /// Goes on alone. Returns whether it was connected until now.
    fn disconnect(&self) -> bool {
        self.connected_until.swap(0, Ordering::AcqRel) != 0
    }

    /// What holds for all circuits of the breaker.
    pub(super) fn view(&self, now: Instant) -> SharedCircuitView {
        let instances = lock(&self.board).instances;
        SharedCircuitView { degraded: !self.is_connected(now), probes: false, instances }
    }

    /// Notes that a circuit has something to report, and wakes the connector.
    #[cold]
    fn list(&self, key: Key) {
        let mut board = lock(&self.board);
        board.changed.insert(key);
        let connector = board.connector.take();
        drop(board);
        connector.into_iter().for_each(Waker::wake);
    }
}

/// What ties one circuit to that of the other instances.
#[derive(Debug)]
pub(super) struct Link {
    sharing: Arc<Sharing>,
    key: Key,
    /// Until when this instance may probe, in nanoseconds. Written under the lock of `known` only.
    gate: AtomicU64,
    /// From when on a call that may not probe asks for the lease, in nanoseconds.
    ask_from: AtomicU64,
    known: Mutex<Known>,
}

impl Link {
    pub(super) fn new(sharing: Arc<Sharing>, key: Key) -> Self {
        let known = Known::new(lock(&sharing.board).seen);
        let (gate, ask_from) = (AtomicU64::new(SHUT), AtomicU64::new(0));
        Self { sharing, key, gate, ask_from, known: Mutex::new(known) }
    }

    /// Whether a call may begin to probe now. Where it may not, the store is asked for the lease, for a later call: none
    /// waits for the network.
    #[cold]
    pub(super) fn may_probe(&self, now: Instant) -> bool {
        let may = now.as_nanos() < self.gate.load(Ordering::Acquire);
        if may || !self.sharing.is_connected(now) {
            return true;
        }
        let from = self.ask_from.load(Ordering::Acquire);
        let asks = from != ASKED && is_due(now, from, nanos(LONGEST_PAUSE));
        if asks && self.ask_from.swap(ASKED, Ordering::AcqRel) != ASKED {
            self.sharing.list(self.key);
        }
        false
    }

    /// The circuit changed by itself or by an operator. A lease is good for one round of probes, and that has just begun or
    /// ended.
    pub(super) fn changed(&self, change: &Transition) {
        let mut known = lock(&self.known);
        self.gate.store(SHUT, Ordering::Release);
        known.was_reset |= change.why == Why::Reset && !change.from.is_forced();
        known.rejoins |= change.from.is_forced() && !change.to.is_forced();
        drop(known);
        self.sharing.list(self.key);
    }

    /// The circuit forgot what it knew.
    pub(super) fn forgot(&self) {
        let known = lock(&self.known);
        self.gate.store(SHUT, Ordering::Release);
        drop(known);
        self.sharing.list(self.key);
    }

    pub(super) fn view(&self, now: Instant) -> SharedCircuitView {
        SharedCircuitView { probes: lock(&self.known).holds_lease(now), ..self.sharing.view(now) }
    }
}

#[cfg(test)]
mod tests;
