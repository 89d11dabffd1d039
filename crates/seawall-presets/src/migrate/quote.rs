//! Quotes text for each format, so that it stays one value whatever it holds.

use seawall::Override;
use std::fmt::Write;

/// Quotes text for a shell, in which nothing has a meaning between single quotes. Variables hold no NUL.
pub(super) fn bash(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', "'\\''"))
}

/// Quotes text for a `.env` file.
pub(super) fn env(text: &str) -> String {
    if text.contains('\'') || text.chars().any(char::is_control) {
        env_line(text)
    } else {
        format!("'{text}'")
    }
}

/// Quotes text for a `.env` file on a single line.
pub(super) fn env_line(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '\n' => quoted += "\\n",
            '\r' => quoted += "\\r",
            '\t' => quoted += "\\t",
            '"' | '\\' | '$' | '`' => quoted.extend(['\\', c]),
            _ => quoted.push(c),
        }
    }
    quoted + "\""
}

/// Quotes text for YAML: as JSON does, with everything that is not printable ASCII by its number.
pub(super) fn yaml(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
        }
    }
    quoted + "\""
}

/// Writes a comment of one line.
pub(super) fn comment(text: &str) -> String {
    let mut line = String::from("# ");
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') {
            line.extend(c.escape_debug());
        } else {
            line.push(c);
        }
    }
    line + "\n"
}

/// The custom configuration as JSON in plain ASCII, without characters that a format could take for its own.
/// Such characters occur within texts only, where JSON has escapes for them.
pub(super) fn json(change: &Override) -> String {
    let plain = serde_json::to_string(change).unwrap_or_default();
    let mut text = String::new();
    for c in plain.chars() {
        if matches!(c, ' '..='~') && !matches!(c, '\'' | '$' | '`') {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text
}
