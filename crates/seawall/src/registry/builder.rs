//! A registry, put together part by part.

use super::{Registry, RegistryError};
use crate::{
    event::Observer,
    profiles::{preset, presets},
    time::Timer,
    timer::DefaultTimer,
};
use std::sync::Arc;

/// Makes a [`Registry`]. What is not said is as in [`Registry::default`]: preset `simple`, no observer, the default timer.
///
/// ```
/// # struct Log; impl seawall::Observer for Log { fn observe(&self, _: &seawall::Event<'_>) {} }
/// let registry = seawall::Registry::builder()
///     .preset("production")
///     .observer(Log)
///     .timer(seawall::SystemTimer)
///     .build()?;
/// # assert_eq!(registry.preset().name, "production"); Ok::<_, seawall::RegistryError>(())
/// ```
#[must_use = "`build` makes the registry"]
pub struct RegistryBuilder<Tm = DefaultTimer> {
    timer: Tm,
    preset: Option<String>,
    observers: Vec<Arc<dyn Observer>>,
}

impl Registry {
    /// Begins a registry; [`build`](RegistryBuilder::build) makes it.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder { timer: DefaultTimer, preset: None, observers: Vec::new() }
    }
}

impl<Tm> RegistryBuilder<Tm> {
    /// New operations start from the policies of this preset: `simple`, `development` or `production`.
    pub fn preset(self, name: &str) -> Self {
        Self { preset: Some(name.into()), ..self }
    }

    /// Adds an observer of the events of every operation. It may be called several times, for several observers.
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// All operations wait on this timer, and see its time.
    pub fn timer<T>(self, timer: T) -> RegistryBuilder<T> {
        let Self { preset, observers, .. } = self;
        RegistryBuilder { timer, preset, observers }
    }
}

impl<Tm: Timer + Clone> RegistryBuilder<Tm> {
    /// Makes the registry.
    ///
    /// # Errors
    /// [`RegistryError::UnknownPreset`] when no preset has the name.
    pub fn build(self) -> Result<Registry<Tm>, RegistryError> {
        let Self { timer, preset: name, observers } = self;
        let preset = match name {
            Some(name) => preset(&name).ok_or(RegistryError::UnknownPreset(name))?,
            None => &presets()[0],
        };
        Ok(Registry::with_timer(timer, preset, observers))
    }
}
