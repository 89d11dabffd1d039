//! The built binary, as its user runs it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod commands;
mod readme;
mod serve;
mod support;
