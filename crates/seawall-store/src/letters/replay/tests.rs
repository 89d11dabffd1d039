//! Replays in virtual time, against letters in memory.

use super::*;
use crate::letters::{
    Attempt, Begun, FailedWork, InMemoryLetters, Letter, Letters, Progress, Queues, Redaction,
    ReplayOrder, State,
};
use std::collections::BTreeMap;

const MS: Duration = Duration::from_millis(1);

/// A driver in virtual time: each replay takes `takes`, and ends as `outcome` says.
struct World {
    letters: InMemoryLetters,
    now: Duration,
    takes: Duration,
    /// How late its timers are.
    late: Duration,
    succeeds: fn(u64) -> bool,
    sent: Vec<(Duration, LetterId)>,
    ends: BTreeMap<(Duration, LetterId), ReplayOutcome>,
    most_at_once: usize,
}

impl World {
    fn with(count: u64) -> (Self, Vec<LetterId>) {
        let letters = InMemoryLetters::new(Queues::default());
        let all: Vec<_> = (0..count)
            .map(|n| {
                let work = FailedWork { queue: "q".to_owned(), ..FailedWork::default() };
                Letter::new(work, 1000 + n, &Redaction::default())
            })
            .collect();
        let ids = all.iter().map(|letter| letter.envelope.id).collect();
        letters.put(all).unwrap();
        let world = Self {
            letters,
            now: Duration::ZERO,
            takes: MS,
            late: Duration::ZERO,
            succeeds: |_| true,
            sent: Vec::new(),
            ends: BTreeMap::new(),
            most_at_once: 0,
        };
        (world, ids)
    }

    /// Runs until the end, or until nothing happens any more, or until this time.
    fn run(&mut self, replay: &mut Replay, until: Duration) -> bool {
        loop {
            self.end_replays(replay);
            match replay.poll(self.now) {
                Action::Fetch { query, after, most } => {
                    replay.fetched(&self.letters.page(&query, after, most).unwrap());
                }
                Action::Send(id) => self.send(replay, id),
                Action::WaitUntil(at) => {
                    assert!(at > self.now, "a wait for what is over");
                    let end = self.ends.keys().next().map_or(Duration::MAX, |(end, _)| *end);
                    self.now = (at + self.late).min(end);
                }
                Action::Wait => match self.ends.keys().next() {
                    Some((end, _)) => self.now = *end,
                    None => return false,
                },
                Action::End => return true,
            }
            if self.now >= until {
                return false;
            }
        }
    }

    fn send(&mut self, replay: &mut Replay, id: LetterId) {
        let Begun::Ready(letter) = self.letters.begin_replay(id).unwrap() else {
            return replay.skipped(id);
        };
        self.sent.push((self.now, id));
        let attempt = Attempt::default();
        let outcome = if (self.succeeds)(letter.envelope.first_failure) {
            ReplayOutcome::Succeeded(attempt)
        } else {
            ReplayOutcome::Failed(attempt)
        };
        self.ends.insert((self.now + self.takes, id), outcome);
        self.most_at_once = self.most_at_once.max(self.ends.len());
    }

    fn end_replays(&mut self, replay: &mut Replay) {
        while let Some(entry) = self.ends.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let ((_, id), outcome) = entry.remove_entry();
            self.letters.finish_replay(id, &outcome).unwrap();
            replay.finished(id, &outcome);
        }
    }

    fn order(selection: Selection, rate: f64, concurrency: usize) -> ReplayOrder {
        ReplayOrder { selection, rate, concurrency, dry_run: false }
    }

    fn all(rate: f64, concurrency: usize) -> Job {
        Job::new(Self::order(Selection::Query(Query::default()), rate, concurrency), 1_000_000)
            .unwrap()
    }
}

#[test]
fn the_rate_holds_within_two_percent() {
    for rate in [0.5, 3.0, 10.0, 333.0, 1000.0, 4321.0] {
        for late in [Duration::ZERO, Duration::from_micros(900), 20 * MS] {
            let count = 500;
            let (mut world, _) = World::with(count);
            world.late = late;
            let mut replay = Replay::new(World::all(rate, 500));
            assert!(world.run(&mut replay, Duration::MAX));
            let took = world.sent.last().unwrap().0 - world.sent[0].0;
            let measured = (count - 1) as f64 / took.as_secs_f64();
            assert!((measured / rate - 1.0).abs() < 0.02, "{rate} with {late:?}: {measured}");
            let progress = replay.job().progress;
            assert_eq!((progress.found, progress.succeeded, progress.failed), (count, count, 0));
        }
    }
}

#[test]
fn every_letter_is_sent_once_and_oldest_first() {
    let (mut world, ids) = World::with(350);
    world.takes = 70 * MS;
    let mut replay = Replay::new(World::all(1000.0, 7));
    assert!(world.run(&mut replay, Duration::MAX));
    assert_eq!(world.sent.iter().map(|(_, id)| *id).collect::<Vec<_>>(), ids);
    assert_eq!(world.most_at_once, 7, "the bound of concurrency is used and kept");
    assert_eq!(replay.job().status, JobStatus::Done);
}

#[test]
fn what_fails_is_not_sent_again_by_the_same_job() {
    let (mut world, ids) = World::with(20);
    world.succeeds = |first_failure| first_failure % 2 == 0;
    for round in 1..=4 {
        let mut replay = Replay::new(World::all(100.0, 2));
        assert!(world.run(&mut replay, Duration::MAX));
        let progress = replay.job().progress;
        let expected = match round {
            1 => (10, 10),
            2 | 3 => (0, 10),
            _ => (0, 0),
        };
        assert_eq!((progress.succeeded, progress.failed), expected, "round {round}");
    }
    let state = |n: usize| world.letters.get(ids[n]).unwrap().unwrap().envelope.state;
    assert_eq!((state(0), state(1)), (State::Replayed, State::Quarantined));
}

