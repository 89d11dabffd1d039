//! `seawall bench`: the benchmarks of a running server.

use crate::{
    failure::Ended,
    output,
    output::{Paint, Tone},
    remote::{Reply, Server},
    table::{Cell, Table},
};
use clap::Args;
use http::Method;
use seawall_server::wire::BenchmarkAnswer;
use serde_json::json;
use std::{process::ExitCode, time::Duration};

/// A run may take half a minute, and somewhat more where the machine is busy.
const LONGEST_RUN: Duration = Duration::from_secs(90);

/// Arguments of `bench`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 all within their thresholds; 1 not, or refused; 2 no server."
)]
pub(crate) struct Bench {
    /// Run each subject this many times
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    iterations: u64,
    /// Measure on this many threads at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    concurrency: u64,
    /// Measure only these subjects, such as `breaker_call,pipeline`
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    operations: Vec<String>,
    /// Measure also subjects that take a millisecond or more
    #[arg(long, conflicts_with = "operations")]
    include_slow: bool,
    #[command(flatten)]
    server: Server,
}

impl Bench {
    pub(crate) fn run(mut self) -> Ended {
        let mut asked = json!({
            "iterations": self.iterations,
            "concurrency": self.concurrency,
            "include_slow": self.include_slow,
        });
        if !self.operations.is_empty() {
            asked["operations"] = json!(self.operations);
        }
        let remote = &mut self.server.remote;
        remote.wait_at_least(LONGEST_RUN);
        let reply: Reply<BenchmarkAnswer> =
            remote.send(&Method::POST, "/performance/benchmark", &asked)?;
        let results = &reply.read.suite.results;
        if results.is_empty() {
            return Err(remote.strange("suite.results: [], which measures nothing"));
        }
        self.server.show(&reply, table)?;
        let failed = results.iter().any(|result| !result.passed);
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn table(answer: &BenchmarkAnswer, paint: Paint) -> String {
    let mut table =
        Table::new(&["operation", "iterations", "avg", "min", "max", "p50", "p95", "p99", ""]);
    for one in &answer.suite.results {
        let times = [one.avg_ms, one.min_ms, one.max_ms, one.p50_ms, one.p95_ms, one.p99_ms];
        let mut row = vec![Cell::text(&one.operation), Cell::number(one.iterations.to_string())];
        row.extend(times.map(|time| Cell::number(time_text(time))));
        row.push(match one.passed {
            true => Cell::toned(Tone::Good, "passed"),
            false => Cell::toned(Tone::Bad, "too slow"),
        });
        table.row(row);
    }
    format!("{}benchmark {}\n", table.text(paint), output::plain(&answer.benchmark_id))
}

/// Milliseconds in a unit that leaves few zeros.
fn time_text(ms: f64) -> String {
    match ms {
        ms if ms < 0.001 => format!("{:.0} ns", ms * 1e6),
        ms if ms < 1.0 => format!("{:.1} µs", ms * 1e3),
        ms => format!("{ms:.2} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_few_zeros() {
        for (ms, expected) in [(0.000_042, "42 ns"), (0.0123, "12.3 µs"), (3.5, "3.50 ms")] {
            assert_eq!(time_text(ms), expected);
        }
    }
}
