//! Dead letters and limits: a letter is put by a failing route, seen, replayed from the page and gone; a limited key is
//! seen and reset; what callers send stays text.

use crate::{
    Browser,
    support::{Serving, answering},
};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

const HOSTILE: &str = "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 2'>";
const ESCAPE: char = '\u{e00c}';
const SPACE: char = ' ';

/// A server whose upstream fails until it is mended.
struct Shop {
    server: Serving,
    well: Arc<AtomicBool>,
}

impl Shop {
    fn open(lines: &str) -> Self {
        let well = Arc::new(AtomicBool::new(false));
        let is_well = well.clone();
        let upstream = answering(move |stream| {
            let status = if is_well.load(Ordering::Relaxed) {
                "200 OK"
            } else {
                "500 Internal Server Error"
            };
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        });
        let yaml = format!(
            "upstreams:
  orders: {{ endpoints: ['http://{upstream}'], policies: [{{ type: circuit_breaker, failure_threshold: 100 }}] }}
routes:
  - {{ path: /orders/*, upstream: orders, dead_letter: orders }}
  - {{ path: /limited, upstream: orders, rate_limit: {{ rate: 2, per: 1h, key: 'header:x-tenant' }} }}
{lines}"
        );
        Self { server: Serving::start(&yaml, &[]), well }
    }

    /// Sends a request, and returns the status and the whole answer.
    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let address = &self.server.address;
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        (answer[9..12].parse().unwrap(), answer)
    }

    /// Sends an order that fails for good.
    fn lose(&self, headers: &str, body: &str) {
        let (status, answer) = self.send("POST", "/orders/7", headers, body);
        assert_eq!(status, 500, "{answer}");
        assert!(answer.contains("x-seawall-dead-letter: "), "{answer}");
    }
}

async fn text(browser: &Browser, css: &str) -> Value {
    browser.value(&format!("document.querySelector({})?.innerText", json!(css))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_seen_replayed_and_gone() {
    let (shop, browser) = (Shop::open(""), Browser::start().await);
    browser.open(&shop.server.address, "/dashboard#/letters").await;
    browser.sees("#letters-count", "There are no such letters.").await;
    browser.sees("#replays-none", "No replay is remembered").await;
    for _ in 0..3 {
        shop.lose(&format!("x-note: {HOSTILE}\r\nidempotency-key: <b>{HOSTILE}</b>\r\n"), "");
    }
    shop.lose("authorization: Bearer a-secret-of-a-client\r\n", HOSTILE);
    // The three are one letter, since they are one work.
    browser.sees("[data-figure=waiting] dd", "2").await;
    browser.sees("[data-figure=enqueued] dd", "2").await;
    browser.sees("#letters-groups td", "POST /orders/*").await;
    browser.sees("#letters-count", "2 letters").await;
    browser.click("#letters-groups tbody a").await;
    browser.until("document.querySelectorAll('#letters-list tbody tr').length === 2").await;

    // The newest has the payload.
    browser.click("#letters-list tbody tr:first-child button").await;
    browser.sees("dialog.letter pre", HOSTILE).await;
    let whole = text(&browser, "dialog.letter").await;
    assert!(!whole.as_str().unwrap().contains("a-secret-of-a-client"), "{whole}");
    assert!(whole.as_str().unwrap().contains("[redacted]"), "{whole}");
    assert!(whole.as_str().unwrap().contains("orders"), "{whole}");
    browser.press(ESCAPE).await;
    browser.until("!document.querySelector('dialog.letter').open").await;
    browser.click("#letters-list tbody tr:nth-child(2) button").await;
    browser.sees("dialog.letter dd", HOSTILE).await;
    browser.sees("dialog.letter td", HOSTILE).await;
    browser.press(ESCAPE).await;
    let foreign = "document.querySelectorAll('#letters :is(script, img, b b), dialog.letter :is(script, img)').length";
    assert_eq!(browser.value(foreign).await, 0);
    assert_eq!(browser.value("window.harmed").await, Value::Null);

    // How many would it be? By keyboard: chosen by the space bar.
    browser
        .value("document.querySelector('#letters-list tbody tr:first-child input').focus()")
        .await;
    browser.press(SPACE).await;
    let replay = "form[aria-label='Replay letters']";
    browser.click("button[aria-label='Replay letters']").await;
    browser.sees(replay, "1 letter that is chosen").await;
    browser.sees(replay, "The circuit of orders is closed.").await;
    browser.click(&format!("{replay} [data-field=dry-run]")).await;
    browser.click(&format!("{replay} [type=submit]")).await;
    browser.sees(".replay", "1 would be replayed").await;

    shop.well.store(true, Ordering::Relaxed);
    browser.until("document.querySelectorAll('#letters-list tbody tr').length === 2").await;
    browser.click("#letters-list tbody tr:first-child input").await;
    browser.click("button[aria-label='Replay letters']").await;
    browser.fill(&format!("{replay} [data-field=rate]"), "0").await;
    browser.click(&format!("{replay} [type=submit]")).await;
    browser.sees(".outcome.failed", "Not begun: ").await;
    browser.fill(&format!("{replay} [data-field=rate]"), "50").await;
    browser.click(&format!("{replay} [type=submit]")).await;
    browser.sees(".replay[data-status=done]", "1 succeeded, 0 failed").await;
    browser.sees("[data-figure=replayed] dd", "1").await;
    browser.sees("[data-figure=waiting] dd", "1").await;
    browser.view("#/letters").await;
    browser.sees("#letters-count", "1 letter").await;

    purges(&browser).await;
    let (_, stats) = shop.send("GET", "/internal/resilience/dlq/stats", "", "");
    assert!(stats.contains("\"waiting\":0"), "{stats}");
    browser.end().await;
}

/// The one letter that waits is purged, by its number and by no other.
async fn purges(browser: &Browser) {
    let purge = "form[aria-label='Purge all letters that are meant']";
    browser.click("button[aria-label='Purge all letters that are meant']").await;
    browser.click(&format!("{purge} [type=submit]")).await;
    browser.sees(".outcome.failed", "Nothing is deleted: type the number").await;
    browser.fill(&format!("{purge} [data-field=count]"), "2").await;
    browser.click(&format!("{purge} [type=submit]")).await;
    browser.sees(".outcome.failed", "the query means 1 letters, not 2").await;
    browser.fill(&format!("{purge} [data-field=count]"), "1").await;
    browser.click(&format!("{purge} [type=submit]")).await;
    browser.sees(".outcome.done", "1 letter is deleted").await;
    browser.sees("#letters-count", "There are no such letters.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_paused_exported_and_deleted() {
    let (shop, browser) = (Shop::open(""), Browser::start().await);
    for n in 0..60 {
        shop.lose("", &format!("order {n}"));
    }
    shop.well.store(true, Ordering::Relaxed);
    browser.open(&shop.server.address, "/dashboard#/letters/all").await;
    browser.until("document.querySelectorAll('#letters-list tbody tr').length === 50").await;
    browser.click("#letters-more").await;
    browser.until("document.querySelectorAll('#letters-list tbody tr').length === 60").await;

    // The browser keeps what it exports; it is caught on its way there.
    browser
        .value("(URL.createObjectURL = (blob) => { blob.text().then((text) => window.exported = text); return 'blob:none'; }, HTMLAnchorElement.prototype.click = () => {}, 1)")
        .await;
    browser.click("#letters-list tbody tr:first-child input").await;
    browser.click("#letters-list tbody tr:nth-child(3) input").await;
    browser.sees("#letters-actions", "Export 2 chosen").await;
    browser.value("[...document.querySelectorAll('#letters-actions button')].find((one) => one.innerText.startsWith('Export')).dispatchEvent(new Event('click'))").await;
    browser.until("window.exported?.trim().split('\\n').length === 2").await;
    let exported = browser.value("window.exported").await;
    let exported = exported.as_str().unwrap();
    let chosen = "[...document.querySelectorAll('#letters-list tbody input:checked')].map((one) => one.ariaLabel.replace('Choose letter ', ''))";
    let chosen: Vec<String> = serde_json::from_value(browser.value(chosen).await).unwrap();
    assert_eq!(chosen.len(), 2);
    assert!(chosen.iter().all(|id| exported.contains(id)), "{chosen:?}: {exported}");

    let delete = "form[aria-label='Delete the chosen letters']";
    browser.click("button[aria-label='Delete the chosen letters']").await;
    browser.sees(delete, "Delete 2 letters that are chosen, for good?").await;
    browser.click(&format!("{delete} [type=submit]")).await;
    browser.sees(".outcome.done", "2 letters are deleted.").await;
    browser.sees("#letters-count", "58 letters").await;

    let replay = "form[aria-label='Replay letters']";
    browser.click("button[aria-label='Replay letters']").await;
    browser.fill(&format!("{replay} [data-field=rate]"), "2").await;
    browser.click(&format!("{replay} [type=submit]")).await;
    browser.click(".replay [data-change=pause]").await;
    browser.sees(".replay[data-status=paused]", "a second").await;
    browser.click(".replay [data-change=resume]").await;
    browser.until("document.querySelector('.replay[data-status=running]')").await;
    browser.click(".replay [data-change=cancel]").await;
    browser.sees(".replay[data-status=cancelled] .what", "cancelled").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_key_is_seen_and_reset() {
    let (shop, browser) = (Shop::open(""), Browser::start().await);
    shop.well.store(true, Ordering::Relaxed);
    browser.open(&shop.server.address, "/dashboard#/limits").await;
    browser.sees("#limits-list th", "route /limited").await;
    browser.sees("#limits-keys", "No key has used any of its limit.").await;
    let statuses: Vec<u16> =
        (0..3).map(|_| shop.send("GET", "/limited", "x-tenant: <i>acme\r\n", "").0).collect();
    assert_eq!(statuses, [200, 200, 429]);
    assert_eq!(shop.send("GET", "/limited", "x-tenant: other\r\n", "").0, 200);
    browser.sees("#limits-keys tbody tr:first-child", "0 of 2").await;
    browser.sees("#limits-keys tbody tr:nth-child(2)", "1 of 2").await;
    browser.click("#limits-keys tbody tr:first-child button").await;
    browser.sees("#limits-panel .ask", "be whole again?").await;
    browser.click("#limits-panel [type=submit]").await;
    browser.sees("#limits-panel .outcome.done", "is whole again").await;
    browser.until("document.querySelectorAll('#limits-keys tbody tr').length === 1").await;
    assert_eq!(shop.send("GET", "/limited", "x-tenant: <i>acme\r\n", "").0, 200);

    // By its name, which is nowhere on the page else.
    browser.click("#limits-list button").await;
    browser.fill("#limits-panel [data-field=key]", "other").await;
    browser.click("#limits-panel .ask button:not([type=submit])").await;
    browser.sees("#limits-panel .hint", "1 of 2 left.").await;
    browser.click("#limits-panel [type=submit]").await;
    browser.sees("#limits-panel .outcome.done", "is whole again").await;
    browser.end().await;
}

const KEYS: &str = "auth:
  keys:
    - { name: eyes, key: a-key-to-look-at-it, scope: read }
    - { name: hands, key: a-key-to-change-it, scope: write }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_only_read_sees_and_changes_nothing() {
    let (shop, browser) = (Shop::open(KEYS), Browser::start().await);
    shop.lose("", HOSTILE);
    browser.open(&shop.server.address, "/dashboard#/letters/all").await;
    browser.fill("#key-input", "a-key-to-look-at-it").await;
    browser.click("#key-form [type=submit]").await;
    browser.click("#letters-list tbody tr:first-child button").await;
    browser.sees("dialog.letter", "shown to keys that may write").await;
    assert!(!text(&browser, "dialog.letter").await.as_str().unwrap().contains("script"));
    browser.press(ESCAPE).await;
    browser.click("button[aria-label='Replay letters']").await;
    browser.click("form[aria-label='Replay letters'] [type=submit]").await;
    browser.sees(".outcome.failed", "This key does not allow it: eyes may look, not change").await;
    browser.end().await;
}
