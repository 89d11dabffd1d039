//! `seawall bench`: the benchmarks of a running server.

use crate::{
    failure::{Ended, Failure},
    output,
    output::{Paint, Tone},
    remote::Remote,
    table::{Cell, Table},
};
use clap::Args;
use http::Method;
use serde_json::{Value, json};
use std::{process::ExitCode, time::Duration};

/// A run may take half a minute, and somewhat more where the machine is busy.
const LONGEST_RUN: Duration = Duration::from_secs(90);

/// Arguments of `bench`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 all within their thresholds; 1 not, or refused; 2 no server."
)]
pub(crate) struct Bench {
    /// How often each subject is run
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    iterations: u64,
    /// Threads at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    concurrency: u64,
    /// Only these subjects, such as `breaker_call,pipeline`
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    operations: Vec<String>,
    /// Also what takes a millisecond and more
    #[arg(long, conflicts_with = "operations")]
    include_slow: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Bench {
    pub(crate) fn run(self) -> Ended {
        let mut asked = json!({
            "iterations": self.iterations,
            "concurrency": self.concurrency,
            "include_slow": self.include_slow,
        });
        if !self.operations.is_empty() {
            asked["operations"] = json!(self.operations);
        }
        let remote = self.remote.at_least(LONGEST_RUN);
        let answer = remote.send(&Method::POST, "/performance/benchmark", Some(&asked))?;
        if self.json { output::json(&answer) } else { table(&answer) }?;
        let results = answer["suite"]["results"].as_array();
        let failed = results.into_iter().flatten().any(|result| result["passed"] == false);
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn table(answer: &Value) -> Result<(), Failure> {
    const TIMES: [&str; 6] = ["avg_ms", "min_ms", "max_ms", "p50_ms", "p95_ms", "p99_ms"];
    let mut table =
        Table::new(&["operation", "iterations", "avg", "min", "max", "p50", "p95", "p99", ""]);
    for result in answer["suite"]["results"].as_array().into_iter().flatten() {
        let mut row = vec![Cell::value(&result["operation"]), Cell::value(&result["iterations"])];
        row.extend(TIMES.map(|time| Cell::number(time_text(&result[time]))));
        row.push(match result["passed"].as_bool() {
            Some(true) => Cell::toned(Tone::Good, "passed"),
            Some(false) => Cell::toned(Tone::Bad, "too slow"),
            None => Cell::text("-"),
        });
        table.row(row);
    }
    let text = table.text(Paint::of_stdout());
    let id = answer["benchmark_id"].as_str().unwrap_or("-");
    output::write(&format!("{text}benchmark {}\n", output::plain(id)))
}

/// Milliseconds in a unit that leaves few zeros.
fn time_text(ms: &Value) -> String {
    match ms.as_f64() {
        None => "-".into(),
        Some(ms) if ms < 0.001 => format!("{:.0} ns", ms * 1e6),
        Some(ms) if ms < 1.0 => format!("{:.1} µs", ms * 1e3),
        Some(ms) => format!("{ms:.2} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_few_zeros() {
        for (ms, expected) in [
            (json!(0.000_042), "42 ns"),
            (json!(0.0123), "12.3 µs"),
            (json!(3.5), "3.50 ms"),
            (json!(null), "-"),
        ] {
            assert_eq!(time_text(&ms), expected);
        }
    }
}
