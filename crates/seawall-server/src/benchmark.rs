//! Benchmarks of the running server: the real paths, on its own configuration, bounded in time.

use crate::{
    config::GatewayConfig, dead_letters::DeadLetters, gateway::Gateway, inputs::Inputs,
    persistence::Persistence, prometheus, runtime::Registry, tenants::Tenants,
};
use seawall::{Override, PolicyConfig};
use seawall_tower::TokioTimer;
use serde::{Deserialize, Serialize};
use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};
use utoipa::ToSchema;

/// The subjects that can be measured; also under the names in the documents of the systems before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Subject {
    /// A preset by its name, in full.
    #[serde(alias = "preset_loading")]
    PresetAccess,
    /// The whole configuration, read from its file and checked.
    #[serde(
        alias = "resilience_config_loading",
        alias = "custom_config_loading",
        alias = "legacy_config_loading",
        alias = "settings_initialization"
    )]
    ConfigLoading,
    /// One change of a preset, validated.
    #[serde(alias = "validation_performance")]
    Validation,
    /// A gateway with all its operations, made from the configuration.
    #[serde(alias = "service_initialization")]
    ServiceInit,
    /// A call through a closed circuit breaker.
    BreakerCall,
    /// A call through a retry policy that is not needed.
    RetryDecision,
    /// A call through five policies.
    #[serde(alias = "text_processing")]
    Pipeline,
    /// The page of metrics for Prometheus.
    Metrics,
}

/// A bound in milliseconds: what the average may be.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct Threshold {
    pub(crate) operation: Subject,
    /// The average that the benchmark passes with.
    pub(crate) threshold_ms: f64,
    /// The time that we aim at ourselves, in milliseconds.
    pub(crate) aim_ms: f64,
}

impl Subject {
    pub(crate) const ALL: [Self; 8] = [
        Self::PresetAccess,
        Self::ConfigLoading,
        Self::Validation,
        Self::ServiceInit,
        Self::BreakerCall,
        Self::RetryDecision,
        Self::Pipeline,
        Self::Metrics,
    ];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::PresetAccess => "preset_access",
            Self::ConfigLoading => "config_loading",
            Self::Validation => "validation",
            Self::ServiceInit => "service_init",
            Self::BreakerCall => "breaker_call",
            Self::RetryDecision => "retry_decision",
            Self::Pipeline => "pipeline",
            Self::Metrics => "metrics",
        }
    }

    /// Whether one iteration takes more than about a millisecond.
    pub(crate) fn is_slow(self) -> bool {
        matches!(self, Self::ConfigLoading | Self::ServiceInit | Self::Metrics)
    }

    pub(crate) fn threshold(self) -> Threshold {
        let (threshold_ms, aim_ms) = match self {
            Self::PresetAccess => (10.0, 0.001),
            Self::ConfigLoading => (100.0, 5.0),
            Self::Validation => (50.0, 0.2),
            Self::ServiceInit => (200.0, 100.0),
            Self::BreakerCall => (0.01, 0.000_1),
            Self::RetryDecision => (0.01, 0.000_1),
            Self::Pipeline => (0.01, 0.000_2),
            Self::Metrics => (100.0, 20.0),
        };
        Threshold { operation: self, threshold_ms, aim_ms }
    }
}

/// The measurement of one subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Measured {
    /// The name of the subject.
    pub operation: String,
    /// The duration of all iterations, in milliseconds.
    pub duration_ms: f64,
    /// Iterations that were made; fewer than asked for where time ran out.
    pub iterations: u64,
    /// The average duration of one iteration, in milliseconds.
    pub avg_ms: f64,
    /// The shortest iteration, in milliseconds.
    pub min_ms: f64,
    /// The longest iteration, in milliseconds.
    pub max_ms: f64,
    /// The standard deviation of the iterations, in milliseconds.
    pub std_dev_ms: f64,
    /// The median of the iterations, in milliseconds.
    pub p50_ms: f64,
    /// The 95th percentile of the iterations, in milliseconds.
    pub p95_ms: f64,
    /// The 99th percentile of the iterations, in milliseconds.
    pub p99_ms: f64,
    /// The share of iterations that succeeded, from 0 to 1.
    pub success_rate: f64,
    /// Whether the average is within its threshold, and all iterations succeeded.
    pub passed: bool,
    /// Iterations of all threads in a second.
    pub requests_per_second: f64,
    /// The most memory that the process ever had, in bytes; `null` where the system does not say.
    pub memory_peak: Option<u64>,
}

