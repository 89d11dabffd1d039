//! The built binary, as its user runs it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod changes;
mod commands;
mod dlq;
mod explain;
mod live;
mod presets;
mod readme;
mod remote;
mod rules;
mod serve;
mod status;
mod support;
mod tenants;
