//! `seawall schema`: what an editor needs to help with the file.

use seawall_server::GatewayConfig;
use std::process::ExitCode;

pub(crate) fn run() -> ExitCode {
    let schema = seawall_config::schema::<GatewayConfig>();
    println!("{schema:#}");
    ExitCode::SUCCESS
}
