//! The five lines of Rust in the README: here they are, they run, and the README shows the same.
#![cfg(not(loom))]

async fn summarize(text: &str) -> Result<String, std::io::Error> {
    Ok(text.chars().take(6).collect())
}

#[rustfmt::skip]
async fn five_lines() -> Result<(), Box<dyn std::error::Error>> {
    let registry = seawall::Registry::builder().preset("production")?.build();
    let operation = registry.operation("ai_summarize")?;
    let summary = operation.call(|| summarize("a long text")).await?;
    println!("{summary}: {:?}", operation.counts());
    assert!(registry.health().is_healthy());
    assert_eq!((summary.as_str(), operation.counts().successful_calls), ("a long", 1));
    Ok(())
}

#[test]
fn they_run_and_the_readme_shows_them() -> Result<(), Box<dyn std::error::Error>> {
    tokio::runtime::Builder::new_current_thread().build()?.block_on(five_lines())?;
    let readme = include_str!("../../../README.md");
    let block = readme.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next());
    let shown: Vec<&str> = block.ok_or("no Rust in the README")?.lines().collect();
    assert_eq!(shown.len(), 5);
    let here: Vec<&str> = include_str!("readme.rs").lines().map(str::trim).collect();
    assert!(here.windows(5).any(|lines| lines == shown), "the README shows {shown:#?}");
    Ok(())
}
