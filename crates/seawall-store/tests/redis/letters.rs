//! Dead letters in a real Redis.

use crate::{
    kit::{Cluster, Sentinels, Server, connect},
    steps,
};
use seawall_store::{
    letters::{InMemoryLetters, Keys, QueueConfig, Queues, WhenFull, contract},
    redis::{Redis, RedisAddress, RedisLetters, RedisLettersConfig},
};
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

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
