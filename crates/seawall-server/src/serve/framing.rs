//! Where one HTTP/1 request ends and the next begins, seen from the bytes as they arrive.
//!
//! hyper hands over requests, not bytes: it drops a `Content-Length` beside `Transfer-Encoding` without notice, and it
//! has one timeout for both a slow head and an idle connection. To refuse the former and to bound the latter, the
//! server must know where in a request the client is. The parser here follows the same rules as hyper's; where the two
//! could disagree, hyper refuses the request.

/// The longest line kept to be looked at. Only `Transfer-Encoding` and `Content-Length` are, and both are short.
const LONGEST_LINE: usize = 1024;

/// The part of a request that the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The request line and the headers, or the empty lines before them.
    Head,
    /// A body, or the data of one chunk, with this many bytes to come.
    Data { left: u64, chunked: bool },
    /// The line with a chunk's size.
    ChunkSize,
    /// The line end behind a chunk's data.
    ChunkEnd,
    /// The trailers, up to an empty line.
    Trailers,
    /// A part that need not be followed: HTTP/2, or a connection that ends with the present request.
    Unknown,
}

/// Follows the requests of one connection.
#[derive(Debug)]
pub(super) struct Framing {
    part: Part,
    /// The start of a line whose end has not come yet.
    line: Vec<u8>,
    head: Head,
    /// The number of heads that were complete.
    heads: u64,
    is_http2: bool,
    ambiguous: Option<u64>,
}

/// The facts about the head that is being read.
#[derive(Debug, Default)]
struct Head {
    has_begun: bool,
    length: Option<u64>,
    is_chunked: bool,
}

impl Framing {
    pub(super) fn new() -> Self {
        Self {
            part: Part::Head,
            line: Vec::new(),
            head: Head::default(),
            heads: 0,
            is_http2: false,
            ambiguous: None,
        }
    }

    /// Whether no byte of a further request has come yet.
    pub(super) fn is_between_requests(&self) -> bool {
        self.part == Part::Head && !self.head.has_begun && self.line.is_empty()
    }

    /// Whether a head has begun and is not complete.
    pub(super) fn is_in_head(&self) -> bool {
        self.part == Part::Head && !self.is_between_requests()
    }

    /// Whether the client speaks HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.is_http2
    }

    /// The number, from 0, of the request that gives the length of its body twice.
    pub(super) fn ambiguous(&self) -> Option<u64> {
        self.ambiguous
    }

    /// Follows the requests through bytes as they were read.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.part != Part::Unknown {
            bytes = match self.part {
                Part::Data { left, chunked } => {
                    let here = left.min(bytes.len() as u64);
                    self.part = match (left - here, chunked) {
                        (0, true) => Part::ChunkEnd,
                        (0, false) => Part::Head,
                        (left, chunked) => Part::Data { left, chunked },
                    };
                    bytes.get(usize::try_from(here).unwrap_or(usize::MAX)..).unwrap_or_default()
                }
                _ => self.read_line(bytes),
            };
        }
    }

    /// Reads bytes up to the end of a line, and returns the rest.
    fn read_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
            self.keep(bytes);
            return &[];
        };
        let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
        if self.line.is_empty() {
            self.end_of_line(without_cr(line));
        } else {
            self.keep(line);
            let whole = std::mem::take(&mut self.line);
            self.end_of_line(without_cr(&whole));
        }
        rest
    }

    fn keep(&mut self, part: &[u8]) {
        let room = LONGEST_LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&part[..room.min(part.len())]);
    }

    fn end_of_line(&mut self, line: &[u8]) {
        match self.part {
            Part::Head if !self.head.has_begun => {
                self.is_http2 = self.heads == 0 && line == b"PRI * HTTP/2.0";
                self.head.has_begun = !line.is_empty();
                if self.is_http2 {
                    self.part = Part::Unknown;
                }
            }
            Part::Head if line.is_empty() => self.end_of_head(),
            Part::Head => self.head.see(line),
            Part::ChunkSize => {
                self.part = match chunk_size(line) {
                    Some(0) => Part::Trailers,
                    Some(left) => Part::Data { left, chunked: true },
                    None => Part::Unknown,
                };
            }
            Part::ChunkEnd => self.part = Part::ChunkSize,
            Part::Trailers if line.is_empty() => self.part = Part::Head,
            Part::Trailers | Part::Data { .. } | Part::Unknown => {}
        }
    }

    fn end_of_head(&mut self) {
        let head = std::mem::take(&mut self.head);
        self.part = match (head.is_chunked, head.length) {
            (true, Some(_)) => {
                self.ambiguous = Some(self.heads);
                Part::Unknown
            }
            (true, None) => Part::ChunkSize,
            (false, None | Some(0)) => Part::Head,
            (false, Some(left)) => Part::Data { left, chunked: false },
        };
        self.heads += 1;
    }
}

