//! The async and the blocking driver: values, clocks, and what comes back when a caller goes away or the
//! operation panics, at every point of its way.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod answers;
mod blocking;
mod closures;
mod custom;
mod endings;
mod letters;
mod stage;
mod streams;
