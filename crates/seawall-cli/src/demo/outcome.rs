//! The outcome of the demo: what was measured, what Seawall promises, and whether it held.

use seawall_load::open_loop::Report;
use serde_json::{Value, json};
use std::{fmt::Write, time::Duration};

/// How long the breaker of `seawall.yaml` beside this file stays open.
pub(super) const RECOVERY: Duration = Duration::from_secs(1);

/// Everything that was measured.
pub(super) struct Outcome {
    pub(super) direct: Report,
    pub(super) seawall: Report,
    pub(super) breaker: Breaker,
    pub(super) facts: Facts,
}

/// The reaction of the breaker in front of the flaky upstreams to the outage.
pub(super) struct Breaker {
    /// From the outage's begin to the circuit's opening.
    pub(super) opened_after: Option<Duration>,
    /// Calls that reached the sick upstreams from then on until they were healed.
    pub(super) calls_while_open: usize,
    /// From the healing to the circuit's closing.
    pub(super) closed_after: Option<Duration>,
}

/// Figures to hold the others against.
pub(super) struct Facts {
    pub(super) outage: Duration,
    /// Calls that reached the sick upstreams during the outage: straight, and through Seawall.
    pub(super) calls_in_outage: [usize; 2],
    /// The state of the circuit at the end, as the gateway's API reports it.
    pub(super) state_said: Option<String>,
    pub(super) opens_said: Option<u64>,
    pub(super) opens_seen: u64,
}

/// One promise, and what was seen of it.
pub(super) struct Promise {
    pub(super) kept: bool,
    pub(super) text: String,
}

fn millis(length: Option<Duration>) -> Option<u64> {
    length.and_then(|length| u64::try_from(length.as_millis()).ok())
}

impl Outcome {
    pub(super) fn passed(&self) -> bool {
        self.promises().iter().all(|promise| promise.kept)
    }

    /// Each promise can fail: it is held against what clients and upstreams counted.
    pub(super) fn promises(&self) -> Vec<Promise> {
        let Self { direct, seawall, breaker, facts } = self;
        let promise = |kept, text| Promise { kept, text };
        let percent = |rate: f64| rate * 100.0;
        let probes = (facts.outage.as_secs_f64() / RECOVERY.as_secs_f64()).ceil() as usize + 3;
        let within = |length: Option<Duration>, bound| length.is_some_and(|length| length <= bound);
        let or_never =
            |length| millis(length).map_or_else(|| "never".into(), |ms| format!("after {ms} ms"));
        vec![
            promise(
                direct.success_rate < 0.9,
                format!(
                    "the outage was real: {:.1} % of direct requests succeeded",
                    percent(direct.success_rate)
                ),
            ),
            promise(
                seawall.success_rate >= 0.99 && seawall.requests > 0 && seawall.dropped == 0,
                format!(
                    "through Seawall {:.2} % succeeded (99 % promised)",
                    percent(seawall.success_rate)
                ),
            ),
            promise(
                within(breaker.opened_after, Duration::from_secs(1)),
                format!("the circuit opened {} (1000 ms promised)", or_never(breaker.opened_after)),
            ),
            promise(
                breaker.opened_after.is_some() && breaker.calls_while_open <= probes,
                format!(
                    "while it was open, {} calls reached the sick upstreams (at most {probes} probes promised; {} came straight)",
                    breaker.calls_while_open, facts.calls_in_outage[0]
                ),
            ),
            promise(
                within(breaker.closed_after, RECOVERY * 2 + Duration::from_millis(500)),
                format!(
                    "after the healing it closed {} (2500 ms promised)",
                    or_never(breaker.closed_after)
                ),
            ),
            promise(
                facts.state_said.as_deref() == Some("closed")
                    && facts.opens_said == Some(facts.opens_seen),
                format!(
                    "the API tells the same: {}, opened {} times",
                    facts.state_said.as_deref().unwrap_or("no answer"),
                    facts.opens_said.unwrap_or_default()
                ),
            ),
        ]
    }

    pub(super) fn json(&self) -> Value {
        let side = |report: &Report| {
            json!({
                "requests": report.requests,
                "success_rate": report.success_rate,
                "p50_ms": report.latency.p50_ms,
                "p99_ms": report.latency.p99_ms,
            })
        };
        json!({
            "direct": side(&self.direct),
            "seawall": side(&self.seawall),
            "breaker": {
                "opened_after_ms": millis(self.breaker.opened_after),
                "calls_while_open": self.breaker.calls_while_open,
                "closed_after_ms": millis(self.breaker.closed_after),
            },
            "passed": self.passed(),
        })
    }

    pub(super) fn table(&self) -> String {
        let Self { direct, seawall, breaker, facts } = self;
        let mut text =
            String::from("\n                                     straight    through Seawall\n");
        let mut row = |name: &str, left: String, right: String| {
            let _ = writeln!(text, "  {name:<32} {left:>10} {right:>18}");
        };
        row("requests", direct.requests.to_string(), seawall.requests.to_string());
        let percent = |report: &Report| format!("{:.2} %", report.success_rate * 100.0);
        row("succeeded", percent(direct), percent(seawall));
        let ms = |value: f64| format!("{value:.0} ms");
        // A refused request is over soon: among all, half an outage would look fast.
        let [quick, quick_too] = [direct, seawall].map(|side| ms(side.success_latency.p50_ms));
        row("p50 of what succeeded", quick, quick_too);
        row("p99 of all", ms(direct.latency.p99_ms), ms(seawall.latency.p99_ms));
        let [straight, through] = facts.calls_in_outage.map(|calls| calls.to_string());
        row("calls to the sick, in the outage", straight, through);
        let after = |length| millis(length).map_or_else(|| "never".into(), |ms| format!("{ms} ms"));
        row("outage → circuit open", "–".into(), after(breaker.opened_after));
        row("healed → circuit closed", "–".into(), after(breaker.closed_after));
        text.push('\n');
        for promise in self.promises() {
            let mark = if promise.kept { "✓" } else { "✗" };
            let _ = writeln!(text, "  {mark} {}", promise.text);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Outcome {
        let side = |success_rate| Report { requests: 100, success_rate, ..Report::default() };
        Outcome {
            direct: side(0.6),
            seawall: side(1.0),
            breaker: Breaker {
                opened_after: Some(Duration::from_millis(30)),
                calls_while_open: 7,
                closed_after: Some(Duration::from_millis(900)),
            },
            facts: Facts {
                outage: Duration::from_secs(7),
                calls_in_outage: [700, 20],
                state_said: Some("closed".into()),
                opens_said: Some(3),
                opens_seen: 3,
            },
        }
    }

    #[test]
    fn every_promise_can_be_broken() {
        assert!(good().passed());
        let breaks: [fn(&mut Outcome); 9] = [
            |outcome| outcome.direct.success_rate = 0.95,
            |outcome| outcome.seawall.success_rate = 0.98,
            |outcome| outcome.seawall.dropped = 1,
            |outcome| outcome.breaker.opened_after = None,
            |outcome| outcome.breaker.calls_while_open = 100,
            |outcome| outcome.breaker.closed_after = None,
            |outcome| outcome.breaker.closed_after = Some(Duration::from_secs(5)),
            |outcome| outcome.facts.state_said = None,
            |outcome| outcome.facts.opens_said = Some(2),
        ];
        for (at, break_it) in breaks.into_iter().enumerate() {
            let mut outcome = good();
            break_it(&mut outcome);
            assert!(!outcome.passed(), "break {at}");
            assert_eq!(outcome.json()["passed"], false);
        }
    }
}
