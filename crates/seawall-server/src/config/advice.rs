//! Warnings about configurations that are valid and may still do harm: arithmetic that an operator would otherwise do
//! during an outage.

use super::{GatewayConfig, LetterStore, RateLimitConfig, Repeatable, RouteConfig, TenantsConfig};
use seawall::{
    BulkheadConfig, CircuitBreakerConfig, Jitter, PolicyConfig, RateLimiterConfig, RetryConfig,
    Unit, Window,
};
use seawall_config::Report;
use std::time::Duration;

/// A shared limit without a store: what it means, and what to do.
const NOT_SHARED: (&str, &str) = (
    "there is no store to share the limit through: it is decided as its degraded mode says, always",
    "name one in store.redis",
);

/// A shared circuit without a store.
const ALONE: (&str, &str) = (
    "there is no store to share the circuit through: each instance has its own",
    "name one in store.redis",
);

fn shares_limits(policy: &PolicyConfig) -> bool {
    matches!(policy, PolicyConfig::RateLimiter(limit) if limit.shared.is_some())
}

fn shares_circuits(policy: &PolicyConfig) -> bool {
    matches!(policy, PolicyConfig::CircuitBreaker(breaker) if breaker.shared.is_some())
}

impl GatewayConfig {
    /// Adds warnings about what the policies of each operation amount to, together and along their routes.
    pub(super) fn advise(&self, report: &mut Report<'_>) {
        self.advise_letters(report);
        for (at, route) in self.routes.iter().enumerate() {
            for (tier, limit) in route.rate_limit.iter().flat_map(RateLimitConfig::limiters) {
                if limit.burst > limit.rate {
                    let tier = tier.map(|tier| format!("tiers.{tier}.")).unwrap_or_default();
                    let unit = if limit.unit == Unit::Tokens { "tokens." } else { "" };
                    let message =
                        format!("a burst of {} on top of a rate of {}", limit.burst, limit.rate);
                    let field = format!("routes[{at}].rate_limit.{tier}{unit}burst");
                    report.warning(field, message, "use rate or less");
                }
            }
            let shares = route.rate_limit.as_ref().is_some_and(|limit| limit.shared.is_some());
            if shares && self.store.redis.is_none() {
                let (message, right) = NOT_SHARED;
                report.warning(format!("routes[{at}].rate_limit.shared"), message, right);
            }
            let tiered = route.rate_limit.as_ref().is_some_and(|limit| limit.tier.is_some());
            if tiered && self.trusted_proxies.is_empty() {
                let message = "nobody is trusted to say a request's tier: each has default_tier";
                let right = "name who sets the header in trusted_proxies";
                report.warning(format!("routes[{at}].rate_limit.tier"), message, right);
            }
            let key = route.rate_limit.as_ref().and_then(|limit| limit.key.as_deref());
            if let Some(header) = key.and_then(|key| key.strip_prefix("header:"))
                && is_about_clients(header)
            {
                let message = format!("a client dodges this limit by sending another {header}");
                let right = "use peer, and name your proxies in trusted_proxies";
                report.warning(format!("routes[{at}].rate_limit.key"), message, right);
            }
            let covered = self.routes[..at].iter().find(|before| before.covers(route));
            if let Some(before) = covered {
                let message =
                    format!("{} above takes every request that would come here", before.path);
                report.warning(
                    format!("routes[{at}].path"),
                    message,
                    "put it above, or take it out",
                );
            }
            self.advise_total(at, route, report);
        }
        self.advise_tenants(report);
        let (settings, catalog) = (self.settings(), self.catalog());
        let names = self.upstreams.keys().map(|name| ("upstreams", name));
        for (section, name) in names.chain(self.operations.keys().map(|name| ("operations", name)))
        {
            let policies = self.chosen_policies(name, &settings, &catalog);
            let path = seawall_config::path_of(&[section, name]);
            report.within(path, |report| {
                if self.store.redis.is_none() {
                    let all = [NOT_SHARED, ALONE].into_iter().zip([shares_limits, shares_circuits]);
                    for ((message, right), shares) in all {
                        if policies.iter().any(shares) {
                            report.warning("policies", message, right);
                        }
                    }
                }
                let mut advice = Advice { report, policies: &policies, rate: self.rate_of(name) };
                advice.all();
                self.advise_upstream(name, &policies, report);
            });
        }
    }

