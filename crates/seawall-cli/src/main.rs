//! The `seawall` command: arguments to calls, one file per subcommand.
//!
//! Exit codes: 0 done; 1 it ran and did not succeed; 2 the arguments or the file are not right.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

mod check;
mod demo;
mod schema;
mod serve;

/// Keeps services standing when the things they call fail.
#[derive(Debug, Parser)]
#[command(name = "seawall", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows a real outage being survived, over real sockets, in half a minute.
    Demo(demo::Demo),
    /// Runs the gateway, its control API and its dashboard.
    Serve(serve::Serve),
    /// Finds every mistake in a configuration file.
    Check(check::Check),
    /// Prints the JSON Schema of the configuration file.
    Schema,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Demo(demo) => demo.run(),
        Command::Serve(serve) => serve.run(),
        Command::Check(check) => check.run(),
        Command::Schema => schema::run(),
    }
}
