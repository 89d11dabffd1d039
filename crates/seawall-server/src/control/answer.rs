//! What all endpoints share: problems, requests read strictly and within bounds; in the files below it, entity tags
//! and tables as CSV.

use crate::actor::Actor;
use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use seawall_config::{Mistake, Severity, strict_json};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, IntoDeserializer},
};
use std::time::Duration;
use utoipa::ToSchema;

mod table;
mod tag;

pub(crate) use table::{Column, csv};
pub(crate) use tag::{clock, tagged};

/// Bytes that a request to the control plane may have.
pub(crate) const MAX_BODY: usize = 1 << 20;
/// Bytes that it may have however small `limits.max_body_bytes` is: enough to set that limit again.
const LEAST_BODY: u64 = 64 << 10;

/// How long the body of this request may be.
#[derive(Clone, Copy)]
pub(crate) struct MostBytes(usize);

impl MostBytes {
    /// What `limits.max_body_bytes` comes to here.
    pub(crate) fn of(max_body_bytes: u64) -> Self {
        let most = max_body_bytes.max(LEAST_BODY);
        Self(usize::try_from(most).map_or(MAX_BODY, |most| most.min(MAX_BODY)))
    }
}

/// How long one may take to send them.
const SLOWEST_BODY: Duration = Duration::from_secs(10);

/// An error, as RFC 9457 has it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ProblemDocument {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// The kind of the error for programs, such as `VALIDATION_ERROR`: one for each status.
    #[serde(default)]
    pub error_code: String,
    /// What is wrong, and what would be right.
    pub detail: String,
    /// The field that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// All that is wrong, where it is more than one thing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<MistakeView>,
}

/// One thing that is wrong in a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MistakeView {
    /// The file, the variable, or `API`.
    pub source: String,
    /// From 1; 0 in a source without lines.
    pub line: usize,
    pub column: usize,
    pub path: String,
    pub message: String,
    /// What would be right.
    pub right: Option<String>,
}

impl From<&Mistake> for MistakeView {
    fn from(mistake: &Mistake) -> Self {
        Self {
            source: mistake.file.clone(),
            line: mistake.line,
            column: mistake.column,
            path: mistake.path.clone(),
            message: mistake.message.clone(),
            right: mistake.right.clone(),
        }
    }
}

/// An answer that is no success; in a box, because answers are large.
pub(crate) struct Refusal(Box<Response>);

impl From<Response> for Refusal {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        *refusal.0
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.into()
    }
}

/// An answer, or why there is none.
pub(crate) type Answer<T> = Result<Json<T>, Refusal>;

/// An error of the control plane's, as problem JSON.
pub(crate) fn problem(status: StatusCode, title: &str, detail: &str) -> Response {
    problem_with(status, title, detail, None, Vec::new())
}

fn problem_with(
    status: StatusCode,
    title: &str,
    detail: &str,
    field: Option<&str>,
    errors: Vec<MistakeView>,
) -> Response {
    let document = ProblemDocument {
        kind: "about:blank".into(),
        title: title.to_owned(),
        status: status.as_u16(),
        error_code: error_code(status).into(),
        detail: detail.to_owned(),
        field: field.map(str::to_owned),
        errors,
    };
    let text = serde_json::to_string(&document).unwrap_or_default();
    let kind = [("content-type", "application/problem+json")];
    (status, kind, text).into_response()
}

/// The kind of an error, in the words of the systems before this one.
fn error_code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "BAD_REQUEST",
        401 => "AUTHENTICATION_ERROR",
        403 => "AUTHORIZATION_ERROR",
        404 => "NOT_FOUND",
        405 => "METHOD_NOT_ALLOWED",
        408 => "REQUEST_TIMEOUT",
        409 => "CONFLICT",
        413 => "PAYLOAD_TOO_LARGE",
        415 => "UNSUPPORTED_MEDIA_TYPE",
        422 => "VALIDATION_ERROR",
        429 => "RATE_LIMIT_EXCEEDED",
        _ => "INFRASTRUCTURE_ERROR",
    }
}

/// 404, with the names that there are.
pub(crate) fn unknown(what: &str, name: &str, known: &[String]) -> Refusal {
    let names = match known {
        [] => "there are none".to_owned(),
        known => format!("there are: {}", known.join(", ")),
    };
    let detail = format!("no {what} is called {name:?}; {names}");
    Refusal::from(problem(StatusCode::NOT_FOUND, &format!("Unknown {what}"), &detail))
}

/// 422 for one field.
pub(crate) fn wrong(field: &str, detail: &str) -> Refusal {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Refusal::from(problem_with(status, "Invalid request", detail, Some(field), Vec::new()))
}

