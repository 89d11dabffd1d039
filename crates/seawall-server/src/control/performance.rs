//! Benchmarks of the running server, against their thresholds and against what was measured before.

use super::{
    Control,
    config::blocking,
    extract::{JsonBody, Query, number, within},
    problem::{Answer, ApiError, problem, wrong},
};
use crate::{
    actor::Actor,
    audit_trail::{MetricType, Record},
    benchmark::{self, Fixture, Measured, Plan, Subject},
    journal::Journal,
    persistence::Log,
    wall_clock,
};
use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

mod report;

/// The number of suites that are kept.
const KEPT: usize = 200;
/// The longest time for all subjects together.
const LONGEST: Duration = Duration::from_secs(30);

pub(super) fn read_routes() -> OpenApiRouter<Control> {
    report::read_routes()
}

pub(super) fn write_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(run_default, run))
}

/// Suites that were run, and whether one is running.
pub(crate) struct Benchmarks {
    pub(crate) journal: Journal<Suite>,
    running: AtomicBool,
}

impl Benchmarks {
    /// The suites that the log has of former runs.
    pub(crate) fn new(log: Log<Suite>) -> Self {
        Self { journal: Journal::open(log, KEPT), running: AtomicBool::new(false) }
    }
}

/// Marks that a benchmark is running, until it is dropped.
struct Running<'b>(&'b Benchmarks);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::Release);
    }
}

/// The measurements of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Suite {
    /// The name of the run.
    pub benchmark_id: String,
    /// The time at which the run ended.
    pub timestamp: String,
    /// The duration of the whole run, in milliseconds.
    pub total_duration_ms: f64,
    /// The share of subjects that passed, from 0 to 1.
    pub pass_rate: f64,
    /// The names of the subjects that did not pass.
    pub failed_benchmarks: Vec<String>,
    /// The measurement of each subject.
    pub results: Vec<Measured>,
}

/// One run, with how fast it went in all.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BenchmarkAnswer {
    /// The name of the run.
    pub benchmark_id: String,
    /// The measurements of the run.
    pub suite: Suite,
    /// Iterations of all subjects in a second.
    pub requests_per_second: f64,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct BenchmarkParameters {
    /// The number of iterations of each subject.
    #[serde(default = "number::<100, _>")]
    #[param(minimum = 1, maximum = 1_000_000, default = 100)]
    iterations: u64,
    /// Whether to measure also subjects that take a millisecond or more.
    #[serde(default)]
    include_slow: bool,
}

/// A request to measure some subjects.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BenchmarkRequest {
    /// A single subject to measure.
    #[serde(default)]
    operation_name: Option<Subject>,
    /// Several subjects to measure; left out, and without `operation_name`: all.
    #[serde(default)]
    operations: Option<Vec<Subject>>,
    /// The number of iterations of each subject.
    #[serde(default = "number::<100, _>")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    iterations: u64,
    /// The number of threads that measure at once.
    #[serde(default = "number::<1, _>")]
    #[schema(minimum = 1, maximum = 256)]
    concurrency: usize,
    /// Whether to measure also subjects that take a millisecond or more, if none is named.
    #[serde(default)]
    include_slow: bool,
}

/// Measures all subjects. One run at a time, of at most half a minute.
#[utoipa::path(get, path = "/performance/benchmark", params(BenchmarkParameters),
    responses((status = 200, body = BenchmarkAnswer), (status = 409)))]
async fn run_default(
    State(control): State<Control>,
    Query(parameters): Query<BenchmarkParameters>,
    actor: Actor,
) -> Answer<BenchmarkAnswer> {
    let request = BenchmarkRequest {
        operation_name: None,
        operations: None,
        iterations: parameters.iterations,
        concurrency: 1,
        include_slow: parameters.include_slow,
    };
    measured(control, request, actor).await
}

/// Measures the subjects that are asked for. One run at a time, of at most half a minute.
#[utoipa::path(post, path = "/performance/benchmark", request_body = BenchmarkRequest,
    responses((status = 200, body = BenchmarkAnswer), (status = 409)))]
async fn run(
    State(control): State<Control>,
    actor: Actor,
    JsonBody(request): JsonBody<BenchmarkRequest>,
) -> Answer<BenchmarkAnswer> {
    measured(control, request, actor).await
}

async fn measured(
    control: Control,
    request: BenchmarkRequest,
    actor: Actor,
) -> Answer<BenchmarkAnswer> {
    let subjects = subjects(&request)?;
    let plan = Plan {
        iterations: within("iterations", request.iterations, 1, 1_000_000)?,
        concurrency: within("concurrency", request.concurrency, 1, 256)?,
        longest: LONGEST / subjects.len() as u32,
        subjects,
    };
    if control.benchmarks.running.swap(true, Ordering::AcqRel) {
        let detail = "a benchmark is running; two would measure each other";
        return Err(problem(StatusCode::CONFLICT, "Benchmark running", detail));
    }
    // Moved along, so that the place is given back when the work ends, not when the client leaves.
    let body = blocking(move || {
        let _running = Running(&control.benchmarks);
        measure(&control, &plan, &actor)
    });
    body.await.map(Json)
}

fn measure(control: &Control, plan: &Plan, actor: &Actor) -> BenchmarkAnswer {
    let revision = control.live.now();
    let fixture = Fixture {
        inputs: control.live.inputs().clone(),
        config: revision.config.clone(),
        registry: control.registry.clone(),
    };
    let results = benchmark::run(plan, &fixture);
    let failed: Vec<String> =
        results.iter().filter(|one| !one.passed).map(|one| one.operation.clone()).collect();
    let total_duration_ms: f64 = results.iter().map(|one| one.duration_ms).sum();
    let iterations: u64 = results.iter().map(|one| one.iterations).sum();
    let draw = seawall::Random::new(seawall::fresh_seed()).bits();
    let suite = Suite {
        benchmark_id: format!("{draw:016x}"),
        timestamp: wall_clock::now(),
        total_duration_ms,
        pass_rate: 1.0 - failed.len() as f64 / results.len().max(1) as f64,
        failed_benchmarks: failed,
        results,
    };
    for one in &suite.results {
        let record = Record::new(
            MetricType::PerformanceEvent,
            &revision.config.preset,
            &one.operation,
            one.avg_ms,
        );
        control.live.trail().record(record, actor);
    }
    control.benchmarks.journal.add(suite.clone());
    BenchmarkAnswer {
        benchmark_id: suite.benchmark_id.clone(),
        requests_per_second: iterations as f64 / (total_duration_ms / 1000.0).max(1e-9),
        suite,
    }
}

fn subjects(request: &BenchmarkRequest) -> Result<Vec<Subject>, ApiError> {
    match (&request.operation_name, &request.operations) {
        (Some(_), Some(_)) => {
            Err(wrong("operations", "give operation_name or operations, not both"))
        }
        (Some(one), None) => Ok(vec![*one]),
        (None, Some(some)) if some.is_empty() => {
            Err(wrong("operations", "operations is empty; name at least one"))
        }
        (None, Some(some)) => {
            let mut some = some.clone();
            some.sort();
            some.dedup();
            Ok(some)
        }
        (None, None) => {
            let wanted = |subject: &Subject| request.include_slow || !subject.is_slow();
            Ok(Subject::ALL.into_iter().filter(wanted).collect())
        }
    }
}
