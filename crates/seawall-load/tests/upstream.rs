//! The upstream on real sockets: each behaviour acts, and all of it is counted.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use http::Method;
use http_body_util::BodyExt;
use seawall_load::{
    behaviour::{Behaviour, Latency},
    open_loop::{Config, Errors},
    timeline::{Phase, Timeline},
    upstream::{self, Counts, Upstream},
};
use serde_json::Value;
use std::time::{Duration, Instant};
use support::{eventually, load, ms, run, send, upstream};

const CHAT: &str = r#"{"model":"m-1","messages":[{"role":"user","content":"hello"}]}"#;
const CHAT_STREAM: &str = r#"{"model":"m-1","stream":true,"messages":[]}"#;

#[tokio::test]
async fn latency_is_what_was_asked_for() {
    let latency = Latency::uniform(ms(80), 0.5);
    let upstream = upstream(Behaviour { latency, ..Behaviour::default() }).await;
    let report = run(load(&upstream.url(), 200.0, ms(800))).await;
    assert_eq!(report.successes, 160);
    let latency = report.latency;
    assert!(latency.p50_ms >= 65.0 && latency.p50_ms < 400.0, "{latency:?}");
    assert!(latency.p99_ms >= 110.0, "{latency:?}");
}

#[tokio::test]
async fn the_error_ratio_is_kept_and_repeats_with_the_seed() {
    let mut errors = Vec::new();
    for _ in 0..2 {
        let upstream = upstream(Behaviour { error_ratio: 0.3, ..Behaviour::default() }).await;
        let report = run(load(&upstream.url(), 1_000.0, ms(600))).await;
        assert_eq!(report.requests, 600);
        assert_eq!(report.errors.total(), report.errors.status_5xx);
        let counts = upstream.table().at("load", "test");
        assert_eq!((counts.errors, counts.ok), (report.errors.status_5xx, report.successes));
        errors.push(report.errors.status_5xx);
    }
    assert!((130..230).contains(&errors[0]), "{errors:?}");
    assert_eq!(errors[0], errors[1]);
}

#[tokio::test]
async fn a_rate_limit_says_when_to_come_back() {
    let upstream = upstream(Behaviour {
        error_ratio: 1.0,
        error_status: http::StatusCode::TOO_MANY_REQUESTS,
        retry_after: Some(ms(1_500)),
        ..Behaviour::default()
    })
    .await;
    let response = send(Method::POST, &upstream.url(), CHAT).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (429, &"2".parse().unwrap())
    );
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let error: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(error["error"]["type"], "rate_limit_error");
    let report = run(load(&upstream.url(), 100.0, ms(100))).await;
    assert_eq!(report.errors, Errors { status_4xx: 10, ..Errors::default() });
}

#[tokio::test]
async fn hung_calls_time_out_and_count_as_hung() {
    let upstream = upstream(Behaviour { hang_ratio: 1.0, ..Behaviour::default() }).await;
    let config = load(&upstream.url(), 100.0, ms(100));
    let report = run(Config { timeout: ms(200), ..config }).await;
    assert_eq!(report.errors, Errors { timeout: 10, ..Errors::default() });
    assert!(report.latency.p50_ms >= 199.0, "{:?}", report.latency);
    let counts = upstream.stop(ms(100)).await.at("load", "test");
    assert_eq!(counts, Counts { received: 10, hung: 10, ..Counts::default() });
}

#[tokio::test]
async fn clients_that_leave_before_the_answer_count_as_cancelled() {
    let behaviour = Behaviour { latency: Latency::fixed(ms(10_000)), ..Behaviour::default() };
    let upstream = upstream(behaviour).await;
    let config = load(&upstream.url(), 100.0, ms(100));
    let report = run(Config { timeout: ms(200), ..config }).await;
    assert_eq!(report.errors.timeout, 10);
    let counts = || upstream.table().at("load", "test");
    eventually("all are cancelled", || counts().cancelled == 10).await;
    assert_eq!(counts(), Counts { received: 10, cancelled: 10, ..Counts::default() });
}

