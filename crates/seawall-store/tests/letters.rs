//! Every place for letters of this crate keeps the contract.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use seawall_store::letters::{
    Attempt, Content, EmbeddedLetters, FailedWork, Fingerprint, InMemoryLetters, Keys, Letter,
    LetterId, Letters, Query, QueueConfig, Queues, Redaction, ReplayOutcome, State, WhenFull,
    contract,
};
use std::{cell::Cell, fmt};

#[test]
fn in_memory() {
    assert_eq!(contract::check(InMemoryLetters::new), Ok(()));
}

#[test]
fn embedded() {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::parse("one:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
    for keys in [Keys::default(), keys] {
        let number = Cell::new(0);
        let open = |name: &str, queues: Queues| {
            EmbeddedLetters::open(&folder.path().join(name), queues, keys.clone())
        };
        let name = if keys.is_empty() { "open" } else { "sealed" };
        let make = |queues: Queues| {
            number.set(number.get() + 1);
            open(&format!("{name}-{}.redb", number.get()), queues).unwrap()
        };
        assert_eq!(contract::check(make), Ok(()));
        let again = || open(&format!("deep/er/{name}.redb"), Queues::default());
        assert_eq!(contract::check_opened_again(again), Ok(()));
    }
}

#[test]
fn a_place_that_forgets_is_found_out() {
    let forgetful = || Ok(InMemoryLetters::default());
    let broken = contract::check_opened_again(forgetful).unwrap_err();
    assert!(broken.starts_with("a letter, opened again"), "{broken}");
}

/// Numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn letter(numbers: &mut Numbers, now: u64) -> Letter {
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

#[test]
fn what_is_in_memory_and_what_is_in_a_file_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..8 {
        let mut numbers = Numbers(seed);
        let when_full = if seed % 2 == 0 { WhenFull::Reject } else { WhenFull::DropOldest };
        let retention = std::time::Duration::from_millis(100);
        let default =
            QueueConfig { max_letters: 12, when_full, retention, ..QueueConfig::default() };
        let queues = Queues { default, ..Queues::default() };
        let path = folder.path().join(format!("{seed}.redb"));
        let memory = InMemoryLetters::new(queues.clone());
        let file = EmbeddedLetters::open(&path, queues, Keys::default()).unwrap();
        let mut ids = Vec::new();
        for now in 1000..1250 {
            step(&mut numbers, now, &mut ids, [&memory, &file]);
        }
        assert!(ids.len() > 50);
    }
}

#[test]
fn letters_come_back_from_json_and_show_no_secret() {
    let mut numbers = Numbers(1);
    for payload in [b"text".to_vec(), vec![0xff, 0xfe]] {
        let mut letter = letter(&mut numbers, 1_700_000_000_123);
        letter.content = Content::Open {
            headers: vec![seawall_store::letters::Header {
                name: "n".to_owned(),
                value: "s3cret".to_owned(),
            }],
            payload: seawall_store::letters::Payload(payload.clone()),
        };
        let json = serde_json::to_value(&letter).unwrap();
        assert_eq!(json["first_failure"], "2023-11-14T22:13:20.123Z");
        assert_eq!(json["state"], "waiting");
        let expected = match std::str::from_utf8(&payload) {
            Ok(text) => serde_json::json!({ "text": text }),
            Err(_) => serde_json::json!({ "base64": "//4=" }),
        };
        assert_eq!(json["content"]["open"]["payload"], expected);
        let schema = schemars::schema_for!(Letter).to_value();
        for name in json.as_object().unwrap().keys() {
            assert!(schema["properties"].get(name).is_some(), "{name} in {schema}");
        }
        assert_eq!(serde_json::from_value::<Letter>(json).unwrap(), letter);
        let debug = format!("{letter:?}");
        assert!(!debug.contains("s3cret") && !debug.contains("\"text"), "{debug}");
    }
}
