//! Extractors of what endpoints need of a request: bodies, queries and names, read strictly and within bounds.

use super::problem::{ApiError, problem, wrong};
use crate::actor::Actor;
use axum::{
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{StatusCode, header, request::Parts},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use seawall_config::strict_json;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IntoDeserializer},
};
use std::{convert::Infallible, time::Duration};

/// Bytes that a request to the control plane may have.
const MAX_BODY: usize = 1 << 20;
/// Bytes that it may have however small `limits.max_body_bytes` is: enough to set that limit again.
const LEAST_BODY: u64 = 64 << 10;
/// The longest time that a client may take to send a body.
const SLOWEST_BODY: Duration = Duration::from_secs(10);

/// The longest body that a request of this server may have, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct BodyLimit(usize);

impl BodyLimit {
    /// The limit for bodies here that follows from `limits.max_body_bytes`.
    pub(crate) fn of(max_body_bytes: u64) -> Self {
        let most = max_body_bytes.max(LEAST_BODY);
        Self(usize::try_from(most).map_or(MAX_BODY, |most| most.min(MAX_BODY)))
    }
}

/// A JSON body, read strictly: bounded in size, depth and time, without duplicate keys.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let value = strict_json(&text(request).await?).map_err(|error| wrong("", &error))?;
        // A list would be read as the fields in their order.
        if !value.is_object() {
            return Err(wrong("", "the body is not an object; write {\"field\": value}"));
        }
        serde_path_to_error::deserialize(value)
            .map(Self)
            .map_err(|error| unreadable(error.path(), error.inner(), None))
    }
}

/// 422 for a field that cannot be read: its name, its value where it stands in a query, and what is wrong.
fn unreadable(
    path: &serde_path_to_error::Path,
    error: &impl std::fmt::Display,
    query: Option<&str>,
) -> ApiError {
    let message = error.to_string();
    // Of a field that is missing or unknown only the message has the name.
    let field = match path.to_string() {
        path if path == "." => message.split('`').nth(1).unwrap_or("").to_owned(),
        path => path,
    };
    let mut pairs = query.into_iter().flat_map(|query| form_urlencoded::parse(query.as_bytes()));
    match pairs.find(|(name, _)| *name == field) {
        Some((_, value)) => wrong(&field, &format!("{field} is {value:?}: {message}")),
        None => wrong(&field, &message),
    }
}

/// The text of a JSON body.
async fn text(request: Request) -> Result<String, ApiError> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.map(|kind| kind.split(';').next().unwrap_or("").trim());
    if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
        let (status, detail) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "send it as application/json");
        return Err(problem(status, "Unsupported media type", detail));
    }
    let most = request.extensions().get::<BodyLimit>().map_or(MAX_BODY, |limit| limit.0);
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
        wrong("", &format!("the body is not UTF-8 from byte {at} on"))
    })
}

/// Query parameters; unknown names are rejected.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or("");
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(pairs)
            .map(Self)
            .map_err(|error| unreadable(error.path(), error.inner(), Some(query)))
    }
}

/// A name in the path.
pub(crate) struct PathName(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for PathName {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(_) => Err(wrong("path", "the name in the path is not UTF-8")),
        }
    }
}

/// The actor of a request: its key, and its session.
impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

/// Checks that a number is between its bounds.
pub(crate) fn within<N: PartialOrd + std::fmt::Display + Copy>(
    field: &str,
    value: N,
    least: N,
    most: N,
) -> Result<N, ApiError> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(wrong(field, &format!("{field} is {value}; use {least} to {most}")))
}

/// For `#[serde(default = "number::<50, _>")]`: the number of a parameter that is left out.
pub(crate) fn number<const N: u16, T: From<u16>>() -> T {
    N.into()
}

/// A word of a query in any case: `level=CRITICAL` is `level=critical`.
pub(crate) fn any_case<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    T::deserialize(String::deserialize(from)?.to_ascii_lowercase().into_deserializer())
}

/// A word of a query in any case, which may be left out.
pub(crate) fn any_case_or_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    any_case(from).map(Some)
}
