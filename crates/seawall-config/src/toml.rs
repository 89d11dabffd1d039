//! TOML into the tree. Its own parser bounds nesting and refuses duplicate keys.

use crate::{
    findings::{Fault, Findings},
    tree::{Entry, Node, Position, Value},
    yaml::MAX_NODES,
};
use ::toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Reads a file. Without a tree there is at least one mistake.
pub(crate) fn parse(text: &str, findings: &mut Findings) -> Option<Node> {
    let lines = Lines::of(text);
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let at = error.span().map_or(Position::START, |span| lines.position(span.start));
            let fault = Fault::error(format!("not TOML: {}", error.message().escape_debug()));
            findings.add(at, String::new(), fault);
            return None;
        }
    };
    let mut reader = Reader { lines, findings, nodes: 0 };
    let value = Value::Mapping(reader.entries(table.get_ref()));
    if reader.nodes > MAX_NODES {
        let fault = Fault::error(format!("more than {MAX_NODES} values"));
        findings.add(Position::START, String::new(), fault);
        return None;
    }
    Some(Node { value, position: Position::START })
}

struct Reader<'t, 'f> {
    lines: Lines<'t>,
    findings: &'f mut Findings,
    nodes: usize,
}

impl Reader<'_, '_> {
    fn entries(&mut self, table: &DeTable<'_>) -> Vec<Entry> {
        table.iter().map(|(key, value)| self.entry(key.as_ref(), key.span().start, value)).collect()
    }

    fn entry(&mut self, key: &str, start: usize, value: &Spanned<DeValue<'_>>) -> Entry {
        let position = self.lines.position(start);
        let mut node = self.node(value);
        // A table of its own starts at its header, which repeats the keys above it.
        if matches!(node.value, Value::Mapping(_)) && node.position.line >= position.line {
            node.position = position;
        }
        Entry { key: key.to_owned(), position, node }
    }

    fn node(&mut self, value: &Spanned<DeValue<'_>>) -> Node {
        self.nodes += 1;
        let position = self.lines.position(value.span().start);
        let read = match value.get_ref() {
            DeValue::String(text) => Ok(Value::String(text.clone().into_owned())),
            DeValue::Boolean(value) => Ok(Value::Bool(*value)),
            DeValue::Datetime(time) => Ok(Value::String(time.to_string())),
            DeValue::Array(items) => {
                Ok(Value::Sequence(items.iter().map(|i| self.node(i)).collect()))
            }
            DeValue::Table(table) => Ok(Value::Mapping(self.entries(table))),
            DeValue::Integer(integer) => i128::from_str_radix(integer.as_str(), integer.radix())
                .map(Value::Int)
                .map_err(|_| "the number is too large"),
            DeValue::Float(float) => match float.as_str().parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(Value::Float(value)),
                _ => Err("numbers here are finite"),
            },
        };
        let value = read.unwrap_or_else(|message| {
            self.findings.add(position, String::new(), Fault::error(message));
            Value::Null
        });
        Node { value, position }
    }
}

/// The offsets at which the lines of a text start.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        Self { text, starts: starts.collect() }
    }

    fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        let before = self.text.get(start..offset).unwrap_or("");
        Position::at(line, before.chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_placed_at_their_keys() {
        let text = "a = 1\n[up.chat]\ntimeout = '20s'\n  'é' = { x = [1, 2.5] }\n[[r]]\nz = 0xff\n";
        let mut findings = Findings::default();
        let tree = parse(text, &mut findings).unwrap();
        for (path, line, column) in [
            ("a", 1, 5),
            ("up", 2, 2),
            ("up.chat", 2, 5),
            ("up.chat.timeout", 3, 11),
            ("up.chat.é.x[1]", 4, 19),
            ("r[0].z", 6, 5),
        ] {
            assert_eq!(tree.nearest_to(path).position, Position::at(line, column), "{path}");
        }
        assert_eq!(tree.nearest_to("r[0].z").value, Value::Int(255));
    }

    #[test]
    fn mistakes_have_their_line() {
        for (text, expected) in [
            ("a = 1\na = 2\n", "x:2:1: not TOML: duplicate key"),
            ("a = inf\n", "x:1:5: numbers here are finite"),
        ] {
            let mut findings = Findings::default();
            parse(text, &mut findings);
            assert_eq!(findings.into_mistakes(&["x".into()]).to_string(), expected);
        }
        let mut findings = Findings::default();
        assert!(parse(&format!("a = {}", "[".repeat(100_000)), &mut findings).is_none());
    }
}
