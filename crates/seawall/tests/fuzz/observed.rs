//! The sums of the events that an observer received.

use seawall::{Class, Event, Kind, Observer, Outcome, State};
use std::sync::{Mutex, PoisonError};

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    pub(crate) started: u64,
    pub(crate) ended: u64,
    pub(crate) calls: u64,
    pub(crate) calls_ended: u64,
    /// Calls that failed or were not quick, streams that ended badly, and timeouts: all that may open a
    /// circuit, beside panics.
    pub(crate) faults: u64,
    pub(crate) opened: u64,
    /// A digest of everything in its order.
    pub(crate) digest: u64,
}

#[derive(Default)]
pub(crate) struct Observed {
    sums: Mutex<Sums>,
    is_loud: bool,
}

impl Observed {
    pub(crate) fn new(is_loud: bool) -> Self {
        Self { is_loud, ..Self::default() }
    }

    pub(crate) fn sums(&self) -> Sums {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn is_fault(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Failure(failure) => failure.class != Class::Permanent,
        Outcome::TimedOut { .. } => true,
        Outcome::Success | Outcome::Rejected(_) | Outcome::CallerFault(_) => false,
    }
}

impl Observer for Observed {
    fn observe(&self, event: &Event<'_>) {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        match event.kind {
            Kind::Started => sums.started += 1,
            Kind::Finished { outcome, took, .. } => {
                sums.ended += 1;
                sums.faults += u64::from(is_fault(outcome) || !took.is_zero());
            }
            Kind::Abandoned { .. } => sums.ended += 1,
            Kind::FellBack { .. } if event.shadow => {}
            Kind::CallStarted { .. } | Kind::FellBack { .. } => sums.calls += 1,
            Kind::CallFinished { outcome, took, .. } => {
                sums.calls_ended += 1;
                sums.faults += u64::from(is_fault(outcome) || !took.is_zero());
            }
            Kind::CallCancelled { .. } => sums.calls_ended += 1,
            Kind::TimedOut { .. } | Kind::FaultInjected(_) => sums.faults += 1,
            Kind::CircuitChanged(change) => sums.opened += u64::from(change.to == State::Open),
            _ => {}
        }
        if self.is_loud {
            println!("  {:x} {}", event.execution & 0xfff, event.kind);
        }
        let mut digest = sums.digest;
        for byte in format!("{} {:?} {:?}", event.execution, event.at, event.kind).bytes() {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        sums.digest = digest;
    }
}
