//! The tree of one execution's passages.

use super::CallId;
use crate::{Instant, policy::Frame};

/// A policy entered, or a call made.
pub(super) struct Node {
    pub(super) parent: u16,
    pub(super) depth: u16,
    pub(super) running: bool,
    /// Calls that the execution had made before it came here.
    pub(super) calls_before: u32,
    pub(super) part: Part,
    pub(super) wake_at: Instant,
    pub(super) deadline: Instant,
}

/// What stands at a node.
pub(super) enum Part {
    Frame(Frame),
    Call {
        id: CallId,
        attempt: u32,
        started_at: Instant,
    },
    /// Released; goes when nothing stands behind it.
    Gone,
}

/// The parent of the outermost node.
pub(super) const NO_PARENT: u16 = u16::MAX;
