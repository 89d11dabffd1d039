//! Operations by name: the one place where state lives, that handles address and the API shows.

use crate::{
    dead_letters::DeadLetters,
    event::{Observer, State},
    metrics::Metrics,
    name::Name,
    pipeline::Pipeline,
    policies::PolicyConfig,
    policy::Mode,
    time::{Instant, Timer},
    timer::DefaultTimer,
};
use arc_swap::ArcSwap;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use crate::sync::{AtomicBool, Mutex, Ordering};

mod builder;
mod change;
mod circuits;
mod error;
mod fallible;
mod global;
mod operation;

use builder::Defaults;
pub use builder::RegistryBuilder;
pub use change::RegistryChange;
pub use error::RegistryError;
pub use fallible::Fallible;
pub use global::global;
pub use operation::Operation;

/// More names than this are a mistake: names come from code and configuration, not from requests.
const MAX_OPERATIONS: usize = 10_000;
const MAX_NAME: usize = 200;

/// Operations by name. Clones share them.
#[derive(Clone)]
pub struct Registry<Tm = DefaultTimer> {
    shared: Arc<Shared<Tm>>,
}

struct Shared<Tm> {
    timer: Tm,
    defaults: Defaults,
    observers: Vec<Arc<dyn Observer>>,
    dead_letters: Option<Arc<dyn DeadLetters>>,
    repeats_paused: AtomicBool,
    operations: RwLock<BTreeMap<Name, Arc<Registered>>>,
}

/// An operation in the registry, with its metrics.
struct Registered {
    pipeline: ArcSwap<Pipeline>,
    /// One change at a time, so that none is lost.
    changing: Mutex<()>,
    metrics: Arc<Metrics>,
    observer: Arc<dyn Observer>,
}

/// The health of all operations in a few numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Health {
    /// Operations whose circuit is open and refuses calls. A breaker in mode `shadow` or `off` refuses none, and is
    /// not listed.
    #[cfg_attr(feature = "serde", serde(rename = "open_circuit_breakers"))]
    pub open: Vec<Name>,
    /// Operations whose circuit is half-open, and refuses all but a few calls.
    #[cfg_attr(feature = "serde", serde(rename = "half_open_circuit_breakers"))]
    pub half_open: Vec<Name>,
    /// Operations whose circuit is open or half-open in shadow: it would refuse calls if it acted.
    #[cfg_attr(feature = "serde", serde(rename = "would_refuse_circuit_breakers"))]
    pub would_refuse: Vec<Name>,
    /// The number of operations that have a circuit breaker.
    pub total_circuit_breakers: usize,
    /// The number of all operations.
    pub total_operations: usize,
}

