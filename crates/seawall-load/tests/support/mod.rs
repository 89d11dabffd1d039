//! Shared parts of the tests on real sockets: upstreams and loads with settings for a test, and a plain client.

#![allow(dead_code, reason = "each test binary uses a part")]

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, Error},
    rt::TokioExecutor,
};
use seawall_load::{
    behaviour::Behaviour,
    open_loop::{Config, Report, start},
    timeline::Timeline,
    upstream::{self, Upstream},
};
use std::time::Duration;

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// An upstream that always behaves in one way, in a phase called `test`.
pub(crate) async fn upstream(behaviour: Behaviour) -> Upstream {
    let timeline = Timeline::constant("test", behaviour);
    Upstream::start(upstream::Config { timeline, ..Default::default() }).await.unwrap()
}

/// A load on one upstream, which names itself `load`.
pub(crate) fn load(url: &str, rate: f64, duration: Duration) -> Config {
    let name = HeaderName::from_static("x-load-source");
    Config {
        targets: vec![url.to_owned()],
        headers: [(name, HeaderValue::from_static("load"))].into_iter().collect(),
        rate,
        duration,
        ..Config::default()
    }
}

pub(crate) async fn run(config: Config) -> Report {
    start(config).unwrap().finish().await
}

/// Waits until something holds; fails when it does not within five seconds.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(ms(10)).await;
    }
    panic!("never: {what}");
}

/// Sends one request, on a connection of its own.
pub(crate) async fn send(
    method: Method,
    url: &str,
    body: &str,
) -> Result<Response<Incoming>, Error> {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let body = Full::new(Bytes::from(body.to_owned()));
    client.request(Request::builder().method(method).uri(url).body(body).unwrap()).await
}
