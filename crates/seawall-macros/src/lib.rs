//! The attribute [`macro@resilient`]. Use it as `seawall::resilient`.

use proc_macro::TokenStream;
use syn::{ItemFn, parse_macro_input};

mod arguments;
mod expand;

use arguments::Arguments;

/// Runs a function under the policies of an operation.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// #[seawall::resilient("ai_summarize")]
/// async fn summarize(text: &str) -> Result<String, std::io::Error> {
///     Ok(text[..5].to_owned())
/// }
///
/// // The answer's error is `seawall::Error` around the function's own.
/// let answer: Result<String, seawall::Error<std::io::Error>> = summarize("short and more").await;
/// assert_eq!(answer.unwrap(), "short");
/// # }
/// ```
///
/// The function keeps its name, arguments and body, and returns `Result<T, seawall::Error<E>>` in place of
/// `Result<T, E>`. Async and plain functions, methods with `&self`, and generics all work. Each attempt is given
/// the arguments again: references as they are, all others cloned, so they must be `Clone`.
///
/// After the operation's name may follow, in any order:
///
/// | | |
/// |---|---|
/// | `fallback = f` | called with the error, as `f(error)`, where there is no value; `f` may be a closure, which sees the arguments; async for async functions, and it answers `Result<T, E>` |
/// | `registry = r` | an expression for the registry; left out: `seawall::global()` |
/// | `key = k` | who is calling: anything that can be hashed |
/// | `cost = n` | how much of a rate limit the call uses, a `u32` |
/// | `priority = p` | a `seawall::Priority` |
/// | `repeatable = false` | the function must not run twice: no retry, no hedge |
/// | `classify = c` | a `seawall::Classify` for its results; left out: every `Err` is a failure |
#[proc_macro_attribute]
pub fn resilient(arguments: TokenStream, function: TokenStream) -> TokenStream {
    let arguments = parse_macro_input!(arguments as Arguments);
    let function = parse_macro_input!(function as ItemFn);
    expand::expand(&arguments, function).unwrap_or_else(|error| error.to_compile_error()).into()
}
