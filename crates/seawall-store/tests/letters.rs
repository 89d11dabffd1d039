//! Every place for letters of this crate keeps the contract.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use seawall::{Payload, Registry, policies, prelude::*};
use seawall_store::letters::{
    Content, EmbeddedLetters, InMemoryLetters, Keys, Letter, LetterId, LetterWriter, Letters,
    QueueConfig, Queues, Redaction, WhenFull, contract,
};
use std::{cell::Cell, sync::Arc};
use steps::{Numbers, letter};

mod steps;

#[test]
fn in_memory() {
    assert_eq!(contract::check(InMemoryLetters::new), Ok(()));
}

#[test]
fn embedded() {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::parse("one:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
    for keys in [Keys::default(), keys] {
        let number = Cell::new(0);
        let open = |name: &str, queues: Queues| {
            EmbeddedLetters::open(&folder.path().join(name), queues, keys.clone())
        };
        let name = if keys.is_empty() { "open" } else { "sealed" };
        let make = |queues: Queues| {
            number.set(number.get() + 1);
            open(&format!("{name}-{}.redb", number.get()), queues).unwrap()
        };
        assert_eq!(contract::check(make), Ok(()));
        let again = || open(&format!("deep/er/{name}.redb"), Queues::default());
        assert_eq!(contract::check_opened_again(again), Ok(()));
    }
}

#[test]
fn a_place_that_forgets_is_found_out() {
    let forgetful = || Ok(InMemoryLetters::default());
    let broken = contract::check_opened_again(forgetful).unwrap_err();
    assert!(broken.starts_with("a letter, opened again"), "{broken}");
}

#[test]
fn what_is_in_memory_and_what_is_in_a_file_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..8 {
        let when_full = if seed % 2 == 0 { WhenFull::Reject } else { WhenFull::DropOldest };
        let retention = std::time::Duration::from_millis(100);
        let default =
            QueueConfig { max_letters: 12, when_full, retention, ..QueueConfig::default() };
        let queues = Queues { default, ..Queues::default() };
        let path = folder.path().join(format!("{seed}.redb"));
        let memory = InMemoryLetters::new(queues.clone());
        let file = EmbeddedLetters::open(&path, queues, Keys::default()).unwrap();
        steps::compare(seed, 250, [&memory, &file]);
    }
}

#[test]
fn letters_come_back_from_json_and_show_no_secret() {
    let mut numbers = Numbers(1);
    for payload in [b"text".to_vec(), vec![0xff, 0xfe]] {
        let mut letter = letter(&mut numbers, 1_700_000_000_123);
        letter.content = Content::Open {
            headers: vec![seawall_store::letters::Header {
                name: "n".to_owned(),
                value: "s3cret".to_owned(),
            }],
            payload: seawall_store::letters::Payload(payload.clone()),
        };
        let json = serde_json::to_value(&letter).unwrap();
        assert_eq!(json["first_failure"], "2023-11-14T22:13:20.123Z");
        assert_eq!(json["state"], "waiting");
        let expected = match std::str::from_utf8(&payload) {
            Ok(text) => serde_json::json!({ "text": text }),
            Err(_) => serde_json::json!({ "base64": "//4=" }),
        };
        assert_eq!(json["content"]["open"]["payload"], expected);
        let schema = schemars::schema_for!(Letter).to_value();
        for name in json.as_object().unwrap().keys() {
            assert!(schema["properties"].get(name).is_some(), "{name} in {schema}");
        }
        assert_eq!(serde_json::from_value::<Letter>(json).unwrap(), letter);
        let debug = format!("{letter:?}");
        assert!(!debug.contains("s3cret") && !debug.contains("\"text"), "{debug}");
    }
}

/// Calls of the library that failed for good are letters with their attempts, without secrets; what a place does not take is
/// told to the caller.
#[tokio::test]
async fn library() {
    let full = QueueConfig { max_letters: 2, when_full: WhenFull::Reject, ..Default::default() };
    let letters = Arc::new(InMemoryLetters::new(Queues { default: full, ..Queues::default() }));
    let writer = LetterWriter::start(letters.clone(), Redaction::default()).unwrap();
    let registry = Registry::builder().dead_letters(Arc::new(writer)).build();
    let orders = registry.register("orders", policies![dead_letter(), retry(2)]).unwrap();
    let fail = |key: &'static str| {
        let payload = move || {
            Payload::new("order 7")
                .idempotency_key(key)
                .tenant("acme")
                .header("authorization", "Bearer a-secret")
        };
        orders.run(|_| async { Err::<(), _>("down") }).payload(payload)
    };
    let first = fail("one").await.unwrap_err();
    let id: LetterId = first.letter_id().unwrap().parse().unwrap();
    let letter = letters.get(id).unwrap().unwrap();
    let shown = &letter.envelope;
    assert_eq!((shown.operation.as_str(), shown.queue.as_str()), ("orders", "default"));
    assert_eq!((shown.error_class.as_str(), shown.error.as_str()), ("unknown", "down"));
    assert_eq!((shown.tenant.as_deref(), shown.payload_bytes), (Some("acme"), 7));
    let attempts: Vec<_> =
        letter.attempts.iter().map(|one| (&*one.outcome, &*one.errors)).collect();
    let down = ["down".to_owned()];
    assert_eq!(attempts, [("failure", &down[..]), ("failure", &down[..])]);
    assert!(letter.attempts[0].at <= letter.attempts[1].at && letter.attempts[1].at > 1 << 40);
    let Content::Open { headers, .. } = &letter.content else { panic!("{letter:?}") };
    assert_eq!(headers[0].value, "[redacted]");

    // The same work is the same letter.
    assert_eq!(fail("one").await.unwrap_err().letter_id(), first.letter_id());
    // Many at once are written together; the queue has room for one more.
    let (two, three) = tokio::join!(fail("two"), fail("three"));
    let told: Vec<String> = [two, three].map(|one| one.unwrap_err().to_string()).into();
    let refused = told.iter().filter(|text| text.ends_with("a dead letter: its queue is full"));
    assert_eq!(refused.count(), 1, "{told:?}");
    let counts = orders.counts();
    assert_eq!((counts.dead_letters, counts.dead_letters_lost), (3, 1));
}
