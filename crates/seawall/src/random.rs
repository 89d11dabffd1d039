//! Seeded random numbers: every draw of an execution comes from its own generator, so equal seeds give equal runs.

use crate::sync::{AtomicU64, Ordering};
use std::cell::Cell;

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// A random number generator: SplitMix64 (Steele, Lea, Flood: *Fast Splittable Pseudorandom Number Generators*, 2014).
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator that starts from this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Draws the next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Draws a uniform number from `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        // 53 bits fill a double's mantissa exactly.
        #[expect(clippy::cast_precision_loss)]
        let unit = (self.bits() >> 11) as f64 / (1_u64 << 53) as f64;
        unit
    }

    /// Draws a uniform number from `0..bound` (`bound` of at least 1).
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound.max(1)
    }
}

/// A seed for a real execution, different at each call and on each thread.
///
/// It costs one thread-local addition, and no atomic after a thread's first call.
pub fn fresh_seed() -> u64 {
    static THREADS: std::sync::LazyLock<AtomicU64> =
        std::sync::LazyLock::new(|| AtomicU64::new(process_seed()));
    thread_local!(static NEXT: Cell<u64> = Cell::new(
        Random::new(THREADS.fetch_add(GOLDEN, Ordering::Relaxed)).bits()
    ));
    NEXT.with(|next| {
        let seed = next.get();
        next.set(seed.wrapping_add(1));
        seed
    })
}

/// Differs from process to process: the standard library's hash seed, which the system made random.
fn process_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}
