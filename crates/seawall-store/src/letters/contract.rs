//! What every place for [`Letters`] must do, as a test of any of them. An implementation calls [`check`] with a function
//! that makes an empty one, and, if it outlives the process, [`check_opened_again`].

use super::{
    Attempt, Begun, Content, FailedWork, Header, Job, JobLease, JobStatus, Letter, LetterId,
    Letters, MAX_JOBS, Payload, Put, Query, QueueConfig, Queues, REDACTED, Redaction, Refusal,
    ReplayOrder, ReplayOutcome, Selection, State, WhenFull,
};
use crate::contract::Broken;
use std::{collections::BTreeSet, fmt, thread, time::Duration};

type Checked = Result<(), Broken>;

/// A time at which letters of the checks fail.
const NOW: u64 = 1_700_000_000_000;

/// Checks what a place for letters promises while it is open. `make` makes an empty one with these queues each time.
///
/// # Errors
/// With the first promise that it breaks.
pub fn check<L: Letters>(make: impl Fn(Queues) -> L) -> Checked {
    let fresh = || make(Queues::default());
    letters_come_back_whole(&fresh())?;
    letters_of_one_work_are_one(&fresh())?;
    lists_are_in_pages(&fresh())?;
    queries_and_groups(&fresh())?;
    replays_are_handed_out_once(&fresh())?;
    failed_replays_end_in_quarantine(&fresh())?;
    letters_go(&fresh())?;
    full_queues_refuse(&make(small(WhenFull::Reject)))?;
    full_queues_drop(&make(small(WhenFull::DropOldest)))?;
    jobs_are_bounded(&fresh())?;
    jobs_have_one_runner(&fresh())?;
    threads_do_not_meet(&fresh())
}

/// Checks that letters are there after the place was closed and opened again. `open` opens the same place each time, at
/// first an empty one.
///
/// # Errors
/// With the first promise that it breaks.
pub fn check_opened_again<L: Letters>(open: impl Fn() -> crate::store::Result<L>) -> Checked {
    let letters = told(open())?;
    let [kept, done, begun, deleted] = [0, 1, 2, 3].map(|n| letter("again", n));
    let all = vec![kept.clone(), done.clone(), begun.clone(), deleted.clone()];
    told(letters.put(all))?;
    told(letters.begin_replay(done.envelope.id))?;
    told(letters.finish_replay(done.envelope.id, &ReplayOutcome::Succeeded(attempt(1))))?;
    told(letters.begin_replay(begun.envelope.id))?;
    told(letters.delete(&[deleted.envelope.id]))?;
    let job = job()?;
    told(letters.save_job(&job))?;
    drop(letters);
    let letters = told(open())?;
    let found = told(letters.get(kept.envelope.id))?;
    same("a letter, opened again", found.map(|found| found.content), Some(kept.content))?;
    let again = told(letters.begin_replay(done.envelope.id))?;
    same("a replay that succeeded, opened again", again, Begun::NotWaiting(State::Replayed))?;
    let found = told(letters.get(begun.envelope.id))?.map(|found| found.envelope);
    let found = found.map(|found| (found.state, found.replays));
    same("a replay whose end was not noted", found, Some((State::Waiting, 1)))?;
    same("a deleted letter, opened again", told(letters.get(deleted.envelope.id))?, None)?;
    let stats = told(letters.stats())?.queues.remove("again").unwrap_or_default();
    let counted = (stats.waiting, stats.replaying, stats.replayed, stats.enqueued);
    same("the counters, opened again", counted, (2, 0, 1, 4))?;
    same("the jobs, opened again", told(letters.jobs())?, vec![job])
}

fn told<T>(done: crate::store::Result<T>) -> Result<T, Broken> {
    done.map_err(|error| error.to_string())
}

fn same<T: PartialEq + fmt::Debug>(promise: &str, found: T, expected: T) -> Checked {
    if found == expected {
        return Ok(());
    }
    Err(format!("{promise}: {found:?} in place of {expected:?}"))
}

