//! Four processes use one key. Each is this test's own binary, started again as a worker.

use crate::kit::{Cluster, Server, connect, wait_until};
use seawall::{Algorithm, Error, Registry, SharedLimit, prelude::*};
use seawall_store::redis::{RedisAddress, share_limits};
use std::{
    convert::Infallible,
    env,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const PROCESSES: usize = 4;
/// Calls that each process has in progress at once.
const TASKS: usize = 6;
const RATE: u32 = 200;
const BURST: u32 = 40;
const LENGTH: Duration = Duration::from_secs(4);
/// A call is seen by the worker later than it was counted by Redis: by the time of an answer, and by as much as the
/// machine holds the worker up.
const LATE: f64 = 0.25;
const WORKER: &str = "SEAWALL_TEST_WORKER";

/// What a worker is told: its addresses, the algorithm, and the lease.
fn told(addresses: &[String], algorithm: Algorithm, lease: u32) -> String {
    let algorithm = match algorithm {
        Algorithm::TokenBucket => "token_bucket",
        Algorithm::FixedWindow => "fixed_window",
        Algorithm::SlidingWindow => "sliding_window",
        Algorithm::SlidingLog => "sliding_log",
    };
    format!("{algorithm} {lease} {}", addresses.join(" "))
}

#[tokio::main]
async fn work(told: &str) {
    let mut words = told.split(' ');
    let algorithm = match words.next().unwrap() {
        "token_bucket" => Algorithm::TokenBucket,
        "fixed_window" => Algorithm::FixedWindow,
        "sliding_window" => Algorithm::SlidingWindow,
        _ => Algorithm::SlidingLog,
    };
    let lease: u32 = words.next().unwrap().parse().unwrap();
    let addresses: Vec<String> = words.map(str::to_owned).collect();
    let address = match &*addresses {
        [one] => RedisAddress::Standalone(one.clone()),
        _ => RedisAddress::Cluster(addresses),
    };
    // Patient, since the machine may be busy and nothing fails here.
    let shared = SharedLimit::default().timeout(Duration::from_secs(2));
    let shared = if lease > 0 { shared.lease(lease) } else { shared };
    let burst = if algorithm == Algorithm::TokenBucket { BURST } else { 0 };
    let limit = rate_limit(RATE, Duration::from_secs(1));
    let limit = limit.burst(burst).algorithm(algorithm).shared(shared);
    let registry = Registry::default();
    let operation = registry.register("fleet", policies![limit]).unwrap();
    let redis = connect(address);
    let _sharing = share_limits(&registry, &redis);
    while operation.pipeline().is_degraded() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("\nready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let end = tokio::time::Instant::now() + LENGTH;
    let tasks = (0..TASKS).map(|_| {
        let operation = operation.clone();
        tokio::spawn(async move {
            let mut accepted = Vec::new();
            while tokio::time::Instant::now() < end {
                match operation.call(|| async { Ok::<_, Infallible>(SystemTime::now()) }).await {
                    Ok(at) => accepted.push(at),
                    Err(Error::Rejected(rejected)) => {
                        let wait = rejected.retry_after.unwrap_or_default();
                        let short = Duration::from_millis(1)..Duration::from_millis(20);
                        tokio::time::sleep(wait.clamp(short.start, short.end)).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            accepted
        })
    });
    let mut accepted = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        accepted.extend(task.await.unwrap());
    }
    for at in accepted {
        println!("at {}", at.duration_since(UNIX_EPOCH).unwrap().as_micros());
    }
    let counts = operation.counts();
    println!("counts {} {}", counts.degraded_decisions, counts.store_round_trips);
}

/// Not a test by itself: the others run it in processes of their own.
#[test]
fn worker() {
    if let Ok(told) = env::var(WORKER) {
        work(&told);
    }
}

/// What came of one process.
struct Ran {
    accepted: Vec<u64>,
    degraded: u64,
    round_trips: u64,
}

struct Worker(Child, BufReader<ChildStdout>);

impl Worker {
    fn start(told: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["fleet::worker", "--exact", "--nocapture"])
            .env(WORKER, told)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        wait_until("a worker is ready", || {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the worker ended");
            line == "ready\n"
        });
        Self(child, lines)
    }

    fn go(&mut self) {
        self.0.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }

    fn end(mut self) -> Ran {
        let (mut accepted, mut counts) = (Vec::new(), None);
        for line in (&mut self.1).lines() {
            let line = line.unwrap();
            let words: Vec<&str> = line.split(' ').collect();
            match &*words {
                ["at", at] => accepted.push(at.parse().unwrap()),
                ["counts", one, two] => counts = Some((one.parse().unwrap(), two.parse().unwrap())),
                _ => {}
            }
        }
        assert!(self.0.wait().unwrap().success());
        let (degraded, round_trips) = counts.expect("the worker says what it counted");
        Ran { accepted, degraded, round_trips }
    }
}

/// The most calls in any second.
fn most_in_a_second(accepted: &[u64]) -> usize {
    let (mut first, mut most) = (0, 0);
    for (last, at) in accepted.iter().enumerate() {
        while at - accepted[first] >= 1_000_000 {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most
}

/// Calls that may be seen in one second, with those that are seen late and those that are leased.
fn bound(algorithm: Algorithm, lease: u32) -> usize {
    let rate = f64::from(RATE);
    let late = rate * LATE;
    let limit = match algorithm {
        Algorithm::TokenBucket => rate + f64::from(BURST) + rate + late,
        Algorithm::FixedWindow | Algorithm::SlidingWindow => 2.0 * rate + late,
        Algorithm::SlidingLog => rate + late,
    };
    limit as usize + PROCESSES * lease as usize
}

fn check(addresses: &[String], algorithm: Algorithm, lease: u32) {
    let told = told(addresses, algorithm, lease);
    let mut workers: Vec<Worker> = (0..PROCESSES).map(|_| Worker::start(&told)).collect();
    workers.iter_mut().for_each(Worker::go);
    let ran: Vec<Ran> = workers.into_iter().map(Worker::end).collect();
    let mut all: Vec<u64> = ran.iter().flat_map(|ran| ran.accepted.iter().copied()).collect();
    all.sort_unstable();
    let shares: Vec<usize> = ran.iter().map(|ran| ran.accepted.len()).collect();
    let trips: u64 = ran.iter().map(|ran| ran.round_trips).sum();
    let (most, bound) = (most_in_a_second(&all), bound(algorithm, lease));
    println!(
        "{algorithm:?}, lease {lease}: {} accepted {shares:?}, at most {most} in a second (bound {bound}), {trips} round trips",
        all.len()
    );
    assert_eq!(ran.iter().map(|ran| ran.degraded).sum::<u64>(), 0, "the store was lost");
    assert!(most <= bound, "{most} in one second are more than {bound}");
    // In the long run: the rate, what is there at first, and one period by the clock at each end.
    let seconds = LENGTH.as_secs_f64() + LATE;
    let total = f64::from(RATE) * (seconds + 2.0) + f64::from(BURST);
    let total = total as usize + PROCESSES * lease as usize;
    assert!(all.len() <= total, "{} in all are more than {total}", all.len());
    let least = f64::from(RATE) * LENGTH.as_secs_f64() / 2.0;
    assert!(all.len() as f64 > least, "{} in all are too few", all.len());
    let fair = all.len() / PROCESSES;
    // A process that gets no processor for a while asks for less: these are four on perhaps two.
    assert!(shares.iter().all(|share| *share >= fair / 3), "{shares:?} are not fair");
}

const ALL: [Algorithm; 4] = [
    Algorithm::TokenBucket,
    Algorithm::FixedWindow,
    Algorithm::SlidingWindow,
    Algorithm::SlidingLog,
];

#[test]
fn four_processes_keep_within_the_limit_on_one_server() {
    let server = Server::start();
    for algorithm in ALL {
        server.run(&["flushall"]);
        check(&[server.url()], algorithm, 0);
    }
}

#[test]
fn four_processes_keep_within_the_limit_with_leases() {
    let server = Server::start();
    for algorithm in ALL {
        server.run(&["flushall"]);
        check(&[server.url()], algorithm, 10);
    }
}

#[test]
fn four_processes_keep_within_the_limit_on_a_cluster() {
    let cluster = Cluster::start();
    for algorithm in ALL {
        cluster.nodes.iter().for_each(|node| drop(node.run(&["flushall"])));
        check(&cluster.urls(), algorithm, 0);
    }
}
