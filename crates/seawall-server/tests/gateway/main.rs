//! The gateway on real sockets: what passes through, what the policies do to it, and what hostile peers get.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bodies;
mod chaos;
mod clients;
mod control;
mod dead_letters;
mod forwarding;
mod hostile;
mod loops;
mod messages;
mod nginx;
mod openings;
mod policies;
mod proxy;
#[allow(dead_code, reason = "the control plane's tests need more of it")]
mod redis;
mod refusals;
mod shared_circuits;
mod shared_letters;
mod shared_limits;
mod streams;
mod support;
mod tenants;
mod tokens;
mod wire;