/// The plan of a run: which subjects are measured, how often, and for how long at most.
pub(crate) struct Plan {
    pub(crate) subjects: Vec<Subject>,
    pub(crate) iterations: u64,
    pub(crate) concurrency: usize,
    /// The longest time for each subject.
    pub(crate) longest: Duration,
}

/// The parts of the server that the subjects run on.
#[derive(Clone)]
pub(crate) struct Fixture {
    pub(crate) inputs: Inputs,
    pub(crate) config: Arc<GatewayConfig>,
    pub(crate) registry: Registry,
}

/// Runs a plan. To be called where blocking is allowed.
pub(crate) fn run(plan: &Plan, fixture: &Fixture) -> Vec<Measured> {
    plan.subjects.iter().map(|subject| measure(*subject, plan, fixture)).collect()
}

/// The durations that one thread measured.
struct Times {
    /// The duration of each iteration, in nanoseconds.
    each: Vec<f64>,
    iterations: u64,
    failed: u64,
}

fn measure(subject: Subject, plan: &Plan, fixture: &Fixture) -> Measured {
    let began = Instant::now();
    let threads = plan.concurrency.max(1);
    let share = plan.iterations.div_ceil(threads as u64);
    let parts: Vec<Times> = std::thread::scope(|scope| {
        let each =
            (0..threads).map(|_| scope.spawn(|| thread(subject, share, plan.longest, fixture)));
        let running: Vec<_> = each.collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    summary(subject, began.elapsed(), parts)
}

fn thread(subject: Subject, iterations: u64, longest: Duration, fixture: &Fixture) -> Times {
    let Some(mut work) = prepared(subject, fixture) else {
        return Times { each: Vec::new(), iterations: 0, failed: 1 };
    };
    // Where one takes nanoseconds, the clock would be what is measured: they are timed in batches.
    let batch = match subject {
        Subject::BreakerCall
        | Subject::RetryDecision
        | Subject::Pipeline
        | Subject::PresetAccess => 1000,
        _ => 1,
    };
    // The first ones find cold caches; they are not what is asked for.
    let warm = Instant::now();
    for _ in 0..batch.min(iterations) {
        work();
        if warm.elapsed() > longest / 10 {
            break;
        }
    }
    let began = Instant::now();
    let mut times = Times { each: Vec::new(), iterations: 0, failed: 0 };
    while times.iterations < iterations && began.elapsed() < longest {
        let count = batch.min(iterations - times.iterations);
        let start = Instant::now();
        let failed = (0..count).filter(|_| !work()).count();
        times.each.push(start.elapsed().as_nanos() as f64 / count as f64);
        times.iterations += count;
        times.failed += failed as u64;
    }
    times
}

type Work = Box<dyn FnMut() -> bool>;

/// One iteration of a subject; none where it cannot be prepared.
fn prepared(subject: Subject, fixture: &Fixture) -> Option<Work> {
    let Fixture { inputs, config, registry } = fixture.clone();
    Some(match subject {
        Subject::PresetAccess => {
            let catalog = config.catalog();
            let name = config.preset.clone();
            Box::new(move || {
                let preset = catalog.preset(black_box(&name));
                black_box(preset.map(|preset| preset.settings(&Override::default()))).is_some()
            })
        }
        Subject::ConfigLoading => Box::new(move || black_box(inputs.load()).is_ok()),
        Subject::Validation => {
            let catalog = config.catalog();
            let value =
                serde_json::to_value(&seawall_presets::templates::all().last()?.config).ok()?;
            Box::new(move || {
                black_box(seawall_presets::custom::validate(black_box(&value), &catalog)).is_valid
            })
        }
        Subject::ServiceInit => Box::new(move || {
            let registry = seawall::Registry::builder().timer(TokioTimer).build();
            let letters = Arc::new(DeadLetters::in_memory());
            let persistence = Persistence::in_memory();
            let tenants = Arc::new(Tenants::new(&config.tenants, &persistence));
            black_box(Gateway::new(&config, &registry, letters, tenants)).is_ok()
        }),
        Subject::BreakerCall => called(&["circuit_breaker"])?,
        Subject::RetryDecision => called(&["retry"])?,
        Subject::Pipeline => {
            called(&["timeout", "retry", "circuit_breaker", "rate_limiter", "bulkhead"])?
        }
        Subject::Metrics => Box::new(move || {
            !black_box(prometheus::page(&registry, Duration::ZERO)).text.is_empty()
        }),
    })
}

/// Calls that succeed at once, through policies of these types with their defaults.
fn called(kinds: &[&str]) -> Option<Work> {
    let config = |kind: &&str| match *kind {
        // One that never refuses: what is measured is the call that passes.
        "rate_limiter" => PolicyConfig::RateLimiter(seawall::RateLimiterConfig {
            rate: 1_000_000_000,
            ..Default::default()
        }),
        "circuit_breaker" => PolicyConfig::CircuitBreaker(Default::default()),
        "retry" => PolicyConfig::Retry(Default::default()),
        "bulkhead" => PolicyConfig::Bulkhead(Default::default()),
        _ => PolicyConfig::Timeout(Default::default()),
    };
    let policies: Vec<PolicyConfig> = kinds.iter().map(config).collect();
    let registry = seawall::Registry::default();
    let operation = registry.register("benchmark", policies).ok()?;
    Some(Box::new(move || {
        let call = |_| Ok::<u32, u32>(black_box(1));
        operation.run(call).blocking().is_ok()
    }))
}

fn summary(subject: Subject, took: Duration, parts: Vec<Times>) -> Measured {
    let iterations: u64 = parts.iter().map(|part| part.iterations).sum();
    let failed: u64 = parts.iter().map(|part| part.failed).sum();
    let mut each: Vec<f64> = parts.into_iter().flat_map(|part| part.each).collect();
    each.sort_by(f64::total_cmp);
    let ms = |nanos: f64| nanos / 1e6;
    let count = each.len().max(1) as f64;
    let mean = each.iter().sum::<f64>() / count;
    let spread = each.iter().map(|time| (time - mean).powi(2)).sum::<f64>();
    let at = |q| ms(crate::audit_trail::percentile(&each, q).unwrap_or(0.0));
    let success_rate = 1.0 - failed as f64 / iterations.max(failed).max(1) as f64;
    let avg_ms = ms(mean);
    Measured {
        operation: subject.label().into(),
        duration_ms: took.as_secs_f64() * 1000.0,
        iterations,
        avg_ms,
        min_ms: ms(each.first().copied().unwrap_or(0.0)),
        max_ms: ms(each.last().copied().unwrap_or(0.0)),
        std_dev_ms: ms((spread / (count - 1.0).max(1.0)).sqrt()),
        p50_ms: at(0.5),
        p95_ms: at(0.95),
        p99_ms: at(0.99),
        success_rate,
        passed: iterations > 0 && success_rate == 1.0 && avg_ms <= subject.threshold().threshold_ms,
        requests_per_second: iterations as f64 / took.as_secs_f64().max(1e-9),
        memory_peak: memory_peak(),
    }
}

/// The high-water mark of resident memory, where the system says it.
fn memory_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_runs_for_real() {
        let config = GatewayConfig {
            operations: [("one".to_owned(), crate::config::OperationConfig::default())].into(),
            ..GatewayConfig::default()
        };
        let registry = seawall::Registry::builder().timer(TokioTimer).build();
        let fixture = Fixture { inputs: Inputs::of(&config), config: Arc::new(config), registry };
        let plan = Plan {
            subjects: Subject::ALL.to_vec(),
            iterations: 2000,
            concurrency: 2,
            longest: Duration::from_millis(200),
        };
        for measured in run(&plan, &fixture) {
            assert!(measured.iterations > 0, "{measured:?}");
            assert_eq!(measured.success_rate, 1.0, "{measured:?}");
            assert!(measured.min_ms <= measured.p50_ms && measured.p50_ms <= measured.p99_ms);
        }
    }

    #[test]
    fn time_is_bounded() {
        let registry = seawall::Registry::builder().timer(TokioTimer).build();
        let fixture = Fixture {
            inputs: Inputs::of(&GatewayConfig::default()),
            config: Arc::default(),
            registry,
        };
        let plan = Plan {
            subjects: vec![Subject::Pipeline],
            iterations: u64::MAX / 2,
            concurrency: 1,
            longest: Duration::from_millis(20),
        };
        assert!(run(&plan, &fixture)[0].iterations < u64::MAX / 2);
    }
}