    /// A total that one attempt can use up leaves nothing for another, nor for a fallback.
    fn advise_total(&self, at: usize, route: &RouteConfig, report: &mut Report<'_>) {
        let Some((total, upstream)) = route.total_timeout.zip(self.upstreams.get(&route.upstream))
        else {
            return;
        };
        let policies = self.effective_policies(&route.upstream);
        let innermost = policies.iter().rev().find_map(|policy| match policy {
            PolicyConfig::Timeout(timeout) => Some(timeout.limit),
            _ => None,
        });
        let attempt = innermost.into_iter().chain(upstream.first_byte_timeout).min();
        if let Some(attempt) = attempt.filter(|attempt| *attempt >= total) {
            let message = format!(
                "one attempt at {} may take {attempt:?}: a hang there uses up the total of {total:?}, and \
                 nothing is repeated, no fallback asked, no circuit opened",
                route.upstream
            );
            let right = "lower the upstream's attempt_timeout or first_byte_timeout";
            report.warning(format!("routes[{at}].total_timeout"), message, right);
        }
    }

    /// A master that is watched is one that fails over, and then the last letters are only where replicas have them.
    fn advise_letters(&self, report: &mut Report<'_>) {
        let fails_over = self.store.redis.as_ref().is_some_and(|redis| redis.sentinel.is_some());
        let in_redis = self.dead_letters.store == Some(LetterStore::Redis);
        if fails_over && in_redis && self.dead_letters.wait_replicas == 0 {
            let message = "a fail-over loses the letters that no replica had received";
            report.warning("dead_letters.wait_replicas", message, "set it to 1 or more");
        }
    }

    fn advise_tenants(&self, report: &mut Report<'_>) {
        let tenants = &self.tenants;
        let source = tenants.source();
        if source.is_none() && *tenants != TenantsConfig::default() && tenants.from.is_none() {
            let message = "nothing says whose a request is, so there are no tenants";
            report.warning("tenants.from", message, "write header:<name>, key, or claim:<name>");
        }
        let believed = source.is_some_and(|source| source.needs_trust());
        if believed && self.trusted_proxies.is_empty() {
            let message = "nobody is trusted to say a request's tenant: each is anonymous";
            let right = "name who sets it in trusted_proxies";
            report.warning("tenants.from", message, right);
        }
        if tenants.shared.is_some() && self.store.redis.is_none() {
            let (message, right) = NOT_SHARED;
            report.warning("tenants.shared", message, right);
        }
    }

    /// Calls a second that the routes let through to an upstream; none where one of them has no limit.
    fn rate_of(&self, name: &str) -> Option<f64> {
        let leading = self.routes.iter().filter(|route| {
            route.upstream == name || route.fallback.iter().any(|next| next == name)
        });
        let rates: Option<Vec<f64>> = leading
            .map(|route| {
                let limit = route.rate_limit.as_ref().filter(|limit| limit.key.is_none())?;
                let each = limit.limiters().into_iter().map(|(_, one)| one);
                let each: Vec<_> = each.filter(|one| one.unit == Unit::Calls).collect();
                let a_second = each.iter().map(|one| f64::from(one.rate) / one.per.as_secs_f64());
                (!each.is_empty()).then(|| a_second.sum())
            })
            .collect();
        rates.filter(|rates| !rates.is_empty()).map(|rates| rates.iter().sum())
    }

    fn advise_upstream(&self, name: &str, policies: &[PolicyConfig], report: &mut Report<'_>) {
        let Some(upstream) = self.upstreams.get(name) else { return };
        let hedges = policies.iter().any(|policy| matches!(policy, PolicyConfig::Hedge(_)));
        if hedges && upstream.repeatable == Repeatable::Never {
            let message = "a hedge sends a request twice, and no request here may be sent twice";
            report.warning("repeatable", message, "take the hedge out, or say which may");
        }
        let critical =
            upstream.strategy.as_deref().is_some_and(|name| name.starts_with("critical"));
        let routes = self.routes.iter().filter(|route| route.upstream == name);
        let alone =
            routes.clone().count() > 0 && routes.clone().all(|route| route.fallback.is_empty());
        let breaks =
            policies.iter().any(|policy| matches!(policy, PolicyConfig::CircuitBreaker(_)));
        if critical && alone && breaks {
            let message =
                "while its circuit is open there is no answer: no route to it has a fallback";
            report.warning(
                "strategy",
                message,
                "name another upstream under the route's `fallback`",
            );
        }
    }
}

