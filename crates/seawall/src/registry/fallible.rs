//! What a function that can fail returns.

/// A `Result`, also under another name: what `#[seawall::resilient]` needs to know of a function's answer.
#[diagnostic::on_unimplemented(
    message = "a resilient function returns a `Result`, not `{Self}`",
    label = "this is no `Result`"
)]
pub trait Fallible {
    /// What it gives when all goes well.
    type Value;
    /// What it gives when not.
    type Error;
}

impl<T, E> Fallible for Result<T, E> {
    type Value = T;
    type Error = E;
}
