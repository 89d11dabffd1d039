//! Very many dead letters are listed, searched and grouped without reading all of them into memory.
//!
//! `SEAWALL_LETTERS=1000000 cargo test -p seawall-store --test letters_many -- --nocapture` does it with a million.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use seawall_store::letters::{
    EmbeddedLetters, FailedWork, Keys, Letter, Letters, Query, QueueConfig, Queues, Redaction,
};
use std::{env, fs, time::Instant};

/// Megabytes that the process had resident at most.
#[cfg(target_os = "linux")]
fn most_resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

fn letter(n: u64) -> Letter {
    let work = FailedWork {
        queue: format!("queue-{}", n % 3),
        operation: format!("POST /operation/{}", n % 7),
        error_class: "timeout".to_owned(),
        error: format!("no answer of shard {} after {n} ms", ["a", "b", "c"][(n % 3) as usize]),
        idempotency_key: Some(format!("key-{n}")),
        payload: vec![b'x'; 100],
        ..FailedWork::default()
    };
    Letter::new(work, 1_700_000_000_000 + n, &Redaction::default())
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let done = work();
    println!("{what}: {:.3} s", started.elapsed().as_secs_f64());
    done
}

#[test]
#[cfg(target_os = "linux")]
fn very_many_letters_stay_on_the_disk() {
    let count: u64 = env::var("SEAWALL_LETTERS").map_or(100_000, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.redb");
    let default = QueueConfig { max_letters: u64::MAX, ..QueueConfig::default() };
    let queues = Queues { default, ..Queues::default() };
    let open = || EmbeddedLetters::open(&path, queues.clone(), Keys::default()).unwrap();
    let letters = open();
    timed("put", || {
        for first in (0..count).step_by(1000) {
            letters.put((first..count.min(first + 1000)).map(letter).collect()).unwrap();
        }
    });
    drop(letters);
    let letters = timed("open", open);
    println!("file: {} MB", fs::metadata(&path).unwrap().len() >> 20);
    let all = |query: &Query| {
        let (mut found, mut after) = (0, None);
        loop {
            let page = letters.page(query, after, 1000).unwrap();
            found += page.letters.len() as u64;
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    };
    assert_eq!(timed("list all, in pages", || all(&Query::default())), count);
    let of_queue = Query { queue: Some("queue-1".to_owned()), ..Query::default() };
    assert_eq!(timed("list a queue, in pages", || all(&of_queue)), (count + 1) / 3);
    timed("first page of a queue", || letters.page(&of_queue, None, 50).unwrap());
    let rare = Query { text: Some(format!("KEY-{}", count / 2)), ..Query::default() };
    assert!(timed("search for one", || all(&rare)) >= 1);
    let groups = timed("groups", || letters.groups(&Query::default()).unwrap());
    assert_eq!(groups.groups.len(), 21, "three errors of seven operations");
    assert_eq!(groups.groups.iter().map(|group| group.letters).sum::<u64>(), count);
    let group = Query { fingerprint: Some(groups.groups[0].fingerprint), ..Query::default() };
    timed("first page of a group", || letters.page(&group, None, 50).unwrap());
    let stats = timed("stats", || letters.stats().unwrap());
    assert_eq!(stats.queues.values().map(|queue| queue.waiting).sum::<u64>(), count);
    let purged = timed("purge a queue", || letters.purge(&of_queue).unwrap());
    assert_eq!(purged, (count + 1) / 3);
    let resident = most_resident();
    println!("resident at most: {resident} MB");
    assert!(resident < 100, "{resident} MB");
}
