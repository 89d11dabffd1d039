//! `seawall schema`: prints the JSON Schema that editors check the file with, or a page for people.

use crate::{failure::Ended, output};
use clap::Args;
use seawall_server::GatewayConfig;
use std::process::ExitCode;

/// Arguments of `schema`.
#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Print a page for people, not the JSON Schema for editors
    #[arg(long)]
    markdown: bool,
}

impl Schema {
    pub(crate) fn run(self) -> Ended {
        let schema = seawall_config::file_schema::<GatewayConfig>();
        output::write(&match self.markdown {
            true => seawall_config::reference(&schema),
            false => format!("{schema:#}\n"),
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
