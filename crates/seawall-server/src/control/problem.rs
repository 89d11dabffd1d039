//! Errors of the control plane, as RFC 9457 has them.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use seawall_config::{Mistake, Severity};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An error, as RFC 9457 has it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ProblemDocument {
    /// Always `about:blank`: the status says which kind of problem it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// The problem in a few words.
    pub title: String,
    /// The status of the response.
    pub status: u16,
    /// The kind of the error for programs, such as `VALIDATION_ERROR`: one for each status.
    #[serde(default)]
    pub error_code: String,
    /// The problem, and what would be right.
    pub detail: String,
    /// The field that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// All mistakes, if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<MistakeView>,
}

/// One thing that is wrong in a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MistakeView {
    /// The source of the mistake: a file, a variable, or `API`.
    pub source: String,
    /// The line, from 1; 0 in a source without lines.
    pub line: usize,
    /// The column, from 1; 0 in a source without lines.
    pub column: usize,
    /// The path of the field.
    pub path: String,
    /// The problem, in a sentence.
    pub message: String,
    /// What would be right, if that is known.
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

/// An answer that is no success; in a box, because responses are large.
pub(crate) struct ApiError(Box<Response>);

/// The answer of an endpoint, or why there is none.
pub(crate) type Answer<T> = Result<Json<T>, ApiError>;

impl From<ApiError> for Response {
    fn from(error: ApiError) -> Self {
        *error.0
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.into()
    }
}

impl ApiError {
    /// The error with a header more.
    pub(crate) fn with_header(
        mut self,
        name: header::HeaderName,
        value: impl Into<HeaderValue>,
    ) -> Self {
        self.0.headers_mut().insert(name, value.into());
        self
    }
}

/// An error of the control plane.
pub(crate) fn problem(status: StatusCode, title: &str, detail: &str) -> ApiError {
    problem_with(status, title, detail, None, Vec::new())
}

fn problem_with(
    status: StatusCode,
    title: &str,
    detail: &str,
    field: Option<&str>,
    errors: Vec<MistakeView>,
) -> ApiError {
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
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    ApiError(Box::new((status, kind, text).into_response()))
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
pub(crate) fn unknown(what: &str, name: &str, known: &[String]) -> ApiError {
    let names = match known {
        [] => "there are none".to_owned(),
        known => format!("there are: {}", known.join(", ")),
    };
    let detail = format!("no {what} is called {name:?}; {names}");
    problem(StatusCode::NOT_FOUND, &format!("Unknown {what}"), &detail)
}

/// An answer with status 422 about one field.
pub(crate) fn wrong(field: &str, detail: &str) -> ApiError {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    problem_with(status, "Invalid request", detail, Some(field), Vec::new())
}

/// 422 with everything that is wrong.
pub(crate) fn mistakes<'m>(all: impl Iterator<Item = &'m Mistake>) -> ApiError {
    let errors = all.filter(|mistake| mistake.severity == Severity::Error);
    let errors: Vec<MistakeView> = errors.map(MistakeView::from).collect();
    let detail = match &errors[..] {
        [one] => one.message.clone(),
        all => format!("{} things are wrong; nothing has changed", all.len()),
    };
    let field = errors.first().map(|error| error.path.clone());
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    problem_with(status, "Invalid configuration", &detail, field.as_deref(), errors)
}

/// 500, for what should not be.
pub(crate) fn failed(detail: &str) -> ApiError {
    tracing::error!("{detail}");
    problem(StatusCode::INTERNAL_SERVER_ERROR, "Failed", detail)
}
