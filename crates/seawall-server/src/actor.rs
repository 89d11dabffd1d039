//! Actors: every change, event and audit entry names one.

/// The author of a change, and the session of the control plane in which it was made. `name` is that of a key, or of
/// what acts by itself: `start`, `file`, `signal`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Actor {
    pub(crate) name: String,
    pub(crate) session: Option<String>,
}

impl Actor {
    /// An actor without a session.
    pub(crate) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), session: None }
    }
}
