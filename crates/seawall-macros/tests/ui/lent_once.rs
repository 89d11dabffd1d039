//! An argument that cannot be given to every attempt.

struct Service;

impl Service {
    #[seawall::resilient("named")]
    async fn by_value(self) -> Result<(), String> {
        Ok(())
    }

    #[seawall::resilient("named")]
    async fn by_mut(&mut self) -> Result<(), String> {
        Ok(())
    }
}

#[seawall::resilient("named")]
async fn mutable(text: &mut String) -> Result<(), String> {
    text.clear();
    Ok(())
}

fn main() {}
