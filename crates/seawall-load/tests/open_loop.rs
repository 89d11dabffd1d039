//! The load generator on real sockets: it keeps its rate whatever the upstream does, and hides nothing.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use seawall_load::{
    behaviour::{Behaviour, Latency},
    open_loop::{Arrivals, Config, Errors, StartError, start},
    upstream::Upstream,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use support::{eventually, load, ms, run, send, upstream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    runtime::{Builder, Handle},
    sync::oneshot,
};

/// An upstream on a runtime of its own, which can be stalled as a garbage collection would.
fn stallable() -> (String, Handle) {
    let (told, url) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let upstream: Upstream = upstream(Behaviour::default()).await;
            told.send((upstream.url(), Handle::current())).unwrap();
            tokio::time::sleep(Duration::from_secs(10)).await;
        });
    });
    url.recv().unwrap()
}

/// Latencies as a closed loop sees them: the next request waits for the last answer.
async fn closed_loop(url: String, until: Instant) -> Vec<Duration> {
    let client: Client<_, String> = Client::builder(TokioExecutor::new()).build_http();
    let mut latencies = Vec::new();
    while Instant::now() < until {
        let begun = Instant::now();
        let response = client.get(url.parse().unwrap()).await.unwrap();
        http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
        latencies.push(begun.elapsed());
        tokio::time::sleep(ms(5)).await;
    }
    latencies.sort_unstable();
    latencies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stall_of_a_second_is_seen_by_all_who_would_have_met_it() {
    let (url, server) = stallable();
    let closed = tokio::spawn(closed_loop(url.clone(), Instant::now() + ms(2_500)));
    let running = start(load(&url, 200.0, ms(2_500))).unwrap();
    tokio::time::sleep(ms(1_000)).await;
    server.spawn(async { std::thread::sleep(ms(1_000)) });
    let report = running.finish().await;
    // The rate was kept: all 500 were sent, though nothing was answered for a second.
    assert_eq!((report.requests, report.successes, report.dropped), (500, 500, 0));
    assert!(report.max_in_flight > 150, "{}", report.max_in_flight);
    // 200 requests were due in the stall, the first of which waited for nearly all of it.
    assert!(report.latency.p99_ms > 900.0, "{:?}", report.latency);
    assert!(report.latency.p90_ms > 500.0, "{:?}", report.latency);
    assert!(report.slices[0].p50_ms < 500.0 && report.slices[1].p50_ms > 300.0);
    // The closed loop met the same stall once.
    let closed = closed.await.unwrap();
    assert!(closed[closed.len() - 1] > ms(800) && closed[closed.len() * 98 / 100] < ms(500));
}

#[tokio::test]
async fn poisson_arrivals_keep_the_rate_and_slices_add_up() {
    let upstream = upstream(Behaviour::default()).await;
    let config = load(&upstream.url(), 300.0, ms(1_500));
    let report = run(Config { arrivals: Arrivals::Poisson, ..config }).await;
    // 450 expected, with a standard deviation of 21.
    assert!((350..550).contains(&report.requests), "{}", report.requests);
    assert_eq!((report.successes, report.success_rate), (report.requests, 1.0));
    assert_eq!(report.slices.len(), 2);
    assert_eq!(report.slices.iter().map(|slice| slice.requests).sum::<u64>(), report.requests);
    assert_eq!(report.slices.iter().map(|slice| slice.successes).sum::<u64>(), report.successes);
    assert_eq!(upstream.table().at("load", "test").ok, report.requests);
    assert_eq!(report.elapsed_s, 1.5);
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<seawall_load::open_loop::Report>(&text).unwrap(), report);
}

#[tokio::test]
async fn beyond_the_cap_requests_are_dropped_and_counted_apart() {
    let upstream = upstream(Behaviour { hang_ratio: 1.0, ..Behaviour::default() }).await;
    let config = load(&upstream.url(), 100.0, ms(500));
    let report = run(Config { max_in_flight: 5, timeout: ms(2_000), ..config }).await;
    assert_eq!((report.requests, report.dropped, report.max_in_flight), (5, 45, 5));
    assert_eq!(report.errors, Errors { timeout: 5, ..Errors::default() });
    assert_eq!((report.slices[0].requests, report.slices[0].dropped), (5, 45));
}

#[tokio::test]
async fn targets_take_turns() {
    let (one, two) = (upstream(Behaviour::default()).await, upstream(Behaviour::default()).await);
    let config = load(&one.url(), 200.0, ms(300));
    let report = run(Config { targets: vec![one.url(), two.url() + "/"], ..config }).await;
    assert_eq!(report.successes, 60);
    assert_eq!((one.table().total().ok, two.table().total().ok), (30, 30));
}

