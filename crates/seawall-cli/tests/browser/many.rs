//! A thousand operations: the page lists the worst, finds every other, and stays quick.

use crate::{Browser, Stage};
use serde_json::json;
use std::fmt::Write;

/// The longest that the page may be deaf to its user, on a machine that is busy with other things too.
const LONGEST_TASK_MS: f64 = 1000.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_operations_do_not_freeze_it() {
    let mut lines = String::from("operations:\n");
    for n in 0..1000 {
        writeln!(lines, "  op-{n:04}: {{}}").unwrap();
    }
    let (stage, browser) = (Stage::set(&lines), Browser::start().await);
    let watch = "window.longest = 0;
        new PerformanceObserver((list) => list.getEntries().forEach((one) => (longest = Math.max(longest, one.duration))))
            .observe({ type: 'longtask', buffered: true });";
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": watch })).await;
    browser.open(stage.address(), "/dashboard").await;
    browser.sees(".card:first-child h3", "chat").await;
    browser.sees("#more", "Show more (974 not shown)").await;
    assert_eq!(browser.value("document.querySelectorAll('.card').length").await, 30);
    browser.click("#more").await;
    browser.until("document.querySelectorAll('.card').length === 80").await;
    // Only what is on the screen is drawn: the next snapshots come and go.
    let uptime = browser.value("document.getElementById('uptime').innerText").await;
    browser.until(&format!("document.getElementById('uptime').innerText !== {uptime}")).await;
    browser.fill("#operation-filter", "op-0777").await;
    browser.until("document.querySelectorAll('.card').length === 1").await;
    browser.sees(".card h3", "op-0777").await;
    browser.view("#/timeline").await;
    browser.sees("#happened", "circuit closed → open").await;
    let longest = browser.value("longest").await.as_f64().unwrap();
    assert!(longest < LONGEST_TASK_MS, "{longest} ms in one task");
    browser.end().await;
}
