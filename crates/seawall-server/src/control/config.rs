//! The configuration: what is in force and why, changes of it, and the way back.

use super::{
    Control,
    extract::{JsonBody, PathName, Query, number, within},
    problem::{Answer, ApiError, MistakeView, failed, mistakes, problem, wrong},
    table::page,
    tag::tagged,
};
use crate::{
    active::{Applied, ChangeError, ConfigEdit},
    actor::Actor,
    inputs::ApiLayer,
    revisions::{Cause, Difference, Entry},
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn read_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(history)).routes(routes!(revision))
}

pub(super) fn write_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(put)).routes(routes!(reload)).routes(routes!(rollback))
}

/// The configuration in force.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ConfigAnswer {
    /// The number of the revision in force.
    pub revision: u64,
    /// The preset in force.
    pub preset_name: String,
    /// Whether variables of older systems contribute to the configuration.
    pub is_legacy_config: bool,
    /// The preset in full, with what was changed of it. Lengths are in seconds.
    #[schema(value_type = Object)]
    pub configuration: Value,
    /// The strategy of each operation; `null` where it has policies of its own.
    pub operation_strategies: BTreeMap<String, Option<String>>,
    /// The changes to the preset; `null` if there are none.
    #[schema(value_type = Option<Object>)]
    pub custom_overrides: Option<Value>,
    /// The policies of each strategy.
    #[schema(value_type = std::collections::BTreeMap<String, Vec<Object>>)]
    pub strategies: BTreeMap<String, Value>,
    /// The whole document, defaults included, without secrets.
    #[schema(value_type = Object)]
    pub document: Value,
    /// The change through the API that is in force; `null` where there is none.
    #[schema(value_type = Option<Object>)]
    pub api_change: Option<Value>,
    /// Whether the change lies over files and variables, or replaces them; `null` if there is none.
    pub api_mode: Option<ChangeMode>,
    /// The source of each value, by its path: `default`, `FILE:LINE`, `variable NAME`, `API`.
    pub sources: BTreeMap<String, String>,
    /// Warnings about values that are valid and may still be wrong.
    pub warnings: Vec<MistakeView>,
}

/// Shows the configuration in force, with the source of every value.
#[utoipa::path(get, path = "/config", responses((status = 200, body = ConfigAnswer)))]
async fn show(State(control): State<Control>) -> Response {
    let revision = control.live.now();
    let config = &revision.config;
    let (settings, catalog) = (config.settings(), config.catalog());
    let names = ["aggressive", "balanced", "conservative", "critical"].into_iter();
    let added = catalog.added_strategies().keys().map(String::as_str);
    let strategies = names
        .chain(added)
        .map(|name| (name.to_owned(), json!(catalog.strategy(name).unwrap_or_default())))
        .collect();
    let operations = config.upstreams.keys().chain(config.operations.keys());
    let leaves = revision.origins.leaves(&revision.document);
    let change = revision.entry.change.clone();
    let mode =
        |change: &ApiLayer| if change.alone { ChangeMode::Replace } else { ChangeMode::Merge };
    let api_mode = change.as_ref().map(mode);
    let body = ConfigAnswer {
        revision: revision.number,
        preset_name: config.preset.clone(),
        is_legacy_config: control.live.inputs().is_legacy(),
        configuration: json!(settings),
        operation_strategies: operations
            .map(|name| (name.clone(), config.chosen_strategy(name, &settings)))
            .collect(),
        custom_overrides: (!config.custom.is_empty()).then(|| json!(config.custom)),
        strategies,
        document: revision.document.clone(),
        api_change: change.map(|change| change.document),
        api_mode,
        sources: leaves.into_iter().map(|leaf| (leaf.path, leaf.origin.to_string())).collect(),
        warnings: revision.warnings.iter().map(Into::into).collect(),
    };
    tagged(&body)
}

/// How far a change reaches.
#[derive(Clone, Copy, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Reach {
    /// Whether the change is made on this instance alone, also where it belongs to a fleet: until the fleet's next change.
    #[serde(default)]
    #[param(default = false)]
    local: bool,
}

/// A change of the configuration.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigRequest {
    /// Fields of the file. `auth`, `dead_letters`, `fleet`, `listen` and `store` may not be among them; `null` takes a field away.
    #[schema(value_type = Object)]
    pub configuration: Map<String, Value>,
    /// How the fields are put in force.
    #[serde(default)]
    pub mode: ChangeMode,
    /// Whether to report what would change, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// The revision that the change was made for: if another is in force by now, nothing changes.
    #[serde(default)]
    pub expected_revision: Option<u64>,
}

