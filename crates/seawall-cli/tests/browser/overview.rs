//! An open circuit is shown, explained, forced and reset, and the timeline shows each step.

use crate::{Browser, Stage};
use serde_json::json;

const CIRCUIT: &str = "/circuit-breakers/chat";
const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';
const ESCAPE: char = '\u{e00c}';

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_an_open_circuit_and_what_is_done_about_it() {
    let (stage, browser) = (Stage::set(""), Browser::start().await);
    browser.open(stage.address(), "/dashboard").await;
    browser.until("document.querySelector('.card h3')?.innerText === 'chat'").await;
    browser.sees(".card:first-child .chip", "Open").await;
    browser
        .sees(".card:first-child .why", "3 consecutive failures reached failure_threshold 3")
        .await;
    browser.sees(".card:first-child .since", "since ").await;
    browser.sees("#sentence", "1 of 2 circuits open: chat").await;
    browser.until("document.getElementById('live').textContent.includes('chat')").await;
    browser.until("/^next probe in 4 min/.test(document.querySelector('.probe').innerText)").await;
    let before = browser.value("document.querySelector('.probe').innerText").await;
    browser.until(&format!("document.querySelector('.probe').innerText !== {before}")).await;
    browser
        .until("/open in 1.*1 times not closed/.test(document.querySelector('.hour .strip svg').ariaLabel)")
        .await;
    browser.sees(".events .event[data-kind=rejected]", "the circuit is open").await;

    // The stream sends the hour once; what comes after it is put to it.
    let merged = "import('/dashboard/operation.js').then(({ Operation }) => {
        const rates = { calls: 0, successes: 0, failures: 0, timed_out: 0, rejected: 0 };
        const one = new Operation();
        const take = (minute, ...calls) =>
            one.take({ rates, hour: '', minute, minutes: calls.map((calls) => ({ calls })) }, minute);
        take(3, 1, 2, 3);
        take(3, 4);
        take(5, 6);
        return one.data.minutes.map(({ calls }) => calls);
    })";
    assert_eq!(browser.value(merged).await, json!([1, 2, 4, 0, 6]));

    assert_one_outage_in_the_strip(&browser).await;

    browser.sees(".alert", "Circuit open").await;
    browser.click(".alert button").await;
    browser.sees(".alert .taken", "taken by local").await;
    browser.end().await;
}

const STAYS_OF_AN_OUTAGE: &str = "Promise.all([import('/dashboard/operation.js'), import('/dashboard/health.js')]).then(
        ([{ Operation }, { judge }]) => {
        const rates = { calls: 0, successes: 0, failures: 0, timed_out: 0, rejected: 0 };
        const [one, now, said] = [new Operation(), 1_000_000, new Set()];
        const take = (at, state, in_state_ms, broken_for_ms, mode = 'enforce') => {
            const circuit = { state, mode, in_state_ms, broken_for_ms, reason: 'r' };
            one.take({ name: 'a', rates, hour: 'o', minute: 1, minutes: [{}], circuit }, at);
            const open = mode === 'enforce' && state === 'open' ? ['a'] : [];
            const half = mode === 'enforce' && state === 'half_open' ? ['a'] : [];
            const health = { healthy: open.length === 0, open_circuit_breakers: open,
                half_open_circuit_breakers: half, total_circuit_breakers: 1 };
            const { level, text } = judge({ health }, new Map([['a', one]]));
            said.add(`${level} ${text.replace(/ \\(.*/, '')}`);
        };
        one.changed('closed → open: r', now);
        take(now + 900, 'open', 900, 900);
        one.changed('open → half_open: recovery_timeout has passed', now + 1000);
        one.changed('half_open → open: a probe failed', now + 1020);
        take(now + 1900, 'open', 880, 1900);
        one.changed('open → half_open: recovery_timeout has passed', now + 2020);
        take(now + 2900, 'half_open', 880, 2900);
        const stays = one.stays.map(({ state, from, to }) => [state, from - now, to - now]).slice(1);
        const outage = [...said];
        take(now + 3900, 'open', 100, null, 'shadow');
        return { stays, outage, since: one.brokenSince, shadow: [one.look.word, one.look.level] };
    })";

