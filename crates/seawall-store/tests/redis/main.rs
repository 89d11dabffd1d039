//! Shared limits, circuits and dead letters against a real Redis: standalone, a Cluster of three nodes, and masters under Sentinels. The servers are
//! started on free ports in folders of their own, and are gone when a test ends.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod circuits;
mod fleet;
mod guarded;
mod kit;
mod letters;
mod loss;
mod revision;
mod settled;
#[path = "../steps/mod.rs"]
mod steps;
