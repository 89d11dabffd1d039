//! Several operations changed at once: prepared first, which may fail, then made whole.

use super::{Operation, Registered, Registry, RegistryError, check_name, has_room};
use crate::{
    name::Name, pipeline::Pipeline, policies::PolicyConfig, policy::Mode, sync::lock, time::Timer,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
};

/// A change of several operations. [`set`](Self::set) and [`remove`](Self::remove) prepare it and touch nothing;
/// [`commit`](Self::commit) puts all of it in force, or nothing.
#[must_use = "nothing changes before it is committed"]
pub struct RegistryChange<Tm> {
    registry: Registry<Tm>,
    wanted: BTreeMap<Name, Wanted<Tm>>,
    gone: BTreeSet<Name>,
}

/// One operation as it shall be.
struct Wanted<Tm> {
    operation: Operation<Tm>,
    is_new: bool,
    policies: Vec<PolicyConfig>,
    /// The policies that it was given last; what differs in their modes was switched by hand since.
    before: Option<Vec<PolicyConfig>>,
}

impl<Tm: Timer + Clone> Registry<Tm> {
    /// Begins a change of several operations.
    pub fn change(&self) -> RegistryChange<Tm> {
        let (wanted, gone) = (BTreeMap::new(), BTreeSet::new());
        RegistryChange { registry: self.clone(), wanted, gone }
    }
}

impl<Tm: Timer + Clone> RegistryChange<Tm> {
    /// The operation of this name shall have these policies, outermost first; a new one is registered with the
    /// change. `before` is what it was given last, where that is known: modes that were switched by hand since then
    /// stay, and where nothing else differs the operation is left as it is.
    ///
    /// # Errors
    /// When the name is not one, or the policies are not right.
    pub fn set(
        &mut self,
        name: &str,
        policies: Vec<PolicyConfig>,
        before: Option<&[PolicyConfig]>,
    ) -> Result<Operation<Tm>, RegistryError> {
        check_name(name)?;
        let pipeline = Pipeline::build(name, &policies).map_err(RegistryError::Config)?;
        let known = self.wanted.get(name).map(|wanted| (wanted.operation.clone(), wanted.is_new));
        let found = known.or_else(|| Some((self.registry.find(name)?, false)));
        let (operation, is_new) = found.unwrap_or_else(|| {
            let registered = self.registry.registered(pipeline);
            (self.registry.handle(registered), true)
        });
        let before = before.map(<[PolicyConfig]>::to_vec);
        let wanted = Wanted { operation: operation.clone(), is_new, policies, before };
        self.gone.remove(name);
        self.wanted.insert(name.into(), wanted);
        Ok(operation)
    }

    /// Takes the operation of this name out of the registry with the commit. Handles on it go on working, with its
    /// state.
    pub fn remove(&mut self, name: &str) {
        self.wanted.remove(name);
        self.gone.insert(name.into());
    }

    /// Checks that the change could be committed now.
    ///
    /// # Errors
    /// When there would be too many operations, or one of the new names was taken meanwhile.
    pub fn check(&self) -> Result<(), RegistryError> {
        let operations =
            self.registry.shared.operations.read().unwrap_or_else(PoisonError::into_inner);
        self.fits(&operations)
    }

    /// Puts all of it in force.
    ///
    /// # Errors
    /// When there would be too many operations, or one of the new names was taken meanwhile; then nothing changes.
    pub fn commit(self) -> Result<(), RegistryError> {
        let changed: Vec<_> = self.wanted.values().filter(|wanted| wanted.differs()).collect();
        // Always in the order of their names, so that two changes at once cannot wait for each other.
        let held: Vec<_> =
            changed.iter().map(|wanted| lock(&wanted.operation.registered.changing)).collect();
        let pipelines: Vec<Pipeline> =
            changed.iter().map(|wanted| wanted.pipeline()).collect::<Result<_, _>>()?;
        self.exchange()?;
        // From here on nothing can fail.
        for (wanted, pipeline) in changed.into_iter().zip(pipelines) {
            wanted.operation.put(pipeline);
        }
        drop(held);
        let paused = self.registry.repeats_are_paused();
        // The brake may have been pulled while they were made.
        self.fresh().for_each(|(_, wanted)| wanted.operation.pipeline().pause_repeats(paused));
        Ok(())
    }

    /// Lets the new operations in and those that are gone out.
    fn exchange(&self) -> Result<(), RegistryError> {
        let mut operations =
            self.registry.shared.operations.write().unwrap_or_else(PoisonError::into_inner);
        self.fits(&operations)?;
        self.gone.iter().for_each(|name| drop(operations.remove(name)));
        let fresh = self.fresh().map(|(name, wanted)| (name, &wanted.operation.registered));
        operations.extend(fresh.map(|(name, registered)| (name.clone(), registered.clone())));
        Ok(())
    }

    fn fits(&self, operations: &BTreeMap<Name, Arc<Registered>>) -> Result<(), RegistryError> {
        if let Some((name, _)) = self.fresh().find(|(name, _)| operations.contains_key(*name)) {
            return Err(RegistryError::Duplicate(name.clone()));
        }
        let leaving = self.gone.iter().filter(|name| operations.contains_key(*name)).count();
        has_room((operations.len() - leaving).saturating_add(self.fresh().count()))
    }

    fn fresh(&self) -> impl Iterator<Item = (&Name, &Wanted<Tm>)> {
        self.wanted.iter().filter(|(_, wanted)| wanted.is_new)
    }
}

impl<Tm> Wanted<Tm> {
    fn differs(&self) -> bool {
        !self.is_new && self.before.as_ref() != Some(&self.policies)
    }

    /// The pipeline to come, with the state of what did not change.
    fn pipeline(&self) -> Result<Pipeline, RegistryError> {
        let present = self.operation.registered.pipeline.load();
        let next = present.rebuild(&self.policies).map_err(RegistryError::Config)?;
        for (label, mode) in switched(&present, self.before.as_deref().unwrap_or_default()) {
            next.carry_mode(label, mode);
        }
        Ok(next)
    }
}

/// The modes that were switched by hand: those that are not as configured.
fn switched(pipeline: &Pipeline, configured: &[PolicyConfig]) -> Vec<(&'static str, Mode)> {
    let modes = configured.iter().enumerate().map(|(at, policy)| (policy, pipeline.mode(at)));
    modes
        .filter(|(policy, mode)| policy.mode() != *mode)
        .map(|(policy, mode)| (policy.label(), mode))
        .collect()
}

#[cfg(test)]
mod tests;
