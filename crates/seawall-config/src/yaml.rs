//! Reads YAML 1.2 (and so JSON) into the tree, with bounds on everything that a hostile file can blow up.
//!
//! The parser's events are first gathered, which bounds their number and depth; then the tree is built from them,
//! where an alias replays the events of its anchor within the same bounds.

mod build;
mod scalar;
#[cfg(test)]
mod tests;

use crate::{
    findings::{Fault, Findings},
    tree::{Node, Position},
};
use granit_parser::{ErrorKind, Event, Marker, Parser, ScanError, Span};

/// The deepest nesting.
pub(crate) const MAX_DEPTH: usize = 64;
/// The most values, aliases expanded.
pub(crate) const MAX_NODES: usize = 100_000;

/// Reads the one document of a file. Without a tree there is at least one mistake.
pub(crate) fn parse(text: &str, findings: &mut Findings) -> Option<Node> {
    let gathered = gather(text, findings);
    match gathered {
        Ok(events) if events.is_empty() => {
            let fault =
                Fault::error("the file is empty").right("write `{}` if every default is meant");
            findings.add(Position::START, String::new(), fault);
            None
        }
        Ok(events) => build::tree(&events, findings),
        Err((position, fault)) => {
            findings.add(position, String::new(), fault);
            None
        }
    }
}

type Events<'t> = Vec<(Event<'t>, Span)>;

/// The events of the first document's nodes.
fn gather<'t>(text: &'t str, findings: &mut Findings) -> Result<Events<'t>, (Position, Fault)> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut events = Events::new();
    let (mut depth, mut nodes) = (0_usize, 0_usize);
    let mut open = false;
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| syntax(&error))?;
        match event {
            Event::DocumentStart(..) if open => {
                let fault = Fault::error("a second document starts here")
                    .right("one file holds one document");
                findings.add(position(span.start), String::new(), fault);
                break;
            }
            Event::DocumentStart(..) => open = true,
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                (depth, nodes) = (depth + 1, nodes + 1)
            }
            Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
            Event::Scalar(..) | Event::Alias(_) => nodes += 1,
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err((position(span.start), too_deep()));
        }
        if nodes > MAX_NODES {
            return Err((position(span.start), too_many()));
        }
        if event.is_node() || matches!(event, Event::SequenceEnd | Event::MappingEnd) {
            events.push((event, span));
        }
    }
    Ok(events)
}

fn too_deep() -> Fault {
    Fault::error(format!("nested deeper than {MAX_DEPTH} levels"))
}

fn too_many() -> Fault {
    Fault::error(format!("more than {MAX_NODES} values, counting what aliases repeat"))
}

/// The parser counts columns from 0.
fn position(mark: Marker) -> Position {
    Position::at(mark.line(), mark.col() + 1)
}

/// The commonest slips in our words; the rest in the parser's.
fn syntax(error: &ScanError) -> (Position, Fault) {
    let (message, right) = match error.kind() {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar => {
            ("a tab cannot indent YAML".to_owned(), "indent with spaces")
        }
        ErrorKind::UnknownAnchor => (
            "this alias names an anchor that is not above it".to_owned(),
            "define it first with `&name`, or put the text in quotes",
        ),
        ErrorKind::UnclosedQuotedScalar | ErrorKind::InvalidQuotedScalarIndent => {
            ("a quoted text is not closed".to_owned(), "close the quote")
        }
        ErrorKind::MappingValueNotAllowed => (
            "a `:` cannot stand here".to_owned(),
            "check the indentation, or put a text that holds `: ` in quotes",
        ),
        ErrorKind::UnexpectedCharacter { character: character @ ('@' | '`' | '%') } => {
            (format!("a text cannot start with `{character}`"), "put it in quotes")
        }
        ErrorKind::RecursionLimitExceeded => return (position(*error.marker()), too_deep()),
        _ => (format!("not YAML: {}", error.info().escape_debug()), ""),
    };
    (position(*error.marker()), Fault::error(message).right(right))
}
