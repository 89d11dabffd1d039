//! Redis hangs, dies, moves, and comes back: no call waits for it longer than it may, and all goes on by itself.

use crate::kit::{Cluster, Sentinels, Server, connect};
use seawall::{DegradedMode, Error, Operation, Registry, SharedLimit, prelude::*};
use seawall_store::redis::{RedisAddress, Sharing, share_limits};
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

const TIMEOUT: Duration = Duration::from_millis(50);
/// What a busy machine may add to a wait. A call that hung would take much longer.
const BUSY: Duration = Duration::from_millis(700);
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that calls all the time, and how long its calls took.
struct Program {
    operation: Operation,
    seen: Arc<Seen>,
    _sharing: Sharing,
    _calls: tokio::task::JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    passed: AtomicU64,
    refused: AtomicU64,
    longest_micros: AtomicU64,
}

impl Program {
    async fn start(address: RedisAddress, degraded: DegradedMode) -> Self {
        let registry = Registry::default();
        let shared = SharedLimit::default().timeout(TIMEOUT).degraded(degraded).instances(2);
        let limit = rate_limit(100, Duration::from_secs(1)).shared(shared);
        let operation = registry.register("program", policies![limit]).unwrap();
        let redis = connect(address);
        let sharing = share_limits(&registry, &redis);
        let seen = Arc::new(Seen::default());
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..4 {
            calls.spawn(call_for_ever(operation.clone(), seen.clone()));
        }
        let program = Self { operation, seen, _sharing: sharing, _calls: calls };
        program.until("it is connected", |program| !program.is_degraded()).await;
        program
    }

    fn is_degraded(&self) -> bool {
        self.operation.pipeline().is_degraded()
    }

    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !done(self) {
            assert!(began.elapsed() < PATIENCE, "it takes too long until {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Calls that passed and those that were refused from now on, in so much time.
    async fn within(&self, length: Duration) -> (u64, u64) {
        let (passed, refused) = (self.seen.passed.load(Relaxed), self.seen.refused.load(Relaxed));
        tokio::time::sleep(length).await;
        (self.seen.passed.load(Relaxed) - passed, self.seen.refused.load(Relaxed) - refused)
    }

    /// Calls pass, counted by the store.
    async fn is_well(&self) {
        self.until("the store answers", |program| !program.is_degraded()).await;
        let before = self.operation.counts().store_round_trips;
        self.until("calls are counted by the store", |program| {
            program.operation.counts().store_round_trips > before + 20
        })
        .await;
    }

    fn no_call_hung(&self) {
        let longest = Duration::from_micros(self.seen.longest_micros.load(Relaxed));
        assert!(longest < TIMEOUT + BUSY, "a call waited for {longest:?}");
    }
}

async fn call_for_ever(operation: Operation, seen: Arc<Seen>) {
    loop {
        let began = Instant::now();
        let answer = operation.call(|| async { Ok::<_, Infallible>(()) }).await;
        seen.longest_micros.fetch_max(began.elapsed().as_micros() as u64, Relaxed);
        match answer {
            Ok(()) => seen.passed.fetch_add(1, Relaxed),
            Err(Error::Rejected(_)) => seen.refused.fetch_add(1, Relaxed),
            Err(error) => panic!("{error}"),
        };
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

fn standalone(server: &Server) -> RedisAddress {
    RedisAddress::Standalone(server.url())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_holds_nobody_up_and_is_found_again() {
    let server = Server::start();
    let program = Program::start(standalone(&server), DegradedMode::Local).await;
    program.is_well().await;
    server.freeze();
    program.until("the loss is noticed", Program::is_degraded).await;
    let decided = program.operation.counts().degraded_decisions;
    let (passed, refused) = program.within(Duration::from_secs(3)).await;
    // Its share is 50 a second.
    assert!((100..=50 + 200 + 50).contains(&passed), "{passed} passed on its share");
    assert!(refused > 0);
    assert!(program.operation.counts().degraded_decisions >= decided + passed);
    assert!(program.is_degraded());
    server.thaw();
    program.is_well().await;
    program.no_call_hung();
    assert!(program.operation.counts().store_losses >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_pauses_its_clients_holds_nobody_up() {
    let server = Server::start();
    let program = Program::start(standalone(&server), DegradedMode::Closed).await;
    program.is_well().await;
    server.run(&["client", "pause", "3000", "all"]);
    program.until("the loss is noticed", Program::is_degraded).await;
    let (passed, refused) = program.within(Duration::from_secs(1)).await;
    assert_eq!(passed, 0, "without the store nothing passes");
    assert!(refused > 50);
    assert!(program.operation.counts().rejections["limit_unknown"] > 50);
    program.is_well().await;
    program.no_call_hung();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_started_again_is_found_again() {
    let mut server = Server::start();
    let program = Program::start(standalone(&server), DegradedMode::Open).await;
    program.is_well().await;
    server.kill();
    program.until("the loss is noticed", Program::is_degraded).await;
    let (passed, refused) = program.within(Duration::from_secs(1)).await;
    assert!(passed > 150, "{passed} passed where all may");
    assert_eq!(refused, 0);
    server.restart();
    program.is_well().await;
    program.no_call_hung();
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_name_another_master() {
    let mut sentinels = Sentinels::start();
    let address = RedisAddress::Sentinel {
        sentinels: sentinels.urls(),
        master: "main".into(),
        master_url: None,
    };
    let program = Program::start(address, DegradedMode::Local).await;
    program.is_well().await;
    sentinels.master.kill();
    program.until("the loss is noticed", Program::is_degraded).await;
    program.is_well().await;
    assert!(sentinels.replica.run(&["role"]).starts_with("master"));
    program.no_call_hung();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_resharded_under_load() {
    let cluster = Cluster::start();
    let address = RedisAddress::Cluster(cluster.urls());
    let program = Program::start(address, DegradedMode::Local).await;
    program.is_well().await;
    tokio::task::block_in_place(|| cluster.reshard());
    program.is_well().await;
    let (passed, _) = program.within(Duration::from_secs(2)).await;
    assert!((100..=400).contains(&passed), "{passed} passed in two seconds");
    program.no_call_hung();
}
