//! The registry of the whole process.

use super::Registry;
use std::sync::OnceLock;

static GLOBAL: OnceLock<Registry> = OnceLock::new();

/// The registry of the whole process, for code that no registry is passed to: that of
/// [`#[resilient]`](crate::resilient). It begins with the preset `simple`, unless [`Registry::install_global`] came
/// first.
pub fn global() -> &'static Registry {
    GLOBAL.get_or_init(Registry::default)
}

impl Registry {
    /// Makes this the registry of the whole process. Call it at the start of the process, before [`global`] is first
    /// called.
    ///
    /// # Errors
    /// The registry itself, if one is installed already or [`global`] was called before.
    pub fn install_global(self) -> Result<(), Self> {
        GLOBAL.set(self)
    }
}
