//! What is no function that can fail and wait.

#[seawall::resilient("named")]
async fn nothing() {}

#[seawall::resilient("named")]
const fn constant() -> Result<(), String> {
    Ok(())
}

fn main() {}