fn work(queue: &str, n: u64) -> FailedWork {
    FailedWork {
        queue: queue.to_owned(),
        operation: if n.is_multiple_of(2) { "POST /even" } else { "POST /odd" }.to_owned(),
        error_class: "timeout".to_owned(),
        error: format!("no answer after {n} ms"),
        attempts: vec![attempt(n)],
        headers: vec![Header { name: "n".to_owned(), value: n.to_string() }],
        payload: format!("payload {n}").into_bytes(),
        ..FailedWork::default()
    }
}

/// The letter of this number, made at its millisecond.
fn letter(queue: &str, n: u64) -> Letter {
    Letter::new(work(queue, n), NOW + n, &Redaction::default())
}

fn attempt(n: u64) -> Attempt {
    Attempt { at: NOW + n, outcome: "timed out".to_owned(), duration_ms: n, ..Attempt::default() }
}

fn small(when_full: WhenFull) -> Queues {
    let default =
        QueueConfig { max_letters: 3, max_message_size: 100, when_full, ..QueueConfig::default() };
    Queues { default, ..Queues::default() }
}

fn letters_come_back_whole(letters: &impl Letters) -> Checked {
    let redaction = Redaction::new(["x-mine"]);
    let header =
        |name: &str, value: &str| Header { name: name.to_owned(), value: value.to_owned() };
    let work = FailedWork {
        tenant: Some("acme".to_owned()),
        headers: vec![
            header("Authorization", "s3cret"),
            header("x-mine", "s3cret"),
            header("a", "b"),
        ],
        payload: (0..=255).collect(),
        ..work("whole", 1)
    };
    let letter = Letter::new(work, NOW, &redaction);
    let id = letter.envelope.id;
    same("a letter that was put", told(letters.put(vec![letter.clone()]))?, vec![Put::Stored])?;
    let Some(found) = told(letters.get(id))? else { return Err("a letter is gone".to_owned()) };
    let headers =
        vec![header("Authorization", REDACTED), header("x-mine", REDACTED), header("a", "b")];
    let content = Content::Open { headers, payload: Payload((0..=255).collect()) };
    same("its content", &found.content, &content)?;
    same("its attempts", &found.attempts, &letter.attempts)?;
    let retention = QueueConfig::default().retention.as_millis() as u64;
    let mut expected = letter.envelope.clone();
    expected.expires = Some(NOW + retention);
    same("its envelope", &found.envelope, &expected)?;
    secrets_are_replaced_whoever_made_the_letter(letters)?;
    same("a letter that was put twice", told(letters.put(vec![letter]))?, vec![Put::Stored])?;
    same("it is there once", told(letters.page(&Query::default(), None, 9))?.letters.len(), 1)?;
    same("a letter that is not there", told(letters.get(LetterId::new(1)))?, None)?;
    same("nothing, put", told(letters.put(Vec::new()))?, Vec::new())
}

fn secrets_are_replaced_whoever_made_the_letter(letters: &impl Letters) -> Checked {
    let mut imported = letter("imported", 1);
    let header = |value: &str| Header { name: "Cookie".to_owned(), value: value.to_owned() };
    let content =
        |value| Content::Open { headers: vec![header(value)], payload: Payload::default() };
    imported.content = content("s3cret");
    let id = imported.envelope.id;
    told(letters.put(vec![imported]))?;
    let found = told(letters.get(id))?.map(|letter| letter.content);
    same("a secret header of an imported letter", found, Some(content(REDACTED)))?;
    same("an imported letter, deleted", told(letters.delete(&[id]))?, 1)
}

