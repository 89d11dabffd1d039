//! Presets and templates: what there is, and which fits.

use super::{
    Control,
    extract::{JsonBody, PathName},
    problem::{Answer, ApiError, unknown},
    tag::tagged,
    validation::Validation,
};
use crate::schema::{Described, described};
use axum::{Json, extract::State, response::Response};
use seawall::Preset;
use seawall_presets::{
    detect::{Detection, Sign, Surroundings, detect},
    recommend::{self, Recommendation},
    templates::{self, Template, TemplateAdvice},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn read_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(summary))
        .routes(routes!(recommend))
        .routes(routes!(recommend_auto))
}

pub(super) fn template_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(templates))
        .routes(routes!(template))
        .routes(routes!(validate_template))
        .routes(routes!(recommend_template))
}

/// A preset in one line of a table.
#[derive(Serialize, ToSchema)]
struct PresetLine {
    name: String,
    description: String,
    retry_attempts: u32,
    circuit_breaker_threshold: u32,
    /// How long a circuit stays open, in seconds.
    recovery_timeout: u32,
    default_strategy: String,
    environment_contexts: Vec<String>,
}

/// The settings of a preset.
#[derive(Serialize, ToSchema)]
struct PresetConfiguration {
    retry_attempts: u32,
    circuit_breaker_threshold: u32,
    /// How long a circuit stays open, in seconds.
    recovery_timeout: u32,
    default_strategy: String,
    operation_overrides: BTreeMap<String, String>,
}

/// A preset in full.
#[derive(Serialize, ToSchema)]
struct PresetDetail {
    name: String,
    description: String,
    configuration: PresetConfiguration,
    environment_contexts: Vec<String>,
}

impl PresetLine {
    fn of(preset: &Preset) -> Self {
        Self {
            name: preset.name.clone(),
            description: preset.description.clone(),
            retry_attempts: preset.retry_attempts,
            circuit_breaker_threshold: preset.circuit_breaker_threshold,
            recovery_timeout: preset.recovery_timeout,
            default_strategy: preset.default_strategy.clone(),
            environment_contexts: preset.environment_contexts.clone(),
        }
    }
}

impl PresetDetail {
    fn of(preset: &Preset) -> Self {
        Self {
            name: preset.name.clone(),
            description: preset.description.clone(),
            configuration: PresetConfiguration {
                retry_attempts: preset.retry_attempts,
                circuit_breaker_threshold: preset.circuit_breaker_threshold,
                recovery_timeout: preset.recovery_timeout,
                default_strategy: preset.default_strategy.clone(),
                operation_overrides: preset.operation_overrides.clone(),
            },
            environment_contexts: preset.environment_contexts.clone(),
        }
    }
}

/// Lists all presets, the built-in ones first.
#[utoipa::path(get, path = "/config/presets", responses((status = 200, body = Vec<PresetLine>)))]
async fn list(State(control): State<Control>) -> Response {
    let catalog = control.live.now().config.catalog();
    let lines: Vec<PresetLine> = catalog.presets().into_iter().map(PresetLine::of).collect();
    tagged(&lines)
}

/// Shows one preset in full.
#[utoipa::path(get, path = "/config/presets/{name}",
    responses((status = 200, body = PresetDetail)))]
async fn one(
    State(control): State<Control>,
    PathName(name): PathName,
) -> Result<Response, ApiError> {
    let catalog = control.live.now().config.catalog();
    match catalog.preset(&name) {
        Some(preset) => Ok(tagged(&PresetDetail::of(preset))),
        None => Err(unknown("preset", &name, &control.preset_names())),
    }
}

/// Shows all presets in full, by name.
#[utoipa::path(get, path = "/config/presets-summary",
    responses((status = 200, body = BTreeMap<String, PresetDetail>)))]
async fn summary(State(control): State<Control>) -> Response {
    let catalog = control.live.now().config.catalog();
    let all: BTreeMap<String, PresetDetail> = catalog
        .presets()
        .into_iter()
        .map(|preset| (preset.name.clone(), PresetDetail::of(preset)))
        .collect();
    tagged(&all)
}

// The macros of the description take a name without parameters.
type DescribedRecommendation = Described<Recommendation>;
type DescribedTemplate = Described<Template>;
type DescribedAdvice = Described<TemplateAdvice>;

/// The preset that fits an environment.
#[derive(Serialize, ToSchema)]
struct Recommended {
    #[serde(flatten)]
    recommendation: DescribedRecommendation,
    available_presets: Vec<String>,
    auto_detected: bool,
}

