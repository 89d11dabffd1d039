//! Bounds of numbers: those a field declares, and those of the Rust type behind it.

use super::{Site, Walker};
use crate::{
    findings::Fault,
    schema::{Keywords, Kinds},
    tree::Value,
};
use std::{cmp::Ordering, fmt};

/// A bound, exact where it is an integer: the largest 64-bit ones are not floats.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    Int(i128),
    Float(f64),
}

/// The range that a number must lie in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Range {
    low: Option<Limit>,
    low_open: bool,
    high: Option<Limit>,
    high_open: bool,
    /// Whether the numbers are seconds.
    seconds: bool,
}

impl<'s, 't> Walker<'s, 't> {
    pub(super) fn number(&mut self, site: Site<'s, 't>, layers: &[&'s Keywords]) {
        let value = match site.node.value {
            Value::Int(value) => Limit::Int(value),
            Value::Float(value) => Limit::Float(value),
            _ => return,
        };
        let whole = layers.iter().any(|layer| !Kinds::of_type(layer).contains(Kinds::FLOAT));
        let noun = match is_duration(layers) {
            true => "a duration",
            false if whole => "a whole number",
            false => "a number",
        };
        for range in [Range::declared(layers), Range::of_types(layers)] {
            let what = match range.side(value) {
                Ordering::Equal => continue,
                Ordering::Less => "is too small",
                Ordering::Greater => "is too large",
            };
            let fault =
                Fault::of_value(self.shown(site), what).right(format!("write {noun} {range}"));
            self.note(site, fault);
            return;
        }
    }
}

impl Range {
    /// The bounds that the schema declares.
    pub(super) fn declared(layers: &[&Keywords]) -> Self {
        let mut range = Self { seconds: is_duration(layers), ..Self::default() };
        for layer in layers {
            let limit = |name| layer.get(name).and_then(Limit::of_json);
            for (name, open) in [("minimum", false), ("exclusiveMinimum", true)] {
                range.raise(limit(name), open);
            }
            for (name, open) in [("maximum", false), ("exclusiveMaximum", true)] {
                range.lower(limit(name), open);
            }
        }
        range
    }

    /// The bounds of the integer types, which the schema names but does not always spell out.
    fn of_types(layers: &[&Keywords]) -> Self {
        let mut range = Self::default();
        for layer in layers {
            let Some((low, high)) = layer.get("format").and_then(|f| bounds_of(f.as_str()?)) else {
                continue;
            };
            range.raise(Some(Limit::Int(low)), false);
            range.lower(Some(Limit::Int(high)), false);
        }
        range
    }

    pub(super) fn is_unbounded(&self) -> bool {
        self.low.is_none() && self.high.is_none()
    }

    fn raise(&mut self, limit: Option<Limit>, open: bool) {
        let Some(limit) = limit else { return };
        let order = self.low.map_or(Ordering::Greater, |low| limit.compare(low));
        if order == Ordering::Greater || (order == Ordering::Equal && open) {
            (self.low, self.low_open) = (Some(limit), open);
        }
    }

    fn lower(&mut self, limit: Option<Limit>, open: bool) {
        let Some(limit) = limit else { return };
        let order = self.high.map_or(Ordering::Less, |high| limit.compare(high));
        if order == Ordering::Less || (order == Ordering::Equal && open) {
            (self.high, self.high_open) = (Some(limit), open);
        }
    }

    /// The position of a number: below the range, in it, or above.
    fn side(&self, value: Limit) -> Ordering {
        let below = self.low.is_some_and(|low| match value.compare(low) {
            Ordering::Less => true,
            Ordering::Equal => self.low_open,
            Ordering::Greater => false,
        });
        let above = self.high.is_some_and(|high| match value.compare(high) {
            Ordering::Greater => true,
            Ordering::Equal => self.high_open,
            Ordering::Less => false,
        });
        match (below, above) {
            (true, _) => Ordering::Less,
            (_, true) => Ordering::Greater,
            _ => Ordering::Equal,
        }
    }
}

/// After a noun: `from 1 to 100`, `of 1 or more`, `above 0, up to 1`, `above 0s, up to 365 days`.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |limit: Limit| if self.seconds { limit.length() } else { limit.to_string() };
        match (self.low.map(show), self.high.map(show)) {
            (None, None) => Ok(()),
            (Some(low), None) if self.low_open => write!(f, "above {low}"),
            (Some(low), None) => write!(f, "of {low} or more"),
            (None, Some(high)) if self.high_open => write!(f, "below {high}"),
            (None, Some(high)) => write!(f, "of {high} or less"),
            (Some(low), Some(high)) => match (self.low_open, self.high_open) {
                (false, false) => write!(f, "from {low} to {high}"),
                (true, false) => write!(f, "above {low}, up to {high}"),
                (false, true) => write!(f, "from {low}, below {high}"),
                (true, true) => write!(f, "above {low}, below {high}"),
            },
        }
    }
}

fn is_duration(layers: &[&Keywords]) -> bool {
    layers.iter().any(|layer| layer.get("format").is_some_and(|format| format == "duration"))
}

impl Limit {
    fn of_json(value: &serde_json::Value) -> Option<Self> {
        let number = value.as_number()?;
        match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Some(Self::Int(value.into())),
            (_, Some(value)) => Some(Self::Int(value.into())),
            _ => number.as_f64().map(Self::Float),
        }
    }

    fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(&b),
            (a, b) => a.as_f64().total_cmp(&b.as_f64()),
        }
    }

    /// A number of seconds with the largest unit that it is a whole number of.
    fn length(self) -> String {
        match self.as_f64() {
            seconds if seconds > 86_400.0 && seconds % 86_400.0 == 0.0 => {
                format!("{} days", seconds / 86_400.0)
            }
            seconds if seconds > 0.0 && seconds % 3_600.0 == 0.0 => {
                format!("{}h", seconds / 3_600.0)
            }
            seconds if seconds % 1.0 == 0.0 => format!("{seconds}s"),
            seconds => format!("{}ms", seconds * 1_000.0),
        }
    }

    fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            // Minus zero is zero.
            Self::Float(value) => value + 0.0,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
        }
    }
}

/// The integer types by the names that schemas give them. A `usize` has 64 bits wherever we run.
fn bounds_of(format: &str) -> Option<(i128, i128)> {
    Some(match format {
        "uint8" => (0, u8::MAX.into()),
        "uint16" => (0, u16::MAX.into()),
        "uint32" => (0, u32::MAX.into()),
        "uint64" | "uint" => (0, u64::MAX.into()),
        "int8" => (i8::MIN.into(), i8::MAX.into()),
        "int16" => (i16::MIN.into(), i16::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        "int64" | "int" => (i64::MIN.into(), i64::MAX.into()),
        _ => return None,
    })
}
