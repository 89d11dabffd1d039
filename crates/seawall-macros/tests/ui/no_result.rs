//! Functions that cannot fail, or cannot wait.

#[seawall::resilient("named")]
async fn nothing() {}

#[seawall::resilient("named")]
const fn constant() -> Result<(), String> {
    Ok(())
}

fn main() {}
