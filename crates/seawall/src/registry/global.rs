//! The registry of the whole process.

use super::Registry;
use std::sync::OnceLock;

static GLOBAL: OnceLock<Registry> = OnceLock::new();

/// The registry of the whole process, where nobody hands one around: that of
/// [`#[resilient]`](crate::resilient). It begins with the preset `simple`, unless
/// [`Registry::install_global`] came first.
pub fn global() -> &'static Registry {
    GLOBAL.get_or_init(Registry::default)
}

impl Registry {
    /// Makes this the registry of the whole process. To be called at its start, before anything asks for
    /// [`global`].
    ///
    /// # Errors
    /// The registry itself, where there is one already, or somebody has asked.
    pub fn install_global(self) -> Result<(), Self> {
        GLOBAL.set(self)
    }
}