#[tokio::test]
async fn refusing_fails_connects_and_the_port_comes_back() {
    let upstream = upstream(Behaviour::default()).await;
    let config = load(&upstream.url(), 200.0, ms(200));
    assert_eq!(run(config.clone()).await.successes, 40);
    let address = upstream.address();

    upstream.set_behaviour("refusing", Behaviour { refuse: true, ..Behaviour::default() });
    eventually("connects fail", || std::net::TcpStream::connect(address).is_err()).await;
    let report = run(config.clone()).await;
    assert_eq!(report.errors, Errors { connect: 40, ..Errors::default() });

    upstream.follow_timeline();
    eventually("connects succeed", || std::net::TcpStream::connect(address).is_ok()).await;
    assert_eq!(run(config).await.successes, 40);
    assert_eq!((upstream.address(), upstream.phase().as_str()), (address, "test"));
    assert_eq!(upstream.stop(ms(500)).await.total().received, 80);
}

#[tokio::test]
async fn refusing_breaks_the_calls_that_are_open() {
    let behaviour = Behaviour { latency: Latency::fixed(ms(10_000)), ..Behaviour::default() };
    let upstream = upstream(behaviour).await;
    let running = tokio::spawn(run(load(&upstream.url(), 100.0, ms(100))));
    eventually("all have arrived", || upstream.table().total().received == 10).await;
    upstream.set_behaviour("refusing", Behaviour { refuse: true, ..Behaviour::default() });
    let report = running.await.unwrap();
    assert_eq!(report.errors, Errors { reset: 10, ..Errors::default() });
    let broken = Counts { received: 10, broken: 10, ..Counts::default() };
    assert_eq!(upstream.table().at("load", "test"), broken);
}

#[tokio::test]
async fn cut_answers_begin_well_and_break_off() {
    let upstream = upstream(Behaviour { cut_ratio: 1.0, ..Behaviour::default() }).await;
    for (method, body) in [(Method::GET, ""), (Method::POST, CHAT), (Method::POST, CHAT_STREAM)] {
        let config = load(&upstream.url(), 100.0, ms(100));
        let report = run(Config { method, body: body.into(), ..config }).await;
        assert_eq!(report.errors, Errors { body: 10, ..Errors::default() }, "{body}");
        let response = send(Method::POST, &upstream.url(), body).await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        let mut body = response.into_body();
        assert!(!body.frame().await.unwrap().unwrap().into_data().unwrap().is_empty());
        assert!(body.collect().await.is_err());
    }
    assert_eq!(upstream.table().at("load", "test").cut_off, 30);
}

