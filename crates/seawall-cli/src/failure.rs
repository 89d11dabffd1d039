//! How a command ends when it does not succeed, and the code that it leaves.

use std::process::ExitCode;

/// What every command comes to.
pub(crate) type Ended = Result<ExitCode, Failure>;

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It ran and did not succeed: code 1.
    Refused(String),
    /// The arguments, the file or the server cannot be used: code 2.
    Unusable(String),
    /// Whoever read the output has left, as `head` does: nothing is wrong.
    NobodyReads,
}

impl Failure {
    /// Tells of it on standard error, and gives the code to leave.
    pub(crate) fn told(&self) -> ExitCode {
        match self {
            Self::Refused(text) => {
                eprintln!("seawall: {text}");
                ExitCode::FAILURE
            }
            Self::Unusable(text) => {
                eprintln!("seawall: {text}");
                ExitCode::from(2)
            }
            Self::NobodyReads => ExitCode::SUCCESS,
        }
    }
}
