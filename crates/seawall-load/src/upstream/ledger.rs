//! The ledger of calls: their source, their phase, and their result.
//!
//! A [`Call`] is entered when it arrives and settled exactly once, at the latest when it is dropped; so the counts of
//! every row add up to the calls received, less those still open. Sources come from a request header, which a client
//! writes: their number is bounded, and so is the log of arrivals.

use serde::{Deserialize, Serialize};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// More sources than this are counted together, as [`OTHER`].
const SOURCES: usize = 64;
const OTHER: &str = "other";

/// The results of the calls of one source in one phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The number of calls that arrived: all those below, and those that are not yet settled.
    pub received: u64,
    /// The number of calls that were answered with a 200 and the whole body.
    pub ok: u64,
    /// The number of calls that were answered with the error status.
    pub errors: u64,
    /// The number of calls that were answered with a 200, and broken off in the body.
    pub cut_off: u64,
    /// The number of calls that were accepted and never answered; counted here whether or not the client waits on.
    pub hung: u64,
    /// The number of calls whose client closed the connection before the end of an answer that it would have had.
    pub cancelled: u64,
    /// The number of calls whose connection the upstream closed: it began to refuse, or was stopped.
    pub broken: u64,
}

impl Counts {
    /// The number of calls that wait for their answer, or are reading it.
    pub fn open(&self) -> u64 {
        let settled = [self.ok, self.errors, self.cut_off, self.hung, self.cancelled, self.broken];
        self.received.saturating_sub(settled.iter().sum())
    }

    fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.ok += other.ok;
        self.errors += other.errors;
        self.cut_off += other.cut_off;
        self.hung += other.hung;
        self.cancelled += other.cancelled;
        self.broken += other.broken;
    }
}

/// The counts of one source in one phase: the phase in which the calls arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The value of the source header; `unknown` without one, `other` beyond 64 different ones.
    pub source: String,
    /// The name of the phase.
    pub phase: String,
    /// The results of the calls.
    pub counts: Counts,
}

/// Everything that was counted, in the order in which it first appeared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// A row for every source and phase that met.
    pub rows: Vec<Row>,
}

impl Table {
    /// The counts of one source in one phase; zeros if they never met.
    pub fn at(&self, source: &str, phase: &str) -> Counts {
        self.sum(|row| row.source == source && row.phase == phase)
    }

    /// The counts of one source over all phases.
    pub fn of_source(&self, source: &str) -> Counts {
        self.sum(|row| row.source == source)
    }

    /// The sum of the counts of all rows.
    pub fn total(&self) -> Counts {
        self.sum(|_| true)
    }

    fn sum(&self, belongs: impl Fn(&Row) -> bool) -> Counts {
        let mut sum = Counts::default();
        for row in self.rows.iter().filter(|row| belongs(row)) {
            sum.add(&row.counts);
        }
        sum
    }
}

/// The arrivals of the calls of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrivals {
    /// The arrivals in milliseconds from the timeline's start, in their order.
    pub offsets_ms: Vec<u32>,
    /// The number of arrivals after the log was full.
    pub not_kept: u64,
}

impl Arrivals {
    /// The number of kept arrivals within `from..to`, both from the timeline's start.
    pub fn within(&self, from: Duration, to: Duration) -> usize {
        let span = from.as_millis()..to.as_millis();
        self.offsets_ms.iter().filter(|ms| span.contains(&u128::from(**ms))).count()
    }
}

/// The result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Ok,
    Failed,
    CutOff,
    Hung,
    Broken,
}

#[derive(Debug)]
pub(super) struct Ledger {
    book: Mutex<Book>,
    arrivals_kept: usize,
}

#[derive(Debug, Default)]
struct Book {
    table: Table,
    sources: Vec<(String, Arrivals)>,
    arrived: u64,
    closing: bool,
}

