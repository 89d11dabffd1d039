//! An ordered list of policies, outermost first, and the configuration it is built from.

use crate::{
    attributes::Key,
    config::{ConfigError, Problems},
    dead_letters::DeadLetters,
    event::{Observer, State, Transition},
    name::Name,
    policies::{
        Policy, PolicyConfig,
        bulkhead::Bulkhead,
        circuit_breaker::{CircuitBreaker, CircuitView, SharedCircuits},
        rate_limiter::{RateLimiter, SharedLimits},
    },
    policy::{Controls, MOST_POLICIES, Mode, OnSuccess},
    time::Instant,
};
use std::{fmt, sync::Arc};

/// A named, ordered list of policies, outermost first. Clones share the policies' state.
#[derive(Clone)]
pub struct Pipeline {
    name: Name,
    policies: Arc<[Policy]>,
    controls: Arc<Controls>,
    observer: Option<Arc<dyn Observer>>,
    dead_letters: Option<Arc<dyn DeadLetters>>,
    /// Every policy hands a success on as it is.
    hands_successes_on: bool,
    /// More than one call may be in progress at a time.
    hedges: bool,
    /// A policy needs to know when a success came.
    needs_success_time: bool,
}

impl Pipeline {
    /// A pipeline of these policies, outermost first, without an observer. All of them are enforced; those after the
    /// thirty-first always are.
    pub fn new(name: &str, policies: impl IntoIterator<Item = Policy>) -> Self {
        let policies: Arc<[Policy]> = policies.into_iter().collect();
        let on_success = || policies.iter().map(Policy::on_success);
        let needs_time = OnSuccess::Observes { needs_time: true };
        Self {
            name: name.into(),
            controls: Arc::default(),
            observer: None,
            dead_letters: None,
            hands_successes_on: on_success().all(|it| it != OnSuccess::Decides),
            hedges: policies.iter().any(|policy| matches!(policy, Policy::Hedge(_))),
            needs_success_time: on_success().any(|it| it == needs_time),
            policies,
        }
    }

