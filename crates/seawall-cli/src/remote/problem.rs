//! What a server refuses, as people read it.

use crate::output::plain;
use http::StatusCode;
use serde::Deserialize;

/// RFC 9457, with our further fields; read leniently, since anything may answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
    field: Option<String>,
    errors: Vec<Mistake>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Mistake {
    source: String,
    line: usize,
    column: usize,
    path: String,
    message: String,
    right: Option<String>,
}

/// The answer's problem in a few lines.
pub(super) fn text(status: StatusCode, body: &[u8]) -> String {
    let code = status.as_u16();
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    if problem.title.is_empty() && problem.detail.is_empty() {
        let reason = status.canonical_reason().unwrap_or("an unknown status");
        return format!("the server answered {code}, {reason}; is it a Seawall server?");
    }
    let mut text = format!("{} ({code})", plain(&problem.title));
    if !problem.detail.is_empty() {
        text += &format!(": {}", plain(&problem.detail));
    }
    if let (Some(field), []) = (&problem.field, &problem.errors[..])
        && !field.is_empty()
        && !problem.detail.contains(field.as_str())
    {
        text += &format!(" [{}]", plain(field));
    }
    for mistake in &problem.errors {
        text += &format!("\n  {}", mistake.text());
    }
    text
}

impl Mistake {
    fn text(&self) -> String {
        let mut text = match self.line {
            0 => self.source.clone(),
            line => format!("{}:{line}:{}", self.source, self.column),
        };
        for part in [&self.path, &self.message] {
            if !part.is_empty() {
                text += &format!(": {part}");
            }
        }
        if let Some(right) = &self.right {
            text += &format!("; {right}");
        }
        plain(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_told_with_every_error() {
        let body = br#"{"title":"Invalid configuration","status":422,"detail":"2 things are wrong",
            "field":"preset","errors":[
            {"source":"API","line":0,"column":0,"path":"preset","message":"no such preset","right":"use simple"},
            {"source":"a.yaml","line":3,"column":7,"path":"","message":"bad","right":null}]}"#;
        assert_eq!(
            text(StatusCode::UNPROCESSABLE_ENTITY, body),
            "Invalid configuration (422): 2 things are wrong\n  \
             API: preset: no such preset; use simple\n  a.yaml:3:7: bad"
        );
    }

    #[test]
    fn an_answer_of_something_else_is_named() {
        let told = text(StatusCode::NOT_FOUND, b"<html>");
        assert_eq!(told, "the server answered 404, Not Found; is it a Seawall server?");
    }

    #[test]
    fn a_field_is_named_once() {
        let body = br#"{"title":"Invalid request","detail":"say why","field":"reason"}"#;
        let told = text(StatusCode::UNPROCESSABLE_ENTITY, body);
        assert_eq!(told, "Invalid request (422): say why [reason]");
    }
}
