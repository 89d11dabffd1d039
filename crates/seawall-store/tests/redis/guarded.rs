//! Redis behind certificates and passwords.

use crate::kit::{Cluster, Sentinels, Server};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use seawall::{Registry, SharedLimit, prelude::*};
use seawall_store::redis::{
    Redis, RedisAddress, RedisConfig, RedisIdentity, RedisTls, share_limits,
};
use std::{fs, path::Path, time::Duration};

/// How long a connection may take to come up on a busy machine, and one that must not come up is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const IN_VAIN: Duration = Duration::from_secs(2);

/// Whether limits are shared through this Redis within so much time.
async fn is_shared(address: RedisAddress, tls: RedisTls, within: Duration) -> bool {
    let registry = Registry::default();
    let limit = rate_limit(100, Duration::from_secs(1)).shared(SharedLimit::default());
    let operation = registry.register("guarded", policies![limit]).unwrap();
    let redis = Redis::open(RedisConfig { address, prefix: "test".into(), tls }).unwrap();
    let _sharing = share_limits(&registry, &redis);
    let connected = async {
        while operation.pipeline().is_degraded() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(within, connected).await.is_ok()
}

/// An authority, and what it has signed: for the server on 127.0.0.1, as files in `folder`, and for a client.
fn authority(folder: &Path) -> RedisTls {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let signed = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
    };
    let (server, client) = (signed("127.0.0.1"), signed("client"));
    fs::write(folder.join("authority.pem"), issuer.pem()).unwrap();
    fs::write(folder.join("server.pem"), server.0).unwrap();
    fs::write(folder.join("server-key.pem"), server.1).unwrap();
    let identity = RedisIdentity { certificate: client.0.into_bytes(), key: client.1.into_bytes() };
    RedisTls { authorities: Some(issuer.pem().into_bytes()), identity: Some(identity) }
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_connections_need_an_authority_and_show_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let known = authority(folder.path());
    let server = Server::encrypted(folder.path());
    let url = &server.urls()[0];
    let address = || RedisAddress::Standalone(url.clone());
    assert!(is_shared(address(), known.clone(), PATIENCE).await);
    let stranger = authority(tempfile::tempdir().unwrap().path());
    let nobody = RedisTls { identity: None, ..known.clone() };
    let gullible = RedisTls { authorities: stranger.authorities.clone(), ..known.clone() };
    let public = RedisTls { authorities: None, ..known.clone() };
    for wrong in [nobody, gullible, public, stranger] {
        assert!(!is_shared(address(), wrong, IN_VAIN).await);
    }
    let plain = RedisAddress::Standalone(url.replace("rediss", "redis"));
    assert!(!is_shared(plain, known.clone(), IN_VAIN).await);
    assert!(!format!("{known:?}").contains("PRIVATE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_of_a_cluster_are_reached_by_encrypted_connections() {
    let folder = tempfile::tempdir().unwrap();
    let known = authority(folder.path());
    let cluster = Cluster::encrypted(folder.path());
    for url in cluster.urls() {
        let address = || RedisAddress::Cluster(vec![url.clone()]);
        assert!(is_shared(address(), known.clone(), PATIENCE).await);
        assert!(!is_shared(address(), RedisTls::default(), IN_VAIN).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_and_their_master_have_passwords_of_their_own() {
    let servers = Sentinels::start();
    servers.protect("of-the-master", "of-the-sentinels");
    let address = |sentinel: &str, master: &str| RedisAddress::Sentinel {
        sentinels: servers
            .urls()
            .iter()
            .map(|url| url.replace("//", &format!("//:{sentinel}@")))
            .collect(),
        master: "main".into(),
        master_url: Some(format!("redis://:{master}@any/")),
    };
    let right = address("of-the-sentinels", "of-the-master");
    assert!(is_shared(right, RedisTls::default(), PATIENCE).await);
    for (sentinel, master) in [("wrong", "of-the-master"), ("of-the-sentinels", "wrong")] {
        let wrong = address(sentinel, master);
        assert!(!is_shared(wrong, RedisTls::default(), IN_VAIN).await);
    }
}