impl Health {
    /// Whether no circuit refuses calls.
    pub fn is_healthy(&self) -> bool {
        self.open.is_empty()
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl<Tm: Timer + Clone> Registry<Tm> {
    /// The operation of this name; registered with the registry's default policies when it is new.
    ///
    /// # Errors
    /// When the name is not one, or there are too many.
    pub fn operation(&self, name: &str) -> Result<Operation<Tm>, RegistryError> {
        if let Some(found) = self.find(name) {
            return Ok(found);
        }
        match self.register(name, (self.shared.defaults)(name)) {
            // Another thread was faster: its operation is the operation.
            Err(RegistryError::Duplicate(name)) => self.operation(&name),
            other => other,
        }
    }

    /// Registers an operation with these policies, outermost first.
    ///
    /// # Errors
    /// When the name is not one or is taken, there are too many, or the policies are not right.
    pub fn register(
        &self,
        name: &str,
        policies: Vec<PolicyConfig>,
    ) -> Result<Operation<Tm>, RegistryError> {
        check_name(name)?;
        let pipeline = Pipeline::build(name, &policies).map_err(RegistryError::Config)?;
        self.insert(pipeline)
    }

    /// The operation of this name, registered with these policies, outermost first, where it is new. Modes that were
    /// switched since do not matter.
    ///
    /// # Errors
    /// [`RegistryError::OtherPolicies`] where it exists with other policies; otherwise as for
    /// [`register`](Self::register).
    pub fn get_or_register(
        &self,
        name: &str,
        policies: Vec<PolicyConfig>,
    ) -> Result<Operation<Tm>, RegistryError> {
        loop {
            if let Some(found) = self.find(name) {
                let present = found.policies();
                let same = present.len() == policies.len()
                    && present
                        .into_iter()
                        .zip(&policies)
                        .all(|(present, asked)| present.with_mode(asked.mode()) == *asked);
                return if same {
                    Ok(found)
                } else {
                    Err(RegistryError::OtherPolicies(name.into()))
                };
            }
            match self.register(name, policies.clone()) {
                // Another thread was faster: its operation is looked at.
                Err(RegistryError::Duplicate(_)) => {}
                other => return other,
            }
        }
    }

    /// Registers a pipeline made in code, user-written policies included.
    ///
    /// # Errors
    /// When its name is taken, or there are too many.
    pub fn register_pipeline(&self, pipeline: Pipeline) -> Result<Operation<Tm>, RegistryError> {
        self.insert(pipeline)
    }

    /// The operation of this name; where there cannot be one, an operation of the default policies that stands
    /// alone, in no list. For callers who cannot fail: names that are known to be right, in a registry that
    /// may be full.
    pub fn operation_or_alone(&self, name: &str) -> Operation<Tm> {
        self.operation(name).unwrap_or_else(|_| {
            let pipeline = Pipeline::build(name, &(self.shared.defaults)(name));
            let pipeline = pipeline.unwrap_or_else(|_| Pipeline::new(name, []));
            self.handle(self.registered(pipeline))
        })
    }

    fn registered(&self, pipeline: Pipeline) -> Arc<Registered> {
        pipeline.pause_repeats(self.repeats_are_paused());
        let metrics = Arc::new(Metrics::default());
        metrics.begin(self.now());
        let observer = self.observer(&metrics);
        let mut pipeline = pipeline.with_observer(observer.clone());
        if let Some(place) = &self.shared.dead_letters {
            pipeline = pipeline.with_dead_letters(place.clone());
        }
        let pipeline = ArcSwap::from_pointee(pipeline);
        Arc::new(Registered { pipeline, changing: Mutex::default(), metrics, observer })
    }

    fn insert(&self, pipeline: Pipeline) -> Result<Operation<Tm>, RegistryError> {
        let name = pipeline.name().clone();
        let registered = self.registered(pipeline);
        let mut operations = self.shared.operations.write().unwrap_or_else(PoisonError::into_inner);
        if operations.contains_key(&name) {
            return Err(RegistryError::Duplicate(name));
        }
        has_room(operations.len().saturating_add(1))?;
        operations.insert(name, registered.clone());
        drop(operations);
        // The brake may have been pulled while it was made.
        registered.pipeline.load().pause_repeats(self.repeats_are_paused());
        Ok(self.handle(registered))
    }

    /// An observer that passes each event to the metrics first, then to the registry's other observers.
    fn observer(&self, metrics: &Arc<Metrics>) -> Arc<dyn Observer> {
        let metrics: Arc<dyn Observer> = metrics.clone();
        if self.shared.observers.is_empty() {
            return metrics;
        }
        let all: Vec<_> = [metrics].into_iter().chain(self.shared.observers.clone()).collect();
        Arc::new(all)
    }

    /// The operation of this name, if it is registered.
    pub fn find(&self, name: &str) -> Option<Operation<Tm>> {
        let operations = self.shared.operations.read().unwrap_or_else(PoisonError::into_inner);
        operations.get(name).map(|registered| self.handle(registered.clone()))
    }

    /// Takes an operation out of the registry. Handles on it go on working, with its state.
    pub fn remove(&self, name: &str) -> Option<Operation<Tm>> {
        let mut operations = self.shared.operations.write().unwrap_or_else(PoisonError::into_inner);
        operations.remove(name).map(|registered| self.handle(registered))
    }

    /// All operations, ordered by name.
    pub fn operations(&self) -> Vec<Operation<Tm>> {
        let operations = self.shared.operations.read().unwrap_or_else(PoisonError::into_inner);
        operations.values().map(|registered| self.handle(registered.clone())).collect()
    }

    /// The health of all circuits at this moment.
    pub fn health(&self) -> Health {
        let now = self.shared.timer.now();
        let mut health = Health::default();
        for operation in self.operations() {
            health.total_operations += 1;
            let pipeline = operation.pipeline();
            let Some(circuit) = pipeline.circuit(now) else { continue };
            health.total_circuit_breakers += 1;
            match (circuit.mode, circuit.state) {
                (Mode::Enforce, State::Open | State::ForcedOpen) => {
                    health.open.push(operation.name());
                }
                (Mode::Enforce, State::HalfOpen) => health.half_open.push(operation.name()),
                (Mode::Shadow, State::Open | State::ForcedOpen | State::HalfOpen) => {
                    health.would_refuse.push(operation.name());
                }
                _ => {}
            }
        }
        health
    }

    /// Pauses retries and hedges of all operations, or lets them begin again. Operations that are registered later
    /// follow.
    pub fn pause_repeats(&self, paused: bool) {
        self.shared.repeats_paused.store(paused, Ordering::Release);
        for operation in self.operations() {
            operation.pause_repeats(paused);
        }
    }

    /// Whether retries and hedges were paused for all operations.
    pub fn repeats_are_paused(&self) -> bool {
        self.shared.repeats_paused.load(Ordering::Acquire)
    }

    /// The time on the clock that all operations share.
    pub fn now(&self) -> Instant {
        self.shared.timer.now()
    }

    fn handle(&self, registered: Arc<Registered>) -> Operation<Tm> {
        Operation { registered, timer: self.shared.timer.clone() }
    }
}

/// Checks that a name is one the registry accepts.
fn check_name(name: &str) -> Result<(), RegistryError> {
    let length = name.chars().count();
    if length == 0 || length > MAX_NAME || name.chars().any(char::is_control) {
        return Err(RegistryError::InvalidName(name.chars().take(MAX_NAME).collect()));
    }
    Ok(())
}

/// Checks that there may be this many operations.
fn has_room(operations: usize) -> Result<(), RegistryError> {
    if operations > MAX_OPERATIONS { Err(RegistryError::Full) } else { Ok(()) }
}

impl<Tm> fmt::Debug for Registry<Tm> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operations = self.shared.operations.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Registry")
            .field("operations", &operations.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