/// How a change is put in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChangeMode {
    /// The fields lie over what files and variables say, in place of the former change, or over a rollback that is in
    /// force.
    #[default]
    Merge,
    /// The fields replace everything that the API may change.
    Replace,
}

/// The result of a change, or of a dry run.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ConfigChanged {
    /// The revision in force after it; after a dry run, the present one.
    pub revision: u64,
    /// Whether anything was put in force.
    pub applied: bool,
    /// The values that the change makes differ.
    pub diff: Vec<Difference>,
    /// The fields that take effect only at the next start.
    pub needs_restart: Vec<String>,
    /// Warnings about values that are valid and may still be wrong.
    pub warnings: Vec<MistakeView>,
}

impl ConfigChanged {
    fn of(applied: &Applied, dry: bool) -> Self {
        Self {
            revision: if dry { applied.before } else { applied.revision.number },
            applied: !dry && !applied.diff.is_empty(),
            diff: applied.diff.clone(),
            needs_restart: applied.needs_restart.iter().map(|&field| field.to_owned()).collect(),
            warnings: applied.revision.warnings.iter().map(Into::into).collect(),
        }
    }
}

/// Checks a change, then puts all of it in force, or nothing: on all instances of the fleet, or on none.
#[utoipa::path(put, path = "/config", params(Reach), request_body = ConfigRequest,
    responses((status = 200, body = ConfigChanged), (status = 409), (status = 503)))]
async fn put(
    State(control): State<Control>,
    actor: Actor,
    Query(reach): Query<Reach>,
    JsonBody(asked): JsonBody<ConfigRequest>,
) -> Answer<ConfigChanged> {
    let document = Value::Object(asked.configuration);
    let edit = match asked.mode {
        ChangeMode::Merge => ConfigEdit::Merge(document),
        ChangeMode::Replace => ConfigEdit::Replace(document),
    };
    if asked.dry_run {
        let live = control.live.clone();
        let tried = blocking(move || live.dry_run(&edit, asked.expected_revision)).await?;
        let applied = tried.map_err(|why| refused(&why))?;
        return Ok(Json(ConfigChanged::of(&applied, true)));
    }
    let applied = control.applied(edit, actor, asked.expected_revision, reach).await?;
    Ok(Json(ConfigChanged::of(&applied, false)))
}

/// Reads the file and what it includes again, and puts it in force.
#[utoipa::path(post, path = "/config/reload", responses((status = 200, body = ConfigChanged)))]
async fn reload(State(control): State<Control>, actor: Actor) -> Answer<ConfigChanged> {
    let edit = ConfigEdit::Reload(Cause::File);
    let applied = control.applied(edit, actor, None, Reach { local: true }).await?;
    Ok(Json(ConfigChanged::of(&applied, false)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RevisionParameters {
    /// The most revisions in one answer, 1 to 1,000.
    #[serde(default = "number::<50, _>")]
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: usize,
    /// Only revisions with a smaller number than this.
    before: Option<u64>,
}

/// One revision in a few words.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RevisionLine {
    /// The number of the revision.
    pub revision: u64,
    /// When the revision was put in force.
    pub at: String,
    /// The name of the key or of the source that made it.
    pub who: String,
    /// The cause of the revision.
    pub cause: Cause,
    /// The differences from the revision before it.
    pub diff: Vec<Difference>,
}

impl RevisionLine {
    fn of(entry: &Entry) -> Self {
        Self {
            revision: entry.revision,
            at: crate::wall_clock::text(entry.at),
            who: entry.who.clone(),
            cause: entry.cause,
            diff: entry.diff.clone(),
        }
    }
}

/// A page of revisions, the latest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RevisionHistory {
    /// The revisions of this page.
    pub revisions: Vec<RevisionLine>,
    /// The number of the revision in force.
    pub current: u64,
    /// The value of `before` for the next page; `null` on the last page.
    pub next: Option<u64>,
}

/// Lists revisions, the latest first, each with what it changed.
#[utoipa::path(get, path = "/config/history", params(RevisionParameters),
    responses((status = 200, body = RevisionHistory)))]
