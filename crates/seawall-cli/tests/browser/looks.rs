//! Tests of how every view looks: light, dark and on a phone, and that everything there can be read and has a name.

use crate::support::get;
use crate::{Browser, Stage, inspect};
use serde_json::json;
use std::{env, fs, path::PathBuf};

const VIEWS: [(&str, &str, &str); 9] = [
    ("overview", "#/", ".card .chip"),
    ("operation", "#/operation/chat", "#retries .cell"),
    ("letters", "#/letters", "#letters-groups td"),
    ("letter", "#/letters/all", "#letters-list td"),
    ("limits", "#/limits", "#limits-keys td"),
    ("timeline", "#/timeline", ".happening"),
    ("configuration", "#/configuration", "#field-drain_timeout-hint"),
    ("history", "#/configuration/history", ".revision"),
    ("values", "#/configuration/values", "#values td"),
];

const CHANGE: &str = r#"{
    "custom": { "retry_attempts": 4 },
    "drain_timeout": "7s",
    "routes": [
        { "path": "/kept", "upstream": "chat", "dead_letter": true,
          "rate_limit": { "rate": 10, "per": "1h", "key": "peer" } },
        { "path": "/chat/*", "upstream": "chat" },
        { "path": "/*", "upstream": "search" }
    ]
}"#;

/// The folder of the screenshots.
fn folder() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    env::var_os("SEAWALL_SCREENSHOTS")
        .map_or_else(|| root.join("target/screenshots"), PathBuf::from)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_is_readable_named_and_fits() {
    let (stage, browser) = (Stage::set(""), Browser::start().await);
    stage.change(CHANGE);
    let kept = get(stage.address(), "/kept");
    assert!(kept.contains("x-seawall-dead-letter: 0"), "{kept}");
    fs::create_dir_all(folder()).unwrap();
    for (dress, dark, width) in
        [("light", false, 1280), ("dark", true, 1280), ("phone", false, 400)]
    {
        browser.dress(dark, width).await;
        browser.open(stage.address(), "/dashboard").await;
        browser.sees(".alert", "Circuit open").await;
        for (view, hash, there) in VIEWS {
            browser.view(hash).await;
            browser.until(&format!("document.querySelector('{there}')?.checkVisibility()")).await;
            open_questions(&browser, view).await;
            browser.shot(&folder().join(format!("{view}-{dress}.png"))).await;
            let said = format!("{view}, {dress}");
            assert_eq!(inspect::hard_to_read(&browser).await, json!([]), "{said}");
            assert_eq!(inspect::without_name(&browser).await, Vec::<String>::new(), "{said}");
            if width == 400 {
                let found = browser.value("document.scrollingElement.scrollWidth").await;
                assert!(found.as_u64().unwrap() <= 400, "{said}: {found} wide");
            }
        }
    }
    browser.end().await;
}

/// Opens what is there only after a click, so that it is looked at too.
async fn open_questions(browser: &Browser, view: &str) {
    match view {
        "operation" => {
            browser.click("button[aria-label='Force the circuit of chat']").await;
            browser
                .sees("form[aria-label='Force the circuit of chat'] .hint", "Every call is refused")
                .await;
        }
        "letters" => {
            browser.click("button[aria-label='Replay letters']").await;
            browser.sees("form[aria-label='Replay letters'] .hint", "The circuit of chat is").await;
        }
        "letter" => {
            browser.click("#letters-list tbody button").await;
            browser.sees("dialog.letter th", ":path").await;
        }
        "configuration" => {
            browser
                .fill(
                    "#draft",
                    "{ \"custom\": { \"retry_attempts\": 99 }, \"preset\": \"prodction\" }",
                )
                .await;
            browser.click("#check").await;
            browser.sees("#verdict .findings.errors", "custom.retry_attempts").await;
        }
        "history" => {
            browser.click("button[aria-label='Roll back to revision 1']").await;
            browser.sees(".ask .diff", "drain_timeout").await;
        }
        _ => {}
    }
}