#[tokio::test]
async fn progress_can_be_read_while_it_runs() {
    let behaviour = Behaviour { latency: Latency::fixed(ms(100)), ..Behaviour::default() };
    let upstream = upstream(Behaviour { error_ratio: 0.2, ..behaviour }).await;
    let running = start(load(&upstream.url(), 200.0, ms(2_000))).unwrap();
    let handle = running.handle();
    tokio::time::sleep(ms(1_500)).await;
    let progress = handle.progress();
    assert_eq!(
        progress.requests,
        progress.successes + progress.errors.total() + progress.in_flight as u64
    );
    assert!(progress.in_flight > 0 && !progress.finished, "{progress:?}");
    let recent = progress.recent;
    assert!(recent.requests > 100 && recent.successes > 50 && recent.errors > 5, "{recent:?}");
    assert!(recent.p50_ms >= 99.0 && recent.p99_ms >= recent.p50_ms, "{recent:?}");
    let report = running.finish().await;
    let last = handle.progress();
    assert!(last.finished && last.in_flight == 0);
    assert_eq!((last.requests, last.errors), (report.requests, report.errors));
    assert_eq!(report.requests, 400);
}

#[tokio::test]
async fn a_stop_ends_the_schedule_and_lets_requests_end() {
    let behaviour = Behaviour { latency: Latency::fixed(ms(300)), ..Behaviour::default() };
    let upstream = upstream(behaviour).await;
    let running = start(load(&upstream.url(), 100.0, Duration::from_secs(3_600))).unwrap();
    tokio::time::sleep(ms(500)).await;
    running.handle().stop();
    let report = running.finish().await;
    assert!(report.elapsed_s >= 0.4 && report.elapsed_s < 60.0, "{}", report.elapsed_s);
    assert!(report.requests >= 10, "{}", report.requests);
    assert_eq!(report.requests, report.successes);
}

#[tokio::test]
async fn dropping_a_load_cancels_its_requests() {
    let latency = Latency::fixed(Duration::from_secs(60));
    let upstream = upstream(Behaviour { latency, ..Behaviour::default() }).await;
    let running = start(load(&upstream.url(), 100.0, ms(100))).unwrap();
    eventually("all have arrived", || upstream.table().total().received == 10).await;
    drop(running);
    eventually("all are cancelled", || upstream.table().at("load", "test").cancelled == 10).await;
}

#[tokio::test]
async fn the_schedule_can_begin_later() {
    let upstream = upstream(Behaviour::default()).await;
    let config = load(&upstream.url(), 100.0, ms(100));
    let start_at = Instant::now() + ms(400);
    let running = start(Config { start: Some(start_at), ..config }).unwrap();
    assert_eq!(running.progress().elapsed, Duration::ZERO);
    let report = running.finish().await;
    assert!(Instant::now() >= start_at + ms(100));
    assert_eq!((report.requests, report.elapsed_s), (10, 0.1));
}

/// Accepts connections, counts them, and answers each read with `answer`, then closes the connection if `close` is
/// true.
async fn raw_server(answer: &'static str, close: bool) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, SeqCst);
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    if close {
                        return;
                    }
                }
            });
        }
    });
    (url, accepted)
}

#[tokio::test]
async fn connections_are_kept() {
    let (url, accepted) = raw_server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false).await;
    let report = run(load(&url, 50.0, ms(600))).await;
    assert_eq!(report.successes, 30);
    assert!(accepted.load(SeqCst) < 15, "{} connections", accepted.load(SeqCst));
}

#[tokio::test]
async fn garbage_counts_as_a_reset_and_a_redirect_is_no_success() {
    let table = [
        ("", Errors { reset: 5, ..Errors::default() }),
        ("SSH-2.0-x\r\n", Errors { reset: 5, ..Errors::default() }),
        (
            "HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n",
            Errors { status_other: 5, ..Errors::default() },
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
            Errors { body: 5, ..Errors::default() },
        ),
    ];
    for (answer, expected) in table {
        let (url, _) = raw_server(answer, true).await;
        let report = run(load(&url, 50.0, ms(100))).await;
        assert_eq!((report.errors, report.successes), (expected, 0), "{answer:?}");
    }
}

#[tokio::test]
async fn an_answer_that_stops_in_the_body_is_a_timeout() {
    let (url, _) = raw_server("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", false).await;
    let report = run(Config { timeout: ms(200), ..load(&url, 50.0, ms(100)) }).await;
    assert_eq!(report.errors, Errors { timeout: 5, ..Errors::default() });
    // A time-out counts with the time that it took.
    assert!(report.latency.p50_ms >= 199.0, "{:?}", report.latency);
}

#[test]
fn without_a_runtime_it_does_not_start() {
    let error = start(load("http://127.0.0.1:1", 1.0, ms(1))).unwrap_err();
    assert!(matches!(error, StartError::NoRuntime), "{error}");
}

#[test]
fn a_runtime_that_ends_takes_the_load_along() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (told, ended) = oneshot::channel();
    let running = runtime.block_on(async {
        let upstream = upstream(Behaviour::default()).await;
        send(http::Method::GET, &upstream.url(), "").await.unwrap();
        let running = start(load(&upstream.url(), 1_000.0, ms(300))).unwrap();
        tokio::time::sleep(ms(50)).await;
        told.send(()).unwrap();
        running
    });
    drop(runtime);
    assert!(ended.blocking_recv().is_ok());
    // No panic, and what could not run is no success.
    let other = Builder::new_current_thread().enable_all().build().unwrap();
    let report = other.block_on(running.finish());
    assert_eq!(report.requests, report.successes + report.errors.total());
    assert!(report.errors.reset > 0);
}
