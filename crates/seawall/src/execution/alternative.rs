//! The driver's alternatives where no fallback policy asks for them.
//!
//! Whoever hands over an alternative wants it called. A [`Fallback`] in the list decides by its own configuration and
//! place; without one, the whole pipeline is treated as if the default one stood around it.

use super::{Execution, NO_PARENT};
use crate::{
    command::{Command, Resolution},
    event::Kind,
    pipeline::Pipeline,
    policies::fallback::Fallback,
    policy::Cause,
};
use std::ops::Deref;

impl<P: Deref<Target = Pipeline>> Execution<P> {
    /// Answers; or calls the driver's next alternative in place of what the outermost node at `at` came to.
    pub(super) fn answer_or_stand_in(&mut self, at: usize, resolution: Resolution) {
        if self.attributes.fallbacks == 0 || !self.stands_in(&resolution) {
            return self.answer(resolution);
        }
        self.stood_in += 1;
        let nth = self.stood_in;
        self.emit(Kind::FellBack { nth });
        let id = self.leaf(NO_PARENT, self.attributes.deadline, 0);
        // The driver takes the value that is stood in for before that value is cancelled.
        self.commands.push(Command::Fallback { id, nth, after: resolution });
        self.release_subtree(at, Cause::Discarded);
    }

    #[cold]
    fn stands_in(&self, resolution: &Resolution) -> bool {
        let fallback = Fallback::default();
        let available = fallback.config().max_fallbacks.min(self.attributes.fallbacks);
        self.stood_in < available
            && self.now < self.attributes.deadline
            && !self.pipeline.has_fallback()
            && fallback.applies(&resolution.outcome)
    }
}
