//! Circuits that are not closed are kept in the store, and restored when the server starts.

use crate::{
    persistence::{Persistence, Value},
    runtime::Registry,
    wall_clock,
};
use seawall::{CircuitSnapshot, Event, Kind, Name, Observer};
use seawall_store::StoreError;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// Notes that circuits changed. It observes the calls themselves, so it only sets a flag.
#[derive(Default)]
pub(crate) struct CircuitChanges {
    are_unsaved: AtomicBool,
    opened: Notify,
}

impl Observer for CircuitChanges {
    fn observe(&self, event: &Event<'_>) {
        if let Kind::CircuitChanged(change) = event.kind {
            self.are_unsaved.store(true, Ordering::Release);
            if change.to.is_open() {
                self.opened.notify_one();
            }
        }
    }
}

/// Circuits as they are in the store.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// When they were saved: the time until the next start counts.
    #[serde(with = "wall_clock")]
    at: u64,
    circuits: BTreeMap<Name, Vec<CircuitSnapshot>>,
}

/// Saves the circuits of the registry, and restores them. Those of single keys are left out where the breaker is not shared:
/// such a key is hashed with a secret that the process takes along when it ends, so they could not be found again. The keys
/// of a shared breaker are equal in all processes.
pub(crate) struct SavedCircuits {
    registry: Registry,
    changes: Arc<CircuitChanges>,
    value: Value<Saved>,
    /// The operations in the value. Held while it is written, so that what is older never replaces what is newer.
    written: Mutex<BTreeSet<Name>>,
}

impl SavedCircuits {
    /// The circuits of this registry, among whose observers is `changes`.
    pub(crate) fn new(
        registry: Registry,
        changes: Arc<CircuitChanges>,
        persistence: &Persistence,
    ) -> Self {
        let value = persistence.value("circuits");
        Self { registry, changes, value, written: Mutex::default() }
    }

    /// Restores what the former run saved: open circuits are open for the time that is left. To be called before the first
    /// call, when all operations are registered. Operations that are gone are logged.
    pub(crate) fn restore(&self) {
        let Some(saved) = self.value.read() else { return };
        // Where the clock was set back meanwhile, no time has passed.
        let age = Duration::from_millis(wall_clock::now_ms().saturating_sub(saved.at));
        let unknown = self.registry.restore_circuits(&saved.circuits, age);
        if !unknown.is_empty() {
            tracing::warn!("circuits of operations that are gone are not restored: {unknown:?}");
        }
        *self.lock() = saved.circuits.into_keys().collect();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Name>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the circuits if one of them changed since they were written last, or is not there any more.
    ///
    /// # Errors
    /// When they cannot be written; then the next call tries again.
    pub(crate) fn save(&self) -> Result<(), StoreError> {
        let mut written = self.lock();
        // An operation may lose its breaker, and a forced state its time, without an event.
        let is_over = |name: &Name| {
            self.registry.find(name).is_none_or(|operation| operation.circuit_snapshot().is_empty())
        };
        if !self.changes.are_unsaved.swap(false, Ordering::AcqRel) && !written.iter().any(is_over) {
            return Ok(());
        }
        let mut circuits = self.registry.circuits();
        circuits.retain(|name, circuits| {
            circuits.iter().all(|circuit| circuit.key.is_none()) || self.is_shared(name)
        });
        let saved = Saved { at: wall_clock::now_ms(), circuits };
        if let Err(error) = self.value.put(&saved) {
            self.changes.are_unsaved.store(true, Ordering::Release);
            return Err(error);
        }
        *written = saved.circuits.into_keys().collect();
        Ok(())
    }

    /// Whether the operation of this name shares its circuits with other instances.
    fn is_shared(&self, name: &Name) -> bool {
        let operation = self.registry.find(name);
        let pipeline = operation.map(|operation| operation.pipeline());
        let breaker = pipeline.as_ref().and_then(|pipeline| pipeline.circuit_breaker());
        breaker.is_some_and(|breaker| breaker.shared().is_some())
    }

    /// Saves on a thread that may wait for the disk.
    pub(crate) async fn save_aside(self: &Arc<Self>) {
        let this = self.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || this.save()).await {
            tracing::error!(%error, "the circuits are not saved");
        }
    }

