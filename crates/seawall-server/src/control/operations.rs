//! Operations: their policies in force, with the origin of every value.

use super::{
    Control,
    config::Reach,
    extract::{JsonBody, PathName, Query, number, within},
    problem::{ApiError, wrong},
    table::{Column, TableFormat, csv, page},
    tag::tagged,
    views::{CircuitBreakerView, OperationMetrics},
};
use crate::{
    active::ConfigEdit,
    actor::Actor,
    config::{NAME_RULE, OperationConfig, is_name},
    revisions::Revision,
    schema::described,
};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use seawall::{Mode, Settings, State as Circuit};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn read_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one))
}

pub(super) fn write_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(register))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParameters {
    /// The most operations in one answer, 1 to 1,000.
    #[serde(default = "number::<100, _>")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: usize,
    /// The last name of the page before.
    after: Option<String>,
    /// The format of the answer: `json` or `csv`.
    #[serde(default, deserialize_with = "crate::control::extract::any_case")]
    #[param(inline)]
    format: TableFormat,
}

/// One operation in a few words.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OperationLine {
    /// The name of the operation.
    pub name: String,
    /// The profile that the operation follows; `null` if it has policies of its own.
    pub strategy: Option<String>,
    /// The types of the operation's policies, outermost first.
    pub policies: Vec<String>,
    /// The state of the circuit; `null` without a breaker.
    #[schema(schema_with = described::<Option<Circuit>>)]
    pub circuit: Option<Circuit>,
    /// The mode of the circuit breaker: only one that enforces refuses calls.
    #[schema(schema_with = described::<Option<Mode>>)]
    pub circuit_mode: Option<Mode>,
    /// Executions that began.
    pub total_calls: u64,
    /// The share of successes, from 0 to 1, among the executions that ended and that the caller neither spoiled nor
    /// left; `null` before the first.
    pub success_rate: Option<f64>,
    /// Whether retries and hedges of the operation are paused.
    pub repeats_paused: bool,
}

/// A page of operations, by name.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Operations {
    /// The operations of this page.
    pub operations: Vec<OperationLine>,
    /// The number of all operations.
    pub total_count: usize,
    /// The value of `after` for the next page; `null` on the last page.
    pub next: Option<String>,
}

/// Lists all operations, by name, in pages.
#[utoipa::path(get, path = "/operations", params(ListParameters),
    responses((status = 200, content((Operations = "application/json"), (String = "text/csv")))))]
async fn list(
    State(control): State<Control>,
    Query(parameters): Query<ListParameters>,
) -> Result<Response, ApiError> {
    let limit = within("limit", parameters.limit, 1, 1000)?;
    let revision = control.live.now();
    let settings = revision.config.settings();
    let all = control.registry.operations();
    let total_count = all.len();
    let after = parameters.after.as_deref();
    let wanted = all.iter().filter(|one| after.is_none_or(|after| &*one.name() > after));
    let (lines, more) = page(wanted.map(|one| line(one, &revision, &settings)), limit);
    if parameters.format == TableFormat::Csv {
        return Ok(csv(COLUMNS, &lines));
    }
    let next = lines.last().filter(|_| more).map(|last| last.name.clone());
    Ok(tagged(&Operations { operations: lines, total_count, next }))
}

/// The columns of the CSV table.
const COLUMNS: &[Column<OperationLine>] = &[
    ("name", |line| line.name.clone()),
    ("strategy", |line| line.strategy.clone().unwrap_or_default()),
    ("policies", |line| line.policies.join(" ")),
    ("circuit", |line| line.circuit.map(|state| state.label().into()).unwrap_or_default()),
    ("total_calls", |line| line.total_calls.to_string()),
    ("success_rate", |line| line.success_rate.map(|rate| rate.to_string()).unwrap_or_default()),
    ("circuit_mode", |line| line.circuit_mode.map(|mode| mode.label().into()).unwrap_or_default()),
];

fn line(
    operation: &crate::runtime::Operation,
    revision: &Revision,
    settings: &Settings,
) -> OperationLine {
    let (name, pipeline) = (operation.name().to_string(), operation.pipeline());
    let (counts, circuit) = (operation.counts(), pipeline.circuit(operation.now()));
    let configured = is_configured(&name, revision);
    OperationLine {
        strategy: configured.then(|| revision.config.chosen_strategy(&name, settings)).flatten(),
        policies: pipeline.policies().iter().map(|policy| policy.label().to_owned()).collect(),
        circuit: circuit.as_ref().map(|circuit| circuit.state),
        circuit_mode: circuit.map(|circuit| circuit.mode),
        total_calls: counts.total_calls,
        success_rate: counts.success_rate(),
        repeats_paused: pipeline.repeats_are_paused(),
        name,
    }
}

/// Whether the configuration names the operation; routes have operations of their own.
fn is_configured(name: &str, revision: &Revision) -> bool {
    let config = &revision.config;
    config.upstreams.contains_key(name) || config.operations.contains_key(name)
}