    /// A pipeline of these policies, outermost first, each with new state and in the mode of its configuration.
    ///
    /// # Errors
    /// Every field out of its bounds, with paths such as `policies[2].failure_ratio`.
    pub fn build(name: &str, policies: &[PolicyConfig]) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        check_policies(policies, &mut problems);
        problems.into_result()?;
        let built: Result<Vec<Policy>, _> = policies.iter().map(PolicyConfig::build).collect();
        let this = Self::new(name, built?);
        for (i, policy) in policies.iter().enumerate() {
            this.controls.set(i, policy.mode());
        }
        Ok(this)
    }

    /// A pipeline of these policies that shares the state of every policy of `self` whose configuration is the same but
    /// for its mode; the others start with new state. A circuit breaker that was reconfigured inherits the state of the one
    /// that it replaces.
    ///
    /// # Errors
    /// Every field out of its bounds.
    pub fn rebuild(&self, policies: &[PolicyConfig]) -> Result<Self, ConfigError> {
        let mut fresh = Self::build(&self.name, policies)?;
        let mut known: Vec<Option<&Policy>> = self.policies.iter().map(Some).collect();
        let mut changed = Vec::new();
        let mut kept = |config: &PolicyConfig, fresh: &Policy| -> Policy {
            let same = |policy: &&mut Option<&Policy>| {
                let found = policy.and_then(Policy::config);
                found.is_some_and(|found| found.with_mode(config.mode()) == *config)
            };
            let found = known.iter_mut().find(same).and_then(Option::take);
            found.cloned().unwrap_or_else(|| {
                changed.push(fresh.clone());
                fresh.clone()
            })
        };
        fresh.policies =
            policies.iter().zip(fresh.policies.iter()).map(|(c, p)| kept(c, p)).collect();
        let breaker = |policy: &Policy| match policy {
            Policy::CircuitBreaker(breaker) => Some(breaker.clone()),
            _ => None,
        };
        // A circuit does not close, nor is an operator's word forgotten, because a number was changed.
        let former = known.into_iter().flatten().filter_map(breaker);
        for (breaker, former) in changed.iter().filter_map(breaker).zip(former) {
            breaker.take_over(&former);
        }
        fresh.observer.clone_from(&self.observer);
        fresh.dead_letters.clone_from(&self.dead_letters);
        fresh.pause_repeats(self.repeats_are_paused());
        Ok(fresh)
    }

    /// The configurations of its policies, outermost first, with the modes as they are now. Policies written by the user
    /// have none and are left out.
    pub fn configs(&self) -> Vec<PolicyConfig> {
        let all = self.policies.iter().enumerate();
        all.filter_map(|(i, policy)| Some(policy.config()?.with_mode(self.mode(i)))).collect()
    }

    /// This pipeline with `observer` in place of any earlier one: it receives every event of its executions.
    #[must_use]
    pub fn with_observer(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// This pipeline with a place for the dead letters of its calls, as
    /// [`RegistryBuilder::dead_letters`](crate::RegistryBuilder::dead_letters) gives it to every operation.
    #[must_use]
    pub fn with_dead_letters(self, place: Arc<dyn DeadLetters>) -> Self {
        Self { dead_letters: Some(place), ..self }
    }

    /// The name of the pipeline, which is the name of its operation in events and errors.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The policies of the pipeline, outermost first.
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// The mode, at this moment, of the policy number `index`, from 0.
    pub fn mode(&self, index: usize) -> Mode {
        self.controls.modes().of(index)
    }

    /// Sets the mode (enforce, shadow, off) of every policy of this type (`"retry"`, `"circuit_breaker"` …), for calls that
    /// reach it from now on. Returns how many there are; 0 changes nothing. A circuit breaker that is switched off forgets
    /// its state.
    pub fn set_mode(&self, policy: &str, mode: Mode) -> usize {
        self.switch(policy, mode, None).0
    }

    /// Sets a mode in a pipeline that is not in force yet; [`forget_switched_off`](Self::forget_switched_off)
    /// does the rest when it is.
    pub(crate) fn carry_mode(&self, policy: &str, mode: Mode) {
        let all = self.policies.iter().take(MOST_POLICIES).enumerate();
        let meant = all.filter(|(_, found)| found.label() == policy);
        meant.for_each(|(index, _)| self.controls.set(index, mode));
    }

    /// Sets a mode. Says how many policies have it, and what that changed of the circuit that views show.
    pub(crate) fn switch(
        &self,
        policy: &str,
        mode: Mode,
        now: Option<Instant>,
    ) -> (usize, Option<Transition>) {
        let (mut count, mut change) = (0, None);
        let all = self.policies.iter().take(MOST_POLICIES).enumerate();
        for (index, found) in all.filter(|(_, found)| found.label() == policy) {
            let before = self.mode(index);
            self.controls.set(index, mode);
            count += 1;
            if let Policy::CircuitBreaker(breaker) = found {
                // Every breaker forgets, also where an earlier one already had a change to tell.
                let forgot = forget(breaker, before, mode, now);
                change = change.or(forgot);
            }
        }
        (count, change)
    }

    /// The circuits that stand in this pipeline and are off in it, or were in `former`, forget what they knew.
    pub(crate) fn forget_switched_off(&self, former: &Self, now: Instant) -> Option<Transition> {
        let mut change = None;
        for (index, policy) in self.policies.iter().enumerate() {
            let Policy::CircuitBreaker(breaker) = policy else { continue };
            let is_it = |policy: &Policy| matches!(policy, Policy::CircuitBreaker(one) if Arc::ptr_eq(one, breaker));
            let before = former.policies.iter().position(is_it);
            let before = before.map_or(Mode::Enforce, |index| former.mode(index));
            let forgot = forget(breaker, before, self.mode(index), Some(now));
            change = change.or(forgot);
        }
        change
    }

    /// Pauses retries and hedges, or allows them again: the brake for an overload that repeated calls keep up. Those that
    /// are under way go on.
    pub fn pause_repeats(&self, paused: bool) {
        self.controls.pause_repeats(paused);
    }

    /// Whether an operator has paused retries and hedges.
    pub fn repeats_are_paused(&self) -> bool {
        self.controls.repeats_are_paused()
    }

    /// The outermost circuit breaker, if there is one.
    pub fn circuit_breaker(&self) -> Option<&Arc<CircuitBreaker>> {
        Some(self.indexed_breaker()?.1)
    }

    /// The outermost circuit breaker as the next call would meet it, with its mode; none where there is no circuit breaker.
    pub fn circuit(&self, now: Instant) -> Option<CircuitView> {
        let (index, breaker) = self.indexed_breaker()?;
        let (mode, view) = (self.mode(index), breaker.view(now));
        let shared = view.shared.filter(|_| mode == Mode::Enforce);
        Some(CircuitView { mode, shared, ..view })
    }

    /// The state and the mode of the outermost circuit breaker: a part of [`circuit`](Self::circuit) that costs two reads. Of
    /// a keyed breaker, the state for this key.
    pub fn circuit_state(&self, now: Instant, key: Key) -> Option<(State, Mode)> {
        let (index, breaker) = self.indexed_breaker()?;
        Some((breaker.state_of(now, key), self.mode(index)))
    }

    fn indexed_breaker(&self) -> Option<(usize, &Arc<CircuitBreaker>)> {
        self.policies.iter().enumerate().find_map(|(index, policy)| match policy {
            Policy::CircuitBreaker(breaker) => Some((index, breaker)),
            _ => None,
        })
    }

    /// The circuits that it shares with other instances, for whoever connects them to their store.
    pub fn shared_circuits(&self) -> Vec<SharedCircuits> {
        let breakers = self.policies.iter().enumerate().filter_map(|(at, policy)| match policy {
            Policy::CircuitBreaker(breaker) => Some((at, breaker)),
            _ => None,
        });
        breakers
            .filter_map(|breaker| {
                let observer = self.observer.clone();
                SharedCircuits::of(&self.name, breaker, &self.controls, observer)
            })
            .collect()
    }

    /// Whether the pipeline has a fallback, in whatever mode.
    pub(crate) fn has_fallback(&self) -> bool {
        self.policies.iter().any(|policy| matches!(policy, Policy::Fallback(_)))
    }

    /// Its rate limiters with the modes that they are in, outermost first.
    pub fn rate_limiters(&self) -> impl Iterator<Item = (&Arc<RateLimiter>, Mode)> {
        self.policies.iter().enumerate().filter_map(|(at, policy)| match policy {
            Policy::RateLimiter(limiter) => Some((limiter, self.mode(at))),
            _ => None,
        })
    }

    /// The rate limits that it shares with other instances, for whoever connects them to their store.
    pub fn shared_limits(&self) -> Vec<SharedLimits> {
        self.rate_limiters()
            .filter_map(|(limiter, _)| SharedLimits::of(&self.name, limiter, self.observer.clone()))
            .collect()
    }

    /// Whether a rate limit that it shares is decided without its store now, because that does not answer.
    pub fn is_degraded(&self) -> bool {
        self.rate_limiters().any(|(limiter, _)| limiter.is_degraded())
    }

    /// The outermost bulkhead, if there is one.
    pub fn bulkhead(&self) -> Option<&Arc<Bulkhead>> {
        self.policies.iter().find_map(|policy| match policy {
            Policy::Bulkhead(bulkhead) => Some(bulkhead),
            _ => None,
        })
    }

    pub(crate) fn hands_successes_on(&self) -> bool {
        self.hands_successes_on
    }

    pub(crate) fn hedges(&self) -> bool {
        self.hedges
    }

    /// Whether any policy needs the time of a success. If not, the clock need not be read for it.
    pub(crate) fn needs_success_time(&self) -> bool {
        self.needs_success_time || self.observer.is_some()
    }

    pub(crate) fn controls(&self) -> &Controls {
        &self.controls
    }

    pub(crate) fn observer(&self) -> Option<&dyn Observer> {
        self.observer.as_deref()
    }

    pub(crate) fn shared_observer(&self) -> Option<&Arc<dyn Observer>> {
        self.observer.as_ref()
    }

    pub(crate) fn dead_letters(&self) -> Option<&Arc<dyn DeadLetters>> {
        self.dead_letters.as_ref()
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("name", &self.name)
            .field("policies", &self.policies)
            .finish_non_exhaustive()
    }
}

/// Makes a circuit forget its state when its breaker is switched off or on again, since nothing was recorded meanwhile. What
/// an operator forced while it was off stays.
fn forget(
    breaker: &CircuitBreaker,
    before: Mode,
    mode: Mode,
    now: Option<Instant>,
) -> Option<Transition> {
    match (before, mode) {
        (Mode::Off, Mode::Off) => None,
        (_, Mode::Off) => breaker.forget(now, true),
        (Mode::Off, _) => breaker.forget(now, false),
        _ => None,
    }
}

/// Notes every field out of its bounds, under `policies[i]`.
pub fn check_policies(policies: &[PolicyConfig], problems: &mut Problems) {
    let few = policies.len() <= MOST_POLICIES;
    problems.require(few, "policies", policies.len(), "a list of at most 31");
    problems.within("policies", |problems| {
        for (i, policy) in policies.iter().enumerate() {
            problems.within(&format!("[{i}]"), |problems| policy.check(problems));
        }
    });
}
