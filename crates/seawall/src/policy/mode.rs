//! Whether a policy acts, only says what it would do, or is not there; and the operator's brake.

use crate::sync::{AtomicU64, Ordering};

/// What a policy in a pipeline may do. Changed live, for calls that reach the policy from then on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Mode {
    /// It acts.
    #[default]
    Enforce,
    /// It decides and counts, and never acts: its events are marked, and calls pass it by.
    Shadow,
    /// It is as if it did not stand there. A circuit breaker forgets its state, so that it begins closed when
    /// it acts again.
    Off,
}

impl Mode {
    /// `enforce`, `shadow` or `off`.
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

    /// Every policy acts.
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

/// Declares a policy's configuration struct: what [`config!`](crate::config::config) does, and the mode.
macro_rules! policy_config {
    ($(#[$doc:meta])* pub struct $name:ident { $($fields:tt)* }) => {
        crate::config::config! {
            $(#[$doc])*
            pub struct $name {
                $($fields)*
                /// Whether it acts in its pipeline, only says what it would do, or is not there.
                mode: crate::policy::Mode = crate::policy::Mode::Enforce,
            }
        }
    };
}
pub(crate) use policy_config;