fn letters_of_one_work_are_one(letters: &impl Letters) -> Checked {
    let keyed = |queue, n| {
        let work = FailedWork { idempotency_key: Some("key".to_owned()), ..work(queue, n) };
        Letter::new(work, NOW + n, &Redaction::default())
    };
    let (first, second) = (keyed("one", 1), keyed("one", 2));
    let id = first.envelope.id;
    let put = told(letters.put(vec![first, second, keyed("another", 3)]))?;
    same("letters of one key", put, vec![Put::Stored, Put::Merged(id), Put::Stored])?;
    let found = told(letters.get(id))?;
    let found =
        found.map(|found| (found.attempts, found.envelope.deliveries, found.envelope.last_failure));
    same("the letter that they are", found, Some((vec![attempt(1), attempt(2)], 2, NOW + 2)))?;
    told(letters.begin_replay(id))?;
    told(letters.put(vec![keyed("one", 4)]))?;
    same("a letter that comes during a replay", state(letters, id)?, Some(State::Replaying))?;
    told(letters.finish_replay(id, &ReplayOutcome::Succeeded(attempt(5))))?;
    same(
        "a letter about what was done",
        told(letters.put(vec![keyed("one", 6)]))?,
        vec![Put::Merged(id)],
    )?;
    same("it stays done", state(letters, id)?, Some(State::Replayed))?;
    told(letters.delete(&[id]))?;
    same(
        "the key of a deleted letter",
        told(letters.put(vec![keyed("one", 7)]))?,
        vec![Put::Stored],
    )
}

fn state(letters: &impl Letters, id: LetterId) -> Result<Option<State>, Broken> {
    Ok(told(letters.get(id))?.map(|letter| letter.envelope.state))
}

fn lists_are_in_pages(letters: &impl Letters) -> Checked {
    let all: Vec<_> = (0..10).map(|n| letter(if n < 5 { "a" } else { "b" }, n)).collect();
    told(letters.put(all.clone()))?;
    told(letters.begin_replay(all[3].envelope.id))?;
    for (queue, expected) in [(None, 0..10), (Some("a"), 0..5), (Some("b"), 5..10)] {
        let query = Query { queue: queue.map(str::to_owned), ..Query::default() };
        let newest_first = expected.clone().rev().collect::<Vec<_>>();
        same("the pages of a list, newest first", in_pages(letters, &query)?, newest_first)?;
        let query = Query { oldest_first: true, ..query };
        let oldest_first = expected.collect::<Vec<_>>();
        same("the pages of a list, oldest first", in_pages(letters, &query)?, oldest_first)?;
    }
    let exact = told(letters.page(&Query::default(), None, 10))?;
    same("the end of a list", (exact.letters.len(), exact.next), (10, None))
}

/// The letters that a query means, page after page, by when they failed.
fn in_pages(letters: &impl Letters, query: &Query) -> Result<Vec<u64>, Broken> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = told(letters.page(query, after, 3))?;
        same("a page is no longer than asked for", page.letters.len() <= 3, true)?;
        found.extend(page.letters.iter().map(|letter| letter.first_failure - NOW));
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
}