impl Ledger {
    pub(super) fn new(arrivals_kept: usize) -> Self {
        Self { book: Mutex::default(), arrivals_kept }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn table(&self) -> Table {
        self.book().table.clone()
    }

    pub(super) fn arrivals(&self, source: &str) -> Arrivals {
        let book = self.book();
        let found = book.sources.iter().find(|(name, _)| name == source);
        found.map(|(_, arrivals)| arrivals.clone()).unwrap_or_default()
    }

    /// While closing, calls dropped unsettled were broken by us, not cancelled by their client.
    pub(super) fn set_closing(&self, closing: bool) {
        self.book().closing = closing;
    }

    /// Enters a call; `offset` is from the timeline's start.
    pub(super) fn arrive(self: &Arc<Self>, source: &str, phase: &str, offset: Duration) -> Call {
        let mut book = self.book();
        let source = book.source(source);
        let (name, arrivals) = &mut book.sources[source];
        if arrivals.offsets_ms.len() < self.arrivals_kept {
            arrivals.offsets_ms.push(u32::try_from(offset.as_millis()).unwrap_or(u32::MAX));
        } else {
            arrivals.not_kept += 1;
        }
        let name = name.clone();
        let nth = book.arrived;
        book.arrived += 1;
        let row = book.table.row(&name, phase);
        book.table.rows[row].counts.received += 1;
        drop(book);
        Call { ledger: Arc::clone(self), row, nth, settled: false }
    }
}

impl Book {
    /// The index of a source, entered when it is new.
    fn source(&mut self, name: &str) -> usize {
        let known = |name: &str| self.sources.iter().position(|(known, _)| known == name);
        if let Some(index) = known(name) {
            return index;
        }
        let full = self.sources.len() >= SOURCES;
        let name = if full { OTHER } else { name };
        if let Some(index) = known(name) {
            return index;
        }
        self.sources.push((name.to_owned(), Arrivals::default()));
        self.sources.len() - 1
    }
}

impl Table {
    /// The index of a row, entered when it is new. Rows are few, and never removed.
    fn row(&mut self, source: &str, phase: &str) -> usize {
        let is_it = |row: &Row| row.source == source && row.phase == phase;
        self.rows.iter().position(is_it).unwrap_or_else(|| {
            let counts = Counts::default();
            self.rows.push(Row { source: source.to_owned(), phase: phase.to_owned(), counts });
            self.rows.len() - 1
        })
    }
}

/// One call on its way. Dropped unsettled, it was cancelled by the client, or broken while closing.
#[derive(Debug)]
pub(super) struct Call {
    ledger: Arc<Ledger>,
    row: usize,
    nth: u64,
    settled: bool,
}

impl Call {
    /// The number of calls that arrived before this one, from all sources.
    pub(super) fn nth(&self) -> u64 {
        self.nth
    }

    /// Counts what the call came to; only the first time counts.
    pub(super) fn settle(&mut self, settled: Settled) {
        self.count(|counts, _| match settled {
            Settled::Ok => &mut counts.ok,
            Settled::Failed => &mut counts.errors,
            Settled::CutOff => &mut counts.cut_off,
            Settled::Hung => &mut counts.hung,
            Settled::Broken => &mut counts.broken,
        });
    }

    fn count(&mut self, column: impl FnOnce(&mut Counts, bool) -> &mut u64) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let mut book = self.ledger.book();
        let closing = book.closing;
        *column(&mut book.table.rows[self.row].counts, closing) += 1;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.count(
            |counts, closing| {
                if closing { &mut counts.broken } else { &mut counts.cancelled }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(arrivals_kept: usize) -> Arc<Ledger> {
        Arc::new(Ledger::new(arrivals_kept))
    }

    #[test]
    fn a_call_settles_once_and_rows_add_up() {
        let ledger = ledger(10);
        let mut answered = ledger.arrive("a", "healthy", Duration::ZERO);
        answered.settle(Settled::Ok);
        answered.settle(Settled::Failed);
        drop(answered);
        let open = ledger.arrive("a", "healthy", Duration::ZERO);
        drop(ledger.arrive("a", "outage", Duration::ZERO));
        drop(ledger.arrive("b", "outage", Duration::ZERO));
        let table = ledger.table();
        let healthy = Counts { received: 2, ok: 1, ..Counts::default() };
        assert_eq!(table.at("a", "healthy"), healthy);
        assert_eq!(healthy.open(), 1);
        assert_eq!(table.at("b", "healthy"), Counts::default());
        assert_eq!(table.of_source("a"), Counts { received: 3, ok: 1, cancelled: 1, ..healthy });
        assert_eq!((table.total().received, table.total().open()), (4, 1));
        ledger.set_closing(true);
        drop(open);
        assert_eq!(ledger.table().at("a", "healthy"), Counts { broken: 1, ..healthy });
    }

    #[test]
    fn arrivals_are_bounded_and_say_so() {
        let ledger = ledger(2);
        for ms in [5, 70, 90] {
            drop(ledger.arrive("a", "x", Duration::from_millis(ms)));
        }
        let arrivals = ledger.arrivals("a");
        assert_eq!(arrivals, Arrivals { offsets_ms: vec![5, 70], not_kept: 1 });
        let ms = Duration::from_millis;
        assert_eq!((arrivals.within(ms(5), ms(70)), arrivals.within(ms(0), ms(100))), (1, 2));
        assert_eq!(ledger.arrivals("nobody"), Arrivals::default());
    }

    #[test]
    fn sources_are_bounded() {
        let ledger = ledger(0);
        for n in 0..200 {
            drop(ledger.arrive(&format!("client-{n}"), "x", Duration::ZERO));
        }
        let table = ledger.table();
        assert_eq!(table.rows.len(), SOURCES + 1);
        assert_eq!(table.of_source(OTHER).received, 200 - SOURCES as u64);
        assert_eq!(table.total().received, 200);
    }
}
