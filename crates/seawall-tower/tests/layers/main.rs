//! The layers around real services, on a paused clock.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod body;
mod client;
mod deadline;
mod fallback;
mod operation;
mod paused;
mod rate_limit;
#[cfg(feature = "reqwest")]
mod reqwest_client;
mod server;
mod shared;
mod vectors;

use seawall::{Operation, PolicyConfig, Registry};
use seawall_tower::TokioTimer;
use std::time::Duration;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// An operation with these policies, as a file has them.
fn operation(policies: &str) -> Operation<TokioTimer> {
    let policies: Vec<PolicyConfig> = serde_json::from_str(policies).unwrap();
    let registry = Registry::builder().timer(TokioTimer).build();
    registry.register("tested", policies).unwrap()
}
