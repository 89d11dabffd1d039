//! The virtual-time driver: a queue of events, and callers that do what their executions ask for.

use crate::{
    caller::{CallInProgress, Caller, Target, Woken, bell},
    dependency::{Dependency, Fate},
    ledger::{Call, End, Ledger, Record, Transition},
    report::Report,
    scenario::{Arrivals, Scenario},
};
use seawall::{
    Attributes, CallId, Cause, Command, Event, Execution, Instant, Key, Kind, Observer, Pipeline,
    Random, config::ConfigError,
};
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Arc, Mutex, PoisonError},
    task::Waker,
    time::Duration,
};

/// Instants before the start exist, so that policies may look back.
const START: Instant = Instant::from_millis(1_000_000);

/// Runs a scenario to its end.
///
/// # Errors
/// Every field of the scenario out of its bounds.
pub fn run(scenario: &Scenario) -> Result<Report, ConfigError> {
    scenario.check()?;
    let circuits = Arc::new(Circuits::default());
    let pipeline =
        Pipeline::build("simulated", &scenario.policies)?.with_observer(circuits.clone());
    let mut world = World::new(scenario, pipeline);
    world.run();
    let transitions =
        std::mem::take(&mut *circuits.0.lock().unwrap_or_else(PoisonError::into_inner));
    let World { records, calls, alternative_calls, events_taken, dependencies, .. } = world;
    debug_assert!(dependencies.iter().all(|dependency| dependency.in_progress() == 0));
    let ledger = Ledger {
        start: START,
        end: START + scenario.duration,
        useful_within: scenario.load.useful_within.unwrap_or(Duration::MAX),
        records,
        calls,
        transitions,
    };
    Ok(Report { events: events_taken, ..Report::new(scenario, ledger, alternative_calls) })
}

/// Records the transitions of circuits.
#[derive(Default)]
struct Circuits(Mutex<Vec<Transition>>);

impl Observer for Circuits {
    fn observe(&self, event: &Event<'_>) {
        if let Kind::CircuitChanged(change) = event.kind {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Transition {
                at: change.at.since(START),
                from: change.from.label(),
                to: change.to.label(),
                why: change.why.to_string(),
            });
        }
    }
}

/// What happens at an instant. Callers are named by place and number, so that an event for a caller who is gone does
/// not reach the next one at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Arrival,
    CallEnds { place: u32, number: u64, call: CallId },
    Deadline { place: u32, number: u64 },
    PatienceEnds { place: u32, number: u64 },
}

struct World<'s> {
    scenario: &'s Scenario,
    pipeline: Arc<Pipeline>,
    random: Random,
    now: Instant,
    queue: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    queued: u64,
    arrived: u64,
    callers: Vec<Option<Caller>>,
    wakers: Vec<Waker>,
    free: Vec<u32>,
    woken: Arc<Woken>,
    /// The dependencies, by [`Target`].
    dependencies: [Dependency; 2],
    records: Vec<Record>,
    calls: Vec<Call>,
    alternative_calls: u64,
    events_taken: u64,
}

impl<'s> World<'s> {
    fn new(scenario: &'s Scenario, pipeline: Pipeline) -> Self {
        let expected = (scenario.load.rate * scenario.duration.as_secs_f64()) as usize;
        let both = [&scenario.dependency, &scenario.alternative];
        Self {
            scenario,
            pipeline: Arc::new(pipeline),
            random: Random::new(scenario.seed),
            now: START,
            queue: BinaryHeap::new(),
            queued: 0,
            arrived: 0,
            callers: Vec::new(),
            wakers: Vec::new(),
            free: Vec::new(),
            woken: Arc::default(),
            dependencies: both.map(|phases| Dependency::new(phases, START)),
            records: Vec::with_capacity(expected),
            calls: Vec::with_capacity(expected),
            alternative_calls: 0,
            events_taken: 0,
        }
    }

    fn run(&mut self) {
        self.schedule_arrival();
        while let Some(Reverse((at, _, happening))) = self.queue.pop() {
            self.now = at;
            self.events_taken += 1;
            self.happen(happening);
            while let Some(place) = self.woken.take_first() {
                self.wake(place);
            }
        }
        // A call that hangs under no timeout has no end: its caller is given up.
        let lasting: Vec<u32> = (0..self.callers.len() as u32).collect();
        for place in lasting {
            self.end(place, End::Left);
        }
    }

    fn schedule(&mut self, at: Instant, happening: Happening) {
        self.queued += 1;
        self.queue.push(Reverse((at, self.queued, happening)));
    }

    fn schedule_arrival(&mut self) {
        let rate = self.scenario.load.rate;
        let at = match self.scenario.load.arrivals {
            Arrivals::Even => START + Duration::from_secs_f64(self.arrived as f64 / rate),
            Arrivals::Poisson => {
                let gap = -(1.0 - self.random.unit()).ln() / rate;
                self.now + Duration::from_secs_f64(gap)
            }
        };
        if at < START + self.scenario.duration {
            self.schedule(at, Happening::Arrival);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrival => self.arrive(),
            Happening::CallEnds { place, number, call } => self.call_ends(place, number, call),
            Happening::Deadline { place, number } => {
                let Some(caller) = self.caller(place, number) else { return };
                caller.wake_at = Instant::FAR_FUTURE;
                self.wake(place);
            }
            Happening::PatienceEnds { place, number } => {
                if self.caller(place, number).is_some() {
                    self.end(place, End::Left);
                }
            }
        }
    }

