//! A window of the last calls: a ring of slots, and their running sums in one word.

use super::{NOBODY, Sample, Tally, is_newer};
use crate::sync::{AtomicU16, AtomicU64, Ordering, update};

/// A slot is `generation << 2 | slow << 1 | failure`; of another generation it is empty.
#[derive(Debug)]
pub(super) struct CountRing {
    slots: Box<[AtomicU16]>,
    /// `generation << 48 | calls begun`, each call taking the next slot.
    cursor: AtomicU64,
    /// `generation << 48 | calls << 32 | failures << 16 | slow`, each the sum over the slots.
    sums: AtomicU64,
}

const PLACES: u64 = (1 << 48) - 1;

impl CountRing {
    pub(super) fn new(calls: u32) -> Self {
        let empty = || AtomicU16::new(NOBODY << 2);
        Self {
            slots: (0..calls.clamp(1, 10_000)).map(|_| empty()).collect(),
            cursor: AtomicU64::new(u64::from(NOBODY) << 48),
            sums: AtomicU64::new(u64::from(NOBODY) << 48),
        }
    }

    pub(super) fn len(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Takes the next slot for `sample`; `None` when a newer generation has begun.
    #[inline]
    pub(super) fn record(&self, generation: u16, sample: Sample) -> Option<()> {
        let place = self.next_place(generation)?;
        let slot = &self.slots[(place % self.slots.len() as u64) as usize];
        let new = generation << 2 | u16::from(sample.slow) << 1 | u16::from(sample.failure);
        // In a healthy window a good call replaces a good call: then nothing is written.
        let mut old = slot.load(Ordering::Relaxed);
        if old != new {
            old = slot.swap(new, Ordering::AcqRel);
        }
        self.add(generation, Change::between(old, new, generation))
    }

    pub(super) fn tally(&self, generation: u16) -> Tally {
        let sums = self.sums.load(Ordering::Acquire);
        if (sums >> 48) as u16 != generation {
            return Tally::default();
        }
        // A sum can be below zero for a moment, while a slower thread has yet to add what a faster one
        // took away.
        let field = |shift: u32| u32::try_from((sums >> shift) as u16 as i16).unwrap_or(0);
        Tally { calls: field(32), failures: field(16), slow: field(0) }
    }

    #[inline]
    fn next_place(&self, generation: u16) -> Option<u64> {
        update(&self.cursor, |cursor| {
            let current = (cursor >> 48) as u16;
            if current == generation {
                let place = cursor & PLACES;
                // At the end of the count it begins from the start, and does not run over into the generation.
                let next = if place == PLACES { cursor - PLACES } else { cursor + 1 };
                return (next, Some(place));
            }
            if current != NOBODY && is_newer(current, generation) {
                return (cursor, None);
            }
            (u64::from(generation) << 48 | 1, Some(0))
        })
    }

    #[inline]
    fn add(&self, generation: u16, change: Change) -> Option<()> {
        update(&self.sums, |sums| {
            let current = (sums >> 48) as u16;
            if current == generation {
                return (change.apply(sums), Some(()));
            }
            if current != NOBODY && is_newer(current, generation) {
                return (sums, None);
            }
            (change.apply(u64::from(generation) << 48), Some(()))
        })
    }
}

/// The change that replacing one slot makes to the sums.
#[derive(Clone, Copy)]
struct Change {
    calls: i16,
    failures: i16,
    slow: i16,
}

impl Change {
    #[inline]
    fn between(old: u16, new: u16, generation: u16) -> Self {
        let old = if old >> 2 == generation { Some(old) } else { None };
        let bit = |slot: u16, at: u16| (slot >> at & 1) as i16;
        Self {
            calls: i16::from(old.is_none()),
            failures: bit(new, 0) - old.map_or(0, |old| bit(old, 0)),
            slow: bit(new, 1) - old.map_or(0, |old| bit(old, 1)),
        }
    }

    #[inline]
    fn apply(self, sums: u64) -> u64 {
        let field = |shift: u32, by: i16| {
            u64::from(((sums >> shift) as u16).wrapping_add_signed(by)) << shift
        };
        sums >> 48 << 48 | field(32, self.calls) | field(16, self.failures) | field(0, self.slow)
    }
}
