//! The phase in force: the one set by hand, else the one of the timeline.

use crate::{
    behaviour::Behaviour,
    timeline::{Phase, Timeline},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

pub(super) struct Script {
    timeline: Timeline,
    /// The timeline's phases, shared, so that a call takes one without copying its name.
    phases: Vec<Arc<Phase>>,
    start: Instant,
    by_hand: watch::Sender<Option<Arc<Phase>>>,
}

impl Script {
    pub(super) fn new(mut timeline: Timeline, start: Instant) -> Self {
        if timeline.phases.is_empty() {
            timeline = Timeline::constant("healthy", Behaviour::default());
        }
        let phases = timeline.phases.iter().cloned().map(Arc::new).collect();
        Self { timeline, phases, start, by_hand: watch::Sender::new(None) }
    }

    /// From the timeline's start; zero before it.
    pub(super) fn offset(&self) -> Duration {
        self.start.elapsed()
    }

    /// The phase that is on now.
    pub(super) fn phase(&self) -> Arc<Phase> {
        if let Some(phase) = &*self.by_hand.borrow() {
            return Arc::clone(phase);
        }
        Arc::clone(&self.phases[self.timeline.index_at(self.offset())])
    }

    /// When the timeline's next phase begins.
    pub(super) fn next_change(&self) -> Option<Instant> {
        let offset = self.timeline.next_after(self.offset())?;
        self.start.checked_add(offset)
    }

    /// `None` goes back to the timeline.
    pub(super) fn set(&self, phase: Option<Phase>) {
        self.by_hand.send_replace(phase.map(Arc::new));
    }

    /// Reports every change by hand.
    pub(super) fn changes(&self) -> watch::Receiver<Option<Arc<Phase>>> {
        self.by_hand.subscribe()
    }
}