    fn caller(&mut self, place: u32, number: u64) -> Option<&mut Caller> {
        let caller = self.callers[place as usize].as_mut()?;
        (caller.number == number).then_some(caller)
    }

    fn arrive(&mut self) {
        let number = self.arrived;
        self.arrived += 1;
        self.schedule_arrival();
        let attributes = Attributes {
            key: key(self.random.below(self.scenario.load.keys)),
            fallbacks: u32::from(self.dependencies[Target::Alternative as usize].is_there()),
            ..Attributes::default()
        };
        let seed = self.random.bits();
        let place = self.free.pop().unwrap_or_else(|| {
            let place = self.callers.len() as u32;
            self.callers.push(None);
            self.wakers.push(bell(place, &self.woken));
            place
        });
        let waker = &self.wakers[place as usize];
        let execution = Execution::start(self.pipeline.clone(), attributes, seed, self.now, waker);
        self.callers[place as usize] = Some(Caller {
            number,
            execution,
            began: self.now,
            calls: Vec::new(),
            wake_at: Instant::FAR_FUTURE,
            has_called: false,
        });
        if let Some(patience) = self.scenario.load.patience {
            self.schedule(self.now + patience, Happening::PatienceEnds { place, number });
        }
        self.execute_commands(place);
    }

    fn call_ends(&mut self, place: u32, number: u64, call: CallId) {
        let now = self.now;
        let Some(caller) = self.caller(place, number) else { return };
        let Some(CallInProgress { to, outcome, .. }) = caller.take_call(call) else { return };
        self.dependencies[to as usize].leave();
        let Some(outcome) = outcome else {
            if let Some(caller) = self.caller(place, number) {
                caller.execution.abandon(now, Cause::Panicked);
            }
            return self.end(place, End::Panicked);
        };
        if let Some(caller) = &mut self.callers[place as usize] {
            caller.execution.handle_result(call, outcome, now, &self.wakers[place as usize]);
        }
        self.execute_commands(place);
    }

    fn wake(&mut self, place: u32) {
        if let Some(caller) = &mut self.callers[place as usize] {
            caller.execution.handle_wake(self.now, &self.wakers[place as usize]);
            self.execute_commands(place);
        }
    }

    /// Does what the execution at this place asks for, until it asks for nothing.
    fn execute_commands(&mut self, place: u32) {
        while let Some(caller) = &mut self.callers[place as usize] {
            match caller.execution.poll_command() {
                Some(Command::Call { id, .. }) => self.begin(place, id, Target::Operation),
                Some(Command::Fallback { id, .. }) => self.begin(place, id, Target::Alternative),
                Some(Command::Cancel(id)) => {
                    if let Some(call) = caller.take_call(id) {
                        self.dependencies[call.to as usize].leave();
                    }
                }
                Some(Command::Done(done)) => return self.end(place, done.outcome.into()),
                None => return self.set_alarm(place),
            }
        }
    }

    fn begin(&mut self, place: u32, call: CallId, to: Target) {
        let now = self.now;
        let fate = self.dependencies[to as usize].enter(now, &mut self.random);
        let (outcome, took) = match fate {
            Fate::Ends(outcome, took) => (Some(outcome), Some(took)),
            Fate::Panics(took) => (None, Some(took)),
            Fate::Hangs => (None, None),
        };
        let Some(caller) = &mut self.callers[place as usize] else { return };
        caller.calls.push(CallInProgress { id: call, to, outcome });
        let number = caller.number;
        match to {
            Target::Alternative => self.alternative_calls += 1,
            Target::Operation => {
                let is_first = !std::mem::replace(&mut caller.has_called, true);
                self.calls.push(Call { at: now, execution: number, is_first });
            }
        }
        if let Some(took) = took {
            self.schedule(now + took, Happening::CallEnds { place, number, call });
        }
    }

    fn set_alarm(&mut self, place: u32) {
        let Some(caller) = &mut self.callers[place as usize] else { return };
        let Some(due) = caller.execution.poll_timeout() else { return };
        // An earlier alarm in the queue will look again; a later one is of no use.
        if due < caller.wake_at {
            caller.wake_at = due;
            let number = caller.number;
            self.schedule(due.max(self.now), Happening::Deadline { place, number });
        }
    }

    /// The caller at this place has its answer, or is gone.
    fn end(&mut self, place: u32, end: End) {
        let Some(caller) = self.callers[place as usize].take() else { return };
        for call in &caller.calls {
            self.dependencies[call.to as usize].leave();
        }
        let took = self.now.since(caller.began);
        self.records.push(Record { began: caller.began, took, end });
        self.free.push(place);
        // Last: dropping the execution gives back what it holds, and may wake others.
        let mut execution = caller.execution;
        if end == End::Left {
            execution.abandon(self.now, Cause::CallerGone);
        }
    }
}

/// The key of this client, equal in each run. It is mixed, as the hash of a real client is.
fn key(client: u64) -> Key {
    Key::from_hash(Random::new(client).bits())
}
