//! `.env` files: `NAME=value` by line, with quotes, comments and `export`.
//!
//! Values are taken as they are: nothing is run, and no variable is put into another.

use std::{collections::BTreeMap, iter::Peekable, str::Chars};

/// The largest file that is read, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// Reads a `.env` file into variables. Where a name is given twice, the last value counts.
///
/// # Errors
/// Everything that is wrong, each with its line. Values are not quoted, since they may be secrets.
pub fn read_env_file(text: &str) -> Result<BTreeMap<String, String>, Vec<String>> {
    if text.len() > MAX_BYTES {
        return Err(vec![format!(
            "the file has {} bytes; at most {MAX_BYTES} are read",
            text.len()
        )]);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { rest: text.chars().peekable(), line: 1 };
    let (mut variables, mut errors) = (BTreeMap::new(), Vec::new());
    while reader.rest.peek().is_some() {
        let line = reader.line;
        match reader.entry() {
            Ok(Some((name, value))) => {
                variables.insert(name, value);
            }
            Ok(None) => {}
            Err(error) => errors.push(format!("line {line}: {error}")),
        }
        reader.skip_line();
    }
    if errors.is_empty() { Ok(variables) } else { Err(errors) }
}

struct Reader<'t> {
    rest: Peekable<Chars<'t>>,
    line: usize,
}

impl Reader<'_> {
    /// The entry that begins here, if the line is not empty. It ends before the end of its last line.
    fn entry(&mut self) -> Result<Option<(String, String)>, String> {
        self.skip_blanks();
        let start = self.until(|c| matches!(c, '=' | '#' | '\n'));
        if self.rest.peek() != Some(&'=') {
            let empty = start.trim().is_empty();
            return if empty { Ok(None) } else { Err("there is no `=`".into()) };
        }
        self.rest.next();
        let name = start.trim();
        let name = match name.split_once(char::is_whitespace) {
            Some(("export", name)) => name.trim_start(),
            _ => name,
        };
        if !is_name(name) {
            return Err("what stands before `=` is not the name of a variable".into());
        }
        Ok(Some((name.to_owned(), self.value().map_err(|error| format!("{name}: {error}"))?)))
    }

    fn value(&mut self) -> Result<String, String> {
        self.skip_blanks();
        let value = match self.rest.peek() {
            Some('\'') => self.single_quoted()?,
            Some('"') => self.double_quoted()?,
            _ => return Ok(self.unquoted()),
        };
        self.skip_blanks();
        match self.rest.peek() {
            None | Some('\n' | '#') => Ok(value),
            Some(_) => Err("something stands after the closing quote".into()),
        }
    }

    /// Reads an unquoted value, up to a comment, which follows a blank.
    fn unquoted(&mut self) -> String {
        let line = self.until(|c| c == '\n');
        let comment = line.char_indices().find(|(at, c)| {
            *c == '#' && line[..*at].chars().next_back().is_none_or(char::is_whitespace)
        });
        let value = comment.map_or(line.as_str(), |(at, _)| &line[..at]);
        value.trim().to_owned()
    }

    fn single_quoted(&mut self) -> Result<String, String> {
        self.rest.next();
        let value = self.until(|c| c == '\'');
        self.close(value)
    }

    fn double_quoted(&mut self) -> Result<String, String> {
        self.rest.next();
        let mut value = String::new();
        loop {
            value += &self.until(|c| matches!(c, '"' | '\\'));
            if self.rest.peek() != Some(&'\\') {
                return self.close(value);
            }
            self.rest.next();
            match self.take() {
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some(c @ ('"' | '\\' | '$' | '`' | '\'')) => value.push(c),
                Some(c) => value.extend(['\\', c]),
                None => {}
            }
        }
    }

    fn close(&mut self, value: String) -> Result<String, String> {
        self.rest.next().map(|_| value).ok_or_else(|| "the quote is not closed".into())
    }

    fn take(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        self.line += usize::from(c == '\n');
        Some(c)
    }

    /// Reads up to such a character.
    fn until(&mut self, ends: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while self.rest.peek().is_some_and(|c| !ends(*c)) {
            text.extend(self.take());
        }
        text
    }

    fn skip_blanks(&mut self) {
        while self.rest.peek().is_some_and(|c| *c != '\n' && c.is_whitespace()) {
            self.rest.next();
        }
    }

    fn skip_line(&mut self) {
        self.until(|c| c == '\n');
        self.take();
    }
}

/// Whether a shell would also accept this as the name of a variable.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(plain) && name.starts_with(|c: char| plain(c) && !c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_are_written() {
        for (text, expected) in [
            ("", vec![]),
            ("# A=1\n\n  \t\n", vec![]),
            ("A=1", vec![("A", "1")]),
            ("\u{feff}A=1\r\nB=2\r\n", vec![("A", "1"), ("B", "2")]),
            ("  export  A = 1  # why\n", vec![("A", "1")]),
            ("export=1", vec![("export", "1")]),
            ("A=a#b # c", vec![("A", "a#b")]),
            ("A=#b", vec![("A", "")]),
            ("A=", vec![("A", "")]),
            ("A=x=y", vec![("A", "x=y")]),
            ("A=1\nA=2", vec![("A", "2")]),
            ("A='a # $b \\n \"' # c", vec![("A", "a # $b \\n \"")]),
            (r#"A="a \"b\" \\ \$c \n\t \q '" "#, vec![("A", "a \"b\" \\ $c \n\t \\q '")]),
            ("A='one\ntwo'\nB=\"three\nfour\"", vec![("A", "one\ntwo"), ("B", "three\nfour")]),
            ("A=$(rm -rf /) `x` ${B}", vec![("A", "$(rm -rf /) `x` ${B}")]),
        ] {
            let own = |(a, b): (&str, &str)| (a.to_owned(), b.to_owned());
            let expected: BTreeMap<String, String> = expected.into_iter().map(own).collect();
            assert_eq!(read_env_file(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn errors_name_the_line_and_no_value() {
        let wrong = "A=1\nhunter2\n2x=1\nB='hunter2' hunter2\n=3\nC=\"one\ntwo\"\na b=hunter2\nD='hunter2\n";
        let errors = read_env_file(wrong).unwrap_err();
        assert_eq!(
            errors,
            [
                "line 2: there is no `=`",
                "line 3: what stands before `=` is not the name of a variable",
                "line 4: B: something stands after the closing quote",
                "line 5: what stands before `=` is not the name of a variable",
                "line 8: what stands before `=` is not the name of a variable",
                "line 9: D: the quote is not closed",
            ]
        );
        assert_eq!(read_env_file(&"#".repeat(MAX_BYTES + 1)).unwrap_err().len(), 1);
    }
}
