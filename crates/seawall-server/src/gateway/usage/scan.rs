//! Finds a few members of a JSON document while it passes, in pieces of any size.

use serde_json::value::RawValue;

/// The longest value that is kept.
const LONGEST_VALUE: usize = 16 << 10;
/// The longest name of a member that is compared.
const LONGEST_NAME: usize = 32;

/// Looks for members of the outermost object, or of each object in the outermost list.
#[derive(Debug)]
pub(in crate::gateway) struct JsonScan {
    wanted: &'static [&'static str],
    /// How many objects and lists are open, and whether the outermost is a list.
    depth: u32,
    in_list: bool,
    /// Whether the object whose members are wanted is open.
    in_object: bool,
    in_string: bool,
    escaped: bool,
    /// Whether the next string at this place is a member's name, and what has come of it.
    at_name: bool,
    name: Vec<u8>,
    /// The member whose value is under way, and that value.
    member: Option<&'static str>,
    value: Vec<u8>,
}

impl JsonScan {
    pub(in crate::gateway) fn new(wanted: &'static [&'static str]) -> Self {
        Self {
            wanted,
            depth: 0,
            in_list: false,
            in_object: false,
            in_string: false,
            escaped: false,
            at_name: false,
            name: Vec::new(),
            member: None,
            value: Vec::new(),
        }
    }

    /// Reads the next piece, and shows each wanted member that ends in it. A value that is too long is left out.
    pub(in crate::gateway) fn feed(
        &mut self,
        piece: &[u8],
        mut see: impl FnMut(&'static str, &RawValue),
    ) {
        let mut at = 0;
        while at < piece.len() {
            if self.in_string {
                at += self.string(&piece[at..]);
            } else {
                self.byte(piece[at], &mut see);
                at += 1;
            }
        }
    }

    /// Whether names and values of the wanted object stand here.
    fn is_at_members(&self) -> bool {
        self.in_object && self.depth == 1 + u32::from(self.in_list)
    }

    /// Reads on within a string, and returns how far that went.
    fn string(&mut self, rest: &[u8]) -> usize {
        if self.escaped {
            self.escaped = false;
            self.keep(&rest[..1]);
            return 1;
        }
        let Some(length) = memchr::memchr2(b'"', b'\\', rest) else {
            self.keep(rest);
            return rest.len();
        };
        self.keep(&rest[..=length]);
        if rest[length] == b'\\' {
            self.escaped = true;
        } else {
            self.in_string = false;
        }
        length + 1
    }

    /// Keeps what belongs to a name or to a wanted value.
    fn keep(&mut self, bytes: &[u8]) {
        if self.member.is_some() {
            if self.value.len() + bytes.len() > LONGEST_VALUE {
                self.member = None;
                self.value = Vec::new();
            } else {
                self.value.extend_from_slice(bytes);
            }
        } else if self.at_name && self.is_at_members() && self.name.len() <= LONGEST_NAME {
            self.name.extend_from_slice(&bytes[..bytes.len().min(LONGEST_NAME + 1)]);
        }
    }

    /// Reads a byte that is not in a string.
    fn byte(&mut self, byte: u8, see: &mut impl FnMut(&'static str, &RawValue)) {
        let at_members = self.is_at_members();
        if at_members && matches!(byte, b',' | b'}') {
            self.end_value(see);
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.open(byte == b'{'),
            b'}' | b']' => {
                self.in_object &= !at_members;
                self.depth = self.depth.saturating_sub(1);
            }
            b':' if at_members && self.at_name => {
                let name = self.name.strip_suffix(b"\"").unwrap_or(&self.name);
                self.member = self.wanted.iter().find(|wanted| wanted.as_bytes() == name).copied();
                self.at_name = false;
                return;
            }
            b',' if at_members => {
                self.at_name = true;
                self.name.clear();
                return;
            }
            _ => {}
        }
        if self.member.is_some() && !at_opening(at_members, self.at_name) {
            self.keep(&[byte]);
        }
    }

    fn open(&mut self, object: bool) {
        if self.depth == 0 {
            self.in_list = !object;
        }
        self.depth = self.depth.saturating_add(1);
        if object && !self.in_object && self.depth == 1 + u32::from(self.in_list) {
            self.in_object = true;
            self.at_name = true;
            self.name.clear();
        }
    }

    fn end_value(&mut self, see: &mut impl FnMut(&'static str, &RawValue)) {
        let Some(member) = self.member.take() else { return };
        let value = std::mem::take(&mut self.value);
        if let Ok(value) = serde_json::from_slice::<&RawValue>(&value) {
            see(member, value);
        }
    }
}

/// Whether a member's name is under way.
fn at_opening(at_members: bool, at_name: bool) -> bool {
    at_members && at_name
}
