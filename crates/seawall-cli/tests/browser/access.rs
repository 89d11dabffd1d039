//! Keys, and what the page says when the server is gone.

use crate::{Browser, Stage};

const KEYS: &str = "auth:
  keys:
    - { name: eyes, key: a-key-to-look-at-it, scope: read }
    - { name: hands, key: a-key-to-change-it, scope: write }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_it_and_stays_in_the_tab() {
    let (stage, browser) = (Stage::set(KEYS), Browser::start().await);
    browser.open(stage.address(), "/dashboard").await;
    browser.sees("#key-dialog", "This server answers only with a key").await;
    browser.fill("#key-input", "a-wrong-key-altogether").await;
    browser.click("#key-form [type=submit]").await;
    browser.sees("#key-fault", "did not accept").await;
    browser.fill("#key-input", "a-key-to-look-at-it").await;
    browser.click("#key-form [type=submit]").await;
    browser.sees(".card:first-child .chip", "Open").await;

    let reset = "[aria-label='Reset the circuit of chat']";
    browser.click(&format!("button{reset}")).await;
    browser.click(&format!("form{reset} [type=submit]")).await;
    browser.sees(".outcome.failed", "This key does not allow it: eyes may look, not change").await;

    browser.click("#forget").await;
    browser.fill("#key-input", "a-key-to-change-it").await;
    browser.click("#key-form [type=submit]").await;
    browser.until("!document.querySelector('#key-dialog').open").await;
    browser.click(&format!("button{reset}")).await;
    browser.click(&format!("form{reset} [type=submit]")).await;
    browser.sees(".outcome.done", "Reset").await;

    let kept = "JSON.stringify([location.href, document.cookie, {...localStorage}, performance.getEntriesByType('resource').map((one) => one.name)])";
    let kept = browser.value(kept).await;
    assert!(!kept.as_str().unwrap().contains("a-key"), "{kept}");
    browser.until("Object.values(sessionStorage).includes('a-key-to-change-it')").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_stream_is_seen_with_the_age_of_what_is_shown() {
    let (stage, browser) = (Stage::set(""), Browser::start().await);
    browser.open(stage.address(), "/dashboard").await;
    browser.sees(".card", "chat").await;
    browser.until("document.getElementById('banner').hidden").await;
    stage.server.signal("-KILL");
    browser.sees("#banner", "Connection lost").await;
    browser.until("/Connection lost \\d+ s ago.*Shown below: \\d\\d:/s.test(document.getElementById('banner').innerText)").await;
    browser.sees("#sentence", "Unknown now. Last seen:").await;
    browser.until("document.getElementById('live').textContent.includes('Connection lost')").await;
    browser.end().await;
}
