//! Instances of one circuit in virtual time, with a store that is slow, forgets and gets lost.

use super::*;
use crate::{
    event::{Event, Kind, Observer, State},
    pipeline::Pipeline,
    policies::circuit_breaker::{
        CircuitBreaker, CircuitBreakerConfig, CircuitView, Force, Permit, breaker,
    },
    policy::Mode,
    rejection::Reason,
};
use std::{
    sync::Mutex as StdMutex,
    task::{Context, Poll},
};
use store::{Answer, Store};

mod alone;
mod keyed;
mod operated;
mod random;
mod store;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(n: u64) -> Instant {
    Instant::from_millis(1_000_000 + n)
}

/// One failure opens it, for a second.
fn config() -> CircuitBreakerConfig {
    let one = breaker().failure_threshold(1).recovery_timeout(ms(1_000)).recovery_jitter(0.0);
    one.shared(SharedCircuit::default())
}

#[derive(Default)]
struct Heard(StdMutex<Vec<Kind>>);

impl Observer for Heard {
    fn observe(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(event.kind);
    }
}

/// One instance: its pipeline of one shared breaker, and what a connector sees of it.
struct Instance {
    member: String,
    pipeline: Pipeline,
    circuits: SharedCircuits,
    heard: Arc<Heard>,
}

type Probe = Permit;

impl Instance {
    fn new(n: usize, config: CircuitBreakerConfig) -> Self {
        let heard = Arc::new(Heard::default());
        let pipeline = Pipeline::build("op", &[config.into()]).unwrap();
        let pipeline = pipeline.with_observer(heard.clone());
        let circuits = pipeline.shared_circuits().remove(0);
        let member = format!("{n}/{}", circuits.member());
        Self { member, pipeline, circuits, heard }
    }

    fn breaker(&self) -> &Arc<CircuitBreaker> {
        self.pipeline.circuit_breaker().unwrap()
    }

    fn view(&self, now: Instant) -> CircuitView {
        self.pipeline.circuit(now).unwrap()
    }

    fn state(&self, now: Instant) -> State {
        self.view(now).state
    }

    fn call(&self, now: Instant) -> Result<Probe, Reason> {
        self.call_of(now, Key::NONE)
    }

    fn call_of(&self, now: Instant, key: Key) -> Result<Probe, Reason> {
        self.breaker().try_acquire_owned(now, key).map_err(|rejection| rejection.reason)
    }

    fn fail(&self, now: Instant) {
        self.call(now).expect("it is not refused").failure(now);
    }

    fn pending(&self, now: Instant) -> Vec<CircuitReport> {
        match self.circuits.poll_reports(now, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(reports) => reports,
            Poll::Pending => Vec::new(),
        }
    }

    fn take(&self, asked: Instant, now: Instant, reports: &[CircuitReport], answer: &Answer) {
        for (report, circuit) in reports.iter().zip(&answer.answers) {
            self.circuits.answered(now, report, circuit);
        }
        answer.further.iter().for_each(|circuit| self.circuits.learned(now, circuit));
        self.circuits.connected(now, asked, answer.instances, answer.last);
    }

    fn heard(&self, is: impl Fn(&Kind) -> bool) -> usize {
        self.heard.0.lock().unwrap().iter().filter(|kind| is(kind)).count()
    }
}

/// Instances before one store that answers at once.
struct Fleet {
    store: Store,
    instances: Vec<Instance>,
}

impl Fleet {
    fn new(instances: usize, config: &CircuitBreakerConfig) -> Self {
        let instances = (0..instances).map(|n| Instance::new(n, config.clone())).collect();
        let mut fleet = Self { store: Store::default(), instances };
        fleet.beat(at(0));
        fleet
    }

    fn exchange(&mut self, n: usize, now: Instant, reports: &[CircuitReport]) {
        let instance = &self.instances[n];
        let (circuits, since) = (&instance.circuits, instance.circuits.seen());
        let answer = self.store.batch(now, &instance.member, circuits, reports, since);
        instance.take(now, now, reports, &answer);
        for (other, instance) in self.instances.iter().enumerate() {
            if other != n {
                answer.pushed.iter().for_each(|circuit| instance.circuits.learned(now, circuit));
            }
        }
    }

    /// What has changed reaches the store, and everybody.
    fn settle(&mut self, now: Instant) {
        for n in 0..self.instances.len() {
            let reports = self.instances[n].pending(now);
            if !reports.is_empty() {
                self.exchange(n, now, &reports);
            }
        }
    }

