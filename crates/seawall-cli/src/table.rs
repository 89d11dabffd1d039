//! Tables: columns as wide as their widest cell, numbers to the right.

use crate::output::{Paint, Tone, plain};
use serde_json::Value;

/// One cell of a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
    to_the_right: bool,
}

/// Rows under a header.
#[derive(Debug, Default)]
pub(crate) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Cell {
    pub(crate) fn text(text: impl AsRef<str>) -> Self {
        Self { text: plain(text.as_ref()), ..Self::default() }
    }

    pub(crate) fn toned(tone: Tone, text: impl AsRef<str>) -> Self {
        Self { tone, ..Self::text(text) }
    }

    pub(crate) fn number(text: impl AsRef<str>) -> Self {
        Self { to_the_right: true, ..Self::text(text) }
    }

    /// A text that there may be; a dash where there is none.
    pub(crate) fn maybe(text: Option<&str>) -> Self {
        Self::text(text.unwrap_or("-"))
    }
}

/// A value as a person reads it.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Table {
    pub(crate) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, one line for each row.
    pub(crate) fn text(&self, paint: Paint) -> String {
        let widths: Vec<usize> = (0..self.head.len()).map(|column| self.width(column)).collect();
        let mut text = String::new();
        if self.head.iter().any(|name| !name.is_empty()) {
            let head = self.head.iter().enumerate().map(|(column, name)| Cell {
                tone: Tone::Strong,
                to_the_right: self
                    .rows
                    .first()
                    .is_some_and(|row| row.get(column).is_some_and(|cell| cell.to_the_right)),
                ..Cell::text(name)
            });
            text += &line(&head.collect::<Vec<_>>(), &widths, paint);
        }
        for row in &self.rows {
            text += &line(row, &widths, paint);
        }
        text
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.text.chars().count()).max().unwrap_or(0);
        widest.max(self.head[column].chars().count())
    }
}

fn line(cells: &[Cell], widths: &[usize], paint: Paint) -> String {
    let mut text = String::new();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if column > 0 {
            text += "  ";
        }
        let blank = " ".repeat(width.saturating_sub(cell.text.chars().count()));
        let painted = paint.tone(cell.tone, &cell.text);
        text += &if cell.to_the_right { blank + &painted } else { painted + &blank };
    }
    text.trim_end().to_owned() + "\n"
}
