//! How the content of a letter becomes bytes on a disk: compressed, encrypted, and with a checksum.
//!
//! A record is a checksum (CRC-32, 4 bytes), a byte of flags, and the body: the length of the headers (4 bytes), the
//! headers as JSON, and the payload. Compressed, the body is one zstd frame. Encrypted, the name of its key, a salt of 32
//! random bytes, and the body sealed by ChaCha20-Poly1305 follow. Each record is sealed under a key of its own, derived
//! from the named key and the salt (HKDF-SHA256), so no nonce is ever used twice however many letters one key seals. The
//! letter's identifier is authenticated with it: a record under another letter's identifier does not open.

use super::{
    content::{Content, Header, Payload},
    id::LetterId,
    keys::{Keys, SALT},
    record::{framed, unframed},
};
use ring::aead::{Aad, Nonce};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io::{Error, ErrorKind, Read};

/// What a step of encrypting letters again has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resealed {
    /// Letters that were encrypted with the newest key.
    pub resealed: u64,
    /// Letters that cannot be opened with any key, and stay as they are.
    pub unreadable: u64,
    /// The letter behind which the next step begins; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<LetterId>,
}

/// Letters of one step of encrypting again.
pub(crate) const RESEALED: usize = 16;

const COMPRESSED: u8 = 1;
const ENCRYPTED: u8 = 2;
/// The level at which zstd is fast.
const LEVEL: i32 = 1;
/// Bytes of the longest content that is unpacked, whatever a record claims.
const MAX_CONTENT: u64 = 256 << 20;

/// The record of a letter's content. It is encrypted where there are keys.
///
/// # Errors
/// When it cannot be compressed or sealed.
pub(crate) fn seal(
    id: LetterId,
    headers: &[Header],
    payload: &[u8],
    compress_over: Option<usize>,
    keys: &Keys,
) -> Result<Vec<u8>, Error> {
    let headers = serde_json::to_vec(headers)?;
    let length = u32::try_from(headers.len()).map_err(Error::other)?;
    let mut body = Vec::with_capacity(4 + headers.len() + payload.len());
    body.extend(length.to_le_bytes());
    body.extend(&headers);
    body.extend(payload);
    let mut flags = 0;
    if compress_over.is_some_and(|over| body.len() > over) {
        let packed = zstd::bulk::compress(&body, LEVEL)?;
        // What is compressed or encrypted already does not get smaller.
        if packed.len() < body.len() {
            flags |= COMPRESSED;
            body = packed;
        }
    }
    let Some((name, secret)) = keys.newest() else {
        return Ok(framed(&[&[flags], &*body].concat()));
    };
    flags |= ENCRYPTED;
    let salt: [u8; SALT] = random()?;
    let key = secret.derived(&salt)?;
    key.seal_in_place_append_tag(nonce(), Aad::from(associated(id, flags)), &mut body)
        .map_err(|_| Error::other("it cannot be encrypted"))?;
    let name_length = u8::try_from(name.len()).map_err(Error::other)?;
    Ok(framed(&[&[flags, name_length], name.as_bytes(), &salt, &body].concat()))
}

/// The content of a record. What cannot be opened says why, in place of it.
pub(crate) fn open(id: LetterId, record: &[u8], keys: &Keys) -> Content {
    opened(id, record, keys).unwrap_or_else(|error| Content::Unreadable(error.to_string()))
}

/// A record again, sealed with the newest key; none where it is already. What cannot be opened says why.
///
/// # Errors
/// When it cannot be opened or sealed.
pub(crate) fn reseal(id: LetterId, record: &[u8], keys: &Keys) -> Result<Option<Vec<u8>>, Error> {
    let newest = keys.newest().map(|(name, _)| name);
    if key_of(record) == newest && unframed(record).is_some() {
        return Ok(None);
    }
    match opened(id, record, keys)? {
        Content::Open { headers, payload } => {
            let over = is_compressed(record).then_some(0);
            seal(id, &headers, &payload.0, over, keys).map(Some)
        }
        Content::Unreadable(why) => Err(Error::other(why)),
    }
}

/// The name of the key under which a record is sealed; none where it is not encrypted.
fn key_of(record: &[u8]) -> Option<&str> {
    let (flags, rest) = unframed(record)?.split_first()?;
    let (length, rest) = rest.split_first().filter(|_| flags & ENCRYPTED != 0)?;
    std::str::from_utf8(rest.get(..usize::from(*length))?).ok()
}

/// Whether a record is compressed.
fn is_compressed(record: &[u8]) -> bool {
    record.get(4).is_some_and(|flags| flags & COMPRESSED != 0)
}

fn opened(id: LetterId, record: &[u8], keys: &Keys) -> Result<Content, Error> {
    let bytes = unframed(record).ok_or_else(|| damaged("its checksum is wrong"))?;
    let (flags, rest) = bytes.split_first().ok_or_else(|| damaged("it is empty"))?;
    let mut rest = rest.to_vec();
    if flags & ENCRYPTED != 0 {
        rest = decrypted(id, *flags, rest, keys)?;
    }
    if flags & COMPRESSED != 0 {
        let mut body = Vec::new();
        let decoder = zstd::stream::Decoder::with_buffer(&*rest)?;
        decoder.take(MAX_CONTENT).read_to_end(&mut body)?;
        rest = body;
    }
    let (length, rest) =
        rest.split_first_chunk::<4>().ok_or_else(|| damaged("it has no headers"))?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(Error::other)?;
    let (headers, payload) =
        rest.split_at_checked(length).ok_or_else(|| damaged("its headers are cut off"))?;
    let headers = serde_json::from_slice(headers)?;
    Ok(Content::Open { headers, payload: Payload(payload.to_vec()) })
}

fn decrypted(id: LetterId, flags: u8, sealed: Vec<u8>, keys: &Keys) -> Result<Vec<u8>, Error> {
    let cut = || damaged("what it is encrypted with is cut off");
    let (length, rest) = sealed.split_first().ok_or_else(cut)?;
    let (name, rest) = rest.split_at_checked(usize::from(*length)).ok_or_else(cut)?;
    let (salt, rest) = rest.split_first_chunk::<SALT>().ok_or_else(cut)?;
    let name = String::from_utf8_lossy(name);
    let secret = keys.named(&name).ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            format!("it is encrypted with the key `{name}`, which is not given"),
        )
    })?;
    let mut body = rest.to_vec();
    let key = secret.derived(salt)?;
    let opened = key.open_in_place(nonce(), Aad::from(associated(id, flags)), &mut body);
    let length = match opened {
        Ok(opened) => opened.len(),
        Err(_) => {
            return Err(Error::new(
                ErrorKind::InvalidData,
                format!(
                    "the key `{name}` does not open it: it is another key of this name, or the record was changed"
                ),
            ));
        }
    };
    body.truncate(length);
    Ok(body)
}

fn damaged(how: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("its record is damaged: {how}"))
}

/// Each derived key seals one record.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn associated(id: LetterId, flags: u8) -> [u8; 17] {
    let mut all = [flags; 17];
    all[..16].copy_from_slice(&id.number().to_be_bytes());
    all
}

fn random() -> Result<[u8; SALT], Error> {
    let random = ring::rand::generate(&ring::rand::SystemRandom::new());
    random.map(|random| random.expose()).map_err(|_| Error::other("there is no random number"))
}

#[cfg(test)]
mod tests;