#[test]
fn listed_letters_are_sent_once_and_those_that_do_not_wait_are_skipped() {
    let (mut world, ids) = World::with(5);
    world.letters.delete(&ids[4..]).unwrap();
    let listed = vec![ids[3], ids[1], ids[3], ids[4]];
    let job = Job::new(World::order(Selection::Ids(listed), 10.0, 1), 5).unwrap();
    let mut replay = Replay::new(job);
    assert!(world.run(&mut replay, Duration::MAX));
    assert_eq!(world.sent.iter().map(|(_, id)| *id).collect::<Vec<_>>(), [ids[1], ids[3]]);
    let progress = replay.job().progress;
    assert_eq!((progress.found, progress.succeeded, progress.skipped), (3, 2, 1));
}

#[test]
fn a_dry_run_counts_and_sends_nothing() {
    let (mut world, ids) = World::with(250);
    for selection in [Selection::Query(Query::default()), Selection::Ids(ids)] {
        let order = ReplayOrder { dry_run: true, ..World::order(selection, 10.0, 1) };
        let mut replay = Replay::new(Job::new(order, 1_000_000).unwrap());
        assert!(world.run(&mut replay, Duration::MAX));
        assert_eq!(replay.job().progress, Progress { found: 250, ..Progress::default() });
    }
    assert_eq!(world.sent, []);
}

#[test]
fn a_pause_and_an_open_breaker_hold_it_up_without_a_burst_after() {
    type Switch = fn(&mut Replay, bool);
    let pause: Switch = |replay, on| if on { replay.pause() } else { replay.resume() };
    let breaker: Switch = Replay::set_breaker_open;
    for switch in [pause, breaker] {
        let (mut world, _) = World::with(100);
        let mut replay = Replay::new(World::all(10.0, 10));
        assert!(!world.run(&mut replay, 2000 * MS));
        switch(&mut replay, true);
        let before = world.sent.len();
        assert!(!world.run(&mut replay, Duration::MAX), "it waits");
        assert_eq!(world.sent.len(), before);
        world.now += 3600 * 1000 * MS;
        let resumed = world.now;
        switch(&mut replay, false);
        assert!(world.run(&mut replay, Duration::MAX));
        assert_eq!(world.sent.len(), 100);
        let first_second = world.sent[before..].iter().filter(|(at, _)| *at < resumed + 1000 * MS);
        assert_eq!(first_second.count(), 10);
    }
}

#[test]
fn a_cancelled_job_waits_for_what_is_on_its_way() {
    let (mut world, _) = World::with(100);
    world.takes = 500 * MS;
    let mut replay = Replay::new(World::all(10.0, 10));
    assert!(!world.run(&mut replay, 950 * MS));
    replay.cancel();
    assert!(world.run(&mut replay, Duration::MAX));
    let sent = world.sent.len() as u64;
    assert_eq!(
        (replay.job().status, replay.job().progress.succeeded),
        (JobStatus::Cancelled, sent)
    );
    assert!(sent < 20, "{sent}");
    replay.resume();
    assert_eq!(replay.poll(world.now), Action::End);
}

#[test]
fn a_saved_job_goes_on_where_it_was() {
    let (mut world, ids) = World::with(300);
    let mut replay = Replay::new(World::all(100.0, 3));
    let mut restarts = 0;
    while !world.run(&mut replay, world.now + 700 * MS) {
        // What was on its way ends in the store, and nobody tells the job.
        let job = replay.job().clone();
        let text = serde_json::to_string(&job).unwrap();
        let ends = std::mem::take(&mut world.ends);
        for ((_, id), outcome) in ends {
            world.letters.finish_replay(id, &outcome).unwrap();
        }
        replay = Replay::new(serde_json::from_str(&text).unwrap());
        restarts += 1;
    }
    assert!(restarts > 3, "{restarts}");
    assert_eq!(replay.job().progress.found, 300);
    assert_eq!(world.sent.iter().map(|(_, id)| *id).collect::<Vec<_>>(), ids);
}

#[test]
fn a_page_that_cannot_be_read_is_asked_for_again() {
    let mut replay = Replay::new(World::all(1.0, 1));
    let first = replay.poll(Duration::ZERO);
    assert!(matches!(first, Action::Fetch { .. }), "{first:?}");
    assert_eq!(replay.poll(Duration::ZERO), Action::Wait);
    replay.fetch_failed();
    assert_eq!(replay.poll(Duration::ZERO), first);
}

#[test]
fn orders_have_bounds() {
    let query = || Selection::Query(Query::default());
    let ids = Selection::Ids((0..=10_000).map(LetterId::new).collect());
    for (selection, rate, concurrency, word) in [
        (query(), 0.0, 1, "rate"),
        (query(), f64::NAN, 1, "rate"),
        (query(), 1e9, 1, "rate"),
        (query(), 1.0, 0, "concurrency"),
        (query(), 1.0, 1001, "concurrency"),
        (ids, 1.0, 1, "letters"),
    ] {
        let message = Job::new(World::order(selection, rate, concurrency), 0).unwrap_err();
        assert!(message.contains(word), "{message}");
    }
}
