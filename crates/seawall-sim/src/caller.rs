//! One caller in the simulated world: its execution, and the calls that it has out.

use seawall::{CallId, Execution, Instant, Outcome, Pipeline};
use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Wake, Waker},
};

pub(crate) struct Caller {
    /// The number of the caller, by arrival.
    pub(crate) number: u64,
    pub(crate) execution: Execution<Arc<Pipeline>>,
    pub(crate) began: Instant,
    pub(crate) calls: Vec<CallInProgress>,
    /// The wake-up that is in the queue of events.
    pub(crate) wake_at: Instant,
    pub(crate) has_called: bool,
}

/// A call of the dependency or of the alternative.
#[derive(Clone, Copy)]
pub(crate) struct CallInProgress {
    pub(crate) id: CallId,
    pub(crate) to: Target,
    /// The outcome of the call, if it ends; none if the caller's code panics.
    pub(crate) outcome: Option<Outcome>,
}

/// The target of a call, as an index of the world's dependencies.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    Operation = 0,
    Alternative = 1,
}

impl Caller {
    /// Takes out a call that is in progress.
    pub(crate) fn take_call(&mut self, id: CallId) -> Option<CallInProgress> {
        let at = self.calls.iter().position(|call| call.id == id)?;
        Some(self.calls.swap_remove(at))
    }
}

/// The places of callers that were woken, in the order of waking.
#[derive(Debug, Default)]
pub(crate) struct Woken(Mutex<Vec<u32>>);

impl Woken {
    pub(crate) fn take_first(&self) -> Option<u32> {
        let mut woken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if woken.is_empty() { None } else { Some(woken.remove(0)) }
    }
}

struct Bell {
    place: u32,
    woken: Arc<Woken>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.0.lock().unwrap_or_else(PoisonError::into_inner).push(self.place);
    }
}

/// A waker for the caller at this place, whichever it is by then: a wake-up for nothing does no harm.
pub(crate) fn bell(place: u32, woken: &Arc<Woken>) -> Waker {
    Waker::from(Arc::new(Bell { place, woken: woken.clone() }))
}
