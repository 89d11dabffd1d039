//! Tenants: what they use, what is left to them, and their reset.

use super::{
    Control, QuotaView,
    extract::{PathName, Query, number, within},
    problem::{Answer, ApiError, unknown},
    tag::tagged,
};
use crate::{
    actor::Actor,
    schema::described,
    tenants::{Count, NANOS, Standing, TenantLine},
    wall_clock,
};
use axum::{Json, extract::State, response::Response};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn read_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one))
}

pub(super) fn write_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(reset))
}

/// A budget of a tenant, with what is used and what is left of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BudgetView {
    /// What it counts: `requests`, `tokens` or `money`.
    #[schema(schema_with = described::<crate::config::BudgetUnit>)]
    pub unit: crate::config::BudgetUnit,
    /// The period of the calendar, in UTC, that it is for.
    #[schema(schema_with = described::<crate::config::Period>)]
    pub per: crate::config::Period,
    /// How much of it there is.
    pub limit: f64,
    /// How much of it is used.
    pub used: f64,
    /// What is expected of requests in progress.
    pub reserved: f64,
    /// How much is left, without what is reserved.
    pub left: f64,
    /// Whether so much is used that a warning is raised.
    pub warned: bool,
    /// The time at which it is whole again.
    #[serde(with = "wall_clock")]
    #[schema(value_type = String, format = DateTime)]
    pub resets_at: u64,
}

/// What a tenant has used of one model since the start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelUseView {
    /// The name of the model; `unknown` where requests do not say it, `other` for all beyond the first 50.
    pub model: String,
    /// Requests that used tokens of it.
    pub requests: u64,
    /// Tokens that they used.
    pub tokens: u64,
    /// What they cost by `tenants.prices`.
    pub cost: f64,
}

/// How a tenant stands. What it has used counts from the start of the server on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TenantView {
    /// The name of the tenant.
    pub name: String,
    /// Whether the configuration names it.
    pub named: bool,
    /// Its tier, where it has one.
    pub tier: Option<String>,
    /// Requests that it has made, those that were refused included.
    pub requests: u64,
    /// Requests that were refused on its account, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Tokens of requests that it has used, without those below.
    pub input_tokens: u64,
    /// Tokens of requests that came from a cache.
    pub cached_input_tokens: u64,
    /// Tokens of requests that were written to a cache.
    pub cache_write_tokens: u64,
    /// Tokens of answers.
    pub output_tokens: u64,
    /// What it has spent by `tenants.prices`.
    pub cost: f64,
    /// Requests in progress.
    pub in_flight: usize,
    /// The most requests in progress.
    pub max_concurrent: Option<usize>,
    /// Its budgets.
    pub budgets: Vec<BudgetView>,
    /// What is left of its rate limits, by what they count; only where one tenant is asked for.
    pub limits: BTreeMap<String, QuotaView>,
    /// The models that it has used most, at most 10; only where one tenant is asked for.
    pub models: Vec<ModelUseView>,
}

/// A list of tenants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TenantList {
    /// The tenants with the most requests, those first.
    pub tenants: Vec<TenantView>,
    /// The number of all tenants that are named or remembered.
    pub total: usize,
    /// Tokens of models that have no price, by model.
    pub unpriced_tokens: BTreeMap<String, u64>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParameters {
    /// The most tenants in the answer.
    #[serde(default = "number::<100, _>")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: usize,
}

/// Lists tenants, those with the most requests first.
#[utoipa::path(get, path = "/tenants", params(ListParameters),
    responses((status = 200, body = TenantList)))]
async fn list(
    State(control): State<Control>,
    Query(asked): Query<ListParameters>,
) -> Result<Response, ApiError> {
    within("limit", asked.limit, 1, 1000)?;
    let mut lines = control.tenants.lines();
    let total = lines.len();
    lines.sort_by_key(|line| std::cmp::Reverse(line.counts.of(Count::Requests)));
    let tenants = lines.iter().take(asked.limit).map(view).collect();
    Ok(tagged(&TenantList { tenants, total, unpriced_tokens: control.tenants.unpriced() }))
}