fn queries_and_groups(letters: &impl Letters) -> Checked {
    let special = FailedWork {
        tenant: Some("Acme".to_owned()),
        error_class: "connect".to_owned(),
        error: "connection refused".to_owned(),
        ..work("q", 8)
    };
    let special = Letter::new(special, NOW + 8, &Redaction::default());
    let mut all: Vec<_> = (0..8).map(|n| letter("q", n)).collect();
    all.push(special.clone());
    told(letters.put(all.clone()))?;
    told(letters.begin_replay(all[2].envelope.id))?;
    let text = |text: &str| Some(text.to_owned());
    let any = Query::default;
    let of_group = Some(all[1].envelope.fingerprint);
    for (query, expected) in [
        (any(), vec![8, 7, 6, 5, 4, 3, 2, 1, 0]),
        (Query { from: Some(NOW + 6), ..any() }, vec![8, 7, 6]),
        (Query { until: Some(NOW + 2), ..any() }, vec![1, 0]),
        (Query { from: Some(NOW + 5), until: Some(NOW + 3), ..any() }, vec![]),
        (Query { operation: text("POST /odd"), ..any() }, vec![7, 5, 3, 1]),
        (Query { error_class: text("connect"), ..any() }, vec![8]),
        (Query { tenant: text("Acme"), ..any() }, vec![8]),
        (Query { state: Some(State::Replaying), queue: text("q"), ..any() }, vec![2]),
        (Query { state: Some(State::Replaying), ..any() }, vec![2]),
        (Query { fingerprint: of_group, ..any() }, vec![7, 5, 3, 1]),
        (Query { fingerprint: of_group, until: Some(NOW + 4), ..any() }, vec![3, 1]),
        (Query { text: text("REFUSED"), ..any() }, vec![8]),
        (Query { text: text("acme"), ..any() }, vec![8]),
        (Query { queue: text("none"), ..any() }, vec![]),
    ] {
        let page = told(letters.page(&query, None, 100))?;
        let found: Vec<_> = page.letters.iter().map(|letter| letter.first_failure - NOW).collect();
        same(&format!("the letters of {query:?}"), found, expected)?;
    }
    let groups = told(letters.groups(&any()))?;
    let found: Vec<_> = groups
        .groups
        .iter()
        .map(|group| {
            (group.letters, group.first_failure - NOW, group.last_failure - NOW, group.example.id)
        })
        .collect();
    let mut expected = vec![
        (4, 0, 6, all[6].envelope.id),
        (4, 1, 7, all[7].envelope.id),
        (1, 8, 8, special.envelope.id),
    ];
    if all[7].envelope.fingerprint < all[6].envelope.fingerprint {
        expected.swap(0, 1);
    }
    same("the groups", (found, groups.others), (expected, 0))
}

fn replays_are_handed_out_once(letters: &impl Letters) -> Checked {
    let letter = letter("replay", 0);
    let id = letter.envelope.id;
    told(letters.put(vec![letter.clone()]))?;
    let Begun::Ready(begun) = told(letters.begin_replay(id))? else {
        return Err("a waiting letter is not handed out".to_owned());
    };
    same("what is handed out", (&begun.content, begun.envelope.replays), (&letter.content, 1))?;
    let twice = told(letters.begin_replay(id))?;
    same("a letter that is being replayed", twice, Begun::NotWaiting(State::Replaying))?;
    let waiting = told(letters.finish_replay(id, &ReplayOutcome::NotSent))?;
    same("a replay that was not sent", waiting, Some(State::Waiting))?;
    same(
        "it does not count",
        told(letters.get(id))?.map(|letter| letter.envelope.replays),
        Some(0),
    )?;
    told(letters.begin_replay(id))?;
    let done = told(letters.finish_replay(id, &ReplayOutcome::Succeeded(attempt(3))))?;
    same("a replay that succeeded", done, Some(State::Replayed))?;
    let late = told(letters.finish_replay(id, &ReplayOutcome::Failed(attempt(4))))?;
    same("an end that is noted twice", late, Some(State::Replayed))?;
    let again = told(letters.begin_replay(id))?;
    same("what was replayed", again, Begun::NotWaiting(State::Replayed))?;
    let attempts = told(letters.get(id))?.map(|letter| letter.attempts).unwrap_or_default();
    let replays: Vec<_> =
        attempts.iter().map(|attempt| (attempt.at - NOW, attempt.replay)).collect();
    same("the attempts after that", replays, vec![(0, false), (3, true)])?;
    let missing = LetterId::new(NOW);
    same("a letter that is not there", told(letters.begin_replay(missing))?, Begun::Missing)?;
    let ended = told(letters.finish_replay(missing, &ReplayOutcome::NotSent))?;
    same("its end", ended, None)
}

