//! The control plane on a real socket: every endpoint by its values, who may ask, what bad input gets, and what a
//! change of the configuration does to requests in progress.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod at_once;
mod bad_input;
mod changes;
mod circuits;
mod configuration;
mod dead_letters;
mod described;
mod fleet;
mod kept;
mod monitoring;
mod presets;
mod rate_limits;
#[path = "../gateway/redis.rs"]
mod redis;
mod said;
#[allow(dead_code, reason = "the gateway's tests need more of it")]
#[path = "../gateway/support.rs"]
mod support;
mod world;
