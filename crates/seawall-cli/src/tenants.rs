//! `seawall tenants`: what tenants use, what is left to them, and their reset.

use crate::{
    failure::Ended,
    output,
    output::Paint,
    remote::{Server, part},
    table::{Cell, Table},
};
use clap::{Args, Subcommand};
use http::Method;
use seawall_server::wire::{BudgetView, TenantList, TenantView};
use std::{fmt::Write, process::ExitCode};

/// Arguments of `tenants`.
#[derive(Debug, Args)]
pub(crate) struct Tenants {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists tenants, those with the most requests first
    List(List),
    /// Shows one tenant: its use, its limits, its models, and what is left of its budgets
    Show(One),
    /// Makes the budgets and the rate limits of a tenant whole again
    Reset(One),
}

#[derive(Debug, Args)]
struct List {
    /// The most tenants to list
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

#[derive(Debug, Args)]
struct One {
    /// The name of the tenant
    name: String,
}

impl Tenants {
    pub(crate) fn run(self) -> Ended {
        let (server, remote) = (&self.server, &self.server.remote);
        let at = |name: &str| format!("/tenants/{}", part(name));
        match self.command {
            Command::List(List { limit }) => {
                server.show(&remote.read(&format!("/tenants?limit={limit}"))?, list)
            }
            Command::Show(One { name }) => server.show(&remote.read(&at(&name))?, one),
            Command::Reset(One { name }) => {
                let path = format!("{}/reset", at(&name));
                server.show(&remote.send(&Method::POST, &path, &())?, one)
            }
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

const COLUMNS: &[&str] =
    &["name", "tier", "requests", "refused", "tokens", "cost", "in flight", "budgets"];

fn tokens(tenant: &TenantView) -> u64 {
    let of_requests = tenant.input_tokens + tenant.cached_input_tokens + tenant.cache_write_tokens;
    of_requests + tenant.output_tokens
}

/// `money 80 % of 100 a month`.
fn budget(budget: &BudgetView) -> String {
    let share = budget.used / budget.limit * 100.0;
    let (unit, per) = (name(&budget.unit), name(&budget.per));
    format!("{unit} {share:.0} % of {} a {per}", budget.limit)
}

fn name(of: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(of).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn row(table: &mut Table, tenant: &TenantView) {
    let in_flight = match tenant.max_concurrent {
        Some(most) => format!("{}/{most}", tenant.in_flight),
        None => tenant.in_flight.to_string(),
    };
    let budgets: Vec<String> = tenant.budgets.iter().map(budget).collect();
    table.row(vec![
        Cell::text(&tenant.name),
        Cell::text(tenant.tier.as_deref().unwrap_or("-")),
        Cell::number(tenant.requests.to_string()),
        Cell::number(tenant.refused.values().sum::<u64>().to_string()),
        Cell::number(tokens(tenant).to_string()),
        Cell::number(format!("{:.4}", tenant.cost)),
        Cell::number(in_flight),
        Cell::text(budgets.join("; ")),
    ]);
}

fn list(all: &TenantList, paint: Paint) -> String {
    if all.tenants.is_empty() {
        return "there are no tenants\n".into();
    }
    let mut table = Table::new(COLUMNS);
    all.tenants.iter().for_each(|tenant| row(&mut table, tenant));
    let mut text = table.text(paint);
    let further = all.total - all.tenants.len();
    if further > 0 {
        let _ = writeln!(text, "and {further} more");
    }
    for (model, tokens) in &all.unpriced_tokens {
        let _ = writeln!(text, "no price: {} ({tokens} tokens)", output::plain(model));
    }
    text
}

fn one(tenant: &TenantView, paint: Paint) -> String {
    let mut table = Table::new(COLUMNS);
    row(&mut table, tenant);
    let mut text = table.text(paint);
    for (unit, quota) in &tenant.limits {
        let (remaining, limit) = (quota.remaining, quota.limit);
        let _ = writeln!(text, "limit of {unit}: {remaining} of {limit} left");
    }
    for (reason, refused) in tenant.refused.iter().filter(|(_, refused)| **refused > 0) {
        let _ = writeln!(text, "refused by {reason}: {refused}");
    }
    if !tenant.models.is_empty() {
        let mut models = Table::new(&["model", "requests", "tokens", "cost"]);
        for model in &tenant.models {
            models.row(vec![
                Cell::text(&model.model),
                Cell::number(model.requests.to_string()),
                Cell::number(model.tokens.to_string()),
                Cell::number(format!("{:.4}", model.cost)),
            ]);
        }
        text += &models.text(paint);
    }
    text
}