fn failed_replays_end_in_quarantine(letters: &impl Letters) -> Checked {
    let letter = letter("poison", 0);
    let id = letter.envelope.id;
    told(letters.put(vec![letter]))?;
    let mut states = Vec::new();
    for n in 1..=3 {
        told(letters.begin_replay(id))?;
        states.extend(told(letters.finish_replay(id, &ReplayOutcome::Failed(attempt(n))))?);
    }
    let expected = vec![State::Waiting, State::Waiting, State::Quarantined];
    same("the states after failed replays", states, expected)?;
    let found = told(letters.get(id))?.map(|it| (it.envelope.last_failure, it.envelope.replays));
    same("the letter after failed replays", found, Some((NOW + 3, 3)))?;
    let none = told(letters.begin_replay(id))?;
    same("a letter in quarantine", none, Begun::NotWaiting(State::Quarantined))?;
    same("letters that are released", told(letters.release(&[id, LetterId::new(1)]))?, 1)?;
    same("released twice", told(letters.release(&[id]))?, 0)?;
    let begun = told(letters.begin_replay(id))?;
    same("a letter that was released", matches!(begun, Begun::Ready(_)), true)
}

fn letters_go(letters: &impl Letters) -> Checked {
    let all: Vec<_> = (0..10).map(|n| letter("go", n)).collect();
    told(letters.put(all.clone()))?;
    let ids: Vec<_> = all.iter().map(|letter| letter.envelope.id).collect();
    same("letters that are deleted", told(letters.delete(&ids[..2]))?, 2)?;
    same("letters that are deleted twice", told(letters.delete(&ids[..3]))?, 1)?;
    let odd = Query { operation: Some("POST /odd".to_owned()), ..Query::default() };
    same("letters that are purged", told(letters.purge(&odd))?, 4)?;
    told(letters.begin_replay(ids[4]))?;
    let retention = Duration::from_secs(7 * 24 * 60 * 60).as_millis() as u64;
    same("before their time is over", told(letters.expire(NOW + 3 + retention))?, 0)?;
    same("letters whose time is over", told(letters.expire(NOW + 6 + retention))?, 1)?;
    same("one that is being replayed stays", state(letters, ids[4])?, Some(State::Replaying))?;
    let stats = told(letters.stats())?.queues.remove("go").unwrap_or_default();
    let counted = (stats.letters(), stats.enqueued, stats.expired, stats.oldest);
    same("the counters", counted, (2, 10, 1, Some(NOW + 8)))?;
    same("all the others", told(letters.purge(&Query::default()))?, 2)?;
    let stats = told(letters.stats())?.queues.remove("go").unwrap_or_default();
    same("an empty queue", (stats.letters(), stats.bytes, stats.oldest), (0, 0, None))
}

fn full_queues_refuse(letters: &impl Letters) -> Checked {
    let put = told(letters.put((0..4).map(|n| letter("full", n)).collect()))?;
    let full = Put::Refused(Refusal::Full);
    same("letters for a full queue", &put[2..], &[Put::Stored, full.clone()])?;
    same("another queue", told(letters.put(vec![letter("else", 0)]))?, vec![Put::Stored])?;
    let long = Letter::new(
        FailedWork { payload: vec![b'x'; 101], ..work("else", 1) },
        NOW,
        &Redaction::default(),
    );
    same("a long payload", told(letters.put(vec![long]))?, vec![Put::Refused(Refusal::TooLarge)])?;
    let nameless = told(letters.put(vec![letter("", 1)]))?;
    same("no queue", matches!(nameless[0], Put::Refused(Refusal::Invalid(_))), true)?;
    let oldest = told(letters.page(&Query::default(), None, 9))?.letters;
    let done = oldest.iter().find(|letter| letter.first_failure == NOW + 1);
    let Some(done) = done.map(|letter| letter.id) else {
        return Err("a letter is gone".to_owned());
    };
    told(letters.begin_replay(done))?;
    told(letters.finish_replay(done, &ReplayOutcome::Succeeded(attempt(1))))?;
    same(
        "what was replayed gives way",
        told(letters.put(vec![letter("full", 5)]))?,
        vec![Put::Stored],
    )?;
    same("and only that", told(letters.put(vec![letter("full", 6)]))?, vec![full])?;
    let stats = told(letters.stats())?.queues.remove("full").unwrap_or_default();
    same("what did not fit", (stats.letters(), stats.refused, stats.dropped), (3, 2, 1))?;
    letters.configure(Queues::default());
    same("a larger queue", told(letters.put(vec![letter("full", 7)]))?, vec![Put::Stored])
}

