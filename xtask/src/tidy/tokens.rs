//! Rust source as words and signs, without comments and literals, so that a rule about code does
//! not find what a comment or a string says.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// A word or a sign; `::` is one sign.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
}

impl Token {
    pub(super) fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c == '_' || c.is_alphanumeric())
    }
}

/// Splits source into its tokens, with the signs of groups (`{`, `}` …) among them.
///
/// # Errors
/// Where the text is no sequence of Rust tokens, for example because a bracket is not closed.
pub(super) fn read(text: &str) -> Result<Vec<Token>, String> {
    let stream: TokenStream = text.parse().map_err(|error| format!("cannot be read: {error}"))?;
    let mut tokens = Vec::new();
    flatten(stream, &mut tokens);
    Ok(tokens)
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let mut doubled = false;
    for tree in stream {
        let line = tree.span().start().line;
        let mut push = |text: &str, line| tokens.push(Token { text: text.to_owned(), line });
        match tree {
            TokenTree::Literal(_) => {}
            TokenTree::Ident(word) => push(&word.to_string(), line),
            TokenTree::Punct(_) if doubled => doubled = false,
            TokenTree::Punct(sign) if sign.as_char() == ':' && sign.spacing() == Spacing::Joint => {
                doubled = true;
                push("::", line);
            }
            TokenTree::Punct(sign) => push(sign.as_char().encode_utf8(&mut [0; 4]), line),
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                push(open, line);
                flatten(group.stream(), tokens);
                tokens
                    .push(Token { text: close.to_owned(), line: group.span_close().start().line });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        read(source).unwrap().into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn words_and_signs() {
        assert_eq!(texts("a::b{c,d_1}!"), ["a", "::", "b", "{", "c", ",", "d_1", "}", "!"]);
        assert_eq!(texts("größe + r#match"), ["größe", "+", "r#match"]);
        assert_eq!(texts("a: ::b"), ["a", ":", "::", "b"]);
    }

    #[test]
    fn comments_and_literals_are_skipped() {
        assert_eq!(texts("a // b\n/* c /* d */ */ e"), ["a", "e"]);
        assert_eq!(texts(r##"a "b \" c" r#"d"# 'e' b'x' f"##), ["a", "f"]);
    }

    #[test]
    fn lines_are_counted_across_what_is_skipped() {
        let lines: Vec<_> =
            read("a\n\"b\nc\"\n/*\n*/ d {\n}").unwrap().into_iter().map(|t| t.line).collect();
        assert_eq!(lines, [1, 5, 5, 6]);
    }

    #[test]
    fn text_that_is_not_rust_is_reported() {
        assert!(read("fn f() {").is_err());
    }
}
