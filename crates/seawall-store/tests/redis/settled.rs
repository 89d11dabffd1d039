//! What calls have used is settled in a real Redis, for all instances.

use crate::kit::{Server, connect};
use seawall::{
    Algorithm, Attributes, Operation, RateLimiterConfig, Registry, SharedLimit, Unit, prelude::*,
};
use seawall_store::redis::{RedisAddress, Sharing, share_limits};
use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

const HOUR: Duration = Duration::from_secs(3600);

/// One instance: its operation, and what keeps it connected.
async fn instance(server: &Server, config: RateLimiterConfig) -> (Operation, Sharing) {
    let registry = Registry::default();
    let shared = SharedLimit::default().timeout(Duration::from_secs(5)).name("model".to_owned());
    let operation = registry.register("op", policies![config.shared(shared)]).unwrap();
    let address = RedisAddress::Standalone(server.url());
    let redis = connect(address);
    let sharing = share_limits(&registry, &redis);
    while operation.pipeline().is_degraded() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (operation, sharing)
}

/// Makes a call that expects so many tokens and uses so many; says whether it passed.
async fn call(operation: &Operation, expects: u32, uses: u32) -> bool {
    let call = operation.run(|_| async { Ok::<_, Infallible>(()) });
    let call = call.attributes(Attributes::default().tokens(expects));
    call.settle(move |_| Some(uses)).await.is_ok()
}

/// Waits until a call of this size passes or is refused, as it should.
async fn until(operation: &Operation, expects: u32, passes: bool, what: &str) {
    let began = Instant::now();
    // What it takes goes back at once.
    while call(operation, expects, 0).await != passes {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn every_algorithm_settles_for_all_instances() {
    for algorithm in [
        Algorithm::TokenBucket,
        Algorithm::FixedWindow,
        Algorithm::SlidingWindow,
        Algorithm::SlidingLog,
    ] {
        let server = Server::start();
        // A day, so that no window ends meanwhile but once.
        let config = rate_limit(1_000, 24 * HOUR).algorithm(algorithm).unit(Unit::Tokens);
        let (one, _one) = instance(&server, config.clone()).await;
        let (two, _two) = instance(&server, config).await;
        assert!(call(&one, 900, 100).await, "{algorithm:?}");
        until(&two, 900, true, "what is left goes back").await;
        until(&two, 901, false, "and no more").await;
        assert!(call(&two, 300, 800).await, "{algorithm:?}");
        until(&one, 101, false, "what is used beyond counts").await;
        until(&one, 100, true, "and no more").await;
        assert!(call(&one, 50, 3_000).await, "{algorithm:?}");
        until(&two, 1, false, "a debt").await;
        let keys = server.run(&["keys", "*"]);
        assert!(keys.contains(":tokens") && keys.lines().count() <= 2, "{keys}");
    }
}

#[tokio::test]
async fn calls_and_tokens_of_one_operation_are_counted_apart() {
    let server = Server::start();
    let registry = Registry::default();
    let shared = SharedLimit::default().timeout(Duration::from_secs(5));
    let calls = rate_limit(10, HOUR).shared(shared.clone());
    let tokens = rate_limit(1_000, HOUR).unit(Unit::Tokens).shared(shared);
    let operation = registry.register("op", policies![calls, tokens]).unwrap();
    let address = RedisAddress::Standalone(server.url());
    let redis = connect(address);
    let _sharing = share_limits(&registry, &redis);
    while operation.pipeline().is_degraded() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for n in 0..10 {
        assert!(call(&operation, 90, 90).await, "{n}");
    }
    assert!(!call(&operation, 1, 1).await, "ten calls, though tokens are left");
}
