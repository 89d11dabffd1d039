//! What the instances of a fleet share: who is alive, and one revision for all, on each kind of Redis.

use crate::kit::{Cluster, Sentinels, Server};
use seawall_store::redis::{
    FleetStore, Pulse, Redis, RedisAddress, RedisConfig, RedisTls, Verdict,
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const LONG: Duration = Duration::from_secs(60);

/// An instance of its own, on a connection of its own.
async fn instance(address: &RedisAddress, name: &str) -> FleetStore {
    let tls = RedisTls::default();
    let config = RedisConfig { address: address.clone(), prefix: "test".into(), tls };
    let store = FleetStore::new(&Redis::open(config).unwrap(), name);
    tokio::time::timeout(LONG, store.connected()).await.unwrap();
    store
}

async fn beat(store: &FleetStore, known: &str) -> Pulse {
    store.beat(&format!("{} is well", FleetStore::name_of(store.id())), LONG, known).await.unwrap()
}

async fn check(address: RedisAddress) {
    let (a, b) = (instance(&address, "a").await, instance(&address, "b").await);
    let pulse = beat(&a, "").await;
    let empty =
        Pulse { is_member: true, alive: 1, hash: String::new(), text: None, proposal: None };
    assert_eq!(pulse, empty);
    assert_eq!(beat(&b, "").await.alive, 2);
    let members = a.members().await.unwrap();
    let told: Vec<_> = members.iter().map(|one| (one.id.as_str(), one.report.as_str())).collect();
    assert_eq!(told, [(a.id(), "a is well"), (b.id(), "b is well")]);

    // Nothing is committed before all have voted for it.
    assert_eq!(a.propose("", "1", "first", LONG).await.unwrap(), Verdict::Waiting(vec![]));
    assert_eq!(b.propose("", "2", "other", LONG).await.unwrap(), Verdict::Busy("first".into()));
    let waiting = Verdict::Waiting(vec![b.id().to_owned()]);
    assert_eq!(a.decide("1", "", "first").await.unwrap(), waiting);
    assert_eq!(beat(&b, "").await.proposal, Some(("1".into(), "first".into())));
    b.vote("0", Some("a vote on another one")).await.unwrap();
    assert_eq!(a.decide("1", "", "first").await.unwrap(), waiting);
    b.vote("1", None).await.unwrap();
    let Verdict::Committed(hash) = a.decide("1", "", "first").await.unwrap() else { panic!() };
    assert_eq!(a.decide("1", "", "first").await.unwrap(), Verdict::Gone, "once");
    let pulse = beat(&b, "").await;
    assert_eq!((pulse.hash.as_str(), pulse.text.as_deref()), (hash.as_str(), Some("first")));
    assert_eq!(beat(&b, &hash).await.text, None, "it is known");

    // What was made for another revision is refused, and so is what an instance cannot make.
    let outdated = Verdict::Outdated("first".into());
    assert_eq!(b.propose("", "3", "third", LONG).await.unwrap(), outdated);
    assert_eq!(b.propose(&hash, "4", "fourth", LONG).await.unwrap(), Verdict::Waiting(vec![]));
    a.vote("4", Some("yes")).await.unwrap();
    let refused = Verdict::Refused(a.id().to_owned(), "yes".into());
    assert_eq!(b.decide("4", &hash, "fourth").await.unwrap(), refused, "no reason is a yes");
    b.withdraw("4").await.unwrap();
    assert_eq!(b.decide("4", &hash, "fourth").await.unwrap(), Verdict::Gone);

    // A store that lost the revision gets it back, and only where nobody else was faster.
    assert!(!a.restore("", "stale").await.unwrap());
    assert!(a.restore(&hash, "fifth").await.unwrap());
    assert_eq!(beat(&a, &hash).await.text.as_deref(), Some("fifth"));

    // Who leaves is forgotten, and nobody waits for it.
    b.leave().await.unwrap();
    let pulse = beat(&a, "").await;
    assert_eq!(pulse.alive, 1);
    assert_eq!(a.propose(&pulse.hash, "6", "sixth", LONG).await.unwrap(), Verdict::Waiting(vec![]));
    let decided = a.decide("6", &pulse.hash, "sixth").await.unwrap();
    assert!(matches!(decided, Verdict::Committed(_)), "{decided:?}");
    // One that was not heard of for long enough is forgotten by the next heartbeat of another.
    beat(&b, "").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    a.beat("", Duration::from_millis(100), "").await.unwrap();
    assert_eq!(a.members().await.unwrap().len(), 1);
    // A proposal ends when its time is over.
    let present = beat(&a, "").await.hash;
    a.propose(&present, "7", "seventh", Duration::from_millis(50)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(beat(&a, "").await.proposal, None);
}

#[tokio::test]
async fn one_server() {
    let server = Server::start();
    check(RedisAddress::Standalone(server.url())).await;
}

#[tokio::test]
async fn a_cluster() {
    let cluster = Cluster::start();
    check(RedisAddress::Cluster(cluster.urls())).await;
}

#[tokio::test]
async fn a_master_of_sentinels() {
    let all = Sentinels::start();
    check(RedisAddress::Sentinel {
        sentinels: all.urls(),
        master: "main".into(),
        master_url: None,
    })
    .await;
}

#[tokio::test]
async fn a_full_fleet_has_no_room_until_one_is_gone() {
    let server = Server::start();
    let a = instance(&RedisAddress::Standalone(server.url()), "a").await;
    let script = "for n = 1, 1000 do redis.call('ZADD', KEYS[1], ARGV[1] + n, 'x' .. n) end";
    let far = "9999999999999";
    server.run(&["eval", script, "1", "test:{fleet}:members", far]);
    let pulse = beat(&a, "").await;
    assert!(!pulse.is_member, "{pulse:?}");
    let ago = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - Duration::from_secs(10);
    server.run(&["zadd", "test:{fleet}:members", &ago.as_millis().to_string(), "x7"]);
    assert!(beat(&a, "").await.is_member, "one that is gone gives way");
}
