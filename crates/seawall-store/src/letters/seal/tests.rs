//! Records of contents: what goes in comes out, and nothing else opens.

use super::*;

const ONE: &str = "one:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const TWO: &str = "two:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

fn keys(text: &str) -> Keys {
    Keys::parse(text).unwrap()
}

fn headers() -> Vec<Header> {
    vec![Header { name: "n".to_owned(), value: "visible value".to_owned() }]
}

fn unreadable(content: Content) -> String {
    match content {
        Content::Unreadable(why) => why,
        open => panic!("{open:?}"),
    }
}

fn has(record: &[u8], text: &[u8]) -> bool {
    record.windows(text.len()).any(|window| window == text)
}

#[test]
fn contents_come_back_however_they_are_sealed() {
    let id = LetterId::new(1);
    for keys in [keys(""), keys(ONE)] {
        for over in [None, Some(0), Some(1000)] {
            for payload in [vec![], b"short".to_vec(), vec![b'x'; 100_000], (0..=255).collect()] {
                let record = seal(id, &headers(), &payload, over, &keys).unwrap();
                let content =
                    Content::Open { headers: headers(), payload: Payload(payload.clone()) };
                assert_eq!(open(id, &record, &keys), content);
                if payload.len() == 100_000 && over.is_some() {
                    assert!(record.len() < 1000, "{} bytes", record.len());
                    assert!(is_compressed(&record));
                }
            }
        }
    }
}

#[test]
fn encrypted_records_show_nothing() {
    let payload = b"a payload that is a secret".repeat(3);
    let sealed = |keys| seal(LetterId::new(1), &headers(), &payload, None, &keys).unwrap();
    assert!(has(&sealed(keys("")), &payload), "without a key they are in clear");
    let record = sealed(keys(ONE));
    assert!(!has(&record, b"secret") && !has(&record, b"visible value"));
    assert_eq!(key_of(&record), Some("one"));
    assert_ne!(record, sealed(keys(ONE)), "two records of one content differ");
}

#[test]
fn older_keys_open_and_missing_or_wrong_ones_say_so() {
    let id = LetterId::new(1);
    let record = seal(id, &headers(), b"x", None, &keys(ONE)).unwrap();
    let opens = |id, text: &str| open(id, &record, &keys(text));
    assert!(matches!(opens(id, &format!("{TWO}\n{ONE}")), Content::Open { .. }));
    let missing = unreadable(opens(id, TWO));
    assert!(missing.contains("the key `one`, which is not given"), "{missing}");
    let wrong = unreadable(opens(id, &TWO.replace("two", "one")));
    assert!(wrong.contains("the key `one` does not open it"), "{wrong}");
    let moved = unreadable(opens(LetterId::new(2), ONE));
    assert!(moved.contains("does not open it"), "another letter's content: {moved}");
}

#[test]
fn no_change_of_a_record_opens_or_panics() {
    let id = LetterId::new(1);
    let body = vec![b'x'; 200];
    for keys in [keys(""), keys(ONE)] {
        for over in [None, Some(0)] {
            let record = seal(id, &headers(), &body, over, &keys).unwrap();
            for at in 0..record.len() {
                let mut flipped = record.clone();
                flipped[at] ^= 0x10;
                unreadable(open(id, &flipped, &keys));
                unreadable(open(id, &record[..at], &keys));
                // With a checksum that is right again, as somebody who means it would make it.
                let forged = framed(flipped.get(4..).unwrap_or_default());
                let content = open(id, &forged, &keys);
                if !keys.is_empty() && at >= 4 {
                    unreadable(content);
                }
                _ = key_of(&forged);
            }
        }
    }
}

#[test]
fn keys_are_read_from_text_and_never_shown() {
    let both = keys(&format!("# the newest first\n{TWO}\n\n {ONE} \n"));
    assert_eq!(both.newest().map(|(name, _)| name), Some("two"));
    assert_eq!(format!("{both:?}"), r#"["two", "one"]"#);
    assert!(keys(&format!("{TWO},{ONE}")).named("one").is_some());
    for (text, word) in [
        ("one", "key 1"),
        ("one:AAAA", "key 1"),
        (":AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "key 1"),
        ("one:not-base64-SECRET-SECRET-SECRET-SECRET-SECRET=", "key 1"),
        (&format!("{ONE},{ONE}"), "two keys"),
    ] {
        let message = Keys::parse(text).unwrap_err();
        assert!(message.contains(word) && !message.contains("SECRET"), "{message}");
    }
    assert!(
        Keys::read(std::path::Path::new("/no/such/file")).unwrap_err().contains("/no/such/file")
    );
}