async fn history(
    State(control): State<Control>,
    Query(parameters): Query<RevisionParameters>,
) -> Result<Response, ApiError> {
    let limit = within("limit", parameters.limit, 1, 1000)?;
    let before = parameters.before;
    let all = control.live.history().latest();
    let wanted = all.iter().filter(|entry| before.is_none_or(|before| entry.revision < before));
    let (revisions, more) = page(wanted.map(|entry| RevisionLine::of(entry)), limit);
    let body = RevisionHistory {
        next: revisions.last().filter(|_| more).map(|last| last.revision),
        revisions,
        current: control.live.now().number,
    };
    Ok(tagged(&body))
}

/// One revision in full.
#[derive(Serialize, ToSchema)]
struct RevisionDetail {
    #[serde(flatten)]
    line: RevisionLine,
    /// The whole document, without secrets.
    #[schema(value_type = Object)]
    document: Box<RawValue>,
}

/// Shows one revision, with its whole document.
#[utoipa::path(get, path = "/config/history/{revision}",
    params(("revision" = u64, Path, description = "Its number")),
    responses((status = 200, body = RevisionDetail)))]
async fn revision(
    State(control): State<Control>,
    PathName(number): PathName,
) -> Result<Response, ApiError> {
    let number: u64 = number
        .parse()
        .map_err(|_| wrong("revision", "the number of a revision is a whole number"))?;
    let all = control.live.history().latest();
    let Some(entry) = all.iter().find(|entry| entry.revision == number) else {
        return Err(refused(&ChangeError::UnknownRevision(number)));
    };
    let body = RevisionDetail { line: RevisionLine::of(entry), document: entry.document.clone() };
    Ok(tagged(&body))
}

/// A request to put a former revision in force again.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// The number of that revision.
    pub revision: u64,
    /// Whether to report what would change, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// The revision that is expected to be in force: if it is another one by now, nothing changes.
    #[serde(default)]
    pub expected_revision: Option<u64>,
}

/// Puts a former revision in force again, as a new one. `auth`, `dead_letters`, `fleet`, `listen` and `store` stay as they are.
#[utoipa::path(post, path = "/config/rollback", params(Reach), request_body = RollbackRequest,
    responses((status = 200, body = ConfigChanged), (status = 409), (status = 503)))]
async fn rollback(
    State(control): State<Control>,
    actor: Actor,
    Query(reach): Query<Reach>,
    JsonBody(asked): JsonBody<RollbackRequest>,
) -> Answer<ConfigChanged> {
    let edit = ConfigEdit::Rollback(asked.revision);
    let applied = if asked.dry_run {
        let live = control.live.clone();
        let tried = blocking(move || live.dry_run(&edit, asked.expected_revision)).await?;
        tried.map_err(|why| refused(&why))?
    } else {
        control.applied(edit, actor, asked.expected_revision, reach).await?
    };
    Ok(Json(ConfigChanged::of(&applied, asked.dry_run)))
}

/// The answer for a change that was not made.
pub(super) fn refused(why: &ChangeError) -> ApiError {
    let text = why.to_string();
    let of = |status, title| problem(status, title, &text);
    match why {
        ChangeError::Mistakes(all) => mistakes(all.iter()),
        ChangeError::Protected(field) => wrong(&format!("configuration.{field}"), &text),
        ChangeError::Unprotected => wrong("auth", &text),
        ChangeError::Unreadable(_) => {
            of(StatusCode::UNPROCESSABLE_ENTITY, "Unreadable configuration")
        }
        ChangeError::UnknownRevision(_) => of(StatusCode::NOT_FOUND, "Unknown revision"),
        ChangeError::Outdated(_) => of(StatusCode::CONFLICT, "Another revision is in force"),
        ChangeError::NotEverywhere(_) => of(StatusCode::CONFLICT, "Refused by the fleet"),
        ChangeError::FleetLost(_) => {
            of(StatusCode::SERVICE_UNAVAILABLE, "The store of the fleet is lost")
        }
        ChangeError::NoRoom(_) => of(StatusCode::CONFLICT, "No room"),
        ChangeError::Exists(_) => of(StatusCode::CONFLICT, "Operation exists"),
        ChangeError::Failed(_) => failed(&text),
    }
}

/// Work that reads files and writes to disk, off the threads that serve.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| failed(&error.to_string()))
}

impl Control {
    /// Puts a change in force: on all instances of the fleet, or on this one alone.
    pub(super) async fn applied(
        &self,
        edit: ConfigEdit,
        actor: Actor,
        expected: Option<u64>,
        reach: Reach,
    ) -> Result<Applied, ApiError> {
        let applied = self.fleet.apply(edit, actor, expected, reach.local).await;
        applied.map_err(|why| refused(&why))
    }
}
