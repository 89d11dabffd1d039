//! Everything that is timed, one module per concern.

mod adaptive;
mod breaker;
mod bulkhead;
mod cache;
mod floor;
mod misc;
mod ours;
mod pool;
mod ratelimit;
mod reject;
mod retry;
mod stack;
mod timeout;

use crate::case::Case;

pub fn all() -> Vec<Case> {
    [
        floor::cases(),
        breaker::cases(),
        bulkhead::cases(),
        ratelimit::cases(),
        reject::cases(),
        retry::cases(),
        timeout::cases(),
        adaptive::cases(),
        misc::cases(),
        stack::cases(),
        pool::cases(),
        cache::cases(),
        ours::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
