//! The tree of one execution's passages.

use crate::{policies::Slot, time::Instant};

/// A policy entered, or a call made.
pub(super) struct Node {
    pub(super) parent: u16,
    pub(super) depth: u16,
    pub(super) running: bool,
    /// Its policy watches and does not act.
    pub(super) shadow: bool,
    /// Its policy would have acted by now: it is not asked again.
    pub(super) passed_by: bool,
    /// Calls that the execution had made before it came here.
    pub(super) calls_before: u32,
    pub(super) slot: Slot,
    pub(super) wake_at: Instant,
    pub(super) deadline: Instant,
}

impl Node {
    /// Where something is about to be filled in.
    pub(super) const VACANT: Self = Self {
        parent: NO_PARENT,
        depth: 0,
        running: true,
        shadow: false,
        passed_by: false,
        calls_before: 0,
        slot: Slot::Released,
        wake_at: Instant::FAR_FUTURE,
        deadline: Instant::FAR_FUTURE,
    };
}

/// The parent of the outermost node.
pub(super) const NO_PARENT: u16 = u16::MAX;