/// The preset that fits the environment of this process.
#[derive(Serialize, ToSchema)]
struct Detected {
    #[serde(flatten)]
    recommended: Recommended,
    detection_method: String,
    /// The signs by which the environment was detected.
    #[schema(schema_with = described::<Vec<Sign>>)]
    signs: Vec<Sign>,
    /// The signs that point to another environment.
    conflicts: Vec<String>,
}

impl Control {
    fn preset_names(&self) -> Vec<String> {
        let catalog = self.live.now().config.catalog();
        catalog.presets().into_iter().map(|preset| preset.name.clone()).collect()
    }

    fn recommended(&self, found: Recommendation, auto_detected: bool) -> Recommended {
        Recommended {
            recommendation: Described(found),
            available_presets: self.preset_names(),
            auto_detected,
        }
    }
}

/// Recommends the preset that fits an environment of this name.
#[utoipa::path(get, path = "/config/recommend-preset/{environment}",
    responses((status = 200, body = Recommended)))]
async fn recommend(State(control): State<Control>, PathName(environment): PathName) -> Response {
    let found = recommend::recommend(&environment, &control.live.now().config.catalog());
    tagged(&control.recommended(found, false))
}

/// Recommends the preset that fits the environment of this process, and lists the signs of it.
#[utoipa::path(get, path = "/config/recommend-preset-auto",
    responses((status = 200, body = Detected)))]
async fn recommend_auto(State(control): State<Control>) -> Response {
    let Detection { recommendation, detection_method, signs, conflicts } =
        detect(&control.surroundings());
    let body = Detected {
        recommended: control.recommended(recommendation, true),
        detection_method,
        signs,
        conflicts,
    };
    tagged(&body)
}

impl Control {
    /// The variables that this server was started with, and the files around it.
    fn surroundings(&self) -> Surroundings {
        Surroundings {
            variables: self.live.inputs().variables().clone(),
            ..Surroundings::of_process()
        }
    }
}

/// A list of all templates.
#[derive(Serialize, ToSchema)]
struct Templates {
    #[schema(schema_with = described::<BTreeMap<String, Template>>)]
    templates: BTreeMap<&'static str, &'static Template>,
}

fn template_names() -> Vec<String> {
    templates::all().iter().map(|template| template.name.to_owned()).collect()
}

/// Lists all templates.
#[utoipa::path(get, path = "/config/templates", responses((status = 200, body = Templates)))]
async fn templates() -> Response {
    let all = templates::all().iter().map(|template| (template.name, template));
    tagged(&Templates { templates: all.collect() })
}

/// Shows one template.
#[utoipa::path(get, path = "/config/templates/{name}",
    responses((status = 200, body = DescribedTemplate)))]
async fn template(PathName(name): PathName) -> Result<Response, ApiError> {
    match templates::named(&name) {
        Some(template) => Ok(tagged(template)),
        None => Err(unknown("template", &name, &template_names())),
    }
}

/// A template, with what changes of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TemplateRequest {
    template_name: String,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    overrides: Option<Map<String, Value>>,
}

/// Checks whether a template with these changes is a valid configuration.
#[utoipa::path(post, path = "/config/validate-template", request_body = TemplateRequest,
    responses((status = 200, body = Validation)))]
async fn validate_template(
    State(control): State<Control>,
    actor: crate::actor::Actor,
    JsonBody(asked): JsonBody<TemplateRequest>,
) -> Answer<Validation> {
    control.validation_is_on()?;
    let overrides = asked.overrides.map(Value::Object);
    let catalog = control.live.now().config.catalog();
    let verdict = templates::validate(&asked.template_name, overrides.as_ref(), &catalog);
    let text = overrides.map(|value| value.to_string()).unwrap_or_default();
    Ok(Json(control.validation(verdict, None, &text, "validate_template", &actor)))
}

/// A configuration to find a template for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AdviceRequest {
    #[schema(value_type = Object)]
    configuration: Map<String, Value>,
}

/// Recommends the template that comes nearest to a configuration.
#[utoipa::path(post, path = "/config/recommend-template", request_body = AdviceRequest,
    responses((status = 200, body = DescribedAdvice)))]
async fn recommend_template(JsonBody(asked): JsonBody<AdviceRequest>) -> Json<DescribedAdvice> {
    Json(Described(templates::nearest(&Value::Object(asked.configuration))))
}