/// Shows one tenant: its use, its limits and what is left of its budgets.
#[utoipa::path(get, path = "/tenants/{name}", responses((status = 200, body = TenantView)))]
async fn one(
    State(control): State<Control>,
    PathName(name): PathName,
) -> Result<Response, ApiError> {
    Ok(tagged(&control.tenant(&name)?))
}

/// Makes the budgets and the rate limits of a tenant whole again.
#[utoipa::path(post, path = "/tenants/{name}/reset", responses((status = 200, body = TenantView)))]
async fn reset(
    State(control): State<Control>,
    PathName(name): PathName,
    actor: Actor,
) -> Answer<TenantView> {
    control.tenant(&name)?;
    control.tenants.reset(&name);
    if let Some((operation, key)) = control.live.gateway().tenant_limits(&name) {
        operation.pipeline().rate_limiters().for_each(|(limiter, _)| limiter.reset(key));
    }
    tracing::warn!(name, by = actor.name, "tenant reset");
    control.feed.note("tenant", &name, format!("{} reset the tenant", actor.name));
    Ok(Json(control.tenant(&name)?))
}

impl Control {
    fn tenant(&self, name: &str) -> Result<TenantView, ApiError> {
        let Some(line) = self.tenants.line(name) else {
            let names: Vec<String> = self.tenants.lines().into_iter().map(|one| one.name).collect();
            return Err(unknown("tenant", name, &names));
        };
        let mut shown = view(&line);
        if let Some((operation, key)) = self.live.gateway().tenant_limits(name) {
            for (limiter, _) in operation.pipeline().rate_limiters() {
                let quota = QuotaView::of(limiter.quota(operation.now(), key));
                let unit = match limiter.config().unit {
                    seawall::Unit::Calls => "requests",
                    seawall::Unit::Tokens => "tokens",
                };
                shown.limits.insert(unit.to_owned(), quota);
            }
        }
        let mut models: Vec<ModelUseView> = line
            .models
            .iter()
            .map(|(model, used)| ModelUseView {
                model: model.clone(),
                requests: used.requests,
                tokens: used.tokens,
                cost: used.money as f64 / NANOS,
            })
            .collect();
        models.sort_by_key(|used| std::cmp::Reverse(used.tokens));
        models.truncate(10);
        shown.models = models;
        Ok(shown)
    }
}

fn view(line: &TenantLine) -> TenantView {
    let of = |count| line.counts.of(count);
    let reasons = [
        ("rate_limited", Count::RateLimited),
        ("tenant_concurrency", Count::Concurrent),
        ("tenant_budget", Count::Budget),
        ("tenant_unknown", Count::Unknown),
    ];
    TenantView {
        name: line.name.clone(),
        named: line.named,
        tier: line.tier.clone(),
        requests: of(Count::Requests),
        refused: reasons.map(|(reason, count)| (reason.to_owned(), of(count))).into(),
        input_tokens: of(Count::Input),
        cached_input_tokens: of(Count::CachedInput),
        cache_write_tokens: of(Count::CacheWrite),
        output_tokens: of(Count::Output),
        cost: of(Count::Money) as f64 / NANOS,
        in_flight: line.in_flight,
        max_concurrent: line.max_concurrent,
        budgets: line.budgets.iter().map(budget).collect(),
        limits: BTreeMap::new(),
        models: Vec::new(),
    }
}

fn budget(standing: &Standing) -> BudgetView {
    let Standing { unit, per, limit, used, reserved, resets_at, .. } = *standing;
    let (left, warned) = ((limit - used).max(0.0), standing.is_warned());
    BudgetView { unit, per, limit, used, reserved, left, warned, resets_at }
}
