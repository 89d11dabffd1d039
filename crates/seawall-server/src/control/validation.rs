//! Validation of the few words that change a preset.

use super::{
    Control,
    extract::JsonBody,
    problem::{Answer, ApiError, problem, wrong},
    tag::tagged,
};
use crate::{
    actor::Actor,
    audit_trail::{MetricType, Record},
    schema::{Described, described},
    wall_clock,
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use seawall_presets::{
    custom::{self, FieldReport, Verdict},
    security::{self, SecurityInfo},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

mod turns;

pub(crate) use turns::Turns;
use turns::{COOLDOWN, PER_HOUR, PER_MINUTE, RateLimitStatus, too_many};

pub(super) fn read_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(validate))
        .routes(routes!(validate_secure))
        .routes(routes!(validate_json))
        .routes(routes!(field_whitelist))
        .routes(routes!(security_config))
        .routes(routes!(rate_limit_status))
}

/// A request to validate a configuration.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ValidationRequest {
    #[schema(value_type = Object)]
    configuration: Map<String, Value>,
}

/// A request to validate a configuration that is given as text.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TextRequest {
    /// The configuration as JSON text.
    json_config: String,
}

// The macros of the description take a name without parameters.
type DescribedInfo = Described<SecurityInfo>;
type DescribedVerdict = Described<Verdict>;

/// The size of what was validated, its limit, and the time of the validation.
#[derive(Serialize, ToSchema)]
struct Validated {
    #[serde(flatten)]
    info: DescribedInfo,
    validation_timestamp: String,
}

/// The result of a validation.
#[derive(Serialize, ToSchema)]
pub(super) struct Validation {
    #[serde(flatten)]
    verdict: DescribedVerdict,
    security_info: Validated,
}

impl Control {
    /// Records a validation in the audit trail, and makes the answer to it.
    pub(super) fn validation(
        &self,
        verdict: Verdict,
        info: Option<SecurityInfo>,
        text: &str,
        operation: &str,
        actor: &Actor,
    ) -> Validation {
        let preset = self.live.now().config.preset.clone();
        let value = f64::from(u8::from(verdict.is_valid));
        let record = Record::new(MetricType::ValidationEvent, &preset, operation, value)
            .with("errors", verdict.errors.len().to_string());
        self.live.trail().record(record, actor);
        let info = info.unwrap_or_else(|| SecurityInfo {
            size_bytes: text.len(),
            max_size_bytes: security::limits().max_size_bytes,
            field_count: match serde_json::from_str::<Value>(text) {
                Ok(Value::Object(fields)) => fields.len(),
                _ => 0,
            },
        });
        Validation {
            verdict: Described(verdict),
            security_info: Validated {
                info: Described(info),
                validation_timestamp: wall_clock::now(),
            },
        }
    }

    /// Refuses with 403 if `monitoring.validation` is off.
    pub(super) fn validation_is_on(&self) -> Result<(), ApiError> {
        if self.live.now().config.monitoring.validation {
            return Ok(());
        }
        let detail = "monitoring.validation is false";
        Err(problem(StatusCode::FORBIDDEN, "Validation is off", detail))
    }

    fn is_production(&self) -> bool {
        self.live.inputs().variable("SEAWALL_ENV") == Some("production")
            || self.live.now().config.preset == "production"
    }
}

/// Checks whether a configuration is valid: fields, types, bounds, and their combined effect. The status is 200 also
/// if it is not.
#[utoipa::path(post, path = "/config/validate", request_body = ValidationRequest,
    responses((status = 200, body = Validation)))]
async fn validate(
    State(control): State<Control>,
    actor: Actor,
    JsonBody(asked): JsonBody<ValidationRequest>,
) -> Answer<Validation> {
    control.validation_is_on()?;
    let value = Value::Object(asked.configuration);
    let catalog = control.live.now().config.catalog();
    let verdict = custom::validate_for(&value, &catalog, control.is_production());
    Ok(Json(control.validation(verdict, None, &value.to_string(), "validate", &actor)))
}

/// Checks a configuration from an untrusted source: in addition to `validate`, its content and its size. The number of
/// such requests is bounded.
#[utoipa::path(post, path = "/config/validate-secure", request_body = ValidationRequest,
    responses((status = 200, body = Validation), (status = 429)))]
async fn validate_secure(
    State(control): State<Control>,
    actor: Actor,
    JsonBody(asked): JsonBody<ValidationRequest>,
) -> Answer<Validation> {
    control.validation_is_on()?;
    control.turns.take(&actor.name, wall_clock::now_ms()).map_err(too_many)?;
    let text = Value::Object(asked.configuration).to_string();
    let catalog = control.live.now().config.catalog();
    let (verdict, info) = security::validate_secure(&text, &catalog);
    Ok(Json(control.validation(verdict, Some(info), &text, "validate_secure", &actor)))
}

