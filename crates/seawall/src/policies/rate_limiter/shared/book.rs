//! The book of a shared limit: the leases of each key, the calls that wait for one, and what is to be asked of the store.
//! Pure state; who holds the lock wakes whom it names.

use super::{LimitAsk, LimitGrant, LimitSettlement, Taken};
use crate::{attributes::Key, time::Instant};
use std::{
    collections::{HashMap, VecDeque},
    task::Waker,
    time::Duration,
};

/// Calls that may wait for the store at once; further ones are decided as if it were lost.
const MOST_WAITING: usize = 100_000;

/// Those to wake when the lock is free again.
pub(super) type Wakers = Vec<Waker>;

#[derive(Debug)]
pub(super) struct Book {
    /// The map hashes keys once more, since keys that processes share may be chosen by strangers.
    accounts: HashMap<Key, Account>,
    /// The calls that wait, and those that have their verdict and have not noticed yet; by ticket.
    calls: HashMap<u64, Call>,
    next_ticket: u64,
    /// Keys with something to ask.
    outbox: VecDeque<Key>,
    /// Wakes the connector.
    connector: Option<Waker>,
    /// Whether the store answers.
    pub(super) connected: bool,
    /// Whether calls gave up waiting and the connector has not noticed yet.
    gave_up: bool,
    /// Counts losses: what was asked before the last one is no longer waited for.
    era: u64,
    lease: u32,
    lease_time: Duration,
    max_keys: usize,
}

/// What is known of one key.
#[derive(Debug, Default)]
struct Account {
    /// Calls that were granted and not made yet, and until when they may be made.
    available: u32,
    valid_until: Instant,
    /// Calls that cost so much or more are refused until then.
    refused_cost: u32,
    refused_until: Instant,
    /// The store had no answer for this key: until then its calls are decided without it.
    failed_until: Instant,
    /// Tickets in the order of arrival, and what they cost together.
    queue: VecDeque<u64>,
    needed: u32,
    /// The era in which it was put into the outbox, and the one in which the store was asked; 0 for neither.
    listed: u64,
    asking: u64,
    /// How many calls were taken in advance the last time, and until when they may be made.
    ahead: u32,
    ahead_until: Instant,
    /// What calls used beyond what they took, and what they left, since the store heard of it last.
    settlement: LimitSettlement,
    /// When the first of those calls was counted that left something.
    left_from: Instant,
    /// What the store last said is left for everyone, and until when nothing would be used up.
    remaining: u32,
    reset_at: Instant,
}

#[derive(Debug)]
struct Call {
    key: Key,
    cost: u32,
    waker: Waker,
    verdict: Option<Verdict>,
}

/// What became of a call that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may be made.
    Granted,
    /// It may not; another try could succeed at this instant.
    Refused(Instant),
    /// The store does not answer.
    Lost,
}

/// The answer to a call that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Decided(Verdict),
    Waits { ticket: u64 },
}

impl Book {
    pub(super) fn new(lease: Option<u32>, lease_time: Duration, max_keys: usize) -> Self {
        Self {
            accounts: HashMap::new(),
            calls: HashMap::new(),
            next_ticket: 0,
            outbox: VecDeque::new(),
            connector: None,
            connected: false,
            gave_up: false,
            era: 1,
            lease: lease.unwrap_or(0),
            lease_time,
            max_keys,
        }
    }