#[tokio::test]
async fn a_chat_is_answered_in_the_openai_shape() {
    let upstream = upstream(Behaviour::default()).await;
    let response = send(Method::POST, &upstream.url(), CHAT).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert!(answer["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!((&answer["object"], &answer["model"]), (&"chat.completion".into(), &"m-1".into()));
    assert!(answer["created"].as_u64().unwrap() > 1_600_000_000);
    let choice = &answer["choices"][0];
    assert_eq!(
        (&choice["message"]["role"], &choice["finish_reason"]),
        (&"assistant".into(), &"stop".into())
    );
    assert!(!choice["message"]["content"].as_str().unwrap().is_empty());
    let tokens = |kind: &str| answer["usage"][kind].as_u64().unwrap();
    assert_eq!(tokens("prompt_tokens") + tokens("completion_tokens"), tokens("total_tokens"));
    let text = send(Method::GET, &upstream.url(), "").await.unwrap();
    assert_eq!(text.headers()["content-type"], "text/plain");
}

#[tokio::test]
async fn chunks_of_a_stream_arrive_one_by_one() {
    let config = upstream::Config { stream_chunks: 6, stream_gap: ms(60), ..Default::default() };
    let upstream = Upstream::start(config).await.unwrap();
    let response = send(Method::POST, &upstream.url(), CHAT_STREAM).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let (mut body, mut text, mut arrived) = (response.into_body(), String::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        text += std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap();
        arrived.push(Instant::now());
    }
    // A busy machine may join some of them, never all.
    assert!(arrived.len() >= 3, "{} pieces", arrived.len());
    assert!(arrived[arrived.len() - 1] - arrived[0] >= ms(120));
    let events: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!((events.len(), events[6]), (7, "data: [DONE]"));
    let chunks = events[..6].iter().map(|event| event.strip_prefix("data: ").unwrap());
    let chunks: Vec<Value> = chunks.map(|json| serde_json::from_str(json).unwrap()).collect();
    assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"));
    assert!(chunks.iter().all(|chunk| chunk["choices"][0]["delta"]["content"].is_string()));
    assert_eq!(chunks[4]["choices"][0]["finish_reason"], Value::Null);
    assert_eq!(chunks[5]["choices"][0]["finish_reason"], "stop");
    eventually("it is counted", || upstream.table().total().ok == 1).await;
}

#[tokio::test]
async fn a_stream_left_half_way_is_cancelled() {
    let config = upstream::Config { stream_gap: ms(50), ..Default::default() };
    let upstream = Upstream::start(config).await.unwrap();
    let mut response = send(Method::POST, &upstream.url(), CHAT_STREAM).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    drop(response);
    let cancelled = || upstream.table().at("unknown", "healthy").cancelled;
    eventually("it is cancelled", || cancelled() == 1).await;
}

/// Two sources, four phases and all kinds of failure: every call is in exactly one place.
#[tokio::test]
async fn counts_by_source_and_phase_add_up() {
    let total = ms(2_000);
    let mut timeline = Timeline::standard(total);
    timeline.phases[1].behaviour.latency = Latency::fixed(ms(100));
    let healing = Phase {
        name: "refusing".to_owned(),
        from: ms(1_200),
        behaviour: Behaviour { refuse: true, ..Behaviour::default() },
    };
    timeline.phases.insert(3, healing);
    let start = Instant::now();
    let config = upstream::Config { timeline, start, seed: 5, ..Default::default() };
    let upstream = Upstream::start(config).await.unwrap();
    let named = |name: &'static str| {
        let mut config = load(&upstream.url(), 100.0, total);
        config.headers.insert("x-load-source", http::HeaderValue::from_static(name));
        run(Config { start: Some(start), timeout: ms(300), ..config })
    };
    let (one, two) = tokio::join!(named("one"), named("two"));
    let arrivals = upstream.arrivals("one");
    let table = upstream.stop(ms(500)).await;

    for (name, report) in [("one", one), ("two", two)] {
        let counts = table.of_source(name);
        assert_eq!(report.requests, 200);
        assert_eq!((counts.open(), counts.ok), (0, report.successes), "{name} {counts:?}");
        assert_eq!(counts.errors, report.errors.status_5xx);
        assert!(report.errors.connect > 5, "{:?}", report.errors);
        let phases = ["healthy", "slow", "outage", "refusing", "healed"];
        let received = phases.map(|phase| table.at(name, phase).received);
        assert_eq!(received.iter().sum::<u64>(), counts.received);
        let outage = table.at(name, "outage");
        assert!(outage.errors > 10 && outage.hung > 2 && outage.ok == 0, "{outage:?}");
        assert!(table.at(name, "healthy").ok > 20 && table.at(name, "healed").ok > 20);
    }
    assert_eq!(table.of_source("one").received, arrivals.offsets_ms.len() as u64);
    assert_eq!(arrivals.not_kept, 0);
    assert_eq!(arrivals.within(ms(1_250), ms(1_400)), 0, "nobody gets through while it refuses");
    assert!(arrivals.within(Duration::ZERO, ms(400)) > 20);
}

#[tokio::test]
async fn a_stop_lets_calls_end_and_frees_the_port() {
    let behaviour = Behaviour { latency: Latency::fixed(ms(300)), ..Behaviour::default() };
    let upstream = upstream(behaviour).await;
    let (url, address) = (upstream.url(), upstream.address());
    let waiting = tokio::spawn(async move { send(Method::GET, &url, "").await });
    eventually("it has arrived", || upstream.table().total().received == 1).await;
    let table = upstream.stop(Duration::from_secs(5)).await;
    assert_eq!((table.total().ok, table.total().open()), (1, 0));
    assert_eq!(waiting.await.unwrap().unwrap().status().as_u16(), 200);
    assert!(std::net::TcpStream::connect(address).is_err());
    let config = upstream::Config { address, ..Default::default() };
    assert_eq!(Upstream::start(config).await.unwrap().address(), address);
}

#[tokio::test]
async fn an_address_in_use_is_an_error() {
    let upstream = upstream(Behaviour::default()).await;
    let taken = || upstream::Config { address: upstream.address(), ..Default::default() };
    assert!(Upstream::start(taken()).await.is_err());
}
