//! The errors of a registry.

use super::{MAX_NAME, MAX_OPERATIONS};
use crate::{config::ConfigError, name::Name};
use std::fmt;

/// The reason why the registry has no such operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegistryError {
    /// There is no preset of this name.
    UnknownPreset(String),
    /// The name is empty, too long, or has control characters.
    InvalidName(String),
    /// An operation of this name exists already.
    Duplicate(Name),
    /// An operation of this name exists with other policies than the ones asked for.
    OtherPolicies(Name),
    /// There are as many operations as there may be.
    Full,
    /// The policies are not valid.
    Config(ConfigError),
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPreset(name) => {
                let known: Vec<_> =
                    crate::profiles::presets().iter().map(|preset| preset.name.as_str()).collect();
                write!(f, "no preset is called {name:?}; there are {}", known.join(", "))
            }
            Self::InvalidName(name) => {
                write!(
                    f,
                    "{name:?} is not a name: 1 to {MAX_NAME} characters, none of them control"
                )
            }
            Self::Duplicate(name) => write!(
                f,
                "operation {name:?} exists already: `operation` gives it, `get_or_register` gives it if it has the same \
                 policies, and `reconfigure` changes it"
            ),
            Self::OtherPolicies(name) => write!(
                f,
                "operation {name:?} exists with other policies: `operation` gives it as it is, and `reconfigure` changes it"
            ),
            Self::Full => write!(f, "there are {MAX_OPERATIONS} operations; no more are possible"),
            Self::Config(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RegistryError {}
