//! A trait for what a function that can fail returns.

/// A `Result`, also under another name: the trait by which `#[seawall::resilient]` reads the answer of a function.
#[diagnostic::on_unimplemented(
    message = "a resilient function returns a `Result`, not `{Self}`",
    label = "this is no `Result`"
)]
pub trait Fallible {
    /// The value of a success.
    type Value;
    /// The error of a failure.
    type Error;
}

impl<T, E> Fallible for Result<T, E> {
    type Value = T;
    type Error = E;
}
