//! The modes of policies (enforce, shadow, off), and the pause of retries and hedges, which an operator changes live.

use crate::{
    config::config,
    sync::{AtomicU64, Ordering},
};

config! {
    /// The mode of a policy in a pipeline. It can be changed while the pipeline is in use, and holds for calls that
    /// reach the policy from then on.
    #[derive(Copy, Default, Eq)]
    pub enum Mode {
        /// The policy acts.
        #[default]
        Enforce,
        /// The policy decides and counts, but never acts: its events are marked, and every call passes.
        Shadow,
        /// The policy is left out. A circuit breaker forgets its state, so that it begins closed when it acts again.
        Off,
    }
}

impl Mode {
    /// The label in files, metrics and logs: `enforce`, `shadow` or `off`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Off => "off",
        }
    }
}

/// Policies that one pipeline may hold.
pub(crate) const MOST_POLICIES: usize = 31;

const PAUSED: u64 = 1 << 63;

/// The live switches of one pipeline, in one word: two bits a policy, and the brake.
#[derive(Debug, Default)]
pub(crate) struct Controls(AtomicU64);

/// The modes of all policies at one instant.
#[derive(Clone, Copy)]
pub(crate) struct Modes(u64);

impl Modes {
    #[inline]
    pub(crate) fn of(self, policy: usize) -> Mode {
        if policy >= MOST_POLICIES {
            return Mode::Enforce;
        }
        match self.0 >> (2 * policy as u32) & 3 {
            0 => Mode::Enforce,
            1 => Mode::Shadow,
            _ => Mode::Off,
        }
    }

    /// Whether every policy acts.
    #[inline]
    pub(crate) fn all_enforce(self) -> bool {
        self.0 == 0
    }
}

impl Controls {
    #[inline]
    pub(crate) fn modes(&self) -> Modes {
        Modes(self.0.load(Ordering::Relaxed) & !PAUSED)
    }

    pub(crate) fn set(&self, policy: usize, mode: Mode) {
        let bits = match mode {
            Mode::Enforce => 0,
            Mode::Shadow => 1,
            Mode::Off => 2,
        };
        let shift = 2 * policy as u32;
        crate::sync::update(&self.0, |word| (word & !(3 << shift) | bits << shift, ()));
    }

    pub(crate) fn pause_repeats(&self, paused: bool) {
        crate::sync::update(&self.0, |word| {
            (if paused { word | PAUSED } else { word & !PAUSED }, ())
        });
    }

    pub(crate) fn repeats_are_paused(&self) -> bool {
        self.0.load(Ordering::Relaxed) & PAUSED != 0
    }
}

/// Declares the configuration of a policy: what [`config!`](crate::config::config) does, and the mode that every policy has.
macro_rules! policy_config {
    (
        $(#[doc = $doc:literal])* $(#[check($compare:expr)])? pub struct $name:ident { $($fields:tt)* }
    ) => {
        $crate::config::config! {
            $(#[doc = $doc])*
            $(#[check($compare)])?
            pub struct $name {
                $($fields)*
                /// Whether the policy acts (`enforce`), only reports what it would do (`shadow`), or is left out
                /// (`off`).
                mode: $crate::policy::Mode = $crate::policy::Mode::Enforce,
            }
        }
    };
}
pub(crate) use policy_config;
