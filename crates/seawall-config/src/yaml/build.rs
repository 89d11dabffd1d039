//! Builds the tree from the parser's events: expands aliases, reports duplicate keys, and chooses positions.
//!
//! An alias replays the events of its anchor. Depth, values and text are counted as they expand, so a
//! file of a kilobyte cannot become a tree of a gigabyte.

use super::{MAX_DEPTH, MAX_NODES, position, scalar, too_deep, too_many};
use crate::{
    excerpt,
    findings::{Fault, Findings},
    path::{Path, Segment},
    tree::{Entry, Node, Position, Value},
};
use granit_parser::{Event, ScalarStyle, Span, StructureStyle, Tag};
use std::collections::HashMap;

/// The most text in bytes, aliases expanded.
const MAX_TEXT: usize = 8 * 1024 * 1024;

/// Builds the tree of one document.
pub(super) fn tree(events: &[(Event<'_>, Span)], findings: &mut Findings) -> Option<Node> {
    let anchors = events
        .iter()
        .enumerate()
        .filter_map(|(index, (event, _))| event.anchor_id().map(|id| (id, index)))
        .collect();
    let mut builder = Builder {
        events,
        anchors,
        findings,
        path: Path::default(),
        cursor: 0,
        nodes: 0,
        text: 0,
        open: Vec::new(),
        replays: 0,
    };
    let built = builder.node(0);
    match built {
        Ok(node) => Some(node),
        Err((at, fault)) => {
            let path = builder.path.to_string();
            builder.findings.add(at, path, fault);
            None
        }
    }
}

/// The fault that ends the reading of a file, and its position.
type Halt = (Position, Fault);

struct Builder<'e, 'f> {
    events: &'e [(Event<'e>, Span)],
    /// The index at which each anchor's events start.
    anchors: HashMap<usize, usize>,
    findings: &'f mut Findings,
    path: Path<'e>,
    cursor: usize,
    nodes: usize,
    text: usize,
    /// The anchors whose values are being built.
    open: Vec<usize>,
    /// The number of aliases that are being replayed.
    replays: usize,
}

