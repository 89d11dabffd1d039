//! A request as one of its tenant's: within the tenant's limits and budgets, or refused.

use super::{
    Gateway, problem_response::problem_response_with, protocol::Api, request::InboundRequest,
    response_body::ResponseBody, routing_table::RoutingTable,
};
use crate::{
    tenants::{Expected, Standing, TenantCall, TenantRefusal, Usage},
    wall_clock,
};
use http::{Response, StatusCode};
use seawall::{Attributes, Error};
use seawall_tower::{Problem, rejection_problem, timeout_problem};
use serde_json::{Map, Value, json};
use std::{convert::Infallible, future::ready, time::Duration};

/// A refusal on a tenant's account: the problem, and what its document says beside it.
pub(super) struct TenantProblem {
    problem: Problem,
    members: Map<String, Value>,
}

impl TenantProblem {
    /// What went wrong, in a sentence.
    pub(super) fn detail(self) -> String {
        self.problem.detail
    }

    pub(super) fn answer(&self, api: Option<Api>) -> Response<ResponseBody> {
        problem_response_with(&self.problem, api, &self.members)
    }
}

impl Gateway {
    /// Admits a request of this tenant. Its permits are held until the call ends.
    pub(super) async fn admit_tenant(
        &self,
        name: &str,
        request: &InboundRequest,
        table: &RoutingTable,
    ) -> Result<TenantCall, Box<TenantProblem>> {
        let expected = request.estimate.as_ref().map_or_else(Expected::default, |estimate| {
            let (input, output) = (estimate.input.into(), estimate.output.into());
            let usage = Usage { input, output, ..Usage::default() };
            Expected { usage, model: estimate.model.clone() }
        });
        let refused = |refusal| Box::new(problem_of(name, refusal));
        let mut call = self.tenants.admit(name, expected).map_err(refused)?;
        let Some((operation, key)) = table.tenants.of(name) else { return Ok(call) };
        let attributes =
            Attributes { key, tokens: request.expected_tokens(), ..Attributes::default() };
        let admission = operation.run(|_| ready(Ok::<(), Infallible>(())));
        match admission.attributes(attributes).held().await {
            Ok(((), permits)) => {
                call.hold(permits);
                Ok(call)
            }
            Err(error) => {
                call.rate_limited();
                let problem = match error {
                    Error::Rejected(rejected) => rejection_problem(&rejected),
                    Error::TimedOut(elapsed) => timeout_problem(&elapsed),
                    Error::Inner(never) => match never {},
                };
                let members = [("tenant".to_owned(), name.into())].into_iter().collect();
                Err(Box::new(TenantProblem { problem, members }))
            }
        }
    }
}

fn problem_of(name: &str, refusal: TenantRefusal) -> TenantProblem {
    let mut members: Map<String, Value> =
        [("tenant".to_owned(), name.into())].into_iter().collect();
    let (status, title, detail, reason, retry_after) = match refusal {
        TenantRefusal::Unknown => (
            StatusCode::FORBIDDEN,
            "Unknown tenant",
            format!("the tenant {name} is not known here"),
            "tenant_unknown",
            None,
        ),
        TenantRefusal::Concurrent(most) => (
            StatusCode::TOO_MANY_REQUESTS,
            "Too many requests at once",
            format!("{most} requests of the tenant {name} are in progress"),
            "tenant_concurrency",
            Some(Duration::from_secs(1)),
        ),
        TenantRefusal::Budget(budget) => {
            members.insert("budget".to_owned(), budget_members(&budget));
            let left = budget.resets_at.saturating_sub(wall_clock::now_ms());
            let detail = format!(
                "the budget of the tenant {name} of {} {} a {} is used up: {:.6} used, {:.6} expected of requests in \
                 progress; it resets at {}",
                budget.limit,
                budget.unit.label(),
                budget.per.label(),
                budget.used,
                budget.reserved,
                wall_clock::text(budget.resets_at)
            );
            let (title, reason) = ("Budget used up", TENANT_BUDGET);
            let left = Some(Duration::from_millis(left));
            (StatusCode::TOO_MANY_REQUESTS, title, detail, reason, left)
        }
    };
    let problem = Problem { status, title, detail, policy: "tenant", reason, retry_after };
    TenantProblem { problem, members }
}

/// The reason of a refusal that trying again soon does not help.
pub(super) const TENANT_BUDGET: &str = "tenant_budget";

fn budget_members(budget: &Standing) -> Value {
    json!({
        "unit": budget.unit.label(),
        "per": budget.per.label(),
        "limit": budget.limit,
        "used": budget.used,
        "reserved": budget.reserved,
        "resets_at": wall_clock::text(budget.resets_at),
    })
}
