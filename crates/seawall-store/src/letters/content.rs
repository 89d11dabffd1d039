//! The work that a dead letter is about: its headers and its payload.

use base64::{Engine, prelude::BASE64_STANDARD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::Error};
use std::{borrow::Cow, fmt};

/// The work itself.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// It can be read.
    Open {
        /// Its headers; the values of secret ones are replaced.
        #[serde(default)]
        headers: Vec<Header>,
        /// Its body.
        payload: Payload,
    },
    /// It is stored and cannot be read, for this reason: its key is missing or wrong, or it is damaged.
    Unreadable(String),
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { headers, payload } => {
                let names: Vec<_> = headers.iter().map(|header| &header.name).collect();
                f.debug_struct("Open").field("headers", &names).field("payload", payload).finish()
            }
            Self::Unreadable(why) => f.debug_tuple("Unreadable").field(why).finish(),
        }
    }
}

/// A header of the work.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: …", self.name)
    }
}

/// The bytes of the work. In JSON they are `{"text": …}` where they are UTF-8, and `{"base64": …}` where not. Debug
/// output tells only how many there are.
#[derive(Clone, Default, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Encoded<'static>")]
pub struct Payload(pub Vec<u8>);

/// A payload in JSON.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Encoded<'a> {
    /// Bytes that are UTF-8.
    Text(Cow<'a, str>),
    /// Any other bytes.
    Base64(String),
}

impl Serialize for Payload {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => Encoded::Text(text.into()),
            Err(_) => Encoded::Base64(BASE64_STANDARD.encode(&self.0)),
        }
        .serialize(to)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Encoded::deserialize(from)? {
            Encoded::Text(text) => Ok(Self(text.into_owned().into_bytes())),
            Encoded::Base64(text) => {
                BASE64_STANDARD.decode(text).map(Self).map_err(D::Error::custom)
            }
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}
