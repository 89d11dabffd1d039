//! The keys that letters are encrypted with.

use base64::{Engine, prelude::BASE64_STANDARD};
use ring::{
    aead::{CHACHA20_POLY1305, LessSafeKey},
    hkdf::{HKDF_SHA256, Salt},
};
use std::{
    fmt,
    io::{self, Error},
    path::Path,
};

/// Random bytes beside each record, from which its own key is derived.
pub(super) const SALT: usize = 32;

/// Keys of 32 bytes with their names, as `name:base64`, one a line or with commas between them. The first seals new
/// letters; all of them open letters. To rotate, write the new key before the others, and let
/// [`Letters::reseal`](super::Letters::reseal) encrypt every letter with it; then the old one may go.
///
/// `head -c 32 /dev/urandom | base64` makes a key. Debug output has the names only.
#[derive(Clone, Default)]
pub struct Keys(Vec<(String, Secret)>);

impl Keys {
    /// Reads keys from a text, such as the value of a variable of the environment. Empty lines and those that begin with
    /// `#` are left out. Without a key nothing is encrypted.
    ///
    /// # Errors
    /// When a key is not of this form. The message does not contain it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys: Vec<(String, Secret)> = Vec::new();
        for (number, line) in (1..).zip(text.split(['\n', ','])) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = line.split_once(':').and_then(|(name, key)| {
                let name = name.trim();
                let key = BASE64_STANDARD.decode(key.trim()).ok()?.try_into().ok()?;
                ((1..=64).contains(&name.len())).then(|| (name.to_owned(), Secret(key)))
            });
            let key = key.ok_or_else(|| {
                format!("key {number} is not `name:` and 32 bytes in base64 (`head -c 32 /dev/urandom | base64`)")
            })?;
            if keys.iter().any(|(name, _)| *name == key.0) {
                return Err(format!("two keys have the name `{}`", key.0));
            }
            keys.push(key);
        }
        Ok(Self(keys))
    }

    /// Reads keys from a file.
    ///
    /// # Errors
    /// When it cannot be read, or a key in it is not of the form.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path);
        let keys = text.map_err(|error| error.to_string()).and_then(|text| Self::parse(&text));
        keys.map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn newest(&self) -> Option<(&str, &Secret)> {
        self.0.first().map(|(name, key)| (&**name, key))
    }

    pub(super) fn named(&self, name: &str) -> Option<&Secret> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, key)| key)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// A key that letters are sealed with. It is never shown.
#[derive(Clone)]
pub(super) struct Secret([u8; 32]);

impl Secret {
    /// The key of one record.
    pub(super) fn derived(&self, salt: &[u8; SALT]) -> io::Result<LessSafeKey> {
        let salt = Salt::new(HKDF_SHA256, salt);
        let extracted = salt.extract(&self.0);
        let key = extracted.expand(&[b"seawall letter"], &CHACHA20_POLY1305);
        let key = key.map_err(|_| Error::other("no key can be derived"))?;
        Ok(LessSafeKey::new(key.into()))
    }
}
