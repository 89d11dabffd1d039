//! The `seawall` command: arguments to calls, one file per subcommand.
//!
//! Exit codes: 0 done; 1 it ran and did not succeed; 2 the arguments, the file or the server cannot be used.

use clap::{Parser, Subcommand};
use failure::Ended;
use std::process::ExitCode;

mod alerts;
mod bench;
mod breakers;
mod check;
mod completions;
mod config;
mod demo;
mod dlq;
mod events;
mod explain;
mod failure;
mod file;
mod length;
mod limits;
mod migrate;
mod operations;
mod output;
mod preset;
mod remote;
mod retries;
mod rules;
mod schema;
mod serve;
mod status;
mod table;
mod template;
mod tenants;
mod top;

/// Keeps services standing when the things they call fail.
///
/// Exit codes: 0 done; 1 it ran and did not succeed; 2 the arguments, the file or the server cannot be used.
#[derive(Debug, Parser)]
#[command(name = "seawall", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows a real outage being survived, over real sockets, in half a minute
    Demo(demo::Demo),
    /// Runs the gateway, its control API and its dashboard
    Serve(serve::Serve),
    /// Finds every mistake in a configuration file
    Check(check::Check),
    /// Prints the JSON Schema of the configuration file
    Schema(schema::Schema),
    /// Explains a field of the configuration, and shows its value
    Explain(explain::Explain),
    /// Lists presets, shows one, or recommends one
    Preset(preset::Presets),
    /// Lists templates of custom configurations, or shows one
    Template(template::Templates),
    /// Converts the variables of former systems into a preset and the differences from it
    Migrate(migrate::Migrate),
    /// Shows how a running server is, and all instances of its fleet
    Status(status::Status),
    /// Shows the operations of a running server live, the worst first
    Top(top::Top),
    /// Shows, resets and forces circuit breakers
    Breakers(breakers::Breakers),
    /// Shows what is left of rate limits, and resets them
    Limits(limits::Limits),
    /// Shows what tenants use and what is left to them, and resets it
    Tenants(tenants::Tenants),
    /// Shows operations with their policies, and sets the modes of the policies
    Operations(operations::Operations),
    /// Pauses and releases all retries and hedges, or those of one operation
    Retries(retries::Retries),
    /// Shows the latest events of a running server, and follows new ones
    Events(events::Events),
    /// Shows alerts, and acknowledges them
    Alerts(alerts::Alerts),
    /// Shows, replays and removes dead letters: requests that failed for good
    Dlq(dlq::Dlq),
    /// Shows and changes the configuration of a running server
    Config(config::Config),
    /// Measures how fast a running server is
    Bench(bench::Bench),
    /// Writes alert rules for Prometheus, or a dashboard for Grafana
    Rules(rules::Rules),
    /// Writes a completion script for a shell
    Completions(completions::Completions),
}

impl Command {
    fn run(self) -> Ended {
        match self {
            Self::Demo(demo) => Ok(demo.run()),
            Self::Serve(serve) => Ok(serve.run()),
            Self::Check(check) => check.run(),
            Self::Schema(schema) => schema.run(),
            Self::Explain(explain) => explain.run(),
            Self::Preset(presets) => presets.run(),
            Self::Template(templates) => templates.run(),
            Self::Migrate(migrate) => migrate.run(),
            Self::Status(status) => status.run(),
            Self::Top(top) => top.run(),
            Self::Breakers(breakers) => breakers.run(),
            Self::Limits(limits) => limits.run(),
            Self::Tenants(tenants) => tenants.run(),
            Self::Operations(operations) => operations.run(),
            Self::Retries(retries) => retries.run(),
            Self::Events(events) => events.run(),
            Self::Alerts(alerts) => alerts.run(),
            Self::Dlq(dlq) => dlq.run(),
            Self::Config(config) => config.run(),
            Self::Bench(bench) => bench.run(),
            Self::Rules(rules) => rules.run(),
            Self::Completions(completions) => completions.run(),
        }
    }
}

fn main() -> ExitCode {
    Arguments::parse().command.run().unwrap_or_else(|failure| failure.report())
}
