//! The configuration: what is wrong is refused with its path, what is right is shown before it is applied, and
//! there is a way back.

use crate::{Browser, Stage};

const ATTEMPTS: &str = "#field-custom-retry_attempts";

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_changes_the_configuration_and_goes_back() {
    let (stage, browser) = (Stage::set(""), Browser::start().await);
    browser.open(stage.address(), "/dashboard#/configuration").await;
    browser.sees(".field", "1 to 10").await;
    browser.sees(".field", "in force: production").await;

    browser.fill(ATTEMPTS, "99").await;
    browser.click("#check").await;
    browser.sees("#verdict .findings.errors", "custom.retry_attempts").await;
    browser.sees("#field-custom-retry_attempts-fault", "→").await;
    browser.until("document.querySelector('#apply').disabled").await;
    assert_eq!(stage.api("/config")["revision"], 1);

    browser.fill(ATTEMPTS, "4").await;
    browser
        .until("JSON.parse(document.querySelector('#draft').value).custom.retry_attempts === 4")
        .await;
    browser.click("#check").await;
    browser.sees("#verdict .diff tr", "custom.retry_attempts").await;
    browser.sees("#verdict .diff ins", "4").await;
    assert_eq!(stage.api("/config")["revision"], 1, "a check changes nothing");
    browser.click("#apply").await;
    browser.sees("#verdict", "Revision 2 is in force.").await;
    assert_eq!(stage.api("/config")["api_change"]["custom"]["retry_attempts"], 4);
    browser.sees("#revision", "2").await;

    // The text says the same as the form, in both directions.
    browser.fill("#draft", "{ \"custom\": { \"retry_attempts\": 6 ").await;
    browser.sees("#draft-fault", "This is no JSON").await;
    browser.fill("#draft", "{ \"custom\": { \"retry_attempts\": 6 } }").await;
    browser.until(&format!("document.querySelector('{ATTEMPTS}').value === '6'")).await;
    browser.click("#check").await;
    browser.sees("#verdict .diff ins", "6").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_concurrent_change_is_not_overwritten() {
    let (stage, browser) = (Stage::set(""), Browser::start().await);
    browser.open(stage.address(), "/dashboard#/configuration").await;
    browser.fill("#field-drain_timeout", "7s").await;
    browser.click("#check").await;
    browser.sees("#verdict .diff", "drain_timeout").await;
    // The page hears of it within a second; it may not be asked before.
    stage.change("{ \"custom\": { \"retry_attempts\": 3 } }");
    browser.click("#apply").await;
    browser.sees("#verdict, #outdated", "revision 2 is in force by now").await;
    browser.sees("#verdict", "Not applied").await;
    browser.click("#verdict button").await;
    browser.sees("#verdict .diff", "custom.retry_attempts").await;
    browser.click("#apply").await;
    browser.sees("#verdict", "Revision 3 is in force.").await;

    browser.view("#/configuration/history").await;
    browser.sees(".revision[data-revision='3']", "in force").await;
    browser.click(".revision[data-revision='2'] summary").await;
    browser.sees(".revision[data-revision='2'] .diff", "custom.retry_attempts").await;
    browser.click("[aria-label='Roll back to revision 2']").await;
    browser.sees(".revision[data-revision='2'] .ask .diff", "drain_timeout").await;
    assert_eq!(stage.api("/config")["revision"], 3, "showing the way back changes nothing");
    browser.click(".revision[data-revision='2'] .ask [type=submit]").await;
    browser.sees(".revision[data-revision='4']", "in force").await;
    assert_eq!(stage.api("/config")["document"]["custom"]["retry_attempts"], 3);

    browser.view("#/configuration/values").await;
    browser.fill("#values-filter", "retry_attempts api").await;
    browser.sees("#values td", "API").await;
    browser.sees("#values-count", "1 of ").await;
    browser.view("#/timeline").await;
    browser.sees("#happened", "revision 4 by local (rollback)").await;
    browser.end().await;
}
