//! Prints the errors of a server for people.

use crate::output::plain;
use http::StatusCode;
use seawall_server::wire::{MistakeView, ProblemDocument};
use serde_json::Value;

/// The answer's problem in a few lines.
pub(super) fn text(status: StatusCode, body: &[u8]) -> String {
    let code = status.as_u16();
    let problem = serde_json::from_slice(body).unwrap_or_else(|_| of_others(body));
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
        text += &format!("\n  {}", line(mistake));
    }
    text
}

/// The problem of a server that is none of ours, such as a proxy before it: as much as any has.
fn of_others(body: &[u8]) -> ProblemDocument {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |field: &str| json[field].as_str().unwrap_or("").to_owned();
    let (title, detail) = (text("title"), text("detail"));
    ProblemDocument { title, detail, ..ProblemDocument::default() }
}

fn line(mistake: &MistakeView) -> String {
    let mut text = match mistake.line {
        0 => mistake.source.clone(),
        line => format!("{}:{line}:{}", mistake.source, mistake.column),
    };
    for part in [&mistake.path, &mistake.message] {
        if !part.is_empty() {
            text += &format!(": {part}");
        }
    }
    if let Some(right) = &mistake.right {
        text += &format!("; {right}");
    }
    plain(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_printed_with_every_error() {
        let body = br#"{"type":"about:blank","title":"Invalid configuration","status":422,"detail":"2 things are wrong",
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
        let body =
            br#"{"type":"about:blank","title":"Invalid request","status":422,"detail":"say why",
            "field":"reason"}"#;
        let told = text(StatusCode::UNPROCESSABLE_ENTITY, body);
        assert_eq!(told, "Invalid request (422): say why [reason]");
    }
}
