//! The only place that names an atomic or a mutex: under `--cfg loom` those of the model checker take over.

#[cfg(not(loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering},
};

#[cfg(loom)]
use loom::hint::spin_loop;
#[cfg(not(loom))]
use std::hint::spin_loop;

#[cfg(loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering},
};

/// Locks, also when another thread panicked while it held the lock: every critical section of ours
/// leaves its data consistent at each step, so poisoning would only spread the damage.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Applies a pure transition to one atomic word until it sticks; returns the answer of the transition.
///
/// A transition that leaves the word as it is costs one load and writes nothing.
#[inline]
pub(crate) fn update<T>(word: &AtomicU64, mut transition: impl FnMut(u64) -> (u64, T)) -> T {
    let mut old = word.load(Ordering::Acquire);
    loop {
        let (new, answer) = transition(old);
        if new == old {
            return answer;
        }
        match word.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return answer,
            Err(current) => {
                // The winner needs the cache line for one moment more; trying again at once would only delay it.
                spin_loop();
                old = current;
            }
        }
    }
}
