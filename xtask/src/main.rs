//! Checks, tests and code generation of this repository.
fn main() {}