    /// Each instance says that it is alive.
    fn beat(&mut self, now: Instant) {
        for n in 0..self.instances.len() {
            self.beat_of(n, now);
        }
    }

    fn beat_of(&mut self, n: usize, now: Instant) {
        if self.instances[n].circuits.takes_part() {
            let reports = self.instances[n].circuits.reports(now);
            self.exchange(n, now, &reports);
        }
    }

    fn states(&self, now: Instant) -> Vec<State> {
        self.instances.iter().map(|instance| instance.state(now)).collect()
    }

    /// A call of each instance: those that passed.
    fn calls(&self, now: Instant) -> Vec<(usize, Probe)> {
        let all = self.instances.iter().enumerate();
        all.filter_map(|(n, instance)| Some((n, instance.call(now).ok()?))).collect()
    }

    /// Opened by the first instance, and its time is over.
    fn expired(instances: usize) -> Self {
        let mut fleet = Self::new(instances, &config());
        fleet.instances[0].fail(at(0));
        fleet.settle(at(0));
        fleet.beat(at(1_000));
        fleet
    }
}

#[test]
fn one_that_opens_opens_all_and_a_probe_closes_all() {
    let mut fleet = Fleet::new(3, &config());
    fleet.instances[1].fail(at(0));
    assert_eq!(fleet.states(at(0)), [State::Closed, State::Open, State::Closed]);
    fleet.settle(at(1));
    assert_eq!(fleet.states(at(1)), [State::Open; 3]);
    let other = fleet.instances[0].view(at(1));
    assert_eq!(other.why().as_deref(), Some("another instance shared it"));
    let left = other.next_probe_at.unwrap().since(at(1));
    assert!(left >= ms(999) && left < ms(1_000), "{left:?}");
    assert_eq!(fleet.instances[2].call(at(900)).unwrap_err(), Reason::CircuitOpen);
    fleet.beat(at(1_010));
    // The first calls ask for the right to probe; no call waits for it.
    assert!(fleet.calls(at(1_010)).is_empty());
    assert_eq!(fleet.instances[2].call(at(1_010)).unwrap_err(), Reason::ProbesTaken);
    fleet.settle(at(1_011));
    let mut passed = fleet.calls(at(1_012));
    assert_eq!(passed.len(), 1, "one probe for all");
    let (n, probe) = passed.remove(0);
    assert!(fleet.instances[n].view(at(1_012)).shared.unwrap().probes);
    assert!(fleet.calls(at(1_013)).is_empty());
    fleet.settle(at(1_013));
    probe.success(at(1_020));
    assert_eq!(fleet.states(at(1_020)).iter().filter(|state| **state == State::Open).count(), 2);
    fleet.settle(at(1_021));
    assert_eq!(fleet.states(at(1_021)), [State::Closed; 3]);
    assert_eq!(fleet.instances[0].view(at(1_021)).shared.unwrap().instances, 3);
}

#[test]
fn a_probe_that_fails_opens_all_again_and_the_open_time_grows_for_all() {
    let mut fleet = Fleet::new(3, &config().recovery_multiplier(3.0));
    fleet.instances[0].fail(at(0));
    fleet.settle(at(0));
    fleet.beat(at(1_000));
    let mut probes = 0;
    for n in 1_000..14_500 {
        for (_, probe) in fleet.calls(at(n)) {
            probes += 1;
            probe.failure(at(n));
        }
        fleet.settle(at(n));
        if n % 1_000 == 0 {
            fleet.beat(at(n));
        }
    }
    // At 1, 4 and 13 s.
    assert_eq!(probes, 3);
    assert!(fleet.instances.iter().all(|instance| instance.view(at(14_500)).openings == 4));
}