/// 422 with everything that is wrong.
pub(crate) fn mistakes<'m>(all: impl Iterator<Item = &'m Mistake>) -> Refusal {
    let errors = all.filter(|mistake| mistake.severity == Severity::Error);
    let errors: Vec<MistakeView> = errors.map(MistakeView::from).collect();
    let detail = match &errors[..] {
        [one] => one.message.clone(),
        all => format!("{} things are wrong; nothing has changed", all.len()),
    };
    let field = errors.first().map(|error| error.path.clone());
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Refusal::from(problem_with(status, "Invalid configuration", &detail, field.as_deref(), errors))
}

/// 500, for what should not be.
pub(crate) fn failed(detail: &str) -> Refusal {
    tracing::error!("{detail}");
    Refusal::from(problem(StatusCode::INTERNAL_SERVER_ERROR, "Failed", detail))
}

/// A number between bounds.
pub(crate) fn within<N: PartialOrd + std::fmt::Display + Copy>(
    field: &str,
    value: N,
    least: N,
    most: N,
) -> Result<N, Refusal> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(wrong(field, &format!("{field} is {value}; use {least} to {most}")))
}

/// A JSON body, read strictly: bounded in size, depth and time, without duplicate keys.
pub(crate) struct Sent<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let text = text(request, &["application/json"]).await?;
        let value = strict_json(&text).map_err(|told| wrong("", &told).into_response())?;
        // A list would be read as the fields in their order.
        if !value.is_object() {
            return Err(wrong("", "the body is not an object; write {\"field\": value}").into());
        }
        serde_path_to_error::deserialize(value)
            .map(Self)
            .map_err(|error| unreadable(error.path(), error.inner(), None).into())
    }
}

/// 422 for a field that cannot be read: its name, its value where it stands in a query, and what is wrong.
fn unreadable(
    path: &serde_path_to_error::Path,
    error: &impl std::fmt::Display,
    query: Option<&str>,
) -> Refusal {
    let told = error.to_string();
    // Of a field that is missing or unknown only the message has the name.
    let field = match path.to_string() {
        path if path == "." => told.split('`').nth(1).unwrap_or("").to_owned(),
        path => path,
    };
    let mut pairs = query.into_iter().flat_map(|query| form_urlencoded::parse(query.as_bytes()));
    let given = pairs.find(|(name, _)| *name == field).map(|(_, value)| value);
    match given {
        Some(value) => wrong(&field, &format!("{field} is {value:?}: {told}")),
        None => wrong(&field, &told),
    }
}

/// The text of a body.
pub(crate) async fn text(request: Request, kinds: &[&str]) -> Result<String, Response> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.map(|kind| kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase());
    if !kind.as_deref().is_some_and(|kind| kinds.contains(&kind)) {
        let detail = format!("send it as {}", kinds.join(" or "));
        return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type", &detail));
    }
    let most = request.extensions().get::<MostBytes>().map_or(MAX_BODY, |most| most.0);
    let body = Limited::new(request.into_body(), most).collect();
    let Ok(read) = tokio::time::timeout(SLOWEST_BODY, body).await else {
        let detail = format!("the body did not come within {SLOWEST_BODY:?}");
        return Err(problem(StatusCode::REQUEST_TIMEOUT, "Request too slow", &detail));
    };
    let bytes = read.map_err(|error| {
        if error.is::<LengthLimitError>() {
            let detail = format!("the body is longer than {most} bytes");
            return problem(StatusCode::PAYLOAD_TOO_LARGE, "Body too large", &detail);
        }
        problem(StatusCode::BAD_REQUEST, "Broken request", "the body broke off before its end")
    })?;
    String::from_utf8(bytes.to_bytes().into()).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        wrong("", &format!("the body is not UTF-8 from byte {at} on")).into()
    })
}

/// What stands behind `?`, with no name that means nothing.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let query = parts.uri.query().unwrap_or("");
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(pairs)
            .map(Self)
            .map_err(|error| unreadable(error.path(), error.inner(), Some(query)).into())
    }
}

/// A word of a query in any case: `level=CRITICAL` is `level=critical`.
pub(crate) fn any_case<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    T::deserialize(String::deserialize(from)?.to_ascii_lowercase().into_deserializer())
}

/// The same where there may be none.
pub(crate) fn any_case_or_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    any_case(from).map(Some)
}

/// A name in the path.
pub(crate) struct Named(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(_) => Err(wrong("path", "the name in the path is not UTF-8").into()),
        }
    }
}

/// Who asks.
impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> Result<Self, std::convert::Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}
