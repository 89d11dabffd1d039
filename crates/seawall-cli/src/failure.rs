//! How a command ends when it does not succeed, and its exit code.

use std::process::ExitCode;

/// The result of every command.
pub(crate) type Ended = Result<ExitCode, Failure>;

/// The reason why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command ran and did not succeed: code 1.
    Refused(String),
    /// The arguments, the file or the server cannot be used: code 2.
    Unusable(String),
    /// The reader of the output has left, as `head` does: nothing is wrong.
    NobodyReads,
}

impl Failure {
    /// Prints the failure on standard error, and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
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
