//! The reasons why a load did not start.

use std::{fmt, io};

/// The reason why a load did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// No base URL was given.
    NoTarget,
    /// A base URL with the path is not an `http` URL.
    Target {
        /// The URL that was given.
        url: String,
        /// The problem with the URL.
        reason: String,
    },
    /// The rate is not a positive, finite number of requests a second.
    Rate(f64),
    /// The load was not started on a tokio runtime.
    NoRuntime,
    /// The system gave no thread to keep the time.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTarget => {
                f.write_str("load needs a target: a base URL like http://127.0.0.1:8080")
            }
            Self::Target { url, reason } => write!(f, "load cannot be sent to `{url}`: {reason}"),
            Self::Rate(rate) => {
                write!(f, "a rate of {rate} requests a second is not above 0 and finite")
            }
            Self::NoRuntime => f.write_str("load starts on a tokio runtime only"),
            Self::Thread(error) => write!(f, "load got no thread to keep the time: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Thread(error) => Some(error),
            _ => None,
        }
    }
}
