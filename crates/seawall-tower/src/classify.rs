//! Classifies HTTP and gRPC responses: which status is whose fault, and how long to wait.

use http::{HeaderMap, HeaderValue, Response, StatusCode};
use seawall::{Class, Classify, Failure, Outcome};
use std::time::{Duration, SystemTime};

/// Classifies responses by status and headers, and every transport error as transient.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpClassify;

impl<B, E> Classify<Response<B>, E> for HttpClassify {
    fn classify(&self, result: &Result<Response<B>, E>) -> Outcome {
        match result {
            Ok(response) => classify_status(response.status(), response.headers()),
            Err(_) => Outcome::failure(Class::Transient),
        }
    }
}

/// Classifies a response by its status. Below 400 it is a success, and 429 is a rate limit. 408, 425 and everything from
/// 500 on is transient and the dependency's fault, also the codes of proxies and content delivery networks (520 to 530,
/// 599). Every other 4xx is permanent and the caller's fault, and so are 501, 505, 506, 508, 510 and 511, which are about
/// this request or the way to the dependency rather than its health. The header `x-should-retry` (`true` or `false`)
/// decides over the class whether the request is repeated.
pub fn classify_status(status: StatusCode, headers: &HeaderMap) -> Outcome {
    let class = match status.as_u16() {
        0..=399 => return Outcome::Success,
        429 => Class::RateLimited,
        408 | 425 => Class::Transient,
        400..=499 | 501 | 505 | 506 | 508 | 510 | 511 => Class::Permanent,
        _ => Class::Transient,
    };
    Outcome::Failure(Failure {
        retry_after: retry_after(headers, SystemTime::now()),
        should_retry: should_retry(headers),
        ..Failure::new(class)
    })
}

/// Classifies a gRPC status code. `UNAVAILABLE`, `INTERNAL`, `DEADLINE_EXCEEDED`, `ABORTED` and `DATA_LOSS` are
/// transient and the dependency's fault; `UNKNOWN`, and codes that gRPC does not define, are failures of an unknown class.
/// `RESOURCE_EXHAUSTED` is a rate limit. All others are permanent and the caller's fault.
pub fn classify_grpc_code(code: i32) -> Outcome {
    Outcome::failure(match code {
        0 => return Outcome::Success,
        8 => Class::RateLimited,
        1 | 3 | 5 | 6 | 7 | 9 | 11 | 12 | 16 => Class::Permanent,
        4 | 10 | 13 | 14 | 15 => Class::Transient,
        _ => Class::Unknown,
    })
}

/// Classifies a gRPC response by the `grpc-status` in its headers, where errors without messages have it; by
/// [`classify_status`] if there is none. It is made for [`ServerLayer::classify`](crate::ServerLayer::classify).
pub fn classify_grpc(status: StatusCode, headers: &HeaderMap) -> Outcome {
    match headers.get("grpc-status") {
        Some(code) => {
            let code = code.to_str().ok().and_then(|code| code.parse().ok());
            classify_grpc_code(code.unwrap_or(-1))
        }
        None => classify_status(status, headers),
    }
}

fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get("x-should-retry")?.as_bytes() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// How long a response asks to wait: `retry-after-ms`, or else `Retry-After` in seconds or as an HTTP date (RFC 9110,
/// 10.2.3) after the wall clock time `now`. A date in the past is a wait of zero, and a number too large for a
/// duration is the longest one. A value that cannot be read is ignored.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |value: &HeaderValue| value.to_str().ok().map(|text| text.trim().to_owned());
    let ms = headers.get("retry-after-ms").and_then(text).and_then(|ms| duration(&ms, 1000.0));
    if ms.is_some() {
        return ms;
    }
    let after = headers.get(http::header::RETRY_AFTER).and_then(text)?;
    duration(&after, 1.0).or_else(|| {
        let date = httpdate::parse_http_date(&after).ok()?;
        Some(date.duration_since(now).unwrap_or(Duration::ZERO))
    })
}

/// Reads a decimal number of units, of which `in_a_second` are one second.
fn duration(text: &str, in_a_second: f64) -> Option<Duration> {
    if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    Some(Duration::try_from_secs_f64(number / in_a_second).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests;
