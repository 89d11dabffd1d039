//! The report of a run.

use crate::{
    expectation::Checked,
    ledger::{End, Ledger, Transition, quantile},
    scenario::Scenario,
};
use serde::Serialize;
use std::{fmt, time::Duration};

/// The report of a run. It prints as the text that golden files keep.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The number of executions that began; each ended in one of the next six ways.
    pub executions: u64,
    /// Executions that succeeded.
    pub successes: u64,
    /// Executions that ended in a failure.
    pub failures: u64,
    /// Executions that ended in a timeout.
    pub timed_out: u64,
    /// Executions that were refused.
    pub rejected: u64,
    /// Executions whose caller left.
    pub left: u64,
    /// Executions that panicked.
    pub panicked: u64,
    /// Calls that reached the dependency.
    pub calls: u64,
    /// Calls of the alternative.
    pub alternative_calls: u64,
    /// The median time to success, in milliseconds; `None` if nothing succeeded.
    pub p50_ms: Option<f64>,
    /// The time to success of 99 % of the successes, in milliseconds; `None` if nothing succeeded.
    pub p99_ms: Option<f64>,
    /// The changes of state of all circuits.
    pub transitions: Vec<Transition>,
    /// The figures of each second of the run.
    pub seconds: Vec<Second>,
    /// The scenario's expectations, in their order.
    pub expectations: Vec<Checked>,
    /// The number of steps that the simulator took: arrivals, ends of calls, timers.
    pub events: u64,
}

/// The executions begun in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Second {
    /// All executions that began in this second.
    pub executions: u64,
    /// Executions that succeeded, whenever they ended.
    pub successes: u64,
    /// Successes that came within the load's `useful_within`.
    pub useful: u64,
    /// Executions that were refused.
    pub rejected: u64,
    /// The number of calls that reached the dependency in this second.
    pub calls: u64,
}

impl Report {
    /// Whether every expectation is met.
    pub fn passed(&self) -> bool {
        self.expectations.iter().all(|expectation| expectation.met)
    }

    pub(crate) fn new(scenario: &Scenario, ledger: Ledger, alternative_calls: u64) -> Self {
        let expectations = scenario.expect.iter().map(|expected| expected.judge(&ledger)).collect();
        let count = |end| ledger.records.iter().filter(|record| record.end == end).count() as u64;
        let good = ledger.records.iter().filter(|record| record.end == End::Success);
        let mut times: Vec<Duration> = good.map(|record| record.took).collect();
        times.sort_unstable();
        let ms = |q| quantile(&times, q).map(|time| time.as_secs_f64() * 1000.0);
        Self {
            executions: ledger.records.len() as u64,
            successes: count(End::Success),
            failures: count(End::Failure),
            timed_out: count(End::TimedOut),
            rejected: count(End::Rejected),
            left: count(End::Left),
            panicked: count(End::Panicked),
            calls: ledger.calls.len() as u64,
            alternative_calls,
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            seconds: seconds(scenario, &ledger),
            expectations,
            events: 0,
            transitions: ledger.transitions,
        }
    }
}

fn seconds(scenario: &Scenario, ledger: &Ledger) -> Vec<Second> {
    let mut seconds = vec![Second::default(); scenario.duration.as_secs_f64().ceil() as usize];
    let last = seconds.len().saturating_sub(1);
    let index = |at: seawall::Instant| (at.since(ledger.start).as_secs() as usize).min(last);
    for record in &ledger.records {
        let second = &mut seconds[index(record.began)];
        second.executions += 1;
        second.successes += u64::from(record.end == End::Success);
        second.useful += u64::from(ledger.is_useful(record));
        second.rejected += u64::from(record.end == End::Rejected);
    }
    for call in &ledger.calls {
        seconds[index(call.at)].calls += 1;
    }
    seconds
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "executions  {}", self.executions)?;
        for (name, count) in [
            ("succeeded", self.successes),
            ("failed", self.failures),
            ("timed out", self.timed_out),
            ("rejected", self.rejected),
            ("left", self.left),
            ("panicked", self.panicked),
        ] {
            if count > 0 {
                let share = 100.0 * count as f64 / self.executions.max(1) as f64;
                writeln!(f, "  {name:<10}{count:>8}  {share:>6.2} %")?;
            }
        }
        writeln!(f, "calls       {}", self.calls)?;
        if self.alternative_calls > 0 {
            writeln!(f, "  of the alternative {}", self.alternative_calls)?;
        }
        if let (Some(p50), Some(p99)) = (self.p50_ms, self.p99_ms) {
            writeln!(f, "latency     p50 {p50:.1} ms, p99 {p99:.1} ms")?;
        }
        for Transition { at, from, to, why } in &self.transitions {
            writeln!(f, "{:>10.3} s  {from} → {to}: {why}", at.as_secs_f64())?;
        }
        for Checked { expected, met, seen } in &self.expectations {
            writeln!(f, "{} {expected} (seen: {seen})", if *met { "✓" } else { "✗" })?;
        }
        Ok(())
    }
}
