//! Decisions of a rate limiter a second: counted here, and shared through a Redis on this machine, directly and with leases,
//! beside a plain `INCR` on a connection of the same kind.
//!
//! `cargo bench -p seawall-store --features redis --bench limits`. It starts `redis-server` on a free port. Redis and the
//! bench share the processors, so both figures are lower than with a machine for each; compare rows of one run.

use redis::AsyncCommands;
use seawall::{Attributes, Operation, Registry, SharedLimit, prelude::*};
use seawall_store::redis::{Redis, RedisAddress, RedisConfig, RedisTls, share_limits};
use std::{
    convert::Infallible,
    error::Error,
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How long each figure is measured.
const LENGTH: Duration = Duration::from_secs(3);
/// The largest limit that can be shared, for each key: it is not reached, so what is measured is the way to the answer.
const RATE: u32 = 1_000_000;
/// Different keys.
const KEYS: u64 = 1_000;

struct Server(
    Child,
    String,
    #[expect(dead_code, reason = "its folder, gone with it")] tempfile::TempDir,
);

impl Server {
    fn start() -> Result<Self, Box<dyn Error>> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = tempfile::tempdir()?;
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--save", "", "--appendonly", "no"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self(child, format!("redis://127.0.0.1:{port}/"), folder))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How often so many tasks together do this in a second. Each is told the number of its turn.
async fn per_second<F>(tasks: u64, work: impl Fn(u64) -> F + Clone + Send + 'static) -> f64
where
    F: Future<Output = ()> + Send,
{
    let (done, started) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let task = |first: u64| {
        let (work, done) = (work.clone(), done.clone());
        tokio::spawn(async move {
            let mut turn = first;
            while started.elapsed() < LENGTH {
                work(turn).await;
                turn += tasks;
                done.fetch_add(1, Relaxed);
                // So that the tasks take turns where nothing waits.
                tokio::task::consume_budget().await;
            }
        })
    };
    for task in (0..tasks).map(task).collect::<Vec<_>>() {
        task.await.expect("no task panics");
    }
    done.load(Relaxed) as f64 / started.elapsed().as_secs_f64()
}

async fn decisions(operation: &Operation, tasks: u64) -> f64 {
    let operation = operation.clone();
    per_second(tasks, move |turn| {
        let run = operation.run(|_| async { Ok::<_, Infallible>(()) });
        let run = run.attributes(Attributes::of_key(turn % KEYS));
        async move { run.await.expect("the limit is not reached") }
    })
    .await
}

fn row(what: &str, tasks: u64, figure: f64, rest: &str) {
    println!(
        "{what:<44} {tasks:>3} tasks: {figure:>10.0} a second, {:>9.2} µs each{rest}",
        1e6 / figure
    );
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::start()?;
    let registry = Registry::default();
    let keyed = || rate_limit(RATE, Duration::from_secs(1)).keyed(true);
    let here = registry.register("here", policies![keyed()])?;
    row("counted here, 1,000 keys", 1, decisions(&here, 1).await, "");

    let client = redis::Client::open(server.1.as_str())?;
    let connection = loop {
        match client.get_multiplexed_async_connection().await {
            Ok(connection) => break connection,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    for tasks in [1, 64] {
        let connection = connection.clone();
        let figure = per_second(tasks, move |turn| {
            let mut connection = connection.clone();
            async move {
                let key = format!("plain:{}", turn % KEYS);
                let _: u64 = connection.incr(key, 1).await.expect("Redis answers");
            }
        });
        row("a plain INCR", tasks, figure.await, "");
    }

    let address = RedisAddress::Standalone(server.1.clone());
    let redis =
        Redis::open(RedisConfig { address, prefix: "bench".into(), tls: RedisTls::default() })?;
    let _sharing = share_limits(&registry, &redis);
    for lease in [None, Some(10), Some(100)] {
        let shared = SharedLimit::default().lease(lease).timeout(Duration::from_secs(2));
        let name = lease.map_or_else(|| "direct".to_owned(), |lease| format!("lease-{lease}"));
        let operation = registry.register(&name, policies![keyed().shared(shared)])?;
        while operation.pipeline().is_degraded() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for tasks in [1, 64] {
            operation.metrics().reset();
            let figure = decisions(&operation, tasks).await;
            let counts = operation.counts();
            let each = counts.total_calls as f64 / counts.store_round_trips.max(1) as f64;
            let rest =
                format!(", {each:.1} calls a round trip, {} degraded", counts.degraded_decisions);
            row(&format!("shared, {name}, 1,000 keys"), tasks, figure, &rest);
        }
    }
    Ok(())
}
