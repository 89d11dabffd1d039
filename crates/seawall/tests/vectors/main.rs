//! The peers' own test cases, replayed by our policies in virtual time.
//!
//! Each case restates a test, or a rule, of a peer's; `source` in the `.jsonl` files says of which. A *dialect* names
//! the peer's way to configure; here each is mapped to a configuration of ours. Where we differ on purpose the case
//! stands in [`DIFFERENCES`] with the reason, and must really differ: what holds after all must leave the table.
//!
//! A millisecond of a case is 2²⁰ ns here, so that the units of a breaker's word divide all of its times.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::or_fun_call, reason = "reading a case costs nothing")]

mod breaker;
mod limit;
mod retry;
mod second;

use seawall::Instant;
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// The cases that do not hold, and why.
const DIFFERENCES: &[(&[&str], &str)] = &[
    (
        &["CB-R4J-04"],
        "a call that takes exactly slow_call_duration is slow: bounds are reached, not passed",
    ),
    (
        &["CB-R4J-08"],
        "the open time ends at its end, not after it: the field's other breakers do so, too",
    ),
    (
        &[
            "CB-R4J-10",
            "CB-R4J-11",
            "CB-R4J-13",
            "CB-FSF-03",
            "CB-FSF-04",
            "CB-FSF-06",
            "CB-FSF-09",
            "CB-FSF-10",
        ],
        "one failed or slow probe opens the circuit again; we take no ratio of a handful of probes",
    ),
    (
        &["CB-R4J-20"],
        "a hung probe's place goes to a new probe, so the circuit is half-open, and never stuck",
    ),
    (
        &["CB-R4J-26"],
        "calls admitted while closed do not close a half-open circuit: the peer's fault, not followed",
    ),
    (
        &["CB-GOB-02", "CB-GOB-04"],
        "counts slide; they do not start anew with each interval, which would forget an outage in progress",
    ),
    (&["CB-POL-06"], "a success may open: it may be the call that completes minimum_calls"),
    (
        &["CB-SEN-03", "CB-HYS-04"],
        "a probe that was cancelled, or refused further in, says nothing: its place goes to the next one at once",
    ),
    (
        &["CB-ENV-01", "CB-ENV-03", "CB-ENV-04"],
        "ejecting hosts is balancing, which a breaker does not do",
    ),
    (
        &["RL-R4J-02", "RL-FSF-02"],
        "only a token bucket lets callers wait for a turn: in fixed windows all of them would come at its start",
    ),
    (
        &["RL-R4J-04", "RL-FSF-05"],
        "what costs more than the whole limit never passes: it would starve all others for several periods",
    ),
    (&["RL-R4J-05"], "a limit that is changed begins afresh"),
    (&["RL-SEN-02"], "a rate of 0 is no configuration, and no call is free"),
    (&["RL-SEN-06"], "no limiter warms up; after an outage the breaker's ramp_up does it"),
    (&["RL-NCL-01", "RL-NCL-02"], "no Vegas: the gradient and AIMD cover its use"),
    (
        &["RL-FGO-03"],
        "nobody is refused by chance before the queue is full: controlled delay does that work",
    ),
    (&["RL-AWS-01"], "no CUBIC send rate on the client: the throttle does that work"),
    (
        &["RT-TEN-04"],
        "additive jitter comes on top of the cap, so that callers at the cap do not come together",
    ),
    (&["RT-ENV-03"], "what the server asks for is stretched by a tenth at most, not by a half"),
    (
        &["RT-AWS-06"],
        "a server's hint is followed as it is up to a bound, not clamped to our own wait",
    ),
    (&["RT-GRP-02"], "an unreadable hint is no hint, not a refusal; x-should-retry refuses"),
    (
        &["RT-ENV-04"],
        "a hint beyond the bound ends the retrying; coming back earlier than asked helps nobody",
    ),
    (
        &["RT-ENV-05", "RT-FGO-01"],
        "no budget by concurrency: ours are by calls, by time and by outcomes",
    ),
    (&["RT-LKD-01"], "a budget begins full, so that the first calls of a process may be retried"),
];

