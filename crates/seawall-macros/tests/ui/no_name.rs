//! Invalid names of operations.

#[seawall::resilient]
async fn unnamed() -> Result<(), String> {
    Ok(())
}

#[seawall::resilient("")]
async fn empty() -> Result<(), String> {
    Ok(())
}

fn main() {}
