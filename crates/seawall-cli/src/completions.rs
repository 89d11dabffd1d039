//! `seawall completions SHELL`.

use crate::{Arguments, failure::Ended, output};
use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};
use std::process::ExitCode;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell to write completions for
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Ended {
        let mut script = Vec::new();
        generate(self.shell, &mut Arguments::command(), "seawall", &mut script);
        output::write(&String::from_utf8_lossy(&script))?;
        Ok(ExitCode::SUCCESS)
    }
}
