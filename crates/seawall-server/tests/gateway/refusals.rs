//! Tests of which part stopped a request that got no answer, and of what its client, the log and the counters report.

use crate::support::{Answer, Gateway, Upstream, eventually, nobody, respond, send};
use http::Method;
use http_body_util::Full;
use std::{
    fmt::Write,
    net::SocketAddr,
    sync::{Mutex, Once},
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// The report of a refusal: its status, `detail`, `policy` and `reason`, the upstream that is named, `Retry-After`,
/// and how many calls were made.
#[derive(Debug, PartialEq)]
struct Told {
    status: u16,
    detail: String,
    cause: (&'static str, &'static str),
    upstream: &'static str,
    retry_after: &'static str,
    calls: &'static str,
}

/// Checks every part of an answer, and that the log says the same.
fn check(answer: &Answer, told: &Told) {
    let problem = answer.problem(told.status);
    let (policy, reason) = told.cause;
    assert_eq!(problem["detail"], told.detail);
    assert_eq!((&problem["policy"], &problem["reason"]), (&policy.into(), &reason.into()));
    assert_eq!(answer.header("x-seawall-upstream"), told.upstream, "{told:?}");
    assert_eq!(answer.headers.contains_key("x-seawall-circuit"), !told.upstream.is_empty());
    assert_eq!(answer.header("retry-after"), told.retry_after, "{told:?}");
    assert_eq!(answer.header("x-seawall-attempts"), told.calls, "{told:?}");
    let line = logged(answer.header("x-correlation-id"));
    let Told { status, detail, upstream, .. } = told;
    let expected = format!("{status} {policy} {reason} [{upstream}] no answer: {detail}");
    assert_eq!(line, expected);
}

const UPSTREAM_DOWN: (&str, &str) = ("upstream", "connect");
const LIMITED: (&str, &str) = ("rate_limiter", "rate_limited");
const OPEN: (&str, &str) = ("circuit_breaker", "circuit_open");
const FULL: (&str, &str) = ("bulkhead", "bulkhead_full");
const TIMED_OUT: (&str, &str) = ("timeout", "timed_out");
const FAULT: (&str, &str) = ("chaos", "fault_injected");

const ONE_AN_HOUR: &str = "{ type: rate_limiter, rate: 1, per: 1h }";
const OPENS_AT_ONCE: &str = "{ type: circuit_breaker, failure_threshold: 1, recovery_timeout: 1h }";
const FAILS_ALL: &str = "{ type: chaos, enabled: true, error_share: 1.0 }";
const ONE_PLACE: &str = "{ type: bulkhead, max_concurrent: 1 }";

/// A gateway with the upstreams `a` and `b`, each with its fields, before a route of both and a route of `b` alone.
async fn gateway(a: (SocketAddr, &str), b: (SocketAddr, &str), route: &str) -> Gateway {
    logging();
    Gateway::start(&format!(
        "upstreams:\n  a: {{ endpoints: ['http://{}'], {} }}\n  b: {{ endpoints: ['http://{}'], {} }}\n\
         routes:\n  - {{ path: /b, upstream: b }}\n  - {{ path: '/*', upstream: a, fallback: [b], {route} }}\n",
        a.0, a.1, b.0, b.1
    ))
    .await
}

fn policies(policies: &str) -> String {
    format!("policies: [{policies}]")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_a_route_is_the_routes() {
    let good = Upstream::statuses(&[200]).await;
    let limit = "rate_limit: { rate: 1, per: 1h }";
    let none = policies("");
    let gateway = gateway((good.address, &none), (good.address, &none), limit).await;
    assert_eq!(gateway.get("/").await.status, 200);
    let refused = gateway.get("/").await;
    let told = Told {
        status: 429,
        detail: "route /*: the rate limit is reached".into(),
        cause: LIMITED,
        upstream: "",
        retry_after: "3600",
        calls: "0",
    };
    check(&refused, &told);
    assert!(refused.header("ratelimit").starts_with("\"route /*\";r=0;t="), "{refused:?}");
    assert_eq!(refused.header("ratelimit-policy"), "\"route /*\";q=1;w=3600");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tier_has_a_limit_of_its_own_and_only_a_trusted_proxy_names_it() {
    let good = Upstream::statuses(&[200]).await;
    let tiers = "tiers: { free: { rate: 1 }, gold: { rate: 2, per: 1m } }";
    let route =
        format!("path: '/*', upstream: good, rate_limit: {{ tier: 'header:x-plan', {tiers} }}");
    for (proxies, plan, passed, policy) in [
        ("127.0.0.1", "gold", 2, "\"route /* [gold]\";q=2;w=60"),
        ("127.0.0.1", "GOLD", 2, "\"route /* [gold]\";q=2;w=60"),
        ("127.0.0.1", "free", 1, "\"route /* [free]\";q=1;w=3600"),
        ("127.0.0.1", "platinum", 1, "\"route /* [free]\";q=1;w=3600"),
        ("", "gold", 1, "\"route /* [free]\";q=1;w=3600"),
    ] {
        let gateway = Gateway::start(&format!(
            "trusted_proxies: [{proxies}]\n\
             upstreams: {{ good: {{ endpoints: ['http://{}'], policies: [] }} }}\n\
             routes:\n  - {{ {route} }}\n",
            good.address
        ))
        .await;
        let ask = || {
            let request = gateway.request(Method::GET, "/").header("x-plan", plan);
            send(request.body(Full::default()).unwrap())
        };
        for _ in 0..passed {
            assert_eq!(ask().await.status, 200, "{proxies} {plan}");
        }
        let refused = ask().await;
        assert_eq!(refused.status, 429, "{proxies} {plan}");
        assert_eq!(refused.header("ratelimit-policy"), policy, "{proxies} {plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_that_refused_last_is_named() {
    let good = Upstream::statuses(&[200]).await;
    let down = nobody().await;
    let limited = |name: &'static str| Told {
        status: 429,
        detail: format!("{name}: the rate limit is reached"),
        cause: LIMITED,
        upstream: name,
        retry_after: "3600",
        calls: "0",
    };
    let (limit, none) = (policies(ONE_AN_HOUR), policies(""));

    // Both limits are reached, that of `b` by a route of its own.
    let both = gateway((good.address, &limit), (good.address, &limit), "").await;
    assert_eq!(both.get("/").await.header("x-seawall-upstream"), "a");
    assert_eq!(both.get("/").await.header("x-seawall-upstream"), "b");
    let refused = both.get("/").await;
    check(&refused, &limited("b"));
    assert!(!refused.headers.contains_key("ratelimit"), "it is nobody's own limit");
    check(&both.get("/b").await, &limited("b"));

    // The limit of `a` is reached, and `b` is down.
    let one = gateway((good.address, &limit), (down, &none), "").await;
    assert_eq!(one.get("/").await.status, 200);
    let told = Told {
        status: 502,
        detail: format!("b: {down}: Connection refused (os error 111)"),
        cause: UPSTREAM_DOWN,
        upstream: "b",
        retry_after: "",
        calls: "1",
    };
    check(&one.get("/").await, &told);

    // `a` is down, then its circuit is open, and the limit of `b` is reached.
    let open = policies(OPENS_AT_ONCE);
    let other = gateway((down, &open), (good.address, &limit), "").await;
    assert_eq!(other.get("/").await.header("x-seawall-upstream"), "b");
    check(&other.get("/").await, &limited("b"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_circuit_and_then_a_failure_are_told_apart() {
    let down = nobody().await;
    let open = policies(OPENS_AT_ONCE);
    let failed = |calls| Told {
        status: 502,
        detail: format!("b: {down}: Connection refused (os error 111)"),
        cause: UPSTREAM_DOWN,
        upstream: "b",
        retry_after: "",
        calls,
    };
    let gateway_1 = gateway((down, &open), (down, &policies("")), "").await;
    check(&gateway_1.get("/").await, &failed("2"));
    let behind_open = gateway_1.get("/").await;
    check(&behind_open, &failed("1"));
    assert_eq!(behind_open.header("x-seawall-circuit"), "none");

    // The circuits of both are open.
    let gateway_2 = gateway((down, &open), (down, &open), "").await;
    check(&gateway_2.get("/").await, &failed("2"));
    let refused = gateway_2.get("/").await;
    assert_eq!(refused.header("x-seawall-circuit"), "open");
    let told = Told {
        status: 503,
        detail: "b: the circuit is open".into(),
        cause: OPEN,
        upstream: "b",
        retry_after: "3600",
        calls: "0",
    };
    check(&refused, &told);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_without_a_place_is_named() {
    let down = nobody().await;
    let hung = Upstream::start(|_, _| std::future::pending()).await;
    let full = policies(ONE_PLACE);
    let gateway = gateway((down, &policies("")), (hung.address, &full), "").await;
    let told = Told {
        status: 503,
        detail: "b: the bulkhead is full".into(),
        cause: FULL,
        upstream: "b",
        retry_after: "1",
        calls: "1",
    };
    let holding = gateway.get("/b");
    let refused = async {
        eventually("the place is taken", async || hung.calls() == 1).await;
        gateway.get("/").await
    };
    tokio::select! {
        _ = holding => panic!("it hangs"),
        refused = refused => check(&refused, &told),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_says_which_timeout_passed() {
    let hung = Upstream::start(|_, _| std::future::pending()).await;
    let down = nobody().await;
    let timed_out = |detail: &str, upstream, calls| Told {
        status: 504,
        detail: detail.into(),
        cause: TIMED_OUT,
        upstream,
        retry_after: "1",
        calls,
    };
    let none = policies("");
    let short = "attempt_timeout: 60ms, policies: []";
    let short = (hung.address, short);

    let both = gateway(short, short, "").await;
    check(&both.get("/").await, &timed_out("b: no answer within 60ms", "b", "2"));

    let first_byte = "first_byte_timeout: 70ms, policies: []";
    let late = gateway(short, (hung.address, first_byte), "").await;
    check(&late.get("/").await, &timed_out("b: no content came within 70ms", "b", "2"));

    // The route's own time is over while one of them is asked.
    let total = "total_timeout: 80ms";
    let waiting = (hung.address, none.as_str());
    let first = gateway(waiting, waiting, total).await;
    check(&first.get("/").await, &timed_out("route /*: no answer within 80ms", "a", "1"));
    let second = gateway((down, &none), waiting, total).await;
    check(&second.get("/").await, &timed_out("route /*: no answer within 80ms", "b", "2"));

    // `a` is late, and `b` is down.
    let told = Told {
        status: 502,
        detail: format!("b: {down}: Connection refused (os error 111)"),
        cause: UPSTREAM_DOWN,
        upstream: "b",
        retry_after: "",
        calls: "2",
    };
    check(&gateway(short, (down, &none), "").await.get("/").await, &told);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_injected_fault_is_the_upstreams_in_which_it_is_injected() {
    let good = Upstream::statuses(&[200]).await;
    let faulty = policies(FAILS_ALL);
    let fault = |name: &'static str| Told {
        status: 503,
        detail: format!("{name}: a fault was injected"),
        cause: FAULT,
        upstream: name,
        retry_after: "1",
        calls: "0",
    };
    let gateway_1 = gateway((good.address, &faulty), (good.address, &policies("")), "").await;
    assert_eq!(gateway_1.get("/").await.header("x-seawall-upstream"), "b");
    let gateway_2 = gateway((good.address, &faulty), (good.address, &faulty), "").await;
    check(&gateway_2.get("/").await, &fault("b"));
    assert_eq!(good.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_before_any_upstream_name_none() {
    let good = Upstream::start(|_, _| async { respond(200, "") }).await;
    let none = policies("");
    let gateway = Gateway::start(&format!(
        "upstreams:\n  a: {{ endpoints: ['{}'], {none} }}\n\
         routes: [{{ path: /only, methods: [GET], upstream: a }}]\n",
        good.endpoint()
    ))
    .await;
    for (answer, status) in
        [(gateway.get("/no").await, 404), (gateway.post("/only", "").await, 405)]
    {
        answer.problem(status);
        assert_eq!(answer.header("x-seawall-attempts"), "0");
        for header in ["x-seawall-upstream", "x-seawall-circuit", "retry-after", "ratelimit"] {
            assert!(!answer.headers.contains_key(header), "{header}: {answer:?}");
        }
    }
}

/// The lines of the log about refusals, by correlation id.
static LOG: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

fn logging() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Log).unwrap());
}

/// The line about the request of this id.
fn logged(correlation: &str) -> String {
    let log = LOG.lock().unwrap();
    let lines: Vec<_> = log.iter().filter(|(id, _)| id == correlation).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].1.clone()
}

/// Keeps what is logged of refusals.
struct Log;

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "seawall_server::gateway::refusal"
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let Line { correlation, fields, message } = line;
        LOG.lock().unwrap().push((correlation, format!("{}{message}", fields)));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Line {
    correlation: String,
    fields: String,
    message: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "upstream" => write!(self.fields, "[{value}] "),
            _ => write!(self.fields, "{value} "),
        };
    }
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "correlation" => self.correlation = text.trim_matches('"').to_owned(),
            "message" => self.message = text,
            _ => self.fields.extend([&text, " "]),
        }
    }
}
