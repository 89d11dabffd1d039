//! Dead letters in a real Redis.

use crate::{
    kit::{Cluster, Sentinels, Server, connect, wait_until},
    steps,
};
use seawall_store::{
    letters::{
        Begun, Content, FailedWork, InMemoryLetters, JobLease, Keys, Letter, LetterId, Letters,
        Put, Query, QueueConfig, Queues, Redaction, Refusal, State, WhenFull, contract,
    },
    redis::{Redis, RedisAddress, RedisLetters, RedisLettersConfig},
};
use std::{
    collections::BTreeSet,
    env,
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Tells the process that is to be killed where Redis is.
const BEGINNER: &str = "SEAWALL_LETTERS_BEGINNER";
const LEASE: Duration = Duration::from_secs(2);

fn of(sentinels: &Sentinels) -> RedisAddress {
    RedisAddress::Sentinel { sentinels: sentinels.urls(), master: "main".into(), master_url: None }
}

/// Letters under a name of their own.
fn named(redis: &Redis, name: &str, queues: Queues, keys: &Keys) -> RedisLetters {
    let config = RedisLettersConfig { key_prefix: name.into(), ..RedisLettersConfig::default() };
    RedisLetters::open(redis, config, queues, keys.clone()).unwrap()
}

fn key() -> Keys {
    Keys::parse("one:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap()
}

/// Checks the contract, with and without encryption.
async fn check(redis: Redis) {
    let checked = tokio::task::spawn_blocking(move || {
        for (kind, keys) in [("open", Keys::default()), ("sealed", key())] {
            let number = AtomicU32::new(0);
            let make = |queues| {
                let number = number.fetch_add(1, Ordering::Relaxed);
                named(&redis, &format!("{kind}-{number}"), queues, &keys)
            };
            assert_eq!(contract::check(make), Ok(()));
            let again = || Ok(named(&redis, &format!("{kind}-again"), Queues::default(), &keys));
            assert_eq!(contract::check_opened_again(again), Ok(()));
        }
    });
    checked.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_keeps_the_contract() {
    let server = Server::start();
    check(connect(RedisAddress::Standalone(server.url()))).await;
    assert!(
        server.run(&["keys", "*"]).lines().all(|key| key.starts_with("test:{")),
        "of one prefix"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_the_contract() {
    let cluster = Cluster::start();
    check(connect(RedisAddress::Cluster(cluster.urls()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_of_sentinels_keeps_the_contract() {
    let sentinels = Sentinels::start();
    check(connect(of(&sentinels))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_and_memory_are_the_same() {
    let server = Server::start();
    let redis = connect(RedisAddress::Standalone(server.url()));
    let compared = tokio::task::spawn_blocking(move || {
        for seed in 0..6 {
            let when_full = if seed % 2 == 0 { WhenFull::Reject } else { WhenFull::DropOldest };
            let retention = Duration::from_millis(100);
            let default =
                QueueConfig { max_letters: 12, when_full, retention, ..QueueConfig::default() };
            let queues = Queues { default, ..Queues::default() };
            let memory = InMemoryLetters::new(queues.clone());
            let shared = named(&redis, &format!("seed-{seed}"), queues, &Keys::default());
            steps::compare(seed, 250, [&memory, &shared]);
        }
    });
    compared.await.unwrap();
}

fn letter(now: u64) -> Letter {
    let work = FailedWork {
        queue: "q".into(),
        operation: "POST /orders".into(),
        payload: vec![b'x'; 100],
        ..FailedWork::default()
    };
    Letter::new(work, now, &Redaction::default())
}

fn open(redis: &Redis, config: RedisLettersConfig) -> RedisLetters {
    RedisLetters::open(redis, config, Queues::default(), Keys::default()).unwrap()
}

/// Runs a test's work on a thread that may wait.
async fn blocking(work: impl FnOnce() + Send + 'static) {
    tokio::task::spawn_blocking(work).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_server_is_an_error_in_time_and_passes() {
    let mut server = Server::start();
    let redis = connect(RedisAddress::Standalone(server.url()));
    blocking(move || {
        let config =
            RedisLettersConfig { timeout: Duration::from_millis(500), ..Default::default() };
        let letters = open(&redis, config);
        wait_until("Redis is found", || letters.put(vec![letter(1)]).is_ok());
        type Step = fn(&mut Server);
        let losses: [(Step, Step); 2] =
            [(|it| it.freeze(), |it| it.thaw()), (|it| it.kill(), |it| it.restart())];
        for (lose, find) in losses {
            lose(&mut server);
            for _ in 0..3 {
                let began = Instant::now();
                let error = letters.put(vec![letter(2)]).unwrap_err().to_string();
                assert!(
                    error.starts_with("Redis (standalone)") && error.contains("Redis "),
                    "{error}"
                );
                // Three times the longest wait: for a connection, for an answer, and what a busy machine adds.
                assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
                assert!(letters.get(LetterId::new(1)).is_err());
            }
            find(&mut server);
            wait_until("letters are kept again", || letters.put(vec![letter(3)]).is_ok());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_memory_takes_no_letters_and_does_all_else() {
    let server = Server::start();
    let redis = connect(RedisAddress::Standalone(server.url()));
    blocking(move || {
        let letters = open(&redis, RedisLettersConfig::default());
        let all: Vec<_> = (0..3).map(letter).collect();
        let ids: Vec<_> = all.iter().map(|letter| letter.envelope.id).collect();
        wait_until("Redis is found", || letters.put(all.clone()).is_ok());
        server.run(&["config", "set", "maxmemory", "1"]);
        let error = letters.put(vec![letter(5)]).unwrap_err().to_string();
        assert!(error.contains("no memory left"), "{error}");
        assert!(letters.get(ids[0]).unwrap().is_some());
        assert!(matches!(letters.begin_replay(ids[0]).unwrap(), Begun::Ready(_)));
        assert_eq!(letters.delete(&ids[1..2]).unwrap(), 1);
        let queue = letters.stats().unwrap().queues.remove("q").unwrap();
        assert_eq!((queue.letters(), queue.replaying, queue.enqueued), (2, 1, 3));
        server.run(&["config", "set", "maxmemory", "0"]);
        assert_eq!(letters.put(vec![letter(6)]).unwrap(), [Put::Stored]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_share_bounds_and_letters_of_one_work() {
    let server = Server::start();
    let redis = connect(RedisAddress::Standalone(server.url()));
    blocking(move || {
        let default = QueueConfig { max_letters: 50, ..QueueConfig::default() };
        let queues = Queues { default, ..Queues::default() };
        let two = [0, 1].map(|_| named(&redis, "shared", queues.clone(), &Keys::default()));
        wait_until("Redis is found", || two.iter().all(|letters| letters.stats().is_ok()));
        let of_one_work = |now| {
            let mut letter = letter(now);
            (letter.envelope.queue, letter.envelope.idempotency_key) =
                ("one".into(), Some("k".into()));
            letter
        };
        let (stored, refused) = (AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            for n in 0..8 {
                let (letters, stored, refused) = (&two[n % 2], &stored, &refused);
                scope.spawn(move || {
                    for now in 0..10 {
                        let put = letters.put(vec![letter(now), of_one_work(now)]).unwrap();
                        match &put[0] {
                            Put::Stored => stored.fetch_add(1, Ordering::Relaxed),
                            Put::Refused(Refusal::Full) => refused.fetch_add(1, Ordering::Relaxed),
                            other => panic!("{other:?}"),
                        };
                    }
                });
            }
        });
        assert_eq!((stored.into_inner(), refused.into_inner()), (50, 30));
        let stats = two[0].stats().unwrap().queues;
        assert_eq!((stats["q"].letters(), stats["q"].refused), (50, 30));
        assert_eq!((stats["one"].letters(), stats["one"].merged), (1, 79));
        let query = Query { queue: Some("one".into()), ..Query::default() };
        assert_eq!(two[1].page(&query, None, 9).unwrap().letters[0].deliveries, 80);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_encrypted_again_while_they_are_used() {
    let server = Server::start();
    let redis = connect(RedisAddress::Standalone(server.url()));
    blocking(move || {
        let letters = named(&redis, "again", Queues::default(), &Keys::default());
        let all: Vec<_> = (0..50).map(letter).collect();
        wait_until("Redis is found", || letters.put(all.clone()).is_ok());
        drop(letters);
        let letters = named(&redis, "again", Queues::default(), &key());
        let (mut resealed, mut after) = (0, None);
        loop {
            let step = letters.reseal(after).unwrap();
            letters
                .begin_replay(all[usize::try_from(resealed).unwrap().min(49)].envelope.id)
                .unwrap();
            resealed += step.resealed;
            assert_eq!(step.unreadable, 0);
            after = step.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(resealed, 50);
        let content = format!("test:{{again}}:letter:{}", all[7].envelope.id);
        let record = server.run(&["hget", &content, "content"]);
        assert!(record.contains("one") && !record.contains("xxx"), "{record}");
        let found = letters.get(all[7].envelope.id).unwrap().unwrap();
        assert!(matches!(found.content, Content::Open { payload, .. } if payload.0 == [b'x'; 100]));
        let bytes = letters.stats().unwrap().queues["q"].bytes;
        let length: u64 = server.run(&["hstrlen", &content, "content"]).trim().parse().unwrap();
        assert_eq!(bytes, 50 * length, "the counters are those of the letters");
    })
    .await;
}

/// Begins replays and takes a job, and says so; then it is killed.
#[tokio::test(flavor = "multi_thread")]
async fn beginner() {
    let Ok(url) = env::var(BEGINNER) else { return };
    let redis = connect(RedisAddress::Standalone(url));
    blocking(move || {
        let letters = open(&redis, RedisLettersConfig { lease: LEASE, ..Default::default() });
        wait_until("Redis is found", || letters.stats().is_ok());
        for letter in letters.page(&Query::default(), None, 10).unwrap().letters {
            assert!(matches!(letters.begin_replay(letter.id).unwrap(), Begun::Ready(_)));
        }
        assert_eq!(letters.lease_job(LetterId::new(1)).unwrap(), JobLease::Held(None));
        letters.put(vec![letter(9)]).unwrap();
        thread::sleep(Duration::from_secs(600));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_instance_had_begun_is_ended_by_another() {
    let server = Server::start();
    let redis = connect(RedisAddress::Standalone(server.url()));
    blocking(move || {
        let letters = open(&redis, RedisLettersConfig { lease: LEASE, ..Default::default() });
        let all: Vec<_> = (0..3).map(letter).collect();
        wait_until("Redis is found", || letters.put(all.clone()).is_ok());
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["letters::beginner", "--exact"])
            .env(BEGINNER, server.url())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let queue = || letters.stats().unwrap().queues.remove("q").unwrap();
        wait_until("replays have begun", || queue().letters() == 4);
        // While it lives, nobody takes them from it.
        thread::sleep(LEASE * 2);
        let taken = queue();
        let (_, _) = (child.kill().unwrap(), child.wait().unwrap());
        assert_eq!((taken.replaying, taken.waiting), (3, 1));
        wait_until("they are ended", || queue().replaying == 0);
        for letter in &all {
            let found = letters.get(letter.envelope.id).unwrap().unwrap().envelope;
            assert_eq!((found.state, found.replays), (State::Waiting, 1));
        }
        let job = LetterId::new(1);
        assert_eq!(letters.lease_job(job).unwrap(), JobLease::Held(None), "of another job");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_leased_to_one_opening_until_that_ends() {
    let server = Server::start();
    let redis = connect(RedisAddress::Standalone(server.url()));
    blocking(move || {
        let [one, two] = [0, 1].map(|_| named(&redis, "jobs", Queues::default(), &Keys::default()));
        wait_until("Redis is found", || one.stats().is_ok() && two.stats().is_ok());
        let job = LetterId::new(7);
        assert_eq!(one.lease_job(job).unwrap(), JobLease::Held(None));
        assert_eq!(two.lease_job(job).unwrap(), JobLease::Elsewhere);
        assert_eq!(one.lease_job(job).unwrap(), JobLease::Held(None));
        drop(one);
        assert_eq!(two.lease_job(job).unwrap(), JobLease::Held(None));
    })
    .await;
}

/// Puts letters with `WAIT 1` until it fails, and returns those that were acknowledged.
fn put_until_lost(letters: &RedisLetters, kill: &mut dyn FnMut()) -> BTreeSet<LetterId> {
    let (acknowledged, lost) = (Mutex::new(BTreeSet::new()), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for now in 1.. {
                    let batch: Vec<_> = (0..5).map(|_| letter(now)).collect();
                    let ids: Vec<_> = batch.iter().map(|letter| letter.envelope.id).collect();
                    if letters.put(batch).is_err() {
                        lost.store(true, Ordering::Relaxed);
                    }
                    if lost.load(Ordering::Relaxed) {
                        break;
                    }
                    acknowledged.lock().unwrap().extend(ids);
                }
            });
        }
        wait_until("letters are put", || acknowledged.lock().unwrap().len() > 500);
        kill();
    });
    acknowledged.into_inner().unwrap()
}

/// What this gives as soon as it can: after a fail-over each connection finds the new master by itself.
fn in_time<T, E>(what: &str, mut get: impl FnMut() -> Result<T, E>) -> T {
    let mut got = None;
    wait_until(what, || {
        got = get().ok();
        got.is_some()
    });
    got.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_wait_a_fail_over_loses_nothing_acknowledged() {
    let mut sentinels = Sentinels::start();
    let redis = connect(of(&sentinels));
    blocking(move || {
        let config = RedisLettersConfig { wait_replicas: 1, ..Default::default() };
        let letters = open(&redis, config);
        wait_until("Redis is found", || letters.put(vec![letter(1)]).is_ok());

        // A replica that does not follow: nothing is acknowledged, and what was written counts once it does.
        sentinels.replica.freeze();
        let late = letter(2);
        let error = letters.put(vec![late.clone()]).unwrap_err().to_string();
        assert!(error.contains("wait_replicas"), "{error}");
        sentinels.replica.thaw();
        wait_until("the replica follows", || letters.put(vec![late.clone()]).is_ok());

        let acknowledged = put_until_lost(&letters, &mut || sentinels.master.kill());
        wait_until("the replica is the master", || {
            sentinels.replica.run(&["role"]).starts_with("master") && letters.stats().is_ok()
        });
        let mut found = BTreeSet::new();
        let mut after = None;
        loop {
            let page = in_time("a page", || letters.page(&Query::default(), after, 500));
            found.extend(page.letters.iter().map(|letter| letter.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let lost: Vec<_> = acknowledged.difference(&found).collect();
        assert!(lost.is_empty(), "{} of {} are lost", lost.len(), acknowledged.len());
        assert!(found.contains(&late.envelope.id));
        let queue = in_time("the numbers", || letters.stats()).queues.remove("q").unwrap();
        assert_eq!(queue.letters(), found.len() as u64, "the counters are those of the letters");

        // Alone, the new master acknowledges nothing; the old one comes back as its replica.
        wait_until("nothing is acknowledged", || {
            let error = letters.put(vec![letter(3)]).unwrap_err().to_string();
            error.contains("wait_replicas")
        });
        sentinels.master.restart();
        wait_until("letters are acknowledged again", || letters.put(vec![letter(4)]).is_ok());
    })
    .await;
}
