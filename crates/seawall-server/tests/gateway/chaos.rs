//! Everything at once: an upstream that fails in every way it can, and clients that leave when they like.

use crate::{
    openings::{self, Then},
    support::{Gateway, Upstream, client, eventually, respond},
};
use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Full};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

/// A different fate for each call.
async fn answer(n: usize) -> axum::response::Response {
    match n % 7 {
        0 => std::future::pending().await,
        1 => respond(503, "not now"),
        2 => openings::answer("text/plain", &["half"], Then::Death),
        3 => openings::answer("text/plain", &["half"], Then::Silence),
        4 => respond(404, "not here"),
        _ => respond(200, "well"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_happens_every_request_ends_and_every_place_is_back() {
    const REQUESTS: usize = 400;
    let healed = Arc::new(AtomicBool::new(false));
    let is_healed = healed.clone();
    let flaky = Upstream::start(move |n, _| {
        let n = if is_healed.load(SeqCst) { 5 } else { n };
        answer(n)
    })
    .await;
    let backup = Upstream::statuses(&[200]).await;
    let gateway = Gateway::start(&format!(
        "upstreams:\n  flaky: {{ endpoints: ['{}'], stream_idle_timeout: 100ms, policies: [\
         {{ type: bulkhead, max_concurrent: 8, max_queued: 4, max_wait: 50ms }}, \
         {{ type: circuit_breaker, failure_threshold: 4, recovery_timeout: 20ms, max_recovery_timeout: 40ms }}, \
         {{ type: retry, max_attempts: 3, backoff: {{ base_delay: 1ms }} }}, \
         {{ type: timeout, limit: 60ms }}] }}\n  \
         backup: {{ endpoints: ['{}'], policies: [{{ type: bulkhead, max_concurrent: 4 }}] }}\n\
         routes: [{{ path: '/*', upstream: flaky, fallback: [backup] }}]\n",
        flaky.endpoint(),
        backup.endpoint()
    ))
    .await;
    let gateway = Arc::new(gateway);
    let places = Arc::new(tokio::sync::Semaphore::new(24));
    let mut asking = Vec::new();
    for n in 0..REQUESTS {
        let place = places.clone().acquire_owned().await.unwrap();
        let request = gateway.request(Method::GET, "/").body(Full::<Bytes>::default()).unwrap();
        asking.push(tokio::spawn(async move {
            let _place = place;
            let exchange = async {
                let response = client().request(request).await.unwrap();
                let status = response.status().as_u16();
                let _ = response.into_body().collect().await;
                status
            };
            // Every fifth client leaves early, at another moment each.
            if n % 5 == 0 {
                let patience = Duration::from_millis(n as u64 % 40);
                return tokio::time::timeout(patience, exchange).await.ok();
            }
            let answer = tokio::time::timeout(Duration::from_secs(30), exchange).await;
            Some(answer.expect("every request that is waited for ends"))
        }));
    }
    let mut statuses = std::collections::BTreeMap::<Option<u16>, usize>::new();
    for asked in asking {
        *statuses.entry(asked.await.unwrap()).or_default() += 1;
    }
    for status in statuses.keys().flatten() {
        assert!([200, 404, 502, 503, 504].contains(status), "{statuses:?}");
    }
    eventually("nothing is left behind", async || {
        let metrics = gateway.get("/metrics").await;
        let idle = |series: &str| metrics.text().contains(&format!("\n{series} 0\n"));
        idle("seawall_in_flight{operation=\"flaky\"}")
            && idle("seawall_in_flight{operation=\"backup\"}")
            && idle("seawall_in_flight{operation=\"route /*\"}")
            && idle("bulkhead_active_operations{name=\"flaky\"}")
            && idle("bulkhead_active_operations{name=\"backup\"}")
    })
    .await;
    // Whoever came was counted once, and ended once.
    let counts = gateway.counts("route /*").await;
    let n = |field: &str| counts[field].as_u64().unwrap();
    let ended = n("successful_calls") + n("failed_calls") + n("timed_out_calls");
    assert_eq!(
        ended + n("rejected_calls") + n("caller_faults") + n("abandoned_calls"),
        n("total_calls"),
        "{counts}"
    );
    healed.store(true, SeqCst);
    eventually("the healed upstream answers", async || {
        gateway.get("/").await.header("x-seawall-upstream") == "flaky"
    })
    .await;
}