#[test]
fn the_quorum_opens_all_and_fewer_open_none_but_themselves() {
    let by_quorum = SharedCircuit::default().open_by(OpenBy::Quorum);
    let mut fleet = Fleet::new(3, &config().shared(by_quorum));
    fleet.instances[0].fail(at(0));
    fleet.settle(at(1));
    fleet.beat(at(500));
    assert_eq!(fleet.states(at(500)), [State::Open, State::Closed, State::Closed]);
    // It probes by itself, and opens again.
    fleet.instances[0].fail(at(1_002));
    fleet.settle(at(1_003));
    assert_eq!(fleet.states(at(1_003)), [State::Open, State::Closed, State::Closed]);
    fleet.instances[2].fail(at(1_100));
    fleet.settle(at(1_101));
    assert_eq!(fleet.states(at(1_101)), [State::Open; 3], "two of three");
    // From here on one probes for all.
    fleet.beat(at(2_200));
    fleet.calls(at(2_200));
    fleet.settle(at(2_201));
    let mut passed = fleet.calls(at(2_202));
    assert_eq!(passed.len(), 1);
    passed.remove(0).1.success(at(2_203));
    fleet.settle(at(2_204));
    assert_eq!(fleet.states(at(2_204)), [State::Closed; 3]);
    // Two of three that are alive: the third has fallen silent, and one is half of two.
    let mut fleet =
        Fleet::new(3, &config().shared(SharedCircuit::default().open_by(OpenBy::Quorum)));
    for second in 1..=6 {
        fleet.beat_of(0, at(second * 1_000));
        fleet.beat_of(1, at(second * 1_000));
    }
    fleet.instances[0].fail(at(6_001));
    fleet.settle(at(6_002));
    assert_eq!(fleet.instances[1].state(at(6_002)), State::Closed);
    fleet.instances[1].fail(at(6_003));
    fleet.settle(at(6_004));
    assert_eq!(fleet.instances[2].state(at(6_004)), State::Open);
}

#[test]
fn one_whose_vote_is_taken_back_or_old_does_not_count() {
    let by_quorum = SharedCircuit::default().open_by(OpenBy::Quorum);
    let mut fleet = Fleet::new(3, &config().shared(by_quorum));
    fleet.instances[0].fail(at(0));
    fleet.settle(at(1));
    fleet.instances[0].call(at(1_001)).unwrap().success(at(1_002));
    fleet.settle(at(1_003));
    fleet.instances[1].fail(at(1_004));
    fleet.settle(at(1_005));
    assert_eq!(fleet.states(at(1_005)), [State::Closed, State::Open, State::Closed]);
}

#[test]
fn a_prober_that_dies_loses_its_lease_and_its_late_result_changes_nothing() {
    let mut fleet = Fleet::expired(2);
    fleet.calls(at(1_001));
    fleet.settle(at(1_001));
    let (n, probe) = fleet.calls(at(1_002)).remove(0);
    assert_eq!(n, 0);
    fleet.settle(at(1_003));
    // From now on nothing is heard of it.
    let mut second = None;
    for now in 1_004..6_000 {
        if let Ok(probe) = fleet.instances[1].call(at(now)) {
            second = Some((now, probe));
            break;
        }
        let reports = fleet.instances[1].pending(at(now));
        if !reports.is_empty() || now % 1_000 == 0 {
            fleet.exchange(1, at(now), &reports);
        }
    }
    let (then, second) = second.expect("another probes");
    assert!((3_900..5_100).contains(&then), "after its lease: {then}");
    // The one that was dead comes back, and says that the dependency is well.
    probe.success(at(then + 1));
    assert_eq!(fleet.instances[0].state(at(then + 1)), State::Closed);
    fleet.settle(at(then + 2));
    assert_eq!(
        fleet.states(at(then + 2)),
        [State::Closed, State::HalfOpen],
        "nobody else believes it"
    );
    second.failure(at(then + 3));
    fleet.settle(at(then + 4));
    assert_eq!(fleet.states(at(then + 4)), [State::Open; 2]);
}

#[test]
fn a_lease_is_renewed_while_its_probe_runs() {
    let mut fleet = Fleet::expired(2);
    fleet.calls(at(1_001));
    fleet.settle(at(1_001));
    let (_, probe) = fleet.calls(at(1_002)).remove(0);
    for now in 1_003..20_000 {
        fleet.settle(at(now));
        if now % 1_000 == 0 {
            fleet.beat(at(now));
        }
        assert!(fleet.calls(at(now)).is_empty(), "a second probe at {now}");
    }
    probe.success(at(20_000));
    fleet.settle(at(20_001));
    assert_eq!(fleet.states(at(20_001)), [State::Closed; 2]);
}