fn full_queues_drop(letters: &impl Letters) -> Checked {
    let first = letter("full", 0);
    told(letters.put(vec![first.clone()]))?;
    told(letters.begin_replay(first.envelope.id))?;
    let put = told(letters.put((1..6).map(|n| letter("full", n)).collect()))?;
    same("letters for a full queue", put, vec![Put::Stored; 5])?;
    let found = told(letters.page(&Query::default(), None, 9))?.letters;
    let found: Vec<_> = found.iter().map(|letter| letter.first_failure - NOW).collect();
    same("the oldest give way, but not to a replay's cost", found, vec![5, 4, 0])?;
    let stats = told(letters.stats())?.queues.remove("full").unwrap_or_default();
    same("what was dropped", (stats.letters(), stats.dropped), (3, 3))
}

fn job() -> Result<Job, Broken> {
    let selection = Selection::Query(Query::default());
    Job::new(ReplayOrder { selection, rate: 1.0, concurrency: 1, dry_run: false }, NOW)
}

fn jobs_are_bounded(letters: &impl Letters) -> Checked {
    let mut jobs = (0..=MAX_JOBS).map(|_| job()).collect::<Result<Vec<_>, _>>()?;
    jobs.sort_unstable_by_key(|job| job.id);
    for job in &jobs {
        told(letters.save_job(job))?;
    }
    jobs.remove(0);
    same("the latest jobs", told(letters.jobs())?, jobs.clone())?;
    jobs[5].progress.found = 5;
    told(letters.save_job(&jobs[5]))?;
    same("a job that goes on", told(letters.jobs())?, jobs)
}

fn jobs_have_one_runner(letters: &impl Letters) -> Checked {
    let id = job()?.id;
    for promise in ["a job that nobody runs", "a job that this opening runs"] {
        same(promise, told(letters.lease_job(id))?, JobLease::Held(None))?;
    }
    told(letters.ask_of_job(id, JobStatus::Paused))?;
    let asked = letters.is_shared().then_some(JobStatus::Paused);
    same("what is asked of a job", told(letters.lease_job(id))?, JobLease::Held(asked))?;
    same("and that is told once", told(letters.lease_job(id))?, JobLease::Held(None))
}

/// How many threads put at once, and how many letters each.
const THREADS: u64 = 8;
const LETTERS: u64 = 25;

fn threads_do_not_meet(letters: &impl Letters) -> Checked {
    let put = |thread| {
        (0..LETTERS).all(|n| {
            let put = letters.put(vec![letter("threads", thread * LETTERS + n)]);
            matches!(put.as_deref(), Ok([Put::Stored]))
        })
    };
    let all = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || put(thread))).collect();
        threads.into_iter().all(|thread| thread.join().unwrap_or(false))
    });
    same("letters of many threads", all, true)?;
    let count = usize::try_from(THREADS * LETTERS).unwrap_or(usize::MAX);
    let found = told(letters.page(&Query::default(), None, count + 1))?.letters;
    let ids: BTreeSet<_> = found.iter().map(|letter| letter.id).collect();
    same("all of them are there", ids.len(), count)?;
    let begin = || {
        let begun =
            ids.iter().filter(|id| matches!(letters.begin_replay(**id), Ok(Begun::Ready(_))));
        begun.count()
    };
    let begun: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(begin)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
    });
    same("replays that many threads begin", begun, count)
}
