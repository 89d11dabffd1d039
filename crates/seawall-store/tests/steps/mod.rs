//! Random things done to two places for letters, which must not differ.

use seawall_store::letters::{
    Attempt, FailedWork, Fingerprint, Letter, LetterId, Letters, Query, Redaction, ReplayOutcome,
    State,
};
use std::fmt;

/// Does so many random things to both places.
pub(crate) fn compare(seed: u64, steps: u64, places: [&dyn Letters; 2]) {
    let (mut numbers, mut ids) = (Numbers(seed), Vec::new());
    for now in 1000..1000 + steps {
        step(&mut numbers, now, &mut ids, places);
    }
    assert!(ids.len() as u64 > steps / 5);
}

/// Numbers that are the same in each run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

pub(crate) fn letter(numbers: &mut Numbers, now: u64) -> Letter {
    let key = numbers.below(12);
    let work = FailedWork {
        queue: format!("queue {}", numbers.below(3)),
        operation: format!("operation {}", numbers.below(3)),
        tenant: (numbers.below(2) == 0).then(|| "acme".to_owned()),
        idempotency_key: (key < 6).then(|| key.to_string()),
        error_class: "timeout".to_owned(),
        error: format!("no answer after {now} ms"),
        attempts: vec![Attempt { at: now, ..Attempt::default() }],
        payload: vec![b'x'; 1 + numbers.below(60) as usize],
        ..FailedWork::default()
    };
    Letter::new(work, now, &Redaction::default())
}

fn query(numbers: &mut Numbers, now: u64) -> Query {
    let states = [State::Waiting, State::Replaying, State::Replayed, State::Quarantined];
    let mut maybe = |one_in| numbers.below(one_in) == 0;
    let (queue, state, group, from) = (maybe(2), maybe(3), maybe(3), maybe(4));
    let (until, tenant, oldest_first) = (maybe(4), maybe(4), maybe(2));
    Query {
        queue: queue.then(|| format!("queue {}", numbers.below(3))),
        state: state.then(|| states[numbers.below(4) as usize]),
        fingerprint: group.then(|| {
            let operation = format!("operation {}", numbers.below(3));
            Fingerprint::of("timeout", &operation, "no answer after 1 ms")
        }),
        from: from.then(|| numbers.below(now)),
        until: until.then(|| numbers.below(now)),
        tenant: tenant.then(|| "acme".to_owned()),
        oldest_first,
        ..Query::default()
    }
}

/// Does a random thing, and returns what came of it.
fn step(numbers: &mut Numbers, now: u64, ids: &mut Vec<LetterId>, all: [&dyn Letters; 2]) {
    fn same<T: PartialEq + fmt::Debug>(all: [&dyn Letters; 2], work: impl Fn(&dyn Letters) -> T) {
        assert_eq!(work(all[0]), work(all[1]));
    }
    let id = match ids.len() as u64 {
        0 => LetterId::new(1),
        count => ids[numbers.below(count) as usize],
    };
    match numbers.below(12) {
        0..4 => {
            let letters: Vec<_> = (0..numbers.below(4)).map(|_| letter(numbers, now)).collect();
            ids.extend(letters.iter().map(|letter| letter.envelope.id));
            same(all, |it| it.put(letters.clone()).unwrap());
        }
        4 => same(all, |it| it.begin_replay(id).unwrap()),
        5 | 6 => {
            let attempt = Attempt { at: now, ..Attempt::default() };
            let ends = [
                ReplayOutcome::Succeeded(attempt.clone()),
                ReplayOutcome::Failed(attempt),
                ReplayOutcome::NotSent,
            ];
            let end = &ends[numbers.below(3) as usize];
            same(all, |it| it.begin_replay(id).unwrap());
            same(all, |it| it.finish_replay(id, end).unwrap());
        }
        7 => same(all, |it| it.delete(&[id, id]).unwrap()),
        8 => same(all, |it| it.release(&[id]).unwrap()),
        9 if numbers.below(10) == 0 => {
            let query = query(numbers, now);
            same(all, |it| it.purge(&query).unwrap());
        }
        10 => same(all, |it| it.expire(now).unwrap()),
        _ => {
            let query = query(numbers, now);
            let most = numbers.below(8) as usize;
            same(all, |it| it.page(&query, None, most).unwrap());
            same(all, |it| it.page(&query, Some(id), 3).unwrap());
            same(all, |it| it.groups(&query).unwrap());
        }
    }
    same(all, |it| it.get(id).unwrap());
    same(all, |it| {
        let mut stats = it.stats().unwrap();
        // As they are stored, the letters of the two have other sizes.
        stats.queues.values_mut().for_each(|queue| queue.bytes = u64::from(queue.bytes > 0));
        stats
    });
}
