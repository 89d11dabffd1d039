//! SPDX licence expressions: whether what we accept satisfies one.
//!
//! Also the older form of crates with a slash, `MIT/Apache-2.0`, which means `OR`.

/// Whether the licences that `allowed` accepts satisfy the expression. A licence with an exception
/// is asked for as a whole: `Apache-2.0 WITH LLVM-exception`.
pub(super) fn satisfied(text: &str, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, allowed };
    let answer = reader.any()?;
    match reader.words {
        [] => Ok(answer),
        [word, ..] => Err(format!("`{word}` is not expected there")),
    }
}

struct Reader<'a> {
    words: &'a [&'a str],
    allowed: &'a dyn Fn(&str) -> bool,
}

impl<'a> Reader<'a> {
    fn next_is(&mut self, word: &str) -> bool {
        match self.words {
            [first, rest @ ..] if *first == word => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }

    fn any(&mut self) -> Result<bool, String> {
        let mut answer = self.all()?;
        while self.next_is("OR") {
            answer |= self.all()?;
        }
        Ok(answer)
    }

    /// `AND` binds more tightly than `OR`.
    fn all(&mut self) -> Result<bool, String> {
        let mut answer = self.one()?;
        while self.next_is("AND") {
            answer &= self.one()?;
        }
        Ok(answer)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.next_is("(") {
            let answer = self.any()?;
            return if self.next_is(")") { Ok(answer) } else { Err("a `(` is not closed".into()) };
        }
        let licence = self.name()?;
        if self.next_is("WITH") {
            let exception = self.name()?;
            return Ok((self.allowed)(&format!("{licence} WITH {exception}")));
        }
        Ok((self.allowed)(licence))
    }

    fn name(&mut self) -> Result<&'a str, String> {
        match self.words {
            [] => Err("a licence is missing at the end".into()),
            [word @ ("OR" | "AND" | "WITH" | "(" | ")"), ..] => {
                Err(format!("a licence is missing before `{word}`"))
            }
            [word, rest @ ..] => {
                self.words = rest;
                Ok(word)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(text: &str) -> Result<bool, String> {
        let allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"];
        satisfied(text, &|licence| allowed.contains(&licence))
    }

    #[test]
    fn expressions_that_are_satisfied() {
        for text in [
            "MIT",
            "MIT OR GPL-3.0-only",
            "GPL-3.0-only OR MIT",
            "MIT AND Unicode-3.0",
            "(MIT OR GPL-2.0-only) AND Unicode-3.0",
            "GPL-2.0-only AND GPL-3.0-only OR MIT",
            "MIT OR GPL-2.0-only AND GPL-3.0-only",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0-only",
            "GPL-3.0-only/MIT",
            "MIT / GPL-3.0-only",
            "((MIT))",
        ] {
            assert_eq!(reads(text), Ok(true), "{text}");
        }
    }

    #[test]
    fn expressions_that_are_not() {
        for text in [
            "GPL-3.0-only",
            "mit",
            "MIT AND GPL-3.0-only",
            "MIT AND (GPL-2.0-only OR GPL-3.0-only)",
            "(MIT OR Apache-2.0) AND GPL-3.0-only",
            "MIT WITH LLVM-exception",
            "GPL-2.0-only/GPL-3.0-only",
        ] {
            assert_eq!(reads(text), Ok(false), "{text}");
        }
    }

    #[test]
    fn expressions_that_are_none() {
        for (text, error) in [
            ("", "a licence is missing at the end"),
            ("MIT AND", "a licence is missing at the end"),
            ("OR MIT", "a licence is missing before `OR`"),
            ("Apache-2.0 WITH OR", "a licence is missing before `OR`"),
            ("(MIT", "a `(` is not closed"),
            ("MIT)", "`)` is not expected there"),
            ("MIT Apache-2.0", "`Apache-2.0` is not expected there"),
        ] {
            assert_eq!(reads(text), Err(error.to_owned()), "{text}");
        }
    }
}