impl Head {
    fn see(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { return };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.is_chunked = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            // What is no number is refused by hyper.
            let number = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
            self.length = Some(number.unwrap_or(0));
        }
    }
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The number that a chunk begins with; what stands behind a semicolon is an extension.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|&byte| byte == b';').next()?.trim_ascii();
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the state after a text that came in one piece, byte by byte, and in pieces of seven bytes.
    fn each(text: &str, check: impl Fn(&Framing)) {
        for size in [text.len(), 1, 7] {
            let mut framing = Framing::new();
            text.as_bytes().chunks(size).for_each(|piece| framing.read(piece));
            check(&framing);
        }
    }

    #[test]
    fn requests_follow_each_other() {
        for text in [
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\nhost: a\n\n",
            "POST / HTTP/1.1\r\ncontent-length: 18\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length:\t18 \r\ncontent-length: 18\r\n\r\ntransfer-encoding:",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1A;x=\"y\"\r\ncontent-length: 5\r\n\r\n12345\
             \r\n0\r\nContent-Length: 5\r\n\r\n",
        ] {
            each(text, |framing| {
                assert!(framing.is_between_requests(), "{text:?}: {framing:?}");
                assert_eq!((framing.heads, framing.ambiguous()), (1, None), "{text:?}");
            });
            let twice = format!("{text}{text}GET / HT");
            each(&twice, |framing| {
                assert!(framing.is_in_head(), "{twice:?}: {framing:?}");
                assert_eq!((framing.heads, framing.ambiguous()), (2, None), "{twice:?}");
            });
        }
    }

    #[test]
    fn two_lengths_are_seen_in_whichever_order() {
        let before = "POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\nbody";
        for head in [
            "content-length: 4\r\ntransfer-encoding: chunked",
            "Transfer-Encoding: chunked\r\nx: y\r\nCONTENT-LENGTH: 0",
            "transfer-encoding:chunked\r\ncontent-length:4\r\ncontent-length: 4",
        ] {
            let text = format!("{before}POST / HTTP/1.1\r\n{head}\r\n\r\n0\r\n\r\n");
            each(&text, |framing| assert_eq!(framing.ambiguous(), Some(1), "{text:?}"));
        }
    }

    #[test]
    fn long_lines_and_nonsense_are_bounded_and_no_panic() {
        let long = format!("GET /{} HTTP/1.1\r\nhost", "x".repeat(100_000));
        each(&long, |framing| assert!(framing.is_in_head() && framing.line.len() <= LONGEST_LINE));
        let chunk = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n-1\r\nxx";
        each(chunk, |framing| assert_eq!(framing.part, Part::Unknown));
        let huge = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\nxx", u64::MAX);
        each(&huge, |framing| {
            assert_eq!(framing.part, Part::Data { left: u64::MAX - 2, chunked: false });
        });
    }

    #[test]
    fn http2_is_known_by_its_first_line_alone() {
        each("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", |framing| {
            assert!(framing.is_http2() && !framing.is_between_requests() && !framing.is_in_head());
        });
        each("GET / HTTP/1.1\r\n\r\nPRI * HTTP/2.0\r\n", |framing| assert!(!framing.is_http2()));
    }
}
