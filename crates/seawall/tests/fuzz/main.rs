//! Random pipelines, random callers, random times: whatever happens, the invariants hold.
//!
//! `SEAWALL_FUZZ_SEEDS` says how many seeds to run (default 2,000), `SEAWALL_FUZZ_SEED` runs one alone.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod caller;
mod observed;
mod pipelines;
mod world;

use world::World;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, not a number")))
}

/// The seed is in the panic's message, so that a failure can be run again.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed: SEAWALL_FUZZ_SEED={}", self.0);
        }
    }
}

#[test]
fn the_invariants_hold() {
    if let Some(seed) = number("SEAWALL_FUZZ_SEED") {
        World::new(seed, true).run();
        return;
    }
    let seeds = number("SEAWALL_FUZZ_SEEDS").unwrap_or(2_000);
    let mut calls = 0;
    for seed in 0..seeds {
        let told = Told(seed);
        calls += World::new(seed, false).run().calls;
        drop(told);
    }
    println!("{seeds} seeds, {calls} calls");
    assert!(calls > seeds, "a fuzz in which nothing is called tests nothing");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..number("SEAWALL_FUZZ_SEEDS").unwrap_or(2_000) / 20 {
        let _told = Told(seed);
        let (first, second) = (World::new(seed, false).run(), World::new(seed, false).run());
        assert_eq!(first, second);
    }
}
