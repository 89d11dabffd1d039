//! The queue of a bulkhead: which callers wait, how long at most, and which of them is next.

use super::settings::{BulkheadConfig, ControlledDelay, QueueOrder};
use crate::time::Instant;
use std::{collections::VecDeque, task::Waker};

#[derive(Debug, Default)]
pub(super) struct Queue {
    next_ticket: u64,
    /// Tickets grow from front to back.
    waiting: VecDeque<(u64, Waker)>,
    /// Tickets that own a place their holder has not yet noticed.
    granted: Vec<u64>,
    /// When the queue was last seen empty.
    empty_at: Instant,
    /// Whether the queue had not been empty for `interval` when the last caller came.
    stands: bool,
}

impl Queue {
    /// Adds a caller: its ticket, and until when it waits.
    pub(super) fn push(
        &mut self,
        config: &BulkheadConfig,
        now: Instant,
        waker: &Waker,
    ) -> (u64, Instant) {
        if self.waiting.is_empty() {
            self.empty_at = now;
        }
        let delay = config.controlled_delay.clone().unwrap_or_default();
        let ControlledDelay { target, interval } = delay;
        self.stands = now.since(self.empty_at) >= interval;
        let wait = match (&config.controlled_delay, self.stands) {
            (None, _) => config.max_wait,
            (Some(_), true) => target.min(config.max_wait),
            (Some(_), false) => interval.min(config.max_wait),
        };
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.push_back((ticket, waker.clone()));
        (ticket, now + wait)
    }

    /// Grants a place to the next caller; its waker.
    pub(super) fn next(&mut self, order: QueueOrder) -> Option<Waker> {
        let newest = order == QueueOrder::AdaptiveLifo && self.stands;
        let next = if newest { self.waiting.pop_back() } else { self.waiting.pop_front() };
        let (ticket, waker) = next?;
        self.granted.push(ticket);
        Some(waker)
    }

    /// Whether the ticket was granted a place; otherwise keeps the waker for when it is.
    pub(super) fn poll(&mut self, ticket: u64, waker: &Waker) -> bool {
        if self.claim(ticket) {
            return true;
        }
        if let Ok(at) = self.place(ticket) {
            self.waiting[at].1.clone_from(waker);
        }
        false
    }

    pub(super) fn claim(&mut self, ticket: u64) -> bool {
        let at = self.granted.iter().position(|granted| *granted == ticket);
        at.map(|at| self.granted.swap_remove(at)).is_some()
    }

    pub(super) fn remove(&mut self, ticket: u64) -> bool {
        self.place(ticket).map(|at| self.waiting.remove(at)).is_ok()
    }

    fn place(&self, ticket: u64) -> Result<usize, usize> {
        self.waiting.binary_search_by_key(&ticket, |(ticket, _)| *ticket)
    }
}