/// Headers that say who a client is, and that anybody can send.
fn is_about_clients(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    header.starts_with("x-forwarded-")
        || ["forwarded", "x-real-ip", "x-client-ip", "true-client-ip"].contains(&header.as_str())
}

impl RouteConfig {
    /// Whether this matches every request that the other one matches.
    fn covers(&self, other: &Self) -> bool {
        let path = match self.path.strip_suffix('*') {
            Some(start) => {
                other.path.starts_with(start) || other.path == start.trim_end_matches('/')
            }
            None => self.path == other.path,
        };
        let methods = self.methods.is_empty()
            || (!other.methods.is_empty()
                && other.methods.iter().all(|one| self.methods.contains(one)));
        path && methods
    }
}

struct Advice<'a, 'r, 't> {
    report: &'a mut Report<'r>,
    policies: &'t [PolicyConfig],
    /// Calls a second at most, where something says it.
    rate: Option<f64>,
}

impl Advice<'_, '_, '_> {
    fn all(&mut self) {
        for (at, policy) in self.policies.iter().enumerate() {
            match policy {
                PolicyConfig::CircuitBreaker(breaker) => self.breaker(at, breaker),
                PolicyConfig::Retry(retry) => self.retry(at, retry),
                PolicyConfig::RateLimiter(limiter) => self.limiter(at, limiter),
                _ => {}
            }
        }
        self.multiplied();
    }

    fn warn(&mut self, at: usize, field: &str, message: String, right: &str) {
        self.report.warning(format!("policies[{at}].{field}"), message, right);
    }

    /// Calls a second that can reach a policy: what a limiter outside of it lets through.
    fn rate_at(&self, at: usize) -> Option<f64> {
        let limits = self.policies[..at].iter().filter_map(|policy| match policy {
            PolicyConfig::RateLimiter(limiter) if !limiter.keyed => {
                Some(f64::from(limiter.rate) / limiter.per.as_secs_f64())
            }
            _ => None,
        });
        limits.chain(self.rate).reduce(f64::min)
    }

    fn breaker(&mut self, at: usize, breaker: &CircuitBreakerConfig) {
        if breaker.window.is_none() && breaker.failure_threshold.is_some_and(|count| count < 2) {
            let message = "a single failure opens this circuit".to_owned();
            self.warn(at, "failure_threshold", message, "use 2 or more, or a window with a share");
        }
        if breaker.recovery_timeout < Duration::from_secs(30) && !self.is_tested_often(breaker) {
            let message = format!(
                "after {} a dependency that needs longer to start is called again",
                humantime::format_duration(breaker.recovery_timeout)
            );
            self.warn(at, "recovery_timeout", message, "30s is the least that is commonly used");
        }
        let (Some(window), Some(rate)) = (&breaker.window, self.rate_at(at)) else { return };
        let needed = f64::from(breaker.minimum_calls) / rate;
        let message = match window {
            Window::Time(length) if needed > length.as_secs_f64() => format!(
                "with minimum_calls {} at {rate:.3} calls/s this breaker never opens: its window of {} ends \
                 before there are so many",
                breaker.minimum_calls,
                humantime::format_duration(*length)
            ),
            _ if needed >= 30.0 => format!(
                "with minimum_calls {} at {rate:.3} calls/s this breaker cannot open within {needed:.0} s",
                breaker.minimum_calls
            ),
            _ => return,
        };
        self.warn(at, "minimum_calls", message, "lower it");
    }

    /// Waits that grow make a short first one harmless.
    fn is_tested_often(&self, breaker: &CircuitBreakerConfig) -> bool {
        breaker.recovery_multiplier > 1.0
    }

    fn retry(&mut self, at: usize, retry: &RetryConfig) {
        if retry.max_attempts > 10 {
            let message = format!(
                "{} attempts keep a caller, and load a sick dependency",
                retry.max_attempts
            );
            self.warn(at, "max_attempts", message, "10 is the most that is commonly used");
        }
        if retry.max_attempts > 1 && retry.backoff.jitter == Jitter::None {
            let message = "without jitter all callers come again at the same instant".to_owned();
            self.warn(at, "backoff.jitter", message, "use full, equal or additive");
        }
        let waits = longest_waits(retry).as_secs_f64();
        let waits = retry.max_total_delay.map_or(waits, |total| waits.min(total.as_secs_f64()));
        if waits > 300.0 {
            let message = format!("a caller may wait {waits:.0} s between attempts alone");
            self.warn(at, "max_total_delay", message, "set it to 300s or less");
        }
        self.against_timeouts(at, retry, waits);
    }

    /// All attempts, against a timeout around them.
    fn against_timeouts(&mut self, at: usize, retry: &RetryConfig, waits: f64) {
        let limit = |policy: &PolicyConfig| match policy {
            PolicyConfig::Timeout(timeout) => Some(timeout.limit),
            _ => None,
        };
        let outer = self.policies[..at].iter().filter_map(limit).min();
        let inner = self.policies[at + 1..].iter().filter_map(limit).min();
        let (Some(outer), Some(inner)) = (outer, inner) else { return };
        let attempts = retry.max_attempts;
        // Where the retry policy says by when the last attempt begins, one attempt more is the most.
        let by_beginning =
            retry.max_total_delay.map_or(Duration::MAX, |last| last.saturating_add(inner));
        let all = inner.saturating_mul(attempts).min(by_beginning);
        if all > outer {
            let message = format!(
                "{attempts} attempts of {} take {}, with waits of up to {waits:.1} s between them: the timeout \
                 around them ends all after {}",
                humantime::format_duration(inner),
                humantime::format_duration(all),
                humantime::format_duration(outer)
            );
            self.warn(
                at,
                "max_attempts",
                message,
                "fewer attempts, or a longer timeout around them",
            );
        }
    }

    /// A limiter's burst, against a bulkhead behind it.
    fn limiter(&mut self, at: usize, limiter: &RateLimiterConfig) {
        if limiter.burst > limiter.rate {
            let message =
                format!("a burst of {} on top of a rate of {}", limiter.burst, limiter.rate);
            self.warn(at, "burst", message, "use rate or less");
        }
        let behind = self.policies[at + 1..].iter().find_map(|policy| match policy {
            PolicyConfig::Bulkhead(bulkhead) => Some(bulkhead),
            _ => None,
        });
        let Some(BulkheadConfig { max_concurrent, max_queued, .. }) = behind else { return };
        let places = u64::from(*max_concurrent) + u64::from(*max_queued);
        let at_once = u64::from(limiter.rate) + u64::from(limiter.burst);
        if at_once > places && !limiter.keyed {
            let message = format!(
                "{at_once} calls may come at once, and the bulkhead behind has room for {places}: the rest is \
                 refused"
            );
            self.warn(
                at,
                "burst",
                message,
                "lower rate or burst, or let more wait in the bulkhead",
            );
        }
    }

    /// Warns of retries around retries.
    fn multiplied(&mut self) {
        let attempts: Vec<(usize, u32)> = self
            .policies
            .iter()
            .enumerate()
            .filter_map(|(at, policy)| match policy {
                PolicyConfig::Retry(retry) => Some((at, retry.max_attempts)),
                _ => None,
            })
            .collect();
        if let [.., (at, _)] = attempts[..]
            && attempts.len() > 1
        {
            let each = attempts.iter().map(|(_, most)| u64::from(*most));
            let calls = each.fold(1, u64::saturating_mul);
            let message =
                format!("{} layers that retry make up to {calls} calls of one", attempts.len());
            self.warn(at, "max_attempts", message, "retry in one place");
        }
    }
}

/// The waits between all attempts, each as long as chance can make it.
fn longest_waits(retry: &RetryConfig) -> Duration {
    let draw = 1.0 - f64::EPSILON;
    let waits = (1..retry.max_attempts).scan(Duration::ZERO, |last, n| {
        *last = retry.backoff.delay(n, *last, draw);
        Some(*last)
    });
    waits.fold(Duration::ZERO, Duration::saturating_add)
}
