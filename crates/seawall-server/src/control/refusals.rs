//! Refused requests to the control plane: counted by reason, and written to the log and the audit log at a bounded
//! rate, so that a flood of them neither fills a disk nor pushes out who changed what.

use super::{Control, audit::Refused};
use crate::access::Peer;
use axum::{extract::Request, http::StatusCode};
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The reason why a request to the control plane was refused before it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A key is needed, and none was sent.
    NoKey,
    /// The key that was sent is not one of the server's.
    WrongKey,
    /// The key may only read.
    ReadOnlyKey,
    /// Without keys, another host than loopback was named.
    ForbiddenHost,
    /// A page of another site sent it.
    ForeignSite,
}

impl Reason {
    pub(crate) const ALL: [Self; 5] =
        [Self::NoKey, Self::WrongKey, Self::ReadOnlyKey, Self::ForbiddenHost, Self::ForeignSite];

    /// The name of the reason in metrics and in the audit log.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::WrongKey => "wrong_key",
            Self::ReadOnlyKey => "read_only_key",
            Self::ForbiddenHost => "forbidden_host",
            Self::ForeignSite => "foreign_site",
        }
    }

    /// The status of the answer.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::NoKey | Self::WrongKey => StatusCode::UNAUTHORIZED,
            Self::ReadOnlyKey | Self::ForbiddenHost | Self::ForeignSite => StatusCode::FORBIDDEN,
        }
    }

    /// Whether such refusals are logged. Asking without a key is how a client learns that it needs one, and a key that
    /// may only read has its entry in the audit log in any case.
    fn is_logged(self) -> bool {
        !matches!(self, Self::NoKey | Self::ReadOnlyKey)
    }
}

/// The most log lines, and as many audit entries, of one reason in one period.
const MOST: u32 = 10;
const PERIOD: Duration = Duration::from_secs(60);

/// The numbers of refused requests, by reason.
#[derive(Default)]
pub(crate) struct Refusals([Tally; Reason::ALL.len()]);

#[derive(Default)]
struct Tally {
    count: AtomicU64,
    quota: Mutex<Quota>,
}

#[derive(Default)]
struct Quota {
    since: Option<Instant>,
    lines: u32,
    passed_over: u64,
}

impl Quota {
    /// Whether one more refusal may be logged in this period; if so, how many were left out before it.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.duration_since(since) >= PERIOD) {
            (self.since, self.lines) = (Some(now), 0);
        }
        if self.lines == MOST {
            self.passed_over = self.passed_over.saturating_add(1);
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.passed_over))
    }
}

impl Refusals {
    /// The number of requests that were refused for this reason.
    pub(crate) fn count(&self, reason: Reason) -> u64 {
        self.tally(reason).count.load(Ordering::Relaxed)
    }

    fn tally(&self, reason: Reason) -> &Tally {
        &self.0[reason as usize]
    }

    /// Counts a refusal. If it is to be logged, the answer is how many were left out before it.
    fn note(&self, reason: Reason, now: Instant) -> Option<u64> {
        let tally = self.tally(reason);
        tally.count.fetch_add(1, Ordering::Relaxed);
        let mut quota = tally.quota.lock().unwrap_or_else(PoisonError::into_inner);
        reason.is_logged().then(|| quota.admit(now)).flatten()
    }
}

/// Counts a refused request and writes it to the log; the future adds it to the audit log. The future does not hold
/// the request, whose body cannot be sent to another thread.
pub(super) fn refused<'c>(
    control: &'c Control,
    request: &Request,
    reason: Reason,
    what: &str,
) -> impl Future<Output = ()> + use<'c> {
    let noted = control.refusals.note(reason, Instant::now());
    let refused = noted.map(|passed_over| line(request, reason, what, passed_over));
    async move {
        if let Some(refused) = refused {
            super::audit::note_refused(control, refused).await;
        }
    }
}

fn line(request: &Request, reason: Reason, what: &str, passed_over: u64) -> Refused {
    let from = request.extensions().get::<Peer>().map(|peer| peer.0.to_string());
    let refused = Refused {
        from: from.unwrap_or_default(),
        method: request.method().to_string(),
        path: super::audit::path_of(request),
        status: reason.status().as_u16(),
        reason: match passed_over {
            0 => format!("{}{what}", reason.label()),
            more => format!("{}{what}, and {more} more before", reason.label()),
        },
    };
    let Refused { from, method, path, status, reason } = &refused;
    tracing::warn!(from, status, reason, "refused: {method} {path}");
    refused
}

/// A text from an untrusted client, made fit for a log: short, and without the control characters that a terminal
/// would obey.
pub(super) fn plain(word: &str) -> String {
    word.chars().take(100).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_whole_and_logged_in_part() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let logged = |now| {
            let noted = (0..1000).map(|_| refusals.note(Reason::WrongKey, now));
            noted.filter(Option::is_some).count()
        };
        assert_eq!(logged(start), 10);
        assert_eq!(logged(start + PERIOD / 2), 0);
        assert_eq!(refusals.note(Reason::WrongKey, start + PERIOD), Some(1990));
        assert_eq!(refusals.note(Reason::WrongKey, start + PERIOD), Some(0));
        assert_eq!(refusals.note(Reason::ForbiddenHost, start), Some(0), "each reason of its own");
        assert_eq!(refusals.note(Reason::NoKey, start), None);
        assert_eq!(Reason::ALL.map(|reason| refusals.count(reason)), [1, 2002, 0, 1, 0]);
    }
}
