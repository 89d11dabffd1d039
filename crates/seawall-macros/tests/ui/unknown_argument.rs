//! Arguments that are not known, or given twice.

#[seawall::resilient("named", retries = 3)]
async fn unknown() -> Result<(), String> {
    Ok(())
}

#[seawall::resilient("named", cost = 1, cost = 2)]
async fn twice() -> Result<(), String> {
    Ok(())
}

fn main() {}
