//! The nodes of an execution's tree, and what all of its frames share.

use crate::{
    attributes::Attributes,
    pipeline::Pipeline,
    policies::Slot,
    policy::{Cx, Sink},
    random::Random,
    time::Instant,
};
use std::task::Waker;

/// A policy entered, or a call made.
pub(super) struct Node {
    pub(super) parent: u16,
    /// The place of its policy in the pipeline.
    pub(super) depth: u16,
    pub(super) running: bool,
    /// Whether its policy is in shadow mode: what it asks for is not done.
    pub(super) shadow: bool,
    /// Whether its policy, in shadow mode, would have acted by now: it is not asked again.
    pub(super) bypassed: bool,
    /// Calls that the execution had made before it came here.
    pub(super) calls_before: u32,
    pub(super) slot: Slot,
    pub(super) wake_at: Instant,
    pub(super) deadline: Instant,
}

impl Node {
    /// Pushed first and filled in where it stays, since a copy of what was just written costs more than the policies do.
    pub(super) const VACANT: Self = Self {
        parent: NO_PARENT,
        depth: 0,
        running: true,
        shadow: false,
        bypassed: false,
        calls_before: 0,
        slot: Slot::Released,
        wake_at: Instant::FAR_FUTURE,
        deadline: Instant::FAR_FUTURE,
    };
}

/// The parent of the outermost node.
pub(super) const NO_PARENT: u16 = u16::MAX;

/// The part of a [`Cx`] that is the same for all frames of one execution.
pub(super) struct Common {
    pub(super) attributes: Attributes,
    pub(super) random: Random,
    pub(super) seed: u64,
    pub(super) now: Instant,
    /// Retry's count of the present attempt, from 1.
    pub(super) attempt: u32,
    /// The driver can have two calls in progress at once.
    pub(super) concurrent: bool,
    /// The driver has a payload, of which a dead letter can be made.
    pub(super) has_payload: bool,
}

impl Common {
    /// The context in which the frame with this deadline and this alarm takes one step.
    #[inline(always)]
    pub(super) fn cx<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        shadow: bool,
        deadline: &'a mut Instant,
        wake_at: &'a mut Instant,
        waker: &'a Waker,
    ) -> Cx<'a> {
        let sink = self.sink(pipeline, shadow);
        Cx {
            now: self.now,
            waker,
            attributes: &self.attributes,
            deadline,
            attempt: &mut self.attempt,
            random: &mut self.random,
            wake_at,
            sink,
            controls: pipeline.controls(),
            concurrent: self.concurrent,
        }
    }

    /// Where the frames of this execution send their events.
    #[inline]
    pub(super) fn sink<'a>(&self, pipeline: &'a Pipeline, shadow: bool) -> Sink<'a> {
        let (observer, operation) = (pipeline.observer(), pipeline.name());
        Sink { observer, operation, execution: self.seed, shadow }
    }
}