    /// Saves as soon as a circuit opens, for ever. Other changes may wait for the persister.
    pub(crate) async fn run(self: Arc<Self>) {
        /// However many circuits open, four fifths of the time the store is left to others.
        const REST: u32 = 4;
        loop {
            self.changes.opened.notified().await;
            let start = Instant::now();
            self.save_aside().await;
            tokio::time::sleep(start.elapsed() * REST).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{feed::Feed, persistence::testing::Brittle};
    use seawall::{Attributes, Force, Key, Mode, SharedCircuit, State, policies, prelude::breaker};
    use seawall_store::{InMemory, Store};
    use seawall_tower::TokioTimer;

    const MINUTE: Duration = Duration::from_secs(60);
    /// What is left is rounded up, to 66 µs each time.
    const ROUNDED: Duration = Duration::from_millis(1);

    /// A process: its operations `a`, `b` and `keyed`, on this store, after a start.
    fn process(store: &Arc<dyn Store>) -> (Registry, Arc<SavedCircuits>) {
        let changes = Arc::new(CircuitChanges::default());
        let builder = seawall::Registry::builder().timer(TokioTimer);
        let registry = builder.observer(changes.clone()).build();
        for name in ["a", "b"] {
            let policies = policies![breaker().failure_threshold(1).recovery_timeout(MINUTE)];
            registry.register(name, policies).unwrap();
        }
        let keyed = policies![breaker().failure_threshold(1).keyed(true)];
        registry.register("keyed", keyed).unwrap();
        let shared = breaker().failure_threshold(1).keyed(true).recovery_timeout(MINUTE);
        let shared = policies![shared.shared(SharedCircuit::default())];
        registry.register("keyed and shared", shared).unwrap();
        let persistence = Persistence::new(store.clone(), Feed::new());
        let circuits = SavedCircuits::new(registry.clone(), changes, &persistence);
        circuits.restore();
        (registry, Arc::new(circuits))
    }

    async fn fail(registry: &Registry, name: &str) {
        let operation = registry.find(name).unwrap();
        assert!(operation.call(async || Err::<(), _>("down")).await.is_err());
    }

    fn left(registry: &Registry, name: &str) -> Option<Duration> {
        let circuit = registry.find(name).unwrap().circuit().unwrap();
        circuit.next_probe_at.map(|at| at.since(registry.now()))
    }

    /// Makes the saved value so much older, or newer, in milliseconds.
    fn shift(store: &Arc<dyn Store>, ms: i64) {
        let value = seawall_store::Value::<Saved>::new(store.clone(), "circuits");
        let mut saved = value.read().unwrap().unwrap();
        saved.at = saved.at.saturating_add_signed(ms);
        value.put(&saved).unwrap();
    }

    #[tokio::test]
    async fn a_circuit_is_saved_at_once_when_it_opens() {
        let store: Arc<dyn Store> = Arc::new(InMemory::default());
        let (registry, circuits) = process(&store);
        let saving = tokio::spawn(circuits.run());
        for name in ["a", "b"] {
            fail(&registry, name).await;
            let value = seawall_store::Value::<Saved>::new(store.clone(), "circuits");
            let is_saved =
                || value.read().unwrap().is_some_and(|saved| saved.circuits.contains_key(name));
            while !is_saved() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        saving.abort();
    }

    #[tokio::test]
    async fn the_time_while_nothing_runs_counts_and_a_clock_that_was_set_back_adds_none() {
        let store: Arc<dyn Store> = Arc::new(InMemory::default());
        let (registry, circuits) = process(&store);
        fail(&registry, "a").await;
        fail(&registry, "keyed").await;
        circuits.save().unwrap();
        let (registry, _) = process(&store);
        assert!(
            left(&registry, "a")
                .is_some_and(|left| left > Duration::ZERO && left <= MINUTE + ROUNDED)
        );
        assert_eq!(left(&registry, "b"), None);
        assert_eq!(left(&registry, "keyed"), None, "no key is found again");
        shift(&store, -20_000);
        let (registry, _) = process(&store);
        assert!(left(&registry, "a").unwrap() <= Duration::from_secs(40) + ROUNDED);
        shift(&store, 3_600_000);
        let (registry, _) = process(&store);
        assert!(
            left(&registry, "a")
                .is_some_and(|left| left > Duration::ZERO && left <= MINUTE + ROUNDED)
        );
        shift(&store, -7_200_000);
        let (registry, _) = process(&store);
        assert_eq!(left(&registry, "a"), Some(Duration::ZERO));
        let again = registry.find("a").unwrap();
        assert_eq!(again.call(async || Ok::<_, ()>(1)).await, Ok(1), "it probes");
    }

    #[tokio::test]
    async fn circuits_of_keys_are_restored_where_they_are_shared() {
        let store: Arc<dyn Store> = Arc::new(InMemory::default());
        let (registry, circuits) = process(&store);
        let key = Key::from_hash(0x7e57_ab1e);
        let attributes = Attributes { key, ..Attributes::default() };
        for name in ["keyed", "keyed and shared"] {
            let operation = registry.find(name).unwrap();
            let call = operation.run(|_| async { Err::<(), _>("down") }).attributes(attributes);
            assert!(call.await.is_err());
        }
        circuits.save().unwrap();
        let (registry, _) = process(&store);
        let state = |name: &str| {
            let pipeline = registry.find(name).unwrap().pipeline();
            pipeline.circuit_state(registry.now(), key).unwrap().0
        };
        assert_eq!((state("keyed"), state("keyed and shared")), (State::Closed, State::Open));
    }

    #[tokio::test]
    async fn what_is_not_so_any_more_is_not_restored() {
        let store: Arc<dyn Store> = Arc::new(InMemory::default());
        let (registry, circuits) = process(&store);
        let forced = |name: &str| {
            registry.find(name).unwrap().force_circuit(Force::Disabled, "a drill", None);
        };
        forced("a");
        forced("b");
        circuits.save().unwrap();
        let state =
            |registry: &Registry, name: &str| registry.find(name).unwrap().circuit().unwrap().why();
        let (again, _) = process(&store);
        assert_eq!(state(&again, "a").as_deref(), Some("forced: a drill"));
        registry.find("a").unwrap().reset_circuit();
        // Nobody hears of this one.
        registry.remove("b");
        circuits.save().unwrap();
        let (again, _) = process(&store);
        assert_eq!((state(&again, "a"), state(&again, "b")), (None, None));
        // Nor does a breaker that is off come back with what it knew.
        forced("a");
        registry.find("a").unwrap().set_mode("circuit_breaker", Mode::Off);
        circuits.save().unwrap();
        assert_eq!(state(&process(&store).0, "a"), None);
    }

    #[tokio::test]
    async fn a_full_store_is_tried_again() {
        let brittle = Arc::new(Brittle::default());
        let store: Arc<dyn Store> = brittle.clone();
        let (registry, circuits) = process(&store);
        brittle.full.store(true, Ordering::Relaxed);
        fail(&registry, "a").await;
        assert!(circuits.save().is_err() && circuits.save().is_err());
        brittle.full.store(false, Ordering::Relaxed);
        circuits.save().unwrap();
        assert!(left(&process(&store).0, "a").is_some());
    }
}
