//! Interim responses (RFC 9110, 15.2): an upstream's 103 with early hints reaches the client before the answer.
//!
//! hyper has no way to send one, so they go into the connection as bytes. HTTP/2 has none at all here: its clients
//! get the final answer only, as HTTP/1.0 clients do, who know nothing else.

use super::{forward::Pseudonym, request::remove_connection_headers};
use crate::serve::InterimSender;
use http::{HeaderMap, StatusCode, Version};
use std::{fmt::Write, sync::Arc};

/// The way of interim responses to the client of one request.
#[derive(Clone)]
pub(crate) struct Passage {
    pub(super) sender: InterimSender,
    pub(super) pseudonym: Arc<Pseudonym>,
}

impl Passage {
    /// Passes one on. Not 100: it was the gateway that took the body; nor 101: nothing is switched here.
    pub(super) fn pass(&self, status: StatusCode, version: Version, headers: &HeaderMap) {
        if status.is_informational() && status.as_u16() > 101 {
            let mut headers = headers.clone();
            remove_connection_headers(&mut headers);
            headers.remove(http::header::CONTENT_LENGTH);
            self.pseudonym.add_to(&mut headers, version);
            self.sender.send(message(status, &headers).into());
        }
    }
}

fn message(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut head = String::new();
    let reason = status.canonical_reason().unwrap_or("Interim");
    let _ = write!(head, "HTTP/1.1 {} {reason}\r\n", status.as_str());
    let mut message = head.into_bytes();
    for (name, value) in headers {
        message.extend_from_slice(name.as_str().as_bytes());
        message.extend_from_slice(b": ");
        message.extend_from_slice(value.as_bytes());
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"\r\n");
    message
}
