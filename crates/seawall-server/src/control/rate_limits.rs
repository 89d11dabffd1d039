//! Rate limits: what is left of them, for everybody or for one key, and their reset.

use super::{
    Control,
    config::blocking,
    extract::{JsonBody, PathName, Query, number, within},
    problem::{Answer, ApiError, unknown, wrong},
    tag::tagged,
};
use crate::{actor::Actor, runtime::Operation, schema::described};
use axum::{Json, extract::State, response::Response};
use seawall::{Key, Mode, Quota, RateLimiter, RateLimiterConfig};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn read_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one)).routes(routes!(quota))
}

pub(super) fn write_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(reset))
}

/// What is left of a limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QuotaView {
    /// The calls that pass if nothing is used up.
    pub limit: u64,
    /// The calls that would pass now.
    pub remaining: u64,
    /// The number of seconds until nothing is used up any more.
    #[serde(serialize_with = "super::tag::clock")]
    pub reset_after: f64,
}

impl QuotaView {
    pub(super) fn of(quota: Quota) -> Self {
        let Quota { limit, remaining, reset_after } = quota;
        Self { limit, remaining, reset_after: reset_after.as_secs_f64() }
    }
}

/// A rate limiter of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LimiterView {
    /// The mode: `enforce` refuses calls; `shadow` only reports what it would refuse; `off` is not asked.
    #[schema(schema_with = described::<Mode>)]
    pub mode: Mode,
    /// The configuration of the limiter.
    #[schema(schema_with = described::<RateLimiterConfig>)]
    pub config: RateLimiterConfig,
    /// The number of keys that the limiter remembers; 0 if it has one limit for all calls.
    pub keys: usize,
    /// What is left now, of several limits of the one with least; `null` if there is a limit for each key, and no key was
    /// asked for.
    pub quota: Option<QuotaView>,
    /// Whether it is shared with other instances, and decided by this one alone now, because the store that counts for all
    /// of them does not answer.
    #[serde(default)]
    pub degraded: bool,
}

/// The rate limiters of one operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationLimits {
    /// The name of the operation.
    pub name: String,
    /// What a limit for each key counts by: `peer`, `header:<name>`, or `call` if the key comes from the code that calls;
    /// `all` if there is one limit for all calls.
    pub counts_by: String,
    /// The limiters, outermost first.
    pub limiters: Vec<LimiterView>,
    /// The number of calls that were refused by them since the start, or since the counters were reset.
    pub refused: u64,
}

/// A list of the rate limits of all operations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RateLimitList {
    /// The operations that have rate limiters, by name.
    pub rate_limits: Vec<OperationLimits>,
    /// The keys that have used most of their limit, those with the least left first; as many as were asked for.
    #[serde(default)]
    pub near: Vec<NearKey>,
}

/// A key that has used a part of its limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NearKey {
    /// The operation that the limit is of.
    pub operation: String,
    /// The key, as a hash that only this process can make, since a key may be a credential: 16 hexadecimal digits.
    pub key: String,
    /// What is left of its limit.
    pub quota: QuotaView,
}

/// Whose limit is meant. A key may be a credential: it stands in a body, never in an address, and is not written down.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitKey {
    /// The address of a client, or the value of the header that the route counts by; left out: the one limit of all calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 8192)]
    pub key: Option<String>,
    /// In place of the key, its hash, as the list of keys near their limit has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 16)]
    pub id: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParameters {
    /// The most keys that are listed of those that have used most of their limit.
    #[serde(default = "number::<0, _>")]
    #[param(minimum = 0, maximum = 1000, default = 0)]
    near: usize,
}

/// Lists the rate limits of all operations, and the keys that are nearest to their limit.
#[utoipa::path(get, path = "/rate-limits", params(ListParameters),
    responses((status = 200, body = RateLimitList)))]
async fn list(
    State(control): State<Control>,
    Query(parameters): Query<ListParameters>,
) -> Result<Response, ApiError> {
    let most = within("near", parameters.near, 0, 1000)?;
    // With many keys it takes milliseconds: not on the threads that pass requests on.
    blocking(move || tagged(&control.limit_list(most))).await
}

/// Shows the rate limits of one operation.
#[utoipa::path(get, path = "/rate-limits/{name}", responses((status = 200, body = OperationLimits)))]
async fn one(
    State(control): State<Control>,
    PathName(name): PathName,
) -> Result<Response, ApiError> {
    let (_, limits) = control.limited(&name, None)?;
    Ok(tagged(&limits))
}

/// Shows what is left of the limit of one key.
#[utoipa::path(post, path = "/rate-limits/{name}/quota", request_body = LimitKey,
    responses((status = 200, body = OperationLimits)))]
async fn quota(
    State(control): State<Control>,
    PathName(name): PathName,
    JsonBody(asked): JsonBody<LimitKey>,
) -> Answer<OperationLimits> {
    let key = control.limit_key(&name, &asked)?;
    Ok(Json(control.limited(&name, Some(key))?.1))
}

/// Forgets what was counted for one key, or for all calls, so that the whole limit is left.
#[utoipa::path(post, path = "/rate-limits/{name}/reset", request_body = LimitKey,
    responses((status = 200, body = OperationLimits)))]
