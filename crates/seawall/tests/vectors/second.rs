//! The second set: further cases of the peers, in a notation that is the same for all of them.
//!
//! Every case is driven through real policies by an [`Execution`](seawall::Execution) in virtual time. Nothing of a
//! case is passed over: a field of its configuration, of a step or of what a step expects that no driver reads fails
//! the test. A case that differs on purpose stands in [`DIFFERENCES`] with the place where it differs first, so that
//! it can neither hold unnoticed nor begin to differ for another reason.

mod breaker;
mod budget;
mod bulkhead;
mod compose;
mod differences;
mod drive;
mod fields;
mod limit;
mod retry;

use differences::{DIFFERENCES, IN_TOWER};
use fields::{Fields, Log, Unread};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// One step of a case.
struct Step<'a> {
    /// The time of the step, in milliseconds.
    at: f64,
    verb: &'a str,
    fields: Fields<'a>,
    expected: Fields<'a>,
    repeat: u64,
    every: f64,
}

impl<'a> Step<'a> {
    fn new(value: &'a Value, number: usize, unread: &Unread) -> Self {
        let fields = Fields::new(value, &format!("step[{number}]"), unread);
        Self {
            at: fields.number("at_ms").unwrap(),
            verb: fields.text("do").unwrap(),
            expected: fields.nested("expect").unwrap_or_else(|| Fields::empty(unread)),
            repeat: fields.number("repeat").map_or(1, |n| n as u64),
            every: fields.number("every_ms").unwrap_or(0.0),
            fields,
        }
    }
}

/// A driver of the policies of a case.
trait Driver {
    /// The state that steps may expect, before one of them.
    fn state(&self, _now: f64) -> Option<String> {
        None
    }

    /// Takes a step at `now`, and holds what is seen against what is expected.
    fn take(&mut self, step: &Step<'_>, now: f64, log: &mut Log);
}

fn driver(case: &Value, config: &Fields<'_>, log: &mut Log) -> Box<dyn Driver> {
    let dialect = case["dialect"].as_str().unwrap_or("none");
    match case["pattern"].as_str().unwrap() {
        "circuit_breaker" => Box::new(breaker::Breakers::new(dialect, config)),
        "rate_limiter" => Box::new(limit::Limiter::new(config, log)),
        "retry_backoff" => Box::new(retry::Waits::new(config)),
        "retry_budget" => budget::driver(config),
        "bulkhead" => Box::new(bulkhead::Places::new(config)),
        "composition" | "timeout" | "hedge" => Box::new(compose::Stack::new(dialect, config)),
        other => panic!("no driver for {other}"),
    }
}

/// The first difference from a case, if there is one. Everything in the case must have been read.
fn replay(case: &Value) -> Option<fields::Wrong> {
    let unread: Unread = Rc::default();
    let mut log = Log::default();
    let config = Fields::new(&case["config"], "config", &unread);
    let mut driver = driver(case, &config, &mut log);
    for (number, step) in case["steps"].as_array().unwrap().iter().enumerate() {
        let step = Step::new(step, number, &unread);
        let wanted = step.expected.peek("state").and_then(Value::as_str);
        let entered = driver.state(step.at).as_deref() != wanted;
        for nth in 1..=step.repeat {
            log.begin(number, nth < step.repeat, entered);
            driver.take(&step, step.at + step.every * (nth - 1) as f64, &mut log);
        }
    }
    let unread: &BTreeSet<String> = &unread.borrow();
    assert!(unread.is_empty(), "{}: nobody reads {unread:?}", case["id"]);
    log.first()
}

#[test]
fn every_further_case_holds_or_differs_for_a_reason() {
    let mut reasons = BTreeMap::new();
    for (cases, reason) in DIFFERENCES {
        assert!(!reason.is_empty());
        for (id, place) in *cases {
            assert!(reasons.insert(*id, *place).is_none(), "{id} stands in the table twice");
        }
    }
    let mut elsewhere: BTreeSet<&str> = IN_TOWER.iter().copied().collect();
    let (differing, (mut held, mut wrong)) = (reasons.len(), (0, Vec::new()));
    let mut known = BTreeSet::new();
    for line in include_str!("second.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let id = case["id"].as_str().unwrap();
        assert!(known.insert(id.to_owned()), "{id} is there twice");
        if compose::has_cache(&case) {
            assert!(elsewhere.remove(id), "{id} has a cache: its test is in seawall-tower");
            continue;
        }
        match (replay(&case), reasons.remove(id)) {
            (None, None) => held += 1,
            (Some(seen), Some(place)) if seen.place() == place => {}
            (Some(seen), Some(place)) => {
                wrong.push(format!("{id} differs, not at {place}: {seen}"))
            }
            (Some(seen), None) => wrong.push(format!("{id}: {seen}")),
            (None, Some(_)) => wrong.push(format!("{id} holds: it should leave the table")),
        }
    }
    assert!(reasons.is_empty() && elsewhere.is_empty(), "no such cases: {reasons:?} {elsewhere:?}");
    let in_tower = IN_TOWER.len();
    println!(
        "{held} further cases hold, {differing} differ on purpose, {in_tower} in seawall-tower"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!((known.len(), held + differing + in_tower), (127, 127));
}