#[test]
fn probes_that_hang_are_replaced_on_the_same_instance() {
    let config = config().probe_lease(ms(5_000));
    let mut fleet = Fleet::new(1, &config);
    fleet.instances[0].fail(at(0));
    fleet.settle(at(0));
    let mut probes = Vec::new();
    for now in 1_000..13_000 {
        probes.extend(fleet.calls(at(now)));
        fleet.settle(at(now));
        if now % 1_000 == 0 {
            fleet.beat(at(now));
        }
    }
    // At 1 s, and whenever the lease of the probe is over, to 67 ms.
    assert_eq!(probes.len(), 3);
}

#[test]
fn a_lease_without_a_call_goes_to_another_and_is_kept_longer_each_time() {
    let mut fleet = Fleet::expired(2);
    // Calls come to one after the other, each four seconds after the last.
    let mut passed = Vec::new();
    for now in (1_100..200_000).step_by(100) {
        if now % 1_000 == 0 {
            fleet.beat(at(now));
        }
        if now % 4_000 == 0 {
            let n = (now / 4_000 % 2) as usize;
            if let Ok(probe) = fleet.instances[n].call(at(now)) {
                passed.push(now);
                probe.success(at(now));
            }
        }
        fleet.settle(at(now));
        if !passed.is_empty() {
            break;
        }
    }
    assert_eq!(fleet.states(at(passed[0] + 1)), [State::Closed; 2]);
    assert!(passed[0] < 60_000, "{passed:?}");
}

#[test]
fn a_probe_that_is_given_up_leaves_the_right_to_others() {
    let mut fleet = Fleet::expired(2);
    fleet.calls(at(1_001));
    fleet.settle(at(1_001));
    let (n, probe) = fleet.calls(at(1_002)).remove(0);
    assert_eq!(n, 0);
    drop(probe);
    fleet.settle(at(1_003));
    assert_eq!(fleet.instances[0].state(at(1_003)), State::HalfOpen);
    // Nobody calls there any more.
    let mut other = None;
    for now in 1_004..10_000 {
        other = other.or_else(|| fleet.instances[1].call(at(now)).ok().map(|_| now));
        fleet.settle(at(now));
        if now % 1_000 == 0 {
            fleet.beat(at(now));
        }
    }
    assert!(other.is_some_and(|other| other < 5_000), "{other:?}");
    assert_ne!(fleet.instances[0].state(at(10_000)), State::HalfOpen);
}

#[test]
fn news_that_are_older_than_what_is_known_change_nothing() {
    let mut fleet = Fleet::new(2, &config());
    fleet.instances[0].fail(at(0));
    let reports = fleet.instances[0].pending(at(0));
    fleet.exchange(0, at(0), &reports);
    let opened = fleet.store.show(at(0), "", 0);
    fleet.instances[0].breaker().reset(at(10));
    fleet.settle(at(11));
    assert_eq!(fleet.states(at(11)), [State::Closed; 2]);
    fleet.instances[1].circuits.learned(at(12), &opened);
    assert_eq!(fleet.states(at(12)), [State::Closed; 2]);
    // Nor does an answer count that was overtaken by what happened here.
    fleet.instances[0].fail(at(20));
    let reports = fleet.instances[0].pending(at(20));
    let closed = fleet.store.show(at(20), &fleet.instances[0].member, 0);
    fleet.instances[0].breaker().reset(at(21));
    fleet.instances[0].circuits.answered(at(22), &reports[0], &closed);
    fleet.instances[0].fail(at(23));
    fleet.instances[0].circuits.answered(at(24), &reports[0], &closed);
    assert_eq!(fleet.instances[0].state(at(24)), State::Open);
}

#[test]
fn a_message_that_is_lost_is_read_with_the_next_beat() {
    let mut fleet = Fleet::new(2, &config());
    fleet.instances[0].fail(at(0));
    let reports = fleet.instances[0].pending(at(0));
    let Fleet { store, instances } = &mut fleet;
    let answer = store.batch(at(0), &instances[0].member, &instances[0].circuits, &reports, 0);
    instances[0].take(at(0), at(0), &reports, &answer);
    assert_eq!(fleet.states(at(0)), [State::Open, State::Closed]);
    fleet.beat_of(1, at(400));
    assert_eq!(fleet.states(at(400)), [State::Open; 2]);
    // One that joins later finds it open.
    fleet.instances.push(Instance::new(2, config()));
    fleet.beat_of(2, at(500));
    assert_eq!(fleet.states(at(500)), [State::Open; 3]);
    let left = fleet.instances[2].view(at(500)).next_probe_at.unwrap().since(at(500));
    assert!(left <= ms(501), "for the time that is left: {left:?}");
}
