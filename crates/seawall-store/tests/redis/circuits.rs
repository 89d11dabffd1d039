//! Three processes share a circuit. Each is this test's own binary, started again as a worker, and calls a real upstream.

use crate::kit::{Cluster, Sentinels, Server, connect, wait_until};
use seawall::{OpenBy, Registry, SharedCircuit, State, prelude::*};
use seawall_store::redis::{RedisAddress, share_circuits};
use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

const WORKER: &str = "SEAWALL_TEST_CIRCUIT_WORKER";
const PROCESSES: usize = 3;
const RECOVERY: Duration = Duration::from_secs(1);
/// What a busy machine may add to a second.
const BUSY: Duration = Duration::from_secs(1);

/// What a worker is told.
#[derive(Clone, Copy)]
struct Settings {
    open_by: OpenBy,
    lease: Duration,
    timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let (lease, timeout) = (Duration::from_secs(3), Duration::from_millis(500));
        Self { open_by: OpenBy::Any, lease, timeout }
    }
}

fn address_of(kind: &str, urls: Vec<String>) -> RedisAddress {
    match kind {
        "standalone" => RedisAddress::Standalone(urls[0].clone()),
        "cluster" => RedisAddress::Cluster(urls),
        _ => RedisAddress::Sentinel { sentinels: urls, master: "main".into(), master_url: None },
    }
}

