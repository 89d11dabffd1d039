//! Ranges that the values of a field are held to: in words for people, and as keywords for JSON Schema.

use std::{
    fmt,
    ops::Bound::{self, Excluded, Included, Unbounded},
    time::Duration,
};

/// A type whose values can be held to a range.
pub trait Bounded: Copy + PartialOrd + fmt::Debug {
    /// What a value out of the range should be, such as `a whole number from 1 to 100`; `self` is the value.
    fn right(self, low: Bound<Self>, high: Bound<Self>) -> String;

    /// Sets a keyword of the schema, such as `maximum`, to this value.
    #[cfg(feature = "schema")]
    fn write(self, keyword: &str, schema: &mut schemars::Schema);
}

macro_rules! whole_numbers {
    ($($type:ty),*) => {
        $(
            impl Bounded for $type {
                fn right(self, low: Bound<Self>, high: Bound<Self>) -> String {
                    words("a whole number", low, high)
                }

                #[cfg(feature = "schema")]
                fn write(self, keyword: &str, schema: &mut schemars::Schema) {
                    schema.insert(keyword.to_owned(), self.into());
                }
            }
        )*
    };
}
whole_numbers!(u32, u64, usize);

impl Bounded for f64 {
    fn right(self, low: Bound<Self>, high: Bound<Self>) -> String {
        let is = |bound: Bound<Self>, value: Self| match bound {
            Included(bound) | Excluded(bound) => bound == value,
            Unbounded => false,
        };
        let noun = if is(low, 0.0) && is(high, 1.0) { "a share" } else { "a number" };
        words(noun, low, high)
    }

    #[cfg(feature = "schema")]
    fn write(self, keyword: &str, schema: &mut schemars::Schema) {
        schema.insert(keyword.to_owned(), self.into());
    }
}

impl Bounded for Duration {
    fn right(self, low: Bound<Self>, high: Bound<Self>) -> String {
        match (low.map(Length), high.map(Length)) {
            (Excluded(_), _) if self.is_zero() => "more than 0".to_owned(),
            (Excluded(_) | Unbounded, Included(high)) => format!("at most {high}"),
            (low, high) => words("a duration", low, high),
        }
    }

    /// Sets the keyword to the duration in seconds, as files have durations that are numbers.
    #[cfg(feature = "schema")]
    fn write(self, keyword: &str, schema: &mut schemars::Schema) {
        let whole = self.subsec_nanos() == 0;
        let seconds = if whole { self.as_secs().into() } else { self.as_secs_f64().into() };
        schema.insert(keyword.to_owned(), seconds);
    }
}

/// `a number over 0 and up to 1`.
fn words<T: fmt::Display>(noun: &str, low: Bound<T>, high: Bound<T>) -> String {
    match (low, high) {
        (Included(low), Included(high)) => format!("{noun} from {low} to {high}"),
        (Included(low), Excluded(high)) => format!("{noun} from {low} to under {high}"),
        (Included(low), Unbounded) => format!("{noun} of at least {low}"),
        (Excluded(low), Included(high)) => format!("{noun} over {low} and up to {high}"),
        (Excluded(low), Excluded(high)) => format!("{noun} over {low} and under {high}"),
        (Excluded(low), Unbounded) => format!("{noun} over {low}"),
        (Unbounded, Included(high)) => format!("{noun} up to {high}"),
        (Unbounded, Excluded(high)) => format!("{noun} under {high}"),
        (Unbounded, Unbounded) => noun.to_owned(),
    }
}

/// A bound of durations: a whole number of its largest unit, such as `30 days`, `24h`, `60s` or `100ms`.
struct Length(Duration);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0 => write!(f, "{}ms", self.0.as_millis()),
            _ if seconds > 86_400 && seconds.is_multiple_of(86_400) => {
                write!(f, "{} days", seconds / 86_400)
            }
            _ if seconds.is_multiple_of(3_600) => write!(f, "{}h", seconds / 3_600),
            _ => write!(f, "{seconds}s"),
        }
    }
}

/// Writes the bounds of a range into the schema of a field, in place of those that its type has.
#[cfg(feature = "schema")]
#[doc(hidden)]
pub fn schema<T: Bounded>(
    range: impl std::ops::RangeBounds<T>,
) -> impl FnMut(&mut schemars::Schema) {
    let (low, high) = (range.start_bound().cloned(), range.end_bound().cloned());
    move |schema| {
        match low {
            Included(low) => low.write("minimum", schema),
            Excluded(low) => {
                schema.remove("minimum");
                low.write("exclusiveMinimum", schema);
            }
            Unbounded => {}
        }
        match high {
            Included(high) => high.write("maximum", schema),
            Excluded(high) => high.write("exclusiveMaximum", schema),
            Unbounded => {}
        }
    }
}

/// A length of this many milliseconds, for ranges and defaults.
pub const fn millis(length: u64) -> Duration {
    Duration::from_millis(length)
}

/// A length of this many seconds, for ranges and defaults.
pub const fn secs(length: u64) -> Duration {
    Duration::from_secs(length)
}

/// A length of this many hours of 60 minutes, for ranges and defaults.
pub const fn hours(length: u64) -> Duration {
    Duration::from_secs(length * 3_600)
}

/// A length of this many days of 24 hours, for ranges and defaults.
pub const fn days(length: u64) -> Duration {
    hours(length * 24)
}
