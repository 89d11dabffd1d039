//! Server-sent events, read piece by piece.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::{collections::VecDeque, time::Duration};
use tokio::time::timeout;

/// The longest message: a snapshot of thousands of operations.
const MAX_MESSAGE: usize = 64 << 20;

/// One server-sent event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The type of the event: `snapshot` or `event`.
    pub(crate) kind: String,
    /// The data of the event, as JSON.
    pub(crate) data: String,
}

/// The next thing that came of a stream.
#[derive(Debug)]
pub(crate) enum Next {
    Message(Message),
    /// Nothing came for the time that was asked for.
    Silence,
    /// The stream is over, and why.
    Over(String),
}

/// A stream of server-sent events.
#[derive(Debug)]
pub(crate) struct Messages {
    body: Incoming,
    parser: Parser,
}

impl Messages {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, parser: Parser::default() }
    }

    /// Waits for the next message, so long.
    pub(crate) async fn next(&mut self, longest: Duration) -> Next {
        loop {
            if let Some(message) = self.parser.ready.pop_front() {
                return Next::Message(message);
            }
            let frame = match timeout(longest, self.body.frame()).await {
                Err(_) => return Next::Silence,
                Ok(None) => return Next::Over("the server ended it".into()),
                Ok(Some(Err(error))) => return Next::Over(error.to_string()),
                Ok(Some(Ok(frame))) => frame,
            };
            if let Some(bytes) = frame.data_ref()
                && let Err(told) = self.parser.push(bytes)
            {
                return Next::Over(told);
            }
        }
    }
}

/// Parses bytes into messages.
#[derive(Debug, Default)]
struct Parser {
    line: Vec<u8>,
    message: Message,
    ready: VecDeque<Message>,
}

impl Parser {
    fn push(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            self.take(String::from_utf8_lossy(&line).trim_end_matches('\r'));
        }
        self.line.extend_from_slice(bytes);
        if self.line.len() + self.message.data.len() > MAX_MESSAGE {
            return Err("a message is too long".into());
        }
        Ok(())
    }

    fn take(&mut self, line: &str) {
        if line.is_empty() {
            let message = std::mem::take(&mut self.message);
            if !message.data.is_empty() {
                self.ready.push_back(message);
            }
            return;
        }
        // A line that begins with a colon is a comment: its field has no name.
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.message.kind),
            "data" => {
                if !self.message.data.is_empty() {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(value);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_whole_however_the_bytes_come() {
        let text = ": 3 lines missed\n\nevent: event\r\ndata: {\"a\":\ndata:1}\n\nid: 7\ndata: x\n\nevent: half\n";
        let expected = [
            Message { kind: "event".into(), data: "{\"a\":\n1}".into() },
            Message { kind: String::new(), data: "x".into() },
        ];
        for size in [1, 2, 7, 1000] {
            let mut parser = Parser::default();
            text.as_bytes().chunks(size).for_each(|piece| parser.push(piece).unwrap());
            assert_eq!(parser.ready.make_contiguous(), expected, "{size}");
        }
    }

    #[test]
    fn a_message_without_end_is_not_kept() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; 1 << 20];
        let told = (0..100).find_map(|_| parser.push(&piece).err());
        assert_eq!(told.as_deref(), Some("a message is too long"));
    }
}
