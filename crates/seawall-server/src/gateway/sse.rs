//! Cuts a body into server-sent events, so that nothing is passed on before its event is whole.
//!
//! A client dispatches an event at the blank line behind it. A body that breaks off inside an event, with an
//! error event behind it, would make half an event out of the pieces: so the bytes of an unfinished event
//! wait here, up to a bound. Lines end with LF, CR or CRLF, in any mixture and across pieces.

use bytes::{Bytes, BytesMut};
use std::{borrow::Cow, ops::Range};

/// The longest event that is held back and read in full. Of a longer one the beginning is read, and its bytes
/// pass on as they come.
pub(super) const MAX_EVENT: usize = 256 << 10;

/// A server-sent event, as far as it was read.
pub(super) struct SseEvent<'a> {
    /// The value of its `event` field; empty where it has none.
    pub(super) name: &'a [u8],
    /// The values of its `data` fields, joined by line feeds. Where it has no field at all, but is a JSON object, it is
    /// that object: so do Google's servers report errors.
    pub(super) data: Cow<'a, [u8]>,
    /// Whether the piece is the whole event.
    pub(super) whole: bool,
}

/// Splits a body, which comes in pieces, into its events.
#[derive(Default)]
pub(super) struct SseSplitter {
    /// The bytes of the unfinished event. Every offset below counts from its beginning.
    pending: BytesMut,
    /// How far `pending` has been scanned.
    scanned: usize,
    /// Where the last line in `pending` begins.
    line: usize,
    fields: Fields,
    /// Whether the last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    /// Whether a first line has been seen: a byte order mark may stand only before it.
    begun: bool,
    /// Set inside an event that is too long to hold back.
    passing: Option<Overlong>,
}

/// An event whose bytes already pass on.
struct Overlong {
    /// Whether the present line is still empty.
    line_is_empty: bool,
}

/// The places of the fields in the unfinished event.
#[derive(Default)]
struct Fields {
    name: Range<usize>,
    data: Vec<Range<usize>>,
    /// Whether some line of the event is not a comment.
    any: bool,
}

impl Fields {
    /// Takes the line at `at`; offsets are kept relative to `start`.
    fn add(&mut self, buffer: &[u8], start: usize, at: Range<usize>) {
        let line = &buffer[at.clone()];
        let colon = memchr::memchr(b':', line);
        if colon == Some(0) {
            return;
        }
        self.any = true;
        let value = match colon {
            Some(colon) => at.start + colon + 1 + usize::from(line.get(colon + 1) == Some(&b' ')),
            None => at.end,
        };
        let value = value - start..at.end - start;
        match &line[..colon.unwrap_or(line.len())] {
            b"event" => self.name = value,
            b"data" => self.data.push(value),
            _ => {}
        }
    }

    fn event<'a>(&self, event: &'a [u8], whole: bool) -> SseEvent<'a> {
        let is_bare_json = self.name.is_empty() && event.trim_ascii_start().starts_with(b"{");
        let data = match self.data.as_slice() {
            [] if is_bare_json => Cow::Borrowed(event),
            [] => Cow::Borrowed(&event[..0]),
            [only] => Cow::Borrowed(&event[only.clone()]),
            several => {
                let lines: Vec<&[u8]> = several.iter().map(|at| &event[at.clone()]).collect();
                Cow::Owned(lines.join(&b'\n'))
            }
        };
        SseEvent { name: &event[self.name.clone()], data, whole }
    }

    fn clear(&mut self) {
        self.name = 0..0;
        self.data.clear();
        self.any = false;
    }
}

