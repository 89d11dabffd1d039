//! A registry, put together part by part.

use super::{Registry, RegistryError, Shared};
use crate::{
    dead_letters::DeadLetters,
    event::Observer,
    policies::PolicyConfig,
    profiles::{Preset, preset, presets},
    time::Timer,
    timer::DefaultTimer,
};
use std::sync::Arc;

/// The policies of a new operation, by its name.
pub(super) type Defaults = Arc<dyn Fn(&str) -> Vec<PolicyConfig> + Send + Sync>;

/// Makes a [`Registry`]. What is not said is as in [`Registry::default`]: preset `simple`, no observer, the default timer.
///
/// ```
/// # use std::sync::Arc;
/// # struct Log; impl seawall::Observer for Log { fn observe(&self, _: &seawall::Event<'_>) {} }
/// let registry = seawall::Registry::builder()
///     .preset("production")?
///     .observer(Arc::new(Log))
///     .timer(seawall::SystemTimer)
///     .build();
/// # let production = seawall::preset("production").unwrap().policies("prices");
/// # assert_eq!(registry.operation("prices")?.policies(), production); Ok::<_, seawall::RegistryError>(())
/// ```
#[must_use = "`build` makes the registry"]
pub struct RegistryBuilder<Tm = DefaultTimer> {
    timer: Tm,
    defaults: Defaults,
    observers: Vec<Arc<dyn Observer>>,
    dead_letters: Option<Arc<dyn DeadLetters>>,
}

impl Registry {
    /// Begins a registry; [`build`](RegistryBuilder::build) makes it.
    pub fn builder() -> RegistryBuilder {
        let defaults = of_preset(&presets()[0]);
        RegistryBuilder { timer: DefaultTimer, defaults, observers: Vec::new(), dead_letters: None }
    }
}

fn of_preset(preset: &'static Preset) -> Defaults {
    Arc::new(|name| preset.policies(name))
}

impl<Tm> RegistryBuilder<Tm> {
    /// Sets the preset that new operations start from: `simple`, `development` or `production`. It takes the place of an
    /// earlier preset or of [`defaults`](Self::defaults).
    ///
    /// # Errors
    /// [`RegistryError::UnknownPreset`] when no preset has the name.
    pub fn preset(self, name: &str) -> Result<Self, RegistryError> {
        let preset = preset(name).ok_or_else(|| RegistryError::UnknownPreset(name.into()))?;
        Ok(Self { defaults: of_preset(preset), ..self })
    }

    /// New operations start from the policies that `defaults` gives for their names, outermost first, in place of those of
    /// a preset. Policies that are out of their bounds are an error of [`Registry::operation`].
    pub fn defaults(
        self,
        defaults: impl Fn(&str) -> Vec<PolicyConfig> + Send + Sync + 'static,
    ) -> Self {
        Self { defaults: Arc::new(defaults), ..self }
    }

    /// Every operation sends its events to `observer`. Several observers are called in the order in which they were given.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Sets the place where calls are kept that failed for good: of operations with a [`DeadLetter`](crate::DeadLetter), those
    /// that say what their payload is. Without one, such calls are counted as lost.
    pub fn dead_letters(self, place: Arc<dyn DeadLetters>) -> Self {
        Self { dead_letters: Some(place), ..self }
    }

    /// Sets the timer that all operations wait on, and whose time they see.
    pub fn timer<T>(self, timer: T) -> RegistryBuilder<T> {
        let Self { defaults, observers, dead_letters, .. } = self;
        RegistryBuilder { timer, defaults, observers, dead_letters }
    }
}

impl<Tm: Timer + Clone> RegistryBuilder<Tm> {
    /// Makes the registry.
    pub fn build(self) -> Registry<Tm> {
        let Self { timer, defaults, observers, dead_letters } = self;
        let shared = Shared {
            timer,
            defaults,
            observers,
            dead_letters,
            repeats_paused: Default::default(),
            operations: Default::default(),
        };
        Registry { shared: Arc::new(shared) }
    }
}