/// One value of a policy, with its origin.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PolicyValue {
    /// The path of the field within its policy.
    pub field: String,
    /// The value in force.
    pub value: Value,
    /// The source of the value: `default`, `preset NAME`, `FILE:LINE`, `variable NAME`, `API`.
    pub origin: String,
}

/// One policy in force.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PolicyView {
    /// The place of the policy in the pipeline; 0 is the outermost.
    pub position: usize,
    /// The type of the policy: `retry`, `circuit_breaker` …
    #[serde(rename = "type")]
    pub kind: String,
    /// The mode of the policy at this moment.
    #[schema(schema_with = described::<Mode>)]
    pub mode: Mode,
    /// The fields of the policy.
    pub values: Vec<PolicyValue>,
}

/// One operation in full.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OperationDetail {
    /// The name of the operation.
    pub name: String,
    /// The profile that the operation follows; `null` if it has policies of its own.
    pub strategy: Option<String>,
    /// The policies of the operation, outermost first.
    pub policies: Vec<PolicyView>,
    /// Whether retries and hedges of the operation are paused.
    pub repeats_paused: bool,
    /// The counters and latencies of the operation.
    pub metrics: OperationMetrics,
    /// The circuit breaker of the operation; `null` if it has none.
    pub circuit_breaker: Option<CircuitBreakerView>,
}

/// Shows one operation, with its policies in order and the origin of every value.
#[utoipa::path(get, path = "/operations/{name}", responses((status = 200, body = OperationDetail)))]
async fn one(
    State(control): State<Control>,
    PathName(name): PathName,
) -> Result<Response, ApiError> {
    let operation = control.operation(&name)?;
    Ok(tagged(&detail(&control, &operation)))
}

fn detail(control: &Control, operation: &crate::runtime::Operation) -> OperationDetail {
    let (name, pipeline) = (operation.name().to_string(), operation.pipeline());
    let revision = control.live.now();
    let configured = is_configured(&name, &revision);
    let explained = if configured {
        revision.config.explained_policies(&name, &revision.origins)
    } else {
        Vec::new()
    };
    let policies = pipeline.policies().iter().enumerate().map(|(position, policy)| {
        let values = match explained.get(position) {
            Some(explained) => explained
                .values
                .iter()
                .map(|leaf| PolicyValue {
                    field: leaf.path.clone(),
                    value: leaf.value.clone(),
                    origin: leaf.origin.to_string(),
                })
                .collect(),
            None => of_route(policy),
        };
        PolicyView { position, kind: policy.label().into(), mode: pipeline.mode(position), values }
    });
    OperationDetail {
        strategy: configured.then(|| revision.config.strategy_of(&name)).flatten(),
        policies: policies.collect(),
        repeats_paused: pipeline.repeats_are_paused(),
        metrics: OperationMetrics::of(operation),
        circuit_breaker: CircuitBreakerView::of(operation, operation.now()),
        name,
    }
}

/// The values of a policy that follow from the fields of a route.
fn of_route(policy: &seawall::Policy) -> Vec<PolicyValue> {
    let config = policy.config().map(|config| json!(config)).unwrap_or_default();
    let leaves = seawall_config::leaves(&config).into_iter().filter(|(path, _)| path != "type");
    leaves.map(|(field, value)| PolicyValue { field, value, origin: "route".into() }).collect()
}

/// A request to register an operation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewOperation {
    /// The name of the operation: up to 64 letters, digits, `-`, `_`, `.`; the first is a letter or a digit.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    name: String,
    /// The name of a profile. It cannot be set together with `policies`; without either the operation has the
    /// preset's.
    #[serde(default)]
    strategy: Option<String>,
    /// The policies, outermost first, as the file has them.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    policies: Option<Vec<Value>>,
}

/// Registers an operation: it becomes part of the configuration, as a change through the API.
#[utoipa::path(post, path = "/operations", params(Reach), request_body = NewOperation,
    responses((status = 201, body = OperationDetail), (status = 409), (status = 503)))]
async fn register(
    State(control): State<Control>,
    actor: Actor,
    Query(reach): Query<Reach>,
    JsonBody(asked): JsonBody<NewOperation>,
) -> Result<Response, ApiError> {
    let name = asked.name.clone();
    if !is_name(&name) {
        return Err(wrong("name", &format!("name is {name:?}; {NAME_RULE}")));
    }
    let mut config = json!(OperationConfig { strategy: asked.strategy, policies: None });
    if let Some(policies) = asked.policies {
        config["policies"] = policies.into();
    }
    let edit = ConfigEdit::Register { name: name.clone(), config };
    control.applied(edit, actor, None, reach).await?;
    let operation = control.operation(&name)?;
    Ok((StatusCode::CREATED, Json(detail(&control, &operation))).into_response())
}