/// The strip is drawn from the changes of state, also from those between two snapshots; and an outage is one
/// outage, however many probes fail in it.
async fn assert_one_outage_in_the_strip(browser: &Browser) {
    let told = browser.value(STAYS_OF_AN_OUTAGE).await;
    let stays = json!([
        ["open", 0, 1000],
        ["half_open", 1000, 1020],
        ["open", 1020, 2020],
        ["half_open", 2020, 2900]
    ]);
    assert_eq!(told["stays"], stays, "{told}");
    assert_eq!(told["outage"].as_array().unwrap().len(), 1, "no flicker: {told}");
    assert!(
        told["outage"][0].as_str().unwrap().starts_with("open 1 of 1 circuit open: a"),
        "{told}"
    );
    assert_eq!(told["shadow"], json!(["Shadow: would refuse", "healthy"]), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_forces_and_resets_a_circuit() {
    let (stage, browser) = (Stage::set(""), Browser::start().await);
    stage.until(CIRCUIT, |circuit| circuit["state"] == "open").await;
    browser.open(stage.address(), "/dashboard").await;
    browser.click(".card:first-child h3 a").await;
    browser.sees("#operation-title", "chat").await;
    browser.sees("#policies .policy:nth-child(2)", "seawall.yaml:").await;
    browser.sees("#policies .policy:nth-child(2)", "failure_threshold").await;

    let force = "[aria-label='Force the circuit of chat']";
    browser.click(&format!("button{force}")).await;
    browser.click(&format!("form{force} input[value=closed] + span")).await;
    browser.click(&format!("form{force} [type=submit]")).await;
    browser.sees(".outcome.failed", "say why").await;
    browser.fill(&format!("form{force} input[type=text]"), "the fix is being rolled out").await;
    browser.press(ENTER).await;
    let circuit = stage.until(CIRCUIT, |circuit| circuit["state"] == "forced_closed").await;
    let reason = circuit["forced"]["reason"].as_str().unwrap();
    assert!(reason.contains("the fix is being rolled out"), "{circuit}");
    assert!(circuit["forced"]["until"].is_string(), "{circuit}");
    browser.sees("#operation-card .chip", "Forced closed").await;
    browser.sees("#operation-card .why", "the fix is being rolled out").await;
    browser.sees(".events .event[data-kind=forced]", "the fix is being rolled out").await;
    let foreign = "[...document.querySelectorAll('.event:not([hidden])')].filter((one) => !['chat', ''].includes(one.dataset.operation))";
    assert_eq!(browser.value(&format!("{foreign}.length")).await, 0);

    // By keyboard alone: opened, closed by Escape, opened again, confirmed.
    browser
        .value("document.querySelector('#operation-card [aria-label=\"Reset the circuit of chat\"]').focus()")
        .await;
    browser.press(ENTER).await;
    browser.until("document.activeElement.innerText === 'Cancel'").await;
    browser.press(ESCAPE).await;
    browser.until("document.activeElement.innerText === 'Reset'").await;
    assert_eq!(stage.api(CIRCUIT)["state"], "forced_closed");
    browser.press(ENTER).await;
    browser.until("document.activeElement.innerText === 'Cancel'").await;
    browser.click("form[aria-label='Reset the circuit of chat'] [type=submit]").await;
    browser.sees(".outcome.done", "Reset: forced closed → closed").await;
    // Its upstream still fails, so it opens again.
    stage.until(CIRCUIT, |circuit| circuit["state"] == "open").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_brakes_and_switches_modes() {
    let (stage, browser) = (Stage::set(""), Browser::start().await);
    browser.open(stage.address(), "/dashboard").await;
    let operation = "/operations/chat";
    browser.sees(".card", "chat").await;
    let all = "[aria-label$='hedges of all operations']";
    browser.click(all).await;
    browser.sees(".ask", "Let no retry and no hedge of all operations begin?").await;
    browser.click(".operations > .asked [type=submit]").await;
    stage.until(operation, |chat| chat["repeats_paused"] == true).await;
    browser.sees(all, "Release all retries").await;
    browser.sees(".card .doing", "an operator has paused retries and hedges").await;
    browser.click(all).await;
    browser.click(".operations > .asked [type=submit]").await;
    stage.until(operation, |chat| chat["repeats_paused"] == false).await;

    browser.view("#/operation/chat").await;
    let mode = "[aria-label='Change mode of circuit breaker']";
    browser.click(&format!("button{mode}")).await;
    browser.click(&format!("form{mode} input[value=shadow] + span")).await;
    browser.click(&format!("form{mode} [type=submit]")).await;
    stage.until(operation, |chat| chat["policies"][1]["mode"] == "shadow").await;
    browser.sees(".policy .mode", "shadow").await;

    browser.view("#/timeline").await;
    browser.sees("#happened", "circuit closed → open: 3 consecutive failures").await;
    browser.sees("#happened", "mode: local put circuit_breaker to shadow").await;
    browser.sees("#happened", "revision 1 by start").await;
    browser.until("/entries in this time/.test(document.querySelector('.lane.of-operation svg').ariaLabel)").await;
    // The switch of the range is one stop of the Tab key; arrows move in it.
    browser.value("document.querySelector('#timeline-range :checked').focus()").await;
    browser.press('\u{e014}').await;
    browser.until("document.querySelector('#timeline-range :checked').value === '24 h'").await;
    browser.press(TAB).await;
    assert_ne!(browser.value("document.activeElement.type").await, json!("radio"));
    browser.fill("#happened-filter", "nothing like this").await;
    browser.sees("#happened-none", "Nothing happened").await;
    browser.end().await;
}
