//! What only the file of letters does: rotating keys, and going on beside damaged records.

use super::*;
use crate::letters::{FailedWork, Header, QueueConfig, Redaction, Refusal};
use redb::{Database, ReadableDatabase, ReadableTable};

const ONE: &str = "one:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const TWO: &str = "two:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

fn open(path: &Path, keys: &str) -> EmbeddedLetters {
    EmbeddedLetters::open(path, Queues::default(), Keys::parse(keys).unwrap()).unwrap()
}

fn letter(n: u64, payload: &[u8]) -> Letter {
    let header =
        Header { name: "Authorization".to_owned(), value: "Bearer very-s3cret".to_owned() };
    let work = FailedWork {
        queue: "q".to_owned(),
        headers: vec![header],
        payload: payload.to_vec(),
        ..FailedWork::default()
    };
    Letter::new(work, 1000 + n, &Redaction::default())
}

/// Encrypts all letters again, and returns how many there were, and how many could not be opened.
fn reseal(letters: &EmbeddedLetters) -> (u64, u64) {
    let (mut all, mut after) = ((0, 0), None);
    loop {
        let step = letters.reseal(after).unwrap();
        all = (all.0 + step.resealed, all.1 + step.unreadable);
        after = step.next;
        if after.is_none() {
            return all;
        }
    }
}

fn has(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[test]
fn keys_are_rotated_and_every_letter_is_encrypted_with_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.redb");
    let payload = b"a very private payload".repeat(2);
    let letters = open(&path, "");
    let all: Vec<_> = (0..100).map(|n| letter(n, &payload)).collect();
    letters.put(all.clone()).unwrap();
    drop(letters);
    let letters = open(&path, ONE);
    assert_eq!(reseal(&letters), (100, 0), "what was in clear");
    letters.put(vec![letter(200, &payload)]).unwrap();
    assert_eq!(reseal(&letters), (0, 0));
    drop(letters);
    let letters = open(&path, &format!("{TWO},{ONE}"));
    letters.put(vec![letter(201, &payload)]).unwrap();
    assert_eq!(reseal(&letters), (101, 0));
    drop(letters);
    let letters = open(&path, TWO);
    for envelope in letters.page(&Query::default(), None, 200).unwrap().letters {
        let content = letters.get(envelope.id).unwrap().unwrap().content;
        assert!(matches!(content, Content::Open { payload: it, .. } if it.0 == payload));
    }
    drop(letters);
    let letters = open(&path, ONE);
    let id = all[0].envelope.id;
    let found = letters.get(id).unwrap().unwrap();
    assert!(matches!(&found.content, Content::Unreadable(why) if why.contains("two")), "{found:?}");
    let begun = letters.begin_replay(id).unwrap();
    assert!(matches!(begun, Begun::Unreadable(_)), "{begun:?}");
    assert_eq!(letters.get(id).unwrap().unwrap().envelope.state, State::Waiting);
    assert_eq!(reseal(&letters), (0, 102));
    let stats = letters.stats().unwrap().queues.remove("q").unwrap();
    assert_eq!(letters.purge(&Query::default()).unwrap(), 102);
    let after = letters.stats().unwrap().queues.remove("q").unwrap();
    assert!(stats.bytes > 0 && after.bytes == 0, "{stats:?} {after:?}");
}

#[test]
fn neither_secrets_nor_encrypted_payloads_are_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.redb");
    let letters = open(&path, ONE);
    let payload = b"a very private payload".repeat(2);
    letters.put(vec![letter(1, &payload)]).unwrap();
    let debug = format!("{letters:?} {:?}", letters.page(&Query::default(), None, 1).unwrap());
    drop(letters);
    let file = std::fs::read(&path).unwrap();
    for secret in ["s3cret", "private payload", "AAAAAAAAAAAAAAAA"] {
        assert!(!has(&file, secret.as_bytes()) && !debug.contains(secret), "{secret}");
    }
}

#[test]
fn a_queue_that_must_be_encrypted_takes_nothing_without_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.redb");
    let letters = open(&path, "");
    let default = QueueConfig { encryption: true, ..QueueConfig::default() };
    letters.configure(Queues { default, ..Queues::default() });
    let put = letters.put(vec![letter(1, b"x")]).unwrap();
    assert!(matches!(&put[0], Put::Refused(Refusal::Invalid(why)) if why.contains("no key")));
    assert!(!has(&std::fs::read(&path).unwrap(), b"\"q\""));
}

#[test]
fn damaged_envelopes_are_set_aside_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.redb");
    let letters = open(&path, "");
    let all: Vec<_> = (0..10).map(|n| letter(n, b"payload")).collect();
    letters.put(all.clone()).unwrap();
    drop(letters);
    // As if the disk had changed a byte of three envelopes, one content and the counters.
    let database = Database::create(&path).unwrap();
    let writing = database.begin_write().unwrap();
    {
        let mut heads = writing.open_table(tables::HEADS).unwrap();
        for letter in &all[2..5] {
            let id = letter.envelope.id.number();
            let mut record = heads.get(id).unwrap().unwrap().value().to_vec();
            record[20] ^= 1;
            heads.insert(id, &*record).unwrap();
        }
        let mut contents = writing.open_table(tables::CONTENTS).unwrap();
        contents.insert(all[7].envelope.id.number(), &b"nothing"[..]).unwrap();
        writing.open_table(tables::QUEUES).unwrap().insert("q", &b"nothing"[..]).unwrap();
    }
    writing.commit().unwrap();
    drop(database);
    let letters = open(&path, "");
    assert_eq!(letters.page(&Query::default(), None, 100).unwrap().letters.len(), 7);
    assert_eq!(letters.put(vec![letter(20, b"payload")]).unwrap(), [Put::Stored]);
    let stats = letters.stats().unwrap();
    assert_eq!((stats.corrupt, stats.queues["q"].waiting), (3, 8));
    for damaged in &all[2..5] {
        assert!(stats.corrupt_ids.contains(&damaged.envelope.id.to_string()));
        assert_eq!(letters.get(damaged.envelope.id).unwrap(), None);
        assert_eq!(letters.begin_replay(damaged.envelope.id).unwrap(), Begun::Missing);
    }
    let content = letters.get(all[7].envelope.id).unwrap().unwrap().content;
    assert!(
        matches!(&content, Content::Unreadable(why) if why.contains("checksum")),
        "{content:?}"
    );
    assert_eq!(
        letters.expire(u64::MAX).unwrap(),
        8,
        "entries of indexes without a letter do no harm"
    );
    assert_eq!(letters.stats().unwrap().queues["q"].bytes, 0);
    drop(letters);
    let database = Database::create(&path).unwrap();
    let corrupt = database.begin_read().unwrap().open_table(tables::CORRUPT).unwrap();
    assert_eq!(corrupt.iter().unwrap().count(), 3, "somebody may look at them");
}
