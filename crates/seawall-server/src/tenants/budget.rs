//! What a tenant has spent in the present hour, day and month, and which of its budgets are used up. Pure: times come in.

use super::usage::NANOS;
use crate::{
    config::{BudgetConfig, BudgetUnit, Period},
    wall_clock,
};
use serde::{Deserialize, Serialize};
use std::time::UNIX_EPOCH;

pub(super) const PERIODS: [Period; 3] = [Period::Hour, Period::Day, Period::Month];

/// An amount of everything that budgets count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spent {
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
    /// Money in billionths.
    pub(crate) money: u64,
}

impl Spent {
    pub(super) fn of(&self, unit: BudgetUnit) -> f64 {
        match unit {
            BudgetUnit::Requests => self.requests as f64,
            BudgetUnit::Tokens => self.tokens as f64,
            BudgetUnit::Money => self.money as f64 / NANOS,
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.money = self.money.saturating_add(other.money);
    }

    pub(super) fn subtract(&mut self, other: Self) {
        self.requests = self.requests.saturating_sub(other.requests);
        self.tokens = self.tokens.saturating_sub(other.tokens);
        self.money = self.money.saturating_sub(other.money);
    }

    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// When a period of the calendar begins and ends, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Span {
    /// The period that contains this time.
    pub(super) fn containing(period: Period, now: u64) -> Self {
        const HOUR: u64 = 3_600_000;
        let length = match period {
            Period::Hour => HOUR,
            Period::Day => 24 * HOUR,
            Period::Month => return month(now).unwrap_or(Self { start: 0, end: u64::MAX }),
        };
        let start = now - now % length;
        Self { start, end: start.saturating_add(length) }
    }
}

/// The month that contains this time; none where the time is beyond the calendar.
fn month(now: u64) -> Option<Span> {
    // RFC 3339: a year of four digits, and the month.
    let text = wall_clock::text(now);
    let (year, month) = (text.get(..4)?.parse::<u32>().ok()?, text.get(5..7)?.parse::<u32>().ok()?);
    let first_of = |year: u32, month: u32| {
        let first = humantime::parse_rfc3339(&format!("{year:04}-{month:02}-01T00:00:00Z")).ok()?;
        u64::try_from(first.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
    };
    let end = if month == 12 { first_of(year + 1, 1) } else { first_of(year, month + 1) };
    Some(Span { start: first_of(year, month)?, end: end? })
}

/// What was spent in one period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InPeriod {
    /// When the period began, in milliseconds since 1970.
    pub(super) start: u64,
    pub(super) spent: Spent,
}

impl InPeriod {
    /// Begins from the start where another period has begun. A clock that was set back begins none: what was spent stays spent until
    /// the period that it counts in is over.
    fn roll(&mut self, period: Period, now: u64) {
        let span = Span::containing(period, now);
        if span.start > self.start {
            *self = Self { start: span.start, ..Self::default() };
        }
    }
}

/// What was spent in the present hour, day and month.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spending {
    pub(super) periods: [InPeriod; 3],
}

impl Spending {
    /// Begins the periods that are over from the start.
    pub(super) fn roll(&mut self, now: u64) {
        for (period, spent) in PERIODS.into_iter().zip(&mut self.periods) {
            spent.roll(period, now);
        }
    }

    pub(super) fn add(&mut self, now: u64, spent: Spent) {
        self.roll(now);
        self.periods.iter_mut().for_each(|period| period.spent.add(spent));
    }

    /// A request that was counted was none.
    pub(super) fn take_back_request(&mut self) {
        for period in &mut self.periods {
            period.spent.requests = period.spent.requests.saturating_sub(1);
        }
    }

    pub(super) fn of(&self, period: Period) -> &InPeriod {
        match period {
            Period::Hour => &self.periods[0],
            Period::Day => &self.periods[1],
            Period::Month => &self.periods[2],
        }
    }

    /// Whether nothing is spent in any period.
    pub(super) fn is_nothing(&self) -> bool {
        self.periods.iter().all(|period| period.spent.is_nothing())
    }

    /// How a budget stands, with what is reserved for requests in progress.
    pub(super) fn standing(&self, budget: &BudgetConfig, reserved: Spent, now: u64) -> Standing {
        let used = self.of(budget.per).spent.of(budget.unit);
        Standing {
            unit: budget.unit,
            per: budget.per,
            limit: budget.limit,
            warn_at: budget.warn_at,
            used,
            reserved: reserved.of(budget.unit),
            resets_at: Span::containing(budget.per, now.max(self.of(budget.per).start)).end,
        }
    }
}

/// One budget, with what is used and what is expected of requests in progress.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Standing {
    pub(crate) unit: BudgetUnit,
    pub(crate) per: Period,
    pub(crate) limit: f64,
    pub(crate) warn_at: f64,
    pub(crate) used: f64,
    /// What is expected of requests in progress.
    pub(crate) reserved: f64,
    /// When it is whole again, in milliseconds since 1970.
    pub(crate) resets_at: u64,
}

impl Standing {
    /// Whether a further request is refused.
    pub(crate) fn is_used_up(&self) -> bool {
        self.used + self.reserved >= self.limit
    }

    /// Whether so much is spent that a warning is raised.
    pub(crate) fn is_warned(&self) -> bool {
        self.used >= self.limit * self.warn_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    #[test]
    fn periods_are_those_of_the_calendar() {
        // 2024-02-29T23:59:59.999Z
        let leap = 1_709_251_199_999;
        let month = Span::containing(Period::Month, leap);
        assert_eq!((month.start, month.end), (1_706_745_600_000, leap + 1));
        assert_eq!(Span::containing(Period::Month, leap + 1).start, leap + 1);
        assert_eq!(Span::containing(Period::Day, leap).end, leap + 1);
        assert_eq!(Span::containing(Period::Hour, leap).start, leap + 1 - 3_600_000);
        // 2023-12-31 ends its year.
        assert_eq!(Span::containing(Period::Month, 1_704_067_199_999).end, 1_704_067_200_000);
        assert_eq!(Span::containing(Period::Month, u64::MAX).end, u64::MAX);
    }

    #[test]
    fn a_period_that_is_over_counts_no_more_and_a_clock_set_back_forgives_nothing() {
        let spent = Spent { requests: 1, tokens: 100, money: 0 };
        let (mut spending, now) = (Spending::default(), 1_700_000_000_000);
        spending.add(now, spent);
        spending.add(now + DAY, spent);
        let tokens = |spending: &Spending| PERIODS.map(|period| spending.of(period).spent.tokens);
        assert_eq!(tokens(&spending), [100, 100, 200]);
        spending.roll(now);
        assert_eq!(tokens(&spending), [100, 100, 200]);
        spending.roll(now + 40 * DAY);
        assert_eq!(tokens(&spending), [0, 0, 0]);
    }

    #[test]
    fn requests_in_progress_count_with_what_is_expected_of_them() {
        let budget = BudgetConfig {
            unit: BudgetUnit::Tokens,
            limit: 1_000.0,
            per: Period::Hour,
            ..BudgetConfig::default()
        };
        let (mut spending, now) = (Spending::default(), 1_700_000_000_000);
        spending.add(now, Spent { tokens: 700, ..Spent::default() });
        let reserved = |tokens| Spent { tokens, ..Spent::default() };
        let standing = |tokens| spending.standing(&budget, reserved(tokens), now);
        assert!(!standing(299).is_used_up() && standing(300).is_used_up());
        assert!(!standing(299).is_warned());
        assert_eq!(standing(0).resets_at, Span::containing(Period::Hour, now).end);
    }
}