async fn reset(
    State(control): State<Control>,
    PathName(name): PathName,
    actor: Actor,
    JsonBody(asked): JsonBody<LimitKey>,
) -> Answer<OperationLimits> {
    let key = control.limit_key(&name, &asked)?;
    let (operation, _) = control.limited(&name, Some(key))?;
    operation.pipeline().rate_limiters().for_each(|(limiter, _)| limiter.reset(key));
    let whose = if asked.key.is_some() { "of one key" } else { "of all calls" };
    tracing::warn!(name, by = actor.name, "rate limit {whose} reset");
    control.feed.note("limit", &name, format!("{} reset the limit {whose}", actor.name));
    Ok(Json(control.limited(&name, Some(key))?.1))
}

impl Control {
    fn limit_list(&self, most: usize) -> RateLimitList {
        let operations = self.registry.operations();
        let all = operations.iter().filter_map(|operation| self.rate_limits(operation, None));
        let mut rate_limits: Vec<OperationLimits> = all.collect();
        rate_limits.sort_by(|one, other| one.name.cmp(&other.name));
        let mut near = Vec::new();
        for operation in operations.iter().filter(|_| most > 0) {
            for (limiter, _) in operation.pipeline().rate_limiters() {
                let keys = limiter.nearest(operation.now(), most).into_iter();
                near.extend(keys.map(|(key, quota)| (operation.name(), key, quota)));
            }
        }
        near.sort_by(|(_, _, one), (_, _, other)| one.left().total_cmp(&other.left()));
        near.truncate(most);
        let near = near.into_iter().map(|(operation, key, quota)| NearKey {
            operation: operation.to_string(),
            key: format!("{:016x}", key.hash()),
            quota: QuotaView::of(quota),
        });
        RateLimitList { rate_limits, near: near.collect() }
    }

    /// An operation with its rate limits, for a key that was asked for.
    fn limited(
        &self,
        name: &str,
        key: Option<Key>,
    ) -> Result<(Operation, OperationLimits), ApiError> {
        let operation = self.registry.find(name);
        let limits = operation.as_ref().and_then(|operation| self.rate_limits(operation, key));
        operation.zip(limits).ok_or_else(|| {
            let operations = self.registry.operations();
            let limited = operations.iter().filter_map(|one| self.rate_limits(one, None));
            unknown("rate limit", name, &limited.map(|limits| limits.name).collect::<Vec<_>>())
        })
    }

    /// None where the operation has no rate limiter.
    fn rate_limits(&self, operation: &Operation, key: Option<Key>) -> Option<OperationLimits> {
        let (name, pipeline) = (operation.name().to_string(), operation.pipeline());
        let view = |(limiter, mode): (&std::sync::Arc<RateLimiter>, Mode)| {
            let config = limiter.config().clone();
            let key = if config.keyed { key } else { Some(Key::NONE) };
            let quota = key.map(|key| QuotaView::of(limiter.quota(operation.now(), key)));
            let (keys, degraded) = (limiter.keys(), limiter.is_degraded());
            LimiterView { mode, config, keys, quota, degraded }
        };
        let limiters: Vec<LimiterView> = pipeline.rate_limiters().map(view).collect();
        let keyed = limiters.iter().any(|limiter| limiter.config.keyed);
        let counts_by = match self.live.gateway().key_source(&name) {
            Some(source) if keyed => source.to_string(),
            None if keyed => "call".to_owned(),
            _ => "all".to_owned(),
        };
        let refused = operation.counts().rejections.get("rate_limited").copied().unwrap_or(0);
        (!limiters.is_empty()).then_some(OperationLimits { name, counts_by, limiters, refused })
    }

    /// The key that a request means.
    fn limit_key(&self, name: &str, asked: &LimitKey) -> Result<Key, ApiError> {
        let (_, limits) = self.limited(name, None)?;
        let keyed = limits.counts_by != "all";
        if let Some(id) = asked.id.as_ref().filter(|_| keyed && asked.key.is_none()) {
            let hash = u64::from_str_radix(id, 16).map_err(|_| {
                wrong("id", "id is no hash of a key, which is 16 hexadecimal digits")
            })?;
            return Ok(Key::from_hash(hash));
        }
        if asked.id.is_some() {
            return Err(wrong("id", &format!("{name} needs no id: say its key, if it has any")));
        }
        match (&asked.key, self.live.gateway().key_source(name)) {
            (None, _) if keyed => {
                let by = limits.counts_by;
                Err(wrong("key", &format!("{name} has a limit for each key, by {by}: say which")))
            }
            (None, _) => Ok(Key::NONE),
            (Some(_), _) if !keyed => {
                Err(wrong("key", &format!("{name} has one limit for all calls; leave the key out")))
            }
            (Some(_), None) => {
                let detail = format!("the keys of {name} come from the code that calls it");
                Err(wrong("key", &detail))
            }
            (Some(key), Some(source)) => source
                .of_text(key)
                .map_err(|detail| wrong("key", &format!("{name} counts by {source}: {detail}"))),
        }
    }
}