#[tokio::main]
async fn work(told: &str) {
    let words: Vec<&str> = told.split(' ').collect();
    let [id, upstream, open_by, lease, timeout, kind, ref urls @ ..] = words[..] else { panic!() };
    let (id, upstream) = (id.parse::<u8>().unwrap(), upstream.to_owned());
    let ms = |text: &str| Duration::from_millis(text.parse().unwrap());
    let open_by = if open_by == "any" { OpenBy::Any } else { OpenBy::Quorum };
    let shared = SharedCircuit::default().open_by(open_by).lease(ms(lease)).timeout(ms(timeout));
    let registry = Registry::default();
    let policy = breaker().failure_threshold(3).recovery_timeout(RECOVERY).shared(shared);
    let operation = registry.register("dependency", policies![policy]).unwrap();
    let address = address_of(kind, urls.iter().map(|url| (*url).to_owned()).collect());
    let redis = connect(address);
    let _sharing = share_circuits(&registry, &redis);
    let watched = operation.clone();
    tokio::spawn(async move {
        let mut before = None;
        loop {
            let view = watched.circuit().unwrap();
            let now = (view.state, view.shared.unwrap().degraded);
            if before != Some(now) {
                let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
                println!("\nstate {} {} {at}", now.0.label(), now.1);
                before = Some(now);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    loop {
        let operation = operation.clone();
        let upstream = upstream.clone();
        let call = async move {
            let call = || {
                let upstream = upstream.clone();
                async move { tokio::task::spawn_blocking(move || ask(&upstream, id)).await.unwrap() }
            };
            let _ = operation.call(call).await;
        };
        tokio::spawn(call);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// One call of the upstream.
fn ask(upstream: &str, id: u8) -> Result<(), String> {
    let mut stream = TcpStream::connect(upstream).map_err(|error| error.to_string())?;
    stream.write_all(&[id]).map_err(|error| error.to_string())?;
    let mut answer = [0];
    stream.read_exact(&mut answer).map_err(|error| error.to_string())?;
    if answer == *b"+" { Ok(()) } else { Err("down".into()) }
}

/// Not a test by itself: the others run it in processes of their own.
#[test]
fn worker() {
    if let Ok(told) = env::var(WORKER) {
        work(&told);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Up,
    Down,
    /// Answers nobody.
    Hangs,
}

/// An upstream that counts its calls.
struct Upstream {
    address: String,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    moods: [Mood; PROCESSES],
    /// Which worker called, and when.
    calls: Vec<(usize, Instant)>,
    hung: Vec<TcpStream>,
}

impl Upstream {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Seen { moods: [Mood::Up; PROCESSES], calls: Vec::new(), hung: Vec::new() };
        let seen = Arc::new(Mutex::new(seen));
        let shared = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(mut stream), mut id) = (stream, [0]) else { return };
                if stream.read_exact(&mut id).is_err() {
                    continue;
                }
                let mut seen = shared.lock().unwrap();
                let id = usize::from(id[0]);
                seen.calls.push((id, Instant::now()));
                match seen.moods[id] {
                    Mood::Up => _ = stream.write_all(b"+"),
                    Mood::Down => _ = stream.write_all(b"-"),
                    Mood::Hangs => seen.hung.push(stream),
                }
            }
        });
        Self { address, seen }
    }

    fn is(&self, mood: Mood) {
        let mut seen = self.seen.lock().unwrap();
        seen.moods = [mood; PROCESSES];
        seen.hung.clear();
    }

    fn is_for(&self, worker: usize, mood: Mood) {
        self.seen.lock().unwrap().moods[worker] = mood;
    }

    fn forget(&self) {
        self.seen.lock().unwrap().calls.clear();
    }

    fn calls(&self) -> Vec<(usize, Instant)> {
        self.seen.lock().unwrap().calls.clone()
    }
}

/// What a worker said last: its state, whether it is alone, and when that began, by the clock on the wall.
type Said = Arc<Mutex<(String, bool, u64)>>;

struct Worker {
    child: Child,
    said: Said,
}

impl Worker {
    fn start(id: usize, upstream: &Upstream, settings: Settings, redis: &str) -> Self {
        let Settings { open_by, lease, timeout } = settings;
        let (by, lease, timeout) = (open_by.label(), lease.as_millis(), timeout.as_millis());
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["circuits::worker", "--exact", "--nocapture"])
            .env(WORKER, format!("{id} {} {by} {lease} {timeout} {redis}", upstream.address))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Said::default();
        let (lines, shared) = (BufReader::new(child.stdout.take().unwrap()), said.clone());
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if let ["state", state, alone, at] = *line.split(' ').collect::<Vec<_>>() {
                    *shared.lock().unwrap() =
                        (state.to_owned(), alone == "true", at.parse().unwrap());
                }
            }
        });
        Self { child, said }
    }

    fn state(&self) -> String {
        self.said.lock().unwrap().0.clone()
    }

    fn is_alone(&self) -> bool {
        self.said.lock().unwrap().1
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Three processes that call one upstream.
struct Fleet {
    upstream: Upstream,
    workers: Vec<Worker>,
}

impl Fleet {
    /// `redis` is a kind of address, and the addresses.
    fn start(redis: &str, settings: Settings) -> Self {
        let upstream = Upstream::start();
        let start = |id| Worker::start(id, &upstream, settings, redis);
        let workers = (0..PROCESSES).map(start).collect();
        let fleet = Self { upstream, workers };
        fleet.until_together();
        fleet
    }

    fn until_together(&self) {
        wait_until("all are connected", || self.all(|it| !it.state().is_empty() && !it.is_alone()));
    }

    fn until_alone(&self) {
        wait_until("the loss is noticed", || self.all(Worker::is_alone));
    }

    fn all(&self, is: impl Fn(&Worker) -> bool) -> bool {
        self.workers.iter().all(is)
    }

    fn until_all(&self, state: State) {
        let label = state.label();
        wait_until(&format!("all are {label}"), || self.all(|worker| worker.state() == label));
    }

    /// The dependency fails for one of them: how long it took from its opening until all were open.
    fn opened_by(&self, worker: usize) -> Duration {
        self.upstream.is_for(worker, Mood::Down);
        wait_until("one has opened", || self.workers[worker].state() == "open");
        self.until_all(State::Open);
        let at: Vec<u64> = self.workers.iter().map(|one| one.said.lock().unwrap().2).collect();
        Duration::from_millis(at.iter().max().unwrap() - at[worker])
    }
}

fn standalone(server: &Server) -> String {
    format!("standalone {}", server.url())
}

#[test]
fn one_opens_all_within_a_second_and_one_probes_for_all() {
    let server = Server::start();
    // What is not pushed is read every five seconds.
    let settings = Settings { lease: Duration::from_secs(15), ..Settings::default() };
    let fleet = Fleet::start(&standalone(&server), settings);
    let took = fleet.opened_by(1);
    println!("all know after {took:?}");
    assert!(took < Duration::from_secs(1) + BUSY, "{took:?}");
    // From now on nobody gets an answer: together they probe once in each interval.
    fleet.upstream.is(Mood::Down);
    thread::sleep(Duration::from_millis(200));
    fleet.upstream.forget();
    thread::sleep(6 * RECOVERY);
    let probes = fleet.upstream.calls();
    println!("{} probes in {:?}", probes.len(), 6 * RECOVERY);
    assert!((2..=6).contains(&probes.len()), "{} probes", probes.len());
    for pair in probes.windows(2) {
        let pause = pair[1].1 - pair[0].1;
        assert!(pause > RECOVERY.mul_f64(0.9), "two probes within {pause:?}");
    }
    fleet.upstream.is(Mood::Up);
    fleet.until_all(State::Closed);
}

#[test]
fn the_quorum_opens_all() {
    let server = Server::start();
    let settings = Settings { open_by: OpenBy::Quorum, ..Settings::default() };
    let fleet = Fleet::start(&standalone(&server), settings);
    fleet.upstream.is_for(0, Mood::Down);
    wait_until("one has opened", || fleet.workers[0].state() == "open");
    thread::sleep(Duration::from_millis(500));
    assert_eq!([1, 2].map(|n| fleet.workers[n].state()), ["closed"; 2]);
    fleet.upstream.is_for(2, Mood::Down);
    wait_until("the third follows", || fleet.workers[1].state() == "open");
    fleet.upstream.is(Mood::Up);
    fleet.until_all(State::Closed);
}

#[test]
fn a_prober_that_is_killed_is_replaced() {
    let server = Server::start();
    let mut fleet = Fleet::start(&standalone(&server), Settings::default());
    fleet.upstream.is(Mood::Hangs);
    fleet.upstream.is_for(0, Mood::Down);
    wait_until("all are open, or one probes", || fleet.all(|it| it.state() != "closed"));
    fleet.upstream.is(Mood::Hangs);
    let prober = || (0..PROCESSES).find(|n| fleet.workers[*n].state() == "half_open");
    wait_until("one probes", || prober().is_some());
    let prober = prober().unwrap();
    fleet.upstream.forget();
    fleet.workers[prober].child.kill().unwrap();
    wait_until("another probes", || {
        let probing = |(n, it): (usize, &Worker)| n != prober && it.state() == "half_open";
        fleet.workers.iter().enumerate().any(probing)
    });
    assert_eq!(fleet.upstream.calls().len(), 1, "one of the two that are left");
    fleet.upstream.is(Mood::Up);
    let others = |fleet: &Fleet, state: &str| {
        let others = fleet.workers.iter().enumerate().filter(|(n, _)| *n != prober);
        others.into_iter().all(|(_, worker)| worker.state() == state)
    };
    wait_until("the others are closed", || others(&fleet, "closed"));
}

#[test]
fn without_redis_each_is_alone_and_together_again_when_it_is_back() {
    let mut server = Server::start();
    let fleet = Fleet::start(&standalone(&server), Settings::default());
    server.freeze();
    fleet.until_alone();
    fleet.upstream.is_for(0, Mood::Down);
    wait_until("one has opened", || fleet.workers[0].state() == "open");
    fleet.upstream.forget();
    thread::sleep(2 * RECOVERY + RECOVERY / 2);
    assert_eq!([1, 2].map(|n| fleet.workers[n].state()), ["closed"; 2], "they know nothing of it");
    let probes = fleet.upstream.calls().iter().filter(|(worker, _)| *worker == 0).count();
    assert!((1..=3).contains(&probes), "it probes by itself: {probes}");
    server.thaw();
    fleet.until_together();
    fleet.upstream.is(Mood::Down);
    fleet.until_all(State::Open);
    // All is forgotten there; they are not.
    server.kill();
    fleet.until_alone();
    server.restart();
    fleet.until_together();
    thread::sleep(RECOVERY);
    fleet.upstream.forget();
    thread::sleep(3 * RECOVERY);
    let probes = fleet.upstream.calls();
    assert!(probes.len() <= 4, "one for all: {probes:?}");
    fleet.upstream.is(Mood::Up);
    fleet.until_all(State::Closed);
}

#[test]
fn a_cluster_carries_circuits() {
    let cluster = Cluster::start();
    let urls = cluster.urls().join(" ");
    let settings = Settings { lease: Duration::from_secs(15), ..Settings::default() };
    let fleet = Fleet::start(&format!("cluster {urls}"), settings);
    let took = fleet.opened_by(2);
    println!("all know after {took:?}");
    assert!(took < Duration::from_secs(1) + BUSY, "{took:?}");
    fleet.upstream.is(Mood::Up);
    fleet.until_all(State::Closed);
}

#[test]
fn sentinels_name_another_master_and_circuits_are_shared_there() {
    let mut sentinels = Sentinels::start();
    let urls = sentinels.urls().join(" ");
    let fleet = Fleet::start(&format!("sentinel {urls}"), Settings::default());
    fleet.upstream.is(Mood::Down);
    fleet.until_all(State::Open);
    sentinels.master.kill();
    fleet.until_alone();
    fleet.until_together();
    assert!(sentinels.replica.run(&["role"]).starts_with("master"));
    fleet.upstream.is(Mood::Up);
    fleet.until_all(State::Closed);
    // What happens from now on is pushed by the new master.
    let took = fleet.opened_by(0);
    println!("all know after {took:?}");
    assert!(took < Duration::from_secs(1) + BUSY, "{took:?}");
}
