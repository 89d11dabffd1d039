//! The circuits of all operations as plain data, to outlive the process.

use super::Registry;
use crate::{name::Name, policies::circuit_breaker::CircuitSnapshot, time::Timer};
use std::{collections::BTreeMap, time::Duration};

impl<Tm: Timer + Clone> Registry<Tm> {
    /// The circuits that are not closed, by the names of their operations; operations that have none are left out.
    pub fn circuits(&self) -> BTreeMap<Name, Vec<CircuitSnapshot>> {
        let all = self.operations().into_iter();
        let named = all.map(|operation| (operation.name(), operation.circuit_snapshot()));
        named.filter(|(_, circuits)| !circuits.is_empty()).collect()
    }

    /// Takes up circuits that were saved `age` ago, in operations that are registered by now. Observers and metrics learn of
    /// each change. Returns the names for which there is no operation, or none with a circuit breaker: they are ignored.
    #[must_use = "names that are not known should be reported"]
    pub fn restore_circuits(
        &self,
        saved: &BTreeMap<Name, Vec<CircuitSnapshot>>,
        age: Duration,
    ) -> Vec<Name> {
        let is_unknown = |(name, circuits): &(&Name, &Vec<CircuitSnapshot>)| {
            let operation = self.find(name);
            !operation.is_some_and(|operation| operation.restore_circuit(circuits, age))
        };
        saved.iter().filter(is_unknown).map(|(name, _)| name.clone()).collect()
    }
}