    /// Decides a call from the lease of its key; otherwise it waits for the store, and this waker is woken. Without a waker
    /// it cannot wait: the store is asked in advance for the next one.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        key: Key,
        cost: u32,
        waker: Option<&Waker>,
        wakers: &mut Wakers,
    ) -> Admission {
        let key = self.place(key, now);
        let (era, lease, connected) = (self.era, self.lease, self.connected);
        let full = self.calls.len() >= MOST_WAITING;
        let account = self.accounts.entry(key).or_default();
        account.expire(now);
        let verdict = if account.queue.is_empty() && cost <= account.available {
            account.available -= cost;
            // Asked again when half of what was taken the last time is used up.
            let low = lease > 0 && account.available < account.ahead.div_ceil(2);
            if low && connected && account.is_open(now, 1) {
                self.list(key, wakers);
            }
            return Admission::Decided(Verdict::Granted);
        } else if !account.is_open(now, cost) {
            Verdict::Refused(account.refused_until)
        } else if !connected || full || now < account.failed_until {
            Verdict::Lost
        } else if let Some(waker) = waker {
            let ticket = self.next_ticket;
            self.next_ticket += 1;
            account.queue.push_back(ticket);
            account.needed = account.needed.saturating_add(cost);
            let call = Call { key, cost, waker: waker.clone(), verdict: None };
            self.calls.insert(ticket, call);
            self.list(key, wakers);
            return Admission::Waits { ticket };
        } else {
            account.ahead = account.ahead.max(cost);
            if account.asking != era {
                self.list(key, wakers);
            }
            Verdict::Refused(now)
        };
        Admission::Decided(verdict)
    }

    /// Corrects what a call took to what it has used, by the next question for its key. Says whether the store can be told.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        key: Key,
        taken: Taken,
        used: u32,
        wakers: &mut Wakers,
    ) -> bool {
        if !self.connected {
            return false;
        }
        let key = self.place(key, now);
        let account = self.accounts.entry(key).or_default();
        let LimitSettlement { beyond, left, .. } = &mut account.settlement;
        if used > taken.cost {
            *beyond = beyond.saturating_add(used - taken.cost);
        } else {
            account.left_from = if *left == 0 { taken.at } else { account.left_from.min(taken.at) };
            *left = left.saturating_add(taken.cost - used);
            // What goes back may be enough for a call that was refused.
            account.refused_until = Instant::EPOCH;
        }
        self.list(key, wakers);
        true
    }

    /// The key under which a call is counted: its own, or the one that all share for which there is no place.
    fn place(&mut self, key: Key, now: Instant) -> Key {
        if self.accounts.len() < self.max_keys || self.accounts.contains_key(&key) {
            return key;
        }
        let era = self.era;
        self.accounts.retain(|_, account| !account.is_idle(now, era));
        if self.accounts.len() < self.max_keys { key } else { Key::NONE }
    }

    /// Puts a key into the outbox, unless it is there or the store has its question.
    fn list(&mut self, key: Key, wakers: &mut Wakers) {
        let Some(account) = self.accounts.get_mut(&key) else { return };
        if account.listed == self.era || account.asking == self.era {
            return;
        }
        account.listed = self.era;
        self.outbox.push_back(key);
        wakers.extend(self.connector.take());
    }

    /// At most so many questions for the store; empty where there are none.
    pub(super) fn asks(&mut self, now: Instant, most: usize) -> Vec<LimitAsk> {
        let mut asks = Vec::new();
        while asks.len() < most {
            let Some(key) = self.outbox.pop_front() else { break };
            let Some(account) = self.accounts.get_mut(&key) else { continue };
            account.listed = 0;
            let first = account.queue.front().and_then(|ticket| self.calls.get(ticket));
            let first = first.map_or(0, |call| call.cost);
            account.expire(now);
            if self.lease > 0 {
                account.plan(now, self.lease, self.lease_time);
            }
            let ahead = account.ahead.saturating_sub(account.available);
            let needed = account.needed.saturating_sub(account.available);
            let mut settlement = std::mem::take(&mut account.settlement);
            if settlement.left > 0 {
                settlement.left_since = now.since(account.left_from);
            }
            if needed == 0 && ahead == 0 && settlement.is_empty() {
                continue;
            }
            account.asking = self.era;
            let (first, era) = (first.min(needed), self.era);
            asks.push(LimitAsk { key, first, needed, ahead, settlement, asked_at: now, era });
        }
        asks
    }

    /// Whether the connector should look whether the store answers.
    pub(super) fn should_probe(&mut self) -> bool {
        std::mem::take(&mut self.gave_up)
    }

    /// Keeps the waker of the connector.
    pub(super) fn wait_for_asks(&mut self, waker: &Waker) {
        self.connector = Some(waker.clone());
    }

    /// The store answered: what it granted goes to those who wait, in their order.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        ask: &LimitAsk,
        grant: &LimitGrant,
        wakers: &mut Wakers,
    ) {
        let (lease, lease_time) = (self.lease, self.lease_time);
        let Some(account) = self.accounts.get_mut(&ask.key) else { return };
        if account.asking == ask.era {
            account.asking = 0;
        }
        account.expire(now);
        if grant.calls > 0 {
            account.available = account.available.saturating_add(grant.calls);
            account.valid_until = ask.asked_at + lease_time;
        }
        if lease == 0 {
            account.ahead = 0;
        }
        account.remaining = grant.remaining;
        account.reset_at = now + grant.reset_after;
        if let Some(retry_after) = grant.retry_after {
            account.refused_cost = ask.first.max(1);
            account.refused_until = now + retry_after;
        }
        let calls = &mut self.calls;
        let mut stay = VecDeque::new();
        while let Some(ticket) = account.queue.pop_front() {
            let Some(call) = calls.get_mut(&ticket) else { continue };
            let verdict = if call.cost <= account.available && stay.is_empty() {
                account.available -= call.cost;
                Verdict::Granted
            } else if !account.is_open(now, call.cost) {
                Verdict::Refused(account.refused_until)
            } else {
                stay.push_back(ticket);
                continue;
            };
            account.needed = account.needed.saturating_sub(call.cost);
            call.verdict = Some(verdict);
            wakers.push(call.waker.clone());
        }
        account.queue = stay;
        if account.queue.is_empty() {
            account.needed = 0;
        }
        if !account.queue.is_empty() || !account.settlement.is_empty() {
            self.list(ask.key, wakers);
        }
    }

    /// The store had no answer to this question, though it may have others: the calls of this key do not wait until then.
    pub(super) fn failed(&mut self, ask: &LimitAsk, until: Instant, wakers: &mut Wakers) {
        let Some(account) = self.accounts.get_mut(&ask.key) else { return };
        if account.asking == ask.era {
            account.asking = 0;
        }
        account.failed_until = until;
        account.needed = 0;
        for ticket in std::mem::take(&mut account.queue) {
            if let Some(call) = self.calls.get_mut(&ticket) {
                call.verdict = Some(Verdict::Lost);
                wakers.push(call.waker.clone());
            }
        }
    }

    /// The verdict on a waiting call, which is forgotten with it; otherwise the waker is kept.
    pub(super) fn poll(&mut self, ticket: u64, waker: &Waker) -> Option<Verdict> {
        let call = self.calls.get_mut(&ticket)?;
        if call.verdict.is_none() {
            call.waker.clone_from(waker);
            return None;
        }
        self.calls.remove(&ticket)?.verdict
    }

    /// A call no longer waits. What it was granted goes back into the lease of its key.
    pub(super) fn leave(&mut self, ticket: u64, wakers: &mut Wakers) {
        let Some(call) = self.calls.remove(&ticket) else { return };
        let Some(account) = self.accounts.get_mut(&call.key) else { return };
        match call.verdict {
            Some(Verdict::Granted) => {
                account.available = account.available.saturating_add(call.cost);
                if !account.queue.is_empty() {
                    self.list(call.key, wakers);
                }
            }
            Some(_) => {}
            None => {
                account.queue.retain(|waiting| *waiting != ticket);
                account.needed = account.needed.saturating_sub(call.cost);
            }
        }
    }

    /// Forgets that the store refused this key: it is asked again.
    pub(super) fn allow(&mut self, key: Key) {
        if let Some(account) = self.accounts.get_mut(&key) {
            account.refused_until = Instant::EPOCH;
        }
    }

    /// The store answers again, or for the first time.
    pub(super) fn connect(&mut self) {
        self.connected = true;
        self.gave_up = false;
    }

    /// The store does not answer: nobody waits for it any longer. `probe` tells the connector. Says whether that is new.
    pub(super) fn lose(&mut self, probe: bool, wakers: &mut Wakers) -> bool {
        let is_new = std::mem::take(&mut self.connected);
        self.era += 1;
        self.outbox.clear();
        for call in self.calls.values_mut().filter(|call| call.verdict.is_none()) {
            call.verdict = Some(Verdict::Lost);
            wakers.push(call.waker.clone());
            if let Some(account) = self.accounts.get_mut(&call.key) {
                account.queue.clear();
                account.needed = 0;
            }
        }
        if probe {
            self.gave_up = true;
            wakers.extend(self.connector.take());
        }
        is_new
    }

    /// What is left for a key as far as this instance knows, and until when nothing would be used up; nothing of a key that
    /// it does not know.
    pub(super) fn left(&self, now: Instant, key: Key) -> Option<(u32, Instant)> {
        let account = self.accounts.get(&key)?;
        let lease = if now < account.valid_until { account.available } else { 0 };
        let known = now < account.reset_at;
        known.then(|| (account.remaining.saturating_add(lease), account.reset_at))
    }

    /// Calls that wait, or have not noticed their verdict.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.calls.len()
    }

    /// The keys that have an account of their own.
    pub(super) fn each_key(&self) -> Vec<Key> {
        self.accounts.keys().copied().filter(|key| *key != Key::NONE).collect()
    }

    /// How many keys are remembered.
    pub(super) fn keys(&self) -> usize {
        self.accounts.len()
    }
}

impl Account {
    /// Forgets a lease that is over.
    fn expire(&mut self, now: Instant) {
        if now >= self.valid_until {
            self.available = 0;
        }
    }

    /// How many calls to take in advance: twice as many as the last time where those are nearly used before they are over,
    /// half as many otherwise.
    fn plan(&mut self, now: Instant, lease: u32, lease_time: Duration) {
        let nearly_used = now < self.ahead_until;
        self.ahead =
            if nearly_used { (2 * self.ahead).clamp(1, lease) } else { self.ahead.min(lease) / 2 };
        self.ahead_until = now + lease_time;
    }

    /// Whether the store may be asked for a call of this cost: it has not just refused one.
    fn is_open(&self, now: Instant, cost: u32) -> bool {
        now >= self.refused_until || cost < self.refused_cost
    }

    /// Whether it says no more than a new one.
    fn is_idle(&self, now: Instant, era: u64) -> bool {
        let leased = self.available > 0 && now < self.valid_until;
        let busy = self.asking == era
            || self.listed == era
            || !self.queue.is_empty()
            || !self.settlement.is_empty();
        !leased && !busy && now >= self.refused_until && now >= self.failed_until
    }
}