impl SseSplitter {
    /// Takes the next piece, shows the events that it completes, and gives back what may pass on.
    pub(super) fn feed(&mut self, mut piece: Bytes, mut see: impl FnMut(&SseEvent<'_>)) -> Bytes {
        if self.pending.is_empty() {
            // Most pieces are whole events: they pass on without a copy.
            let ready = self.scan(&piece, &mut see);
            self.pending.extend_from_slice(&piece[ready..]);
            piece.truncate(ready);
        } else {
            let mut buffer = std::mem::take(&mut self.pending);
            buffer.extend_from_slice(&piece);
            let ready = self.scan(&buffer, &mut see);
            piece = buffer.split_to(ready).freeze();
            self.pending = buffer;
        }
        if self.pending.len() <= MAX_EVENT {
            return piece;
        }
        let line_is_empty = self.line == self.pending.len();
        self.show_rest(false, &mut see);
        self.passing = Some(Overlong { line_is_empty });
        join(piece, self.release())
    }

    /// Gives back the bytes that were held, for a body of which no further event is split off.
    pub(super) fn release(&mut self) -> Bytes {
        self.fields.clear();
        (self.scanned, self.line) = (0, 0);
        std::mem::take(&mut self.pending).freeze()
    }

    /// Shows the event that the body's end finished, though no blank line stands behind it.
    pub(super) fn end(&mut self, mut see: impl FnMut(&SseEvent<'_>)) {
        self.show_rest(true, &mut see);
    }

    /// Whether a part of an unfinished event has passed on already.
    pub(super) fn is_inside_event(&self) -> bool {
        self.passing.is_some()
    }

    fn show_rest(&mut self, whole: bool, see: &mut impl FnMut(&SseEvent<'_>)) {
        let end = self.pending.len();
        let marked = !self.begun && self.pending.starts_with(BOM);
        let line = self.line + if marked { BOM.len() } else { 0 };
        if line < end {
            self.fields.add(&self.pending, 0, line..end);
        }
        if self.fields.any {
            see(&self.fields.event(&self.pending, whole));
        }
    }

    /// Scans what is new in `buffer`, and returns how much of it need not wait.
    fn scan(&mut self, buffer: &[u8], see: &mut impl FnMut(&SseEvent<'_>)) -> usize {
        let mut start = self.pass_overlong(buffer);
        let mut at = start + std::mem::take(&mut self.scanned);
        let mut line = start + std::mem::take(&mut self.line);
        loop {
            if self.after_cr && at < buffer.len() {
                self.after_cr = false;
                if buffer[at] == b'\n' {
                    at += 1;
                    line = at;
                }
            }
            if !self.fields.any {
                // Comments and line ends between events wait for nothing.
                start = line;
            }
            let Some(length) = memchr::memchr2(b'\n', b'\r', &buffer[at..]) else { break };
            let end = at + length;
            self.after_cr = buffer[end] == b'\r';
            at = end + 1;
            if !std::mem::replace(&mut self.begun, true) && buffer[line..end].starts_with(BOM) {
                line += BOM.len();
            }
            if line < end {
                self.fields.add(buffer, start, line..end);
            } else if self.fields.any {
                see(&self.fields.event(&buffer[start..end], true));
                self.fields.clear();
            }
            line = at;
        }
        (self.scanned, self.line) = (buffer.len() - start, line - start);
        start
    }

    /// Skips the rest of an event that is too long to hold back, and returns where what follows it begins.
    fn pass_overlong(&mut self, buffer: &[u8]) -> usize {
        let Some(overlong) = &mut self.passing else { return 0 };
        let mut at = 0;
        while at < buffer.len() {
            if std::mem::take(&mut self.after_cr) && buffer[at] == b'\n' {
                at += 1;
                continue;
            }
            let Some(length) = memchr::memchr2(b'\n', b'\r', &buffer[at..]) else {
                overlong.line_is_empty = false;
                return buffer.len();
            };
            let blank = length == 0 && overlong.line_is_empty;
            overlong.line_is_empty = true;
            at += length + 1;
            self.after_cr = buffer[at - 1] == b'\r';
            if blank {
                self.passing = None;
                return at;
            }
        }
        at
    }
}

/// A byte order mark, which may stand before the first event.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Joins two pieces into one.
pub(super) fn join(first: Bytes, second: Bytes) -> Bytes {
    match (first.is_empty(), second.is_empty()) {
        (_, true) => first,
        (true, _) => second,
        _ => [first, second].concat().into(),
    }
}