impl<'e> Builder<'e, '_> {
    /// The node at the cursor, which moves past it.
    fn node(&mut self, depth: usize) -> Result<Node, Halt> {
        let (event, span) = self.take();
        let at = position(span.start);
        if depth > MAX_DEPTH {
            return Err((at, too_deep()));
        }
        if let Event::Alias(anchor) = event {
            return self.alias(*anchor, at, depth);
        }
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err((at, too_many()));
        }
        self.open.extend(event.anchor_id());
        let value = self.value(event, at, depth)?;
        if event.anchor_id().is_some() {
            self.open.pop();
        }
        Ok(Node { value, position: at })
    }

    fn value(&mut self, event: &'e Event<'e>, at: Position, depth: usize) -> Result<Value, Halt> {
        Ok(match event {
            Event::Scalar(text, style, _, tag) => self.scalar(at, text, *style, tag.as_deref())?,
            Event::SequenceStart(_, _, tag) => {
                self.expect_core(at, tag.as_deref(), "seq");
                Value::Sequence(self.items(depth)?)
            }
            Event::MappingStart(_, _, tag) => {
                self.expect_core(at, tag.as_deref(), "map");
                Value::Mapping(self.entries(depth)?)
            }
            // Only nodes and ends are gathered, and ends are taken by their collections.
            _ => Value::Null,
        })
    }

    fn take(&mut self) -> (&'e Event<'e>, Span) {
        let (event, span) = &self.events[self.cursor];
        self.cursor += 1;
        (event, *span)
    }

    /// Whether the cursor is at the end of a collection; then it moves past it.
    fn at_end(&mut self) -> bool {
        let end = matches!(
            self.events.get(self.cursor),
            None | Some((Event::SequenceEnd | Event::MappingEnd, _))
        );
        self.cursor += usize::from(end);
        end
    }

    fn scalar(
        &mut self,
        at: Position,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
    ) -> Result<Value, Halt> {
        self.count_text(at, text)?;
        Ok(scalar::resolve(text, style, tag).unwrap_or_else(|message| {
            self.findings.add(at, self.path.to_string(), Fault::error(message));
            Value::Null
        }))
    }

    fn count_text(&mut self, at: Position, text: &str) -> Result<(), Halt> {
        self.text += text.len();
        if self.text <= MAX_TEXT {
            return Ok(());
        }
        Err((at, Fault::error(format!("aliases repeat more than {} MiB of text", MAX_TEXT >> 20))))
    }

    fn expect_core(&mut self, at: Position, tag: Option<&Tag>, name: &str) {
        let known = tag.is_none_or(|tag| tag.core_suffix() == Some(name) || scalar::is_lone(tag));
        if !known {
            self.findings.add(at, self.path.to_string(), Fault::error(scalar::unknown_tag()));
        }
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, Halt> {
        let mut items = Vec::new();
        while !self.at_end() {
            self.path.push(Segment::Index(items.len()));
            items.push(self.node(depth + 1)?);
            self.path.pop();
        }
        Ok(items)
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<Entry>, Halt> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut first: HashMap<&'e str, Position> = HashMap::new();
        while !self.at_end() {
            let at = position(self.events[self.cursor].1.start);
            let Some(key) = self.key(at, depth)? else {
                self.node(depth + 1)?;
                continue;
            };
            self.path.push(Segment::Key(key));
            let below = self.below_key();
            let mut node = self.node(depth + 1)?;
            if below {
                node.position = at;
            }
            if let Some(first) = first.get(key) {
                self.duplicate(key, at, *first);
            } else {
                first.insert(key, at);
                entries.push(Entry { key: key.to_owned(), position: at, node });
            }
            self.path.pop();
        }
        Ok(entries)
    }

    /// Whether a value at the cursor is shown at its key: it is left out, or begins on the lines below.
    fn below_key(&self) -> bool {
        match &self.events[self.cursor] {
            (Event::Scalar(_, ScalarStyle::Plain, _, None), span) => span.start == span.end,
            (
                Event::SequenceStart(StructureStyle::Block, ..)
                | Event::MappingStart(StructureStyle::Block, ..),
                _,
            ) => true,
            _ => false,
        }
    }

    /// The text of a key; none if it has none, which is noted and passed over.
    fn key(&mut self, at: Position, depth: usize) -> Result<Option<&'e str>, Halt> {
        let mut event = &self.events[self.cursor].0;
        if let Event::Alias(anchor) = event {
            event = &self.events[self.anchors[anchor]].0;
        }
        let fault = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<" => {
                Fault::error("merge keys (`<<`) are not part of YAML 1.2")
                    .right("repeat the fields, or use an alias for the whole value")
            }
            Event::Scalar(text, style, ..) if *style != ScalarStyle::Plain || text != "~" => {
                self.count_text(at, text)?;
                self.cursor += 1;
                return Ok(Some(text));
            }
            _ => Fault::error("a key must be text").right("write `key: value`"),
        };
        self.findings.add(at, self.path.to_string(), fault);
        self.node(depth + 1)?;
        Ok(None)
    }

    fn duplicate(&mut self, key: &str, at: Position, first: Position) {
        // Inside a replay the same two lines were named already.
        if self.replays == 0 {
            let fault = Fault::error(format!("duplicate key `{}`", excerpt::word(key)))
                .right(format!("it is first given on line {}; keep one", first.line));
            self.findings.add(at, self.path.to_string(), fault);
        }
    }

    /// The value of an alias, placed where the alias stands.
    fn alias(&mut self, anchor: usize, at: Position, depth: usize) -> Result<Node, Halt> {
        if self.open.contains(&anchor) {
            return Err((at, Fault::error("this alias is inside the value it names")));
        }
        let start = self.anchors[&anchor];
        let back = self.cursor;
        self.replays += 1;
        self.cursor = start;
        let node = self.node(depth)?;
        self.cursor = back;
        self.replays -= 1;
        Ok(Node { position: at, ..node })
    }
}
