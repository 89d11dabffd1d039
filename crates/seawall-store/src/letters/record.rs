//! Records as they are stored: bytes behind their checksum (CRC-32, 4 bytes).

use serde::{Serialize, de::DeserializeOwned};

/// Puts a checksum before the bytes.
pub(crate) fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(4 + bytes.len());
    record.extend(crc32fast::hash(bytes).to_le_bytes());
    record.extend(bytes);
    record
}

/// The bytes behind the checksum, if that is right.
pub(crate) fn unframed(record: &[u8]) -> Option<&[u8]> {
    let (checksum, bytes) = record.split_first_chunk::<4>()?;
    (crc32fast::hash(bytes) == u32::from_le_bytes(*checksum)).then_some(bytes)
}

/// The record of a value.
///
/// # Errors
/// When it cannot be written as JSON.
pub(crate) fn encoded(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    Ok(framed(&serde_json::to_vec(value)?))
}

/// The value of a record; none where it is damaged.
pub(crate) fn decoded<T: DeserializeOwned>(record: &[u8]) -> Option<T> {
    serde_json::from_slice(unframed(record)?).ok()
}
