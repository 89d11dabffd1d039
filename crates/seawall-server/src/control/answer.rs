//! What all endpoints share: problems, requests read strictly and within bounds, entity tags, tables as CSV.

use crate::monitor::Actor;
use axum::{
    Json,
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use seawall_config::{Mistake, Severity, presets};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    hash::{DefaultHasher, Hasher},
    time::Duration,
};
use utoipa::ToSchema;

/// Bytes that a request to the control plane may have.
pub(crate) const MAX_BODY: usize = 1 << 20;
/// How long one may take to send them.
const SLOWEST_BODY: Duration = Duration::from_secs(10);

/// An error, as RFC 9457 has it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ProblemDocument {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
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
        detail: detail.to_owned(),
        field: field.map(str::to_owned),
        errors,
    };
    let text = serde_json::to_string(&document).unwrap_or_default();
    let kind = [("content-type", "application/problem+json")];
    (status, kind, text).into_response()
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
        let value = presets::strict_json(&text).map_err(|told| wrong("", &told).into_response())?;
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
    let body = Limited::new(request.into_body(), MAX_BODY).collect();
    let Ok(read) = tokio::time::timeout(SLOWEST_BODY, body).await else {
        let detail = format!("the body did not come within {SLOWEST_BODY:?}");
        return Err(problem(StatusCode::REQUEST_TIMEOUT, "Request too slow", &detail));
    };
    let bytes = read.map_err(|error| {
        if error.is::<LengthLimitError>() {
            let detail = format!("the body is longer than {MAX_BODY} bytes");
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

/// JSON with an entity tag: who has the same already is told so, in few bytes. Times of asking do not count.
pub(crate) fn tagged(headers: &HeaderMap, value: &impl Serialize) -> Response {
    let text = match serde_json::to_string(value) {
        Ok(text) => text,
        Err(error) => return failed(&error.to_string()).into(),
    };
    let tag = tag(&text);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let same = known.is_some_and(|known| {
        known
            .split(',')
            .map(|one| one.trim().trim_start_matches("W/"))
            .any(|one| one == tag || one == "*")
    });
    let cache = [(header::ETAG, tag.as_str()), (header::CACHE_CONTROL, "no-cache")];
    if same {
        return (StatusCode::NOT_MODIFIED, cache).into_response();
    }
    (cache, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// A fast hash is enough: who forges a tag deceives only himself.
fn tag(text: &str) -> String {
    /// What grows by itself, with what ends it.
    const GROWING: [(&str, char); 2] = [("\"timestamp\":\"", '"'), ("\"seconds_in_state\":{", '}')];
    let mut passed_over: Vec<(usize, usize)> = Vec::new();
    for (begin, end) in GROWING {
        passed_over.extend(text.match_indices(begin).map(|(at, _)| {
            let from = at + begin.len();
            (from, text[from..].find(end).map_or(text.len(), |length| from + length))
        }));
    }
    passed_over.sort_unstable();
    let mut hash = DefaultHasher::new();
    let mut from = 0;
    for (start, end) in passed_over {
        hash.write(text.get(from..start).unwrap_or("").as_bytes());
        from = end;
    }
    hash.write(text.get(from..).unwrap_or("").as_bytes());
    format!("\"{:016x}\"", hash.finish())
}

/// A table that a spreadsheet opens.
pub(crate) fn csv(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Response {
    let mut text = header.join(",") + "\r\n";
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| cell_of(cell)).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    let kind = [(header::CONTENT_TYPE, "text/csv; charset=utf-8")];
    (kind, Body::from(text)).into_response()
}

/// A cell in quotes where it needs them; a spreadsheet takes none for a formula.
fn cell_of(text: &str) -> String {
    let formula =
        text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_do_not_count_when_it_was_asked() {
        let at = |time: &str, n: u32| tag(&format!("{{\"timestamp\":\"{time}\",\"n\":{n}}}"));
        assert_eq!(at("a", 1), at("bb", 1));
        assert_ne!(at("a", 1), at("a", 2));
        let spent = |time: &str, n: u32| {
            tag(&format!("[{{\"seconds_in_state\":{{\"open\":{time}}},\"n\":{n}}}]"))
        };
        assert_eq!(spent("1.5", 1), spent("22.5", 1));
        assert_ne!(spent("1.5", 1), spent("1.5", 2));
    }

    #[test]
    fn cells_are_no_formulas() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=1+1", "'=1+1"),
            ("-5.5", "-5.5"),
            ("@x,y", "\"'@x,y\""),
        ] {
            assert_eq!(cell_of(text), expected);
        }
    }
}
