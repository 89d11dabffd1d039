//! The call of the script that makes a transaction's changes, if nothing has changed of what it has seen.

use super::{
    layout::{self, key_field, of_group, of_state, text},
    place::Place,
    transaction::{Kept, Row},
};
use crate::{
    letters::{letter::State, record::encoded},
    redis::script::Call,
    store::Result,
};

/// Entries of one part of the script's arguments.
#[derive(Default)]
struct Part {
    count: usize,
    words: Vec<Vec<u8>>,
}

/// What the script is called with.
#[derive(Default)]
pub(super) struct Commit {
    keys: Vec<String>,
    seen: Part,
    bounds: Part,
    commands: Part,
}

impl Commit {
    pub(super) fn is_empty(&self) -> bool {
        self.commands.count == 0
    }

    fn key(&mut self, key: &str) -> Vec<u8> {
        let at = self.keys.iter().position(|known| known == key).unwrap_or_else(|| {
            self.keys.push(key.to_owned());
            self.keys.len() - 1
        });
        (at + 1).to_string().into_bytes()
    }

    pub(super) fn see(&mut self, key: &str, field: &str, seen: Option<&[u8]>) {
        let key = self.key(key);
        self.seen.count += 1;
        self.seen.words.extend([key, field.into(), seen.unwrap_or_default().to_vec()]);
    }

    pub(super) fn bound(&mut self, key: &str, most: u64, added: i64, fields: &[String]) {
        let rest = i64::try_from(most).unwrap_or(i64::MAX).saturating_sub(added);
        let key = self.key(key);
        self.bounds.count += 1;
        let numbers = [rest.to_string(), fields.len().to_string()].map(String::into_bytes);
        self.bounds.words.extend([key].into_iter().chain(numbers));
        self.bounds.words.extend(fields.iter().map(|field| field.clone().into_bytes()));
    }

    pub(super) fn command(&mut self, name: &str, key: &str, arguments: &[&[u8]]) {
        let key = self.key(key);
        self.commands.count += 1;
        self.commands.words.extend([name.into(), key, arguments.len().to_string().into_bytes()]);
        self.commands.words.extend(arguments.iter().map(|argument| argument.to_vec()));
    }

    /// What is removed of a letter: all of it, or what its new state makes wrong.
    pub(super) fn remove(&mut self, layout: &layout::Layout, id: u128, row: &Row) {
        let Some(Kept { envelope, .. }) = &row.before else { return };
        let (name, now) = (text(id), row.now.as_ref());
        if now.is_none_or(|now| now.envelope.state != envelope.state) {
            let member = of_state(&envelope.queue, envelope.state) + &name;
            self.command("ZREM", &layout.by_state, &[member.as_bytes()]);
            self.command("HDEL", &layout.replaying, &[name.as_bytes()]);
        }
        if now.is_some() {
            return;
        }
        self.command("DEL", &layout.letter(id), &[]);
        self.command("ZREM", &layout.ids, &[name.as_bytes()]);
        let member = of_group(envelope.fingerprint) + &name;
        self.command("ZREM", &layout.by_group, &[member.as_bytes()]);
        self.command("ZREM", &layout.by_expiry, &[name.as_bytes()]);
        if let Some(field) = key_field(envelope) {
            self.command("HDEL", &layout.by_key, &[field.as_bytes()]);
        }
    }

    /// What is written of a letter that is new or has changed.
    pub(super) fn write(&mut self, place: &Place, id: u128, row: &Row) -> Result<()> {
        let Some(Kept { envelope, attempts, .. }) = &row.now else { return Ok(()) };
        let (layout, name, before) = (&place.layout, text(id), row.before.as_ref());
        let failed = |error| place.error(error);
        let head = encoded(envelope).map_err(failed)?;
        let attempts = encoded(attempts).map_err(failed)?;
        let mut fields: Vec<&[u8]> = vec![b"head", &head, b"attempts", &attempts];
        if let Some(content) = &row.content {
            fields.extend([&b"content"[..], content]);
        }
        self.command("HSET", &layout.letter(id), &fields);
        if before.is_none_or(|before| before.envelope.state != envelope.state) {
            let member = of_state(&envelope.queue, envelope.state) + &name;
            self.command("ZADD", &layout.by_state, &[b"0", member.as_bytes()]);
            if envelope.state == State::Replaying {
                let owner = place.owner.as_bytes();
                self.command("HSET", &layout.replaying, &[name.as_bytes(), owner]);
            }
        }
        if before.is_some() {
            return Ok(());
        }
        self.command("ZADD", &layout.ids, &[b"0", name.as_bytes()]);
        let member = of_group(envelope.fingerprint) + &name;
        self.command("ZADD", &layout.by_group, &[b"0", member.as_bytes()]);
        if let Some(expires) = envelope.expires {
            self.command(
                "ZADD",
                &layout.by_expiry,
                &[expires.to_string().as_bytes(), name.as_bytes()],
            );
        }
        if let Some(field) = key_field(envelope) {
            self.command("HSET", &layout.by_key, &[field.as_bytes(), name.as_bytes()]);
        }
        Ok(())
    }

    pub(super) fn into_call(self) -> Call<Vec<u8>> {
        let parts = [self.seen, self.bounds, self.commands];
        let arguments = parts.into_iter().flat_map(|part| {
            std::iter::once(part.count.to_string().into_bytes()).chain(part.words)
        });
        Call { keys: self.keys, arguments: arguments.collect() }
    }
}
