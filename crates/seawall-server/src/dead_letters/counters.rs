//! What is counted of dead letters since the start.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Error classes that are counted apart; further ones count as one.
const MAX_CLASSES: usize = 100;

/// How the replay of one letter ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ReplayEnd {
    Succeeded,
    Failed,
    /// It never left: a policy refused it.
    NotSent,
}

impl ReplayEnd {
    /// The value of the metric's label.
    fn label(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::NotSent => "not_sent",
        }
    }
}

/// Counters by a label.
type ByLabel = BTreeMap<String, u64>;

/// What is counted of dead letters since the start of the process.
pub(crate) struct Counters(Mutex<Counted>);

#[derive(Clone)]
pub(crate) struct Counted {
    /// Requests that became letters, by their class of error.
    pub(crate) enqueued: ByLabel,
    /// Replays that ended, by how.
    pub(crate) replayed: ByLabel,
    /// Requests that failed for good and did not become letters, by the reason.
    pub(crate) lost: ByLabel,
}

impl Default for Counters {
    fn default() -> Self {
        let zero = |labels: &[&str]| labels.iter().map(|label| ((*label).to_owned(), 0)).collect();
        let ends = [ReplayEnd::Succeeded, ReplayEnd::Failed, ReplayEnd::NotSent];
        Self(Mutex::new(Counted {
            enqueued: ByLabel::new(),
            replayed: zero(&ends.map(ReplayEnd::label)),
            lost: zero(&["too_large", "full", "invalid", "store_failed", "store_slow"]),
        }))
    }
}

impl Counters {
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All counters, as they are now.
    pub(crate) fn counted(&self) -> Counted {
        self.lock().clone()
    }

    /// Counts a letter of this class of error.
    pub(super) fn count_enqueued(&self, class: &str) {
        let enqueued = &mut self.lock().enqueued;
        let known = enqueued.contains_key(class) || enqueued.len() < MAX_CLASSES;
        *enqueued.entry(if known { class } else { "other" }.to_owned()).or_default() += 1;
    }

    /// Counts a request that was not kept.
    pub(super) fn count_lost(&self, why: &'static str) {
        *self.lock().lost.entry(why.to_owned()).or_default() += 1;
    }

    /// Counts a replay.
    pub(crate) fn count_replay(&self, end: ReplayEnd) {
        *self.lock().replayed.entry(end.label().to_owned()).or_default() += 1;
    }
}
