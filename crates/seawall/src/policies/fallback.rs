//! **Fallback**: answers by other means when the operation gave no answer.
//!
//! Use it outermost, where a second upstream, a cached value or a default is better than an error. Do not use it
//! to hide errors that the caller should see. The invariant: the primary has ended, and all its permits
//! are back, before the first alternative is called; alternatives are tried in order, each once.
//!
//! A caller who hands over an alternative under a pipeline without a fallback gets the default one around it all. A caller
//! who hands over none under a pipeline with one gets the operation's own error: the presets put a fallback around every
//! operation, so that is no mistake to refuse or to warn of.

use crate::{
    config::{Check, ConfigError},
    event::Kind,
    outcome::Outcome,
    policy::{Cx, OnSuccess, Pattern, Step, policy_config},
};

policy_config! {
    /// Answers with an alternative of the caller's when the operation gave no answer.
    pub struct FallbackConfig {
        /// The most alternatives that are tried for one call; the caller may offer fewer.
        #[range(1..=32)]
        max_fallbacks: u32 = 3,
        /// Whether a failure that the request itself caused (a permanent one) is replaced, too.
        on_permanent: bool = true,
    }
}

/// A fallback: the caller's alternatives are tried in turn when the operation gives no answer. It has none of its own: a
/// call or a layer that is given no alternative answers as it would without this policy.
pub fn fallback() -> FallbackConfig {
    FallbackConfig::default()
}

/// A fallback: which outcomes ask for an alternative, and how many are tried. The alternatives themselves are the
/// driver's.
#[derive(Clone, Debug, Default)]
pub struct Fallback {
    config: FallbackConfig,
}

impl Fallback {
    /// A fallback.
    ///
    /// # Errors
    /// When `max_fallbacks` is out of its bounds.
    pub fn new(config: FallbackConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { config })
    }

    /// The configuration that it was made with.
    pub fn config(&self) -> &FallbackConfig {
        &self.config
    }

    /// Whether this outcome asks for an alternative; for use outside a pipeline.
    pub fn applies(&self, outcome: &Outcome) -> bool {
        match outcome {
            // Another dependency would fare no better with what the caller spoiled.
            Outcome::Success | Outcome::CallerFault(_) => false,
            Outcome::Failure(failure) => {
                self.config.on_permanent || failure.class != crate::outcome::Class::Permanent
            }
            Outcome::TimedOut { .. } | Outcome::Rejected(_) => true,
        }
    }
}

pub(crate) struct Frame {
    tried: u32,
}

impl Pattern for Fallback {
    type Frame = Frame;
    const ALWAYS_PASSES: bool = true;

    #[inline(always)]
    fn start(&self, _cx: &mut Cx<'_>) -> (Frame, Step) {
        (Frame { tried: 0 }, Step::Call)
    }

    #[inline]
    fn on_success(&self) -> OnSuccess {
        OnSuccess::HandsOn
    }

    #[inline]
    fn holds(_: &Frame) -> bool {
        false
    }

    fn inner_done(&self, frame: &mut Frame, cx: &mut Cx<'_>, outcome: Outcome) -> Step {
        let available = self.config.max_fallbacks.min(cx.attributes.fallbacks);
        if frame.tried >= available || !self.applies(&outcome) {
            return Step::Finish(outcome);
        }
        frame.tried += 1;
        cx.emit(Kind::FellBack { nth: frame.tried });
        Step::Fallback { nth: frame.tried }
    }
}

#[cfg(test)]
mod tests;
