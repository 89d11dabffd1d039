//! Measures the rate that the generator reaches on this machine against an upstream in the same process that answers
//! at once: `cargo run --release -p seawall-load --example reach [seconds] [rate...]`
//!
//! A rate is kept if nothing is dropped and the lag is small; beyond it, latency is the generator's own.

use seawall_load::{
    open_loop::{Config, Report, start},
    upstream::{self, Upstream},
};
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<f64> =
        std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    let (seconds, rates) = arguments.split_first().unwrap_or((&3.0, &[]));
    let rates = if rates.is_empty() { &[100.0, 1e3, 5e3, 1e4, 2e4, 3e4, 4e4][..] } else { rates };
    let upstream = Upstream::start(upstream::Config::default()).await?;
    println!("   rate     kept  dropped   p50 ms   p99 ms   max ms  lag p50  lag p99  in flight");
    for rate in rates {
        let config = Config {
            targets: vec![upstream.url()],
            rate: *rate,
            duration: Duration::try_from_secs_f64(*seconds)?,
            max_in_flight: 400,
            ..Config::default()
        };
        row(*rate, &start(config)?.finish().await);
    }
    // Linux only; elsewhere the line is missing.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().filter(|line| line.starts_with("VmHWM")).for_each(|line| println!("{line}"));
    Ok(())
}

fn row(rate: f64, report: &Report) {
    let (all, lag) = (report.latency, report.lag);
    println!(
        "{rate:7.0} {:8.0} {:8} {:8.3} {:8.3} {:8.1} {:8.3} {:8.3} {:10}",
        report.successes as f64 / report.elapsed_s,
        report.dropped,
        all.p50_ms,
        all.p99_ms,
        all.max_ms,
        lag.p50_ms,
        lag.p99_ms,
        report.max_in_flight,
    );
}