pub(crate) struct Case {
    pub(crate) dialect: String,
    pub(crate) config: Value,
    pub(crate) steps: Vec<Value>,
}

/// The result of a case: it holds, or the first thing that does not.
pub(crate) type Held = Result<(), String>;

/// This many milliseconds of a case.
pub(crate) fn ms(n: f64) -> Duration {
    Duration::from_nanos((n * f64::from(1 << 20)) as u64)
}

pub(crate) fn at(n: f64) -> Instant {
    // A whole number of every period in the cases.
    Instant::from_nanos(1_000_000_000 << 20) + ms(n.max(0.0)) - ms(-n.min(0.0))
}

/// A length in milliseconds of a case.
pub(crate) fn as_ms(length: Duration) -> f64 {
    length.as_nanos() as f64 / f64::from(1 << 20)
}

pub(crate) fn number(of: &Value, field: &str) -> Option<f64> {
    of.get(field)?.as_f64()
}

/// Holds what was seen against what a step expects, where it expects something of the kind.
pub(crate) fn expect<T: PartialEq + std::fmt::Debug>(
    step: &Value,
    field: &str,
    wanted: Option<T>,
    seen: T,
) -> Held {
    match wanted {
        Some(wanted) if wanted != seen => Err(format!("{step}: {field} is {seen:?}")),
        _ => Ok(()),
    }
}

fn replay(case: &Case) -> Held {
    match case.dialect.as_str() {
        "r4j" | "failsafe" | "gobreaker" | "polly" | "sentinel" | "linkerd" | "hystrix" => {
            breaker::replay(case)
        }
        "r4j_cycle" | "failsafe_bursty" | "failsafe_smooth" | "token_bucket" | "timer_bucket"
        | "sentinel_leaky" | "sentinel_param" => limit::replay(case),
        "aimd" => limit::aimd(case),
        "partitioned" => limit::partitioned(case),
        "reject_probability" => limit::reject_probability(case),
        "backoff_polly" | "backoff_exp" | "backoff_envoy" => retry::backoff(case),
        "backoff_lower_bound" | "server_hint" => retry::hint(case),
        "aws_quota" => retry::quota(case),
        "budget_finagle" => retry::share(case),
        "retry_count" => retry::count(case),
        "amplification" => retry::amplification(case),
        other => Err(format!("{other} is no dialect of ours")),
    }
}

#[test]
fn every_case_holds_or_differs_for_a_reason() {
    let files = [
        include_str!("breaker.jsonl"),
        include_str!("ratelimit.jsonl"),
        include_str!("retry.jsonl"),
    ];
    let mut reasons = BTreeMap::new();
    for (ids, reason) in DIFFERENCES {
        for id in *ids {
            assert!(reasons.insert(*id, *reason).is_none(), "{id} stands in the table twice");
        }
    }
    let (mut held, mut wrong) = (0, Vec::new());
    let differing = reasons.len();
    for line in files.iter().flat_map(|file| file.lines()) {
        let value: Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| value[field].as_str().unwrap().to_owned();
        let id = text("id");
        let steps = value["steps"].as_array().unwrap().clone();
        let case = Case { dialect: text("dialect"), config: value["config"].clone(), steps };
        match (replay(&case), reasons.remove(id.as_str())) {
            (Ok(()), None) => held += 1,
            (Err(_), Some(_)) => {}
            (Err(told), None) => wrong.push(format!("{id} {}: {told}", case.dialect)),
            (Ok(()), Some(_)) => wrong.push(format!("{id} holds: it should leave the table")),
        }
    }
    assert!(reasons.is_empty(), "no such cases: {reasons:?}");
    println!("{held} cases hold, {differing} differ on purpose");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(held + differing, 101);
}
