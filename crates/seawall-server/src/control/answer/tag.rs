//! Entity tags: a hash of a value as JSON, without the fields that only say what the clock says.

use super::failed;
use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Serialize, Serializer};
use std::{
    cell::Cell,
    hash::{DefaultHasher, Hasher},
    io::Write,
};

thread_local! {
    /// Whether a field of the clock's is being written on this thread.
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

/// JSON with an entity tag: who has the same already is told so, in few bytes. What [`clock`] writes does not count.
pub(crate) fn tagged(headers: &HeaderMap, value: &impl Serialize) -> Response {
    let (text, tag) = match written(value) {
        Ok(written) => written,
        Err(error) => return failed(&error.to_string()).into(),
    };
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
