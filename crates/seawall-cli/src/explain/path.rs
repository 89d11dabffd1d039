//! Paths of configurations, as people write them and as places in the schema are shown.

/// One part of a path that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Name(String),
    Index(usize),
    /// `*`, `[]`, `[*]`: any of them.
    Any,
}

/// One step from the root to a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    /// Any name of a mapping.
    AnyKey,
    Index(usize),
    /// Any element of a list.
    Each,
    /// One of several kinds, told apart by `type`.
    Variant(String),
}

/// The way from the root to a place.
pub(super) type Steps = Vec<Step>;

/// Reads a path such as `upstreams.chat.policies[0].retry` or `upstreams["gpt-4.1"]`.
pub(super) fn read(text: &str) -> Result<Vec<Part>, &'static str> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let part;
        (part, rest) = match rest.strip_prefix('[') {
            Some(inside) => bracket(inside)?,
            None => {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                (name(&rest[..end])?, &rest[end..])
            }
        };
        parts.push(part);
        rest = match rest.strip_prefix('.') {
            Some("") => return Err("it ends in a dot"),
            Some(next) => next,
            None if rest.is_empty() || rest.starts_with('[') => rest,
            None => return Err("a dot is missing after `]`"),
        };
    }
    if parts.is_empty() { Err("it is empty") } else { Ok(parts) }
}

fn name(text: &str) -> Result<Part, &'static str> {
    match text {
        "" => Err("a name is missing beside a dot"),
        "*" => Ok(Part::Any),
        // As variables name the elements of lists.
        text => Ok(text.parse().map_or_else(|_| Part::Name(text.to_owned()), Part::Index)),
    }
}

/// Reads what stands between `[` and `]`.
fn bracket(inside: &str) -> Result<(Part, &str), &'static str> {
    const OPEN: &str = "a `]` is missing";
    if inside.starts_with('"') {
        let mut texts = serde_json::Deserializer::from_str(inside).into_iter::<String>();
        let Some(Ok(name)) = texts.next() else { return Err("a text in quotes does not end") };
        let rest = inside[texts.byte_offset()..].strip_prefix(']').ok_or(OPEN)?;
        return Ok((Part::Name(name), rest));
    }
    let (word, rest) = inside.split_once(']').ok_or(OPEN)?;
    match word.trim() {
        "" | "*" => Ok((Part::Any, rest)),
        number => match number.parse() {
            Ok(index) => Ok((Part::Index(index), rest)),
            Err(_) => Err("between `[` and `]` stands a number, or a name in quotes"),
        },
    }
}

/// A place in the schema as a path.
pub(super) fn shown(steps: &Steps) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Key(name) | Step::Variant(name) => text = join(&text, name),
            Step::AnyKey => text = format!("{text}.<name>"),
            Step::Index(index) => text += &format!("[{index}]"),
            Step::Each => text += "[]",
        }
    }
    text
}

/// A path with a key below it.
pub(super) fn join(path: &str, key: &str) -> String {
    below(path, &seawall_config::path_of(&[key]))
}

/// A path with another one below it.
pub(super) fn below(path: &str, rest: &str) -> String {
    let dot = if path.is_empty() || rest.is_empty() || rest.starts_with('[') { "" } else { "." };
    format!("{path}{dot}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_they_are_written() {
        let name = |text: &str| Part::Name(text.into());
        for (text, expected) in [
            ("listen", vec![name("listen")]),
            (
                "upstreams.chat.policies[0].retry",
                vec![
                    name("upstreams"),
                    name("chat"),
                    name("policies"),
                    Part::Index(0),
                    name("retry"),
                ],
            ),
            (
                r#"upstreams["gpt-4.1"].endpoints"#,
                vec![name("upstreams"), name("gpt-4.1"), name("endpoints")],
            ),
            ("routes[].path", vec![name("routes"), Part::Any, name("path")]),
            (
                "upstreams.*.policies.2",
                vec![name("upstreams"), Part::Any, name("policies"), Part::Index(2)],
            ),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a[", "a[x]", "a[\"b]", "a[0]b"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
