//! Entity tags: a hash of a value as JSON, without the fields that only say what the clock says.

use super::problem::failed;
use axum::{
    body::Body,
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::{Serialize, Serializer};
use std::{
    cell::Cell,
    hash::{DefaultHasher, Hasher},
    io::Write,
};

thread_local! {
    /// Whether a field that depends on the clock is being written on this thread.
    static CLOCK: Cell<bool> = const { Cell::new(false) };
}

/// For `#[serde(serialize_with = "…")]`: a field that grows by itself, such as the time of the answer. It is written as
/// any other, and has no part in the entity tag.
pub(crate) fn clock<T: Serialize, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    CLOCK.set(true);
    let written = value.serialize(to);
    CLOCK.set(false);
    written
}

/// JSON with an entity tag, in which what [`clock`] writes does not count.
pub(crate) fn tagged(value: &impl Serialize) -> Response {
    let (text, tag) = match written(value) {
        Ok(written) => written,
        Err(error) => return failed(&error.to_string()).into(),
    };
    let headers = [
        (header::ETAG, tag.as_str()),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_TYPE, "application/json"),
    ];
    (headers, text).into_response()
}

/// Answers 304 in place of a body whose tag the client named in `If-None-Match`.
pub(crate) async fn not_modified(request: Request, next: Next) -> Response {
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let mut response = next.run(request).await;
    let known = known.as_ref().and_then(|known| known.to_str().ok());
    let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
    if known.zip(tag).is_some_and(|(known, tag)| names(known, tag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(header::CONTENT_TYPE);
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    response
}

/// Whether `If-None-Match` names a tag, or any.
fn names(known: &str, tag: &str) -> bool {
    let mut known = known.split(',').map(|one| one.trim().trim_start_matches("W/"));
    known.any(|one| one == tag || one == "*")
}

/// A value as JSON with its tag, in one pass. A fast hash is enough: who forges a tag deceives only himself.
fn written(value: &impl Serialize) -> serde_json::Result<(Vec<u8>, String)> {
    let mut hashed = Hashed { text: Vec::new(), hash: DefaultHasher::new() };
    serde_json::to_writer(&mut hashed, value)?;
    Ok((hashed.text, format!("\"{:016x}\"", hashed.hash.finish())))
}

/// Text that is hashed as it is written, but for the clock's.
struct Hashed {
    text: Vec<u8>,
    hash: DefaultHasher,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.text.extend_from_slice(bytes);
        if !CLOCK.get() {
            self.hash.write(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Serialize)]
    struct Answer {
        #[serde(serialize_with = "clock")]
        timestamp: String,
        #[serde(serialize_with = "clock")]
        spent: Option<BTreeMap<String, f64>>,
        text: String,
        named: BTreeMap<String, u32>,
    }

    fn answer() -> Answer {
        let named = BTreeMap::from([("timestamp".to_owned(), 1)]);
        Answer { timestamp: "a".into(), spent: None, text: String::new(), named }
    }

    fn tag(answer: &Answer) -> String {
        written(answer).unwrap().1
    }

    #[test]
    fn only_the_fields_of_the_clock_do_not_count() {
        let same = tag(&answer());
        let spent = Some(BTreeMap::from([("open".to_owned(), 1.5)]));
        assert_eq!(tag(&Answer { timestamp: "\"},{".into(), spent, ..answer() }), same);
        // What is written in the words of a field of the clock's is no such field.
        for text in ["\"timestamp\":\"a", "\"timestamp\":\"b", "\"seconds_in_state\":{"] {
            assert_ne!(tag(&Answer { text: text.into(), ..answer() }), same, "{text}");
        }
        let named = BTreeMap::from([("timestamp".to_owned(), 2)]);
        assert_ne!(tag(&Answer { named, ..answer() }), same, "an operation of this name");
    }

    #[test]
    fn the_text_is_all_of_it() {
        let text = written(&answer()).unwrap().0;
        assert_eq!(text, serde_json::to_vec(&answer()).unwrap());
    }
}