/// Checks whether a text is JSON, and a valid configuration.
#[utoipa::path(post, path = "/config/validate-json", request_body = TextRequest,
    responses((status = 200, body = Validation)))]
async fn validate_json(
    State(control): State<Control>,
    actor: Actor,
    JsonBody(asked): JsonBody<TextRequest>,
) -> Answer<Validation> {
    control.validation_is_on()?;
    let catalog = control.live.now().config.catalog();
    let verdict = custom::validate_text(&asked.json_config, &catalog);
    Ok(Json(control.validation(verdict, None, &asked.json_config, "validate_json", &actor)))
}

/// The checks of all fields.
#[derive(Serialize, ToSchema)]
struct Fields {
    is_valid: bool,
    errors: Vec<String>,
    #[schema(schema_with = described::<BTreeMap<String, FieldReport>>)]
    field_analysis: BTreeMap<String, FieldReport>,
    allowed_fields: Vec<String>,
    validation_timestamp: String,
}

/// Shows for each field whether there is one, its type and bounds, and the problem with its value.
#[utoipa::path(post, path = "/config/validate/field-whitelist", request_body = ValidationRequest,
    responses((status = 200, body = Fields)))]
async fn field_whitelist(
    State(control): State<Control>,
    JsonBody(asked): JsonBody<ValidationRequest>,
) -> Answer<Fields> {
    control.validation_is_on()?;
    let catalog = control.live.now().config.catalog();
    let reports = custom::fields(&Value::Object(asked.configuration), &catalog);
    let problems = reports.values().filter_map(|report| report.problem.clone());
    let errors: Vec<String> = problems.collect();
    Ok(Json(Fields {
        is_valid: errors.is_empty(),
        errors,
        field_analysis: reports,
        allowed_fields: security::limits().allowed_fields,
        validation_timestamp: wall_clock::now(),
    }))
}

/// The limits of one configuration.
#[derive(Serialize, ToSchema)]
struct ConfigLimits {
    max_config_size_bytes: usize,
    max_string_length: usize,
    max_array_items: usize,
    max_object_properties: usize,
    max_nesting_depth: usize,
}

#[derive(Serialize, ToSchema)]
struct RateLimits {
    max_per_minute: usize,
    max_per_hour: usize,
    cooldown_seconds: u64,
}

#[derive(Serialize, ToSchema)]
struct ContentFiltering {
    max_unicode_codepoint: u32,
    forbidden_unicode_categories: Vec<String>,
    max_repeated_chars: usize,
}

/// The limits that `validate-secure` checks.
#[derive(Serialize, ToSchema)]
struct SecurityConfig {
    security_limits: ConfigLimits,
    rate_limiting: RateLimits,
    content_filtering: ContentFiltering,
    allowed_fields: Vec<String>,
    forbidden_pattern_count: usize,
}

const RATES: RateLimits = RateLimits {
    max_per_minute: PER_MINUTE,
    max_per_hour: PER_HOUR,
    cooldown_seconds: COOLDOWN / 1000,
};

/// Shows the limits that `validate-secure` checks.
#[utoipa::path(get, path = "/config/validate/security-config",
    responses((status = 200, body = SecurityConfig)))]
async fn security_config() -> Response {
    let limits = security::limits();
    let body = SecurityConfig {
        security_limits: ConfigLimits {
            max_config_size_bytes: limits.max_size_bytes,
            max_string_length: limits.max_string_length,
            max_array_items: limits.max_array_items,
            max_object_properties: limits.max_object_properties,
            max_nesting_depth: limits.max_nesting_depth,
        },
        rate_limiting: RATES,
        content_filtering: ContentFiltering {
            max_unicode_codepoint: limits.max_unicode_codepoint,
            forbidden_unicode_categories: limits.forbidden_unicode_categories,
            max_repeated_chars: limits.max_repeated_chars,
        },
        allowed_fields: limits.allowed_fields,
        forbidden_pattern_count: limits.forbidden_pattern_count,
    };
    tagged(&body)
}

/// Shows how many secure validations this client may still ask for. A client is known by its key.
#[utoipa::path(get, path = "/config/validate/rate-limit-status",
    responses((status = 200, body = RateLimitStatus)))]
async fn rate_limit_status(State(control): State<Control>, actor: Actor) -> Json<RateLimitStatus> {
    Json(control.turns.status(&actor.name, wall_clock::now_ms()))
}

/// Refuses a name that is too long to be looked up.
pub(super) fn sane(field: &str, word: &str) -> Result<(), ApiError> {
    if word.len() <= 200 {
        return Ok(());
    }
    Err(wrong(field, &format!("{field} is longer than 200 bytes")))
}
