//! `seawall limits`: what is left of rate limits, and their reset.

use crate::{
    failure::Ended,
    length, output,
    output::Paint,
    remote::{Server, part},
    table::{Cell, Table},
};
use clap::{Args, Subcommand};
use http::Method;
use seawall::{Mode, RateLimiterConfig};
use seawall_server::wire::{LimitKey, LimiterView, OperationLimits, RateLimitList};
use std::{process::ExitCode, time::Duration};

/// Arguments of `limits`.
#[derive(Debug, Args)]
pub(crate) struct Limits {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the rate limits of all operations, with what is left of them
    List,
    /// Shows the rate limits of one operation, for one key if there is a limit for each
    Show(One),
    /// Forgets what was counted for a key, or for all calls, so that the whole limit is left
    Reset(One),
}

#[derive(Debug, Args)]
struct One {
    /// The name of the operation; that of a route is `route` and its path, such as `route /v1/*`
    name: String,
    /// The address of a client, or the value of the header that the route counts by
    #[arg(id = "limit_key", value_name = "KEY")]
    key: Option<String>,
}

impl Limits {
    pub(crate) fn run(self) -> Ended {
        let (server, remote) = (&self.server, &self.server.remote);
        let at = |name: &str| format!("/rate-limits/{}", part(name));
        match self.command {
            Command::List => server.show(&remote.read("/rate-limits")?, list),
            Command::Show(One { name, key: None }) => server.show(&remote.read(&at(&name))?, one),
            Command::Show(One { name, key }) => {
                let path = format!("{}/quota", at(&name));
                server.show(&remote.send(&Method::POST, &path, &LimitKey { key, id: None })?, one)
            }
            Command::Reset(One { name, key }) => {
                let path = format!("{}/reset", at(&name));
                server.show(&remote.send(&Method::POST, &path, &LimitKey { key, id: None })?, one)
            }
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `100 in 1 s, 20 more after a quiet time; 1000 in 1 min`.
fn limits(config: &RateLimiterConfig) -> String {
    let first = (config.rate, config.per, config.burst);
    let also = config.also.iter().map(|limit| (limit.rate, limit.per, limit.burst));
    let words = |(rate, per, burst): (u32, Duration, u32)| {
        let per = length::short(per.as_millis() as u64);
        match burst {
            0 => format!("{rate} in {per}"),
            burst => format!("{rate} in {per}, {burst} more after a quiet time"),
        }
    };
    std::iter::once(first).chain(also).map(words).collect::<Vec<_>>().join("; ")
}

fn rows(table: &mut Table, limits_of: &OperationLimits) {
    for LimiterView { mode, config, keys, quota, .. } in &limits_of.limiters {
        let mode =
            if *mode == Mode::Enforce { String::new() } else { format!(" ({})", mode.label()) };
        let left = quota.as_ref().map(|quota| format!("{}/{}", quota.remaining, quota.limit));
        let reset = quota.as_ref().map(|quota| format!("{:.1}s", quota.reset_after));
        table.row(vec![
            Cell::text(&limits_of.name),
            Cell::text(limits(config) + &mode),
            Cell::text(&limits_of.counts_by),
            Cell::number(if config.keyed { keys.to_string() } else { "-".into() }),
            Cell::number(left.unwrap_or_else(|| "-".into())),
            Cell::number(reset.unwrap_or_else(|| "-".into())),
            Cell::number(limits_of.refused.to_string()),
        ]);
    }
}

const COLUMNS: &[&str] = &["name", "limit", "counts by", "keys", "left", "full in", "refused"];

fn list(all: &RateLimitList, paint: Paint) -> String {
    if all.rate_limits.is_empty() {
        return "no operation has a rate limit\n".into();
    }
    let mut table = Table::new(COLUMNS);
    all.rate_limits.iter().for_each(|limits| rows(&mut table, limits));
    table.text(paint)
}

fn one(limits: &OperationLimits, paint: Paint) -> String {
    let mut table = Table::new(COLUMNS);
    rows(&mut table, limits);
    let unknown = limits.limiters.iter().any(|limiter| limiter.quota.is_none());
    let hint = match unknown {
        true => format!(
            "there is a limit for each key, by {}: say which behind the name\n",
            output::plain(&limits.counts_by)
        ),
        false => String::new(),
    };
    table.text(paint) + &hint
}
