//! What the schema cannot say of a file: names that refer to each other, and the policies' own bounds.

use super::{GatewayConfig, RouteConfig, UpstreamConfig};
use crate::gateway::{
    route::{KeySource, Pattern},
    upstream::Endpoint,
};
use seawall::config::Problems;
use seawall_config::{Document, Report};

impl Document for GatewayConfig {
    fn check(&self, report: &mut Report<'_>) {
        if seawall::preset(&self.preset).is_none() {
            let names: Vec<_> = seawall::presets().iter().map(|preset| preset.name).collect();
            report.error(
                "preset",
                format!("no preset is called {:?}", self.preset),
                choose(&names),
            );
        }
        if self.upstreams.is_empty() {
            report.error("upstreams", "there is nothing to stand in front of", "name an upstream");
        }
        for (name, upstream) in &self.upstreams {
            report.within(format!("upstreams.{name}"), |report| upstream.check(name, report));
        }
        if self.routes.is_empty() {
            report.error("routes", "no request would go anywhere", "add a route such as /*");
        }
        for (at, route) in self.routes.iter().enumerate() {
            report.within(format!("routes[{at}]"), |report| route.check(self, report));
        }
    }
}

fn choose(names: &[&str]) -> String {
    format!("choose one of {}", names.join(", "))
}

impl UpstreamConfig {
    fn check(&self, name: &str, report: &mut Report<'_>) {
        let visible = !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic() && c != '/');
        if !visible || name.len() > 64 {
            report.error("", "not a name for an upstream", "use up to 64 letters, digits, - _ .");
        }
        if self.endpoints.is_empty() {
            report.error(
                "endpoints",
                "there is no address",
                "add one such as http://127.0.0.1:9001",
            );
        }
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            if Endpoint::parse(endpoint).is_none() {
                report.error(
                    format!("endpoints[{at}]"),
                    format!("{endpoint:?} is not an endpoint"),
                    "write http:// or https://, a host, and perhaps a port and a path",
                );
            }
        }
        self.check_policies(report);
        for (field, length) in [
            ("attempt_timeout", self.attempt_timeout.unwrap_or(self.connect_timeout)),
            ("connect_timeout", self.connect_timeout),
            ("stream_idle_timeout", self.stream_idle_timeout),
        ] {
            if length.is_zero() {
                report.error(
                    field,
                    "a timeout of 0 would end everything at once",
                    "give it a length",
                );
            }
        }
    }

    fn check_policies(&self, report: &mut Report<'_>) {
        if self.policies.is_some() && self.strategy.is_some() {
            report.error("strategy", "both strategy and policies are given", "keep one of the two");
        }
        if let Some(strategy) = &self.strategy
            && seawall::profile(strategy).is_none()
        {
            let names: Vec<_> = seawall::PROFILES.iter().map(|profile| profile.name).collect();
            report.error("strategy", format!("no profile is called {strategy:?}"), choose(&names));
        }
        let mut problems = Problems::default();
        seawall::check_policies(self.policies.as_deref().unwrap_or(&[]), &mut problems);
        for problem in problems.into_result().err().into_iter().flat_map(|error| error.problems) {
            let message = format!("{} is not right", problem.value);
            report.error(problem.path, message, format!("use {}", problem.right));
        }
    }
}

impl RouteConfig {
    fn check(&self, config: &GatewayConfig, report: &mut Report<'_>) {
        match Pattern::parse(&self.path) {
            None => report.error(
                "path",
                format!("{:?} is not a path", self.path),
                "write a whole path such as /v1/models, or the start of one such as /v1/*",
            ),
            Some(Pattern::Exact(path)) if crate::control::owns(&path) => {
                report.error("path", "the gateway answers this path itself", "choose another");
            }
            Some(Pattern::Prefix(path)) if crate::control::owns(path.trim_end_matches('/')) => {
                report.error("path", "the gateway answers these paths itself", "choose others");
            }
            Some(_) => {}
        }
        self.check_upstreams(config, report);
        for (at, method) in self.methods.iter().enumerate() {
            let upper = method.chars().all(|c| c.is_ascii_uppercase());
            if method.is_empty() || !upper {
                report.error(
                    format!("methods[{at}]"),
                    format!("{method:?} is not a method"),
                    "write it in capitals, such as GET",
                );
            }
        }
        let Some(limit) = &self.rate_limit else { return };
        if KeySource::parse(limit.key.as_deref()).is_none() {
            let key = limit.key.as_deref().unwrap_or_default();
            report.error(
                "rate_limit.key",
                format!("{key:?} is not a key"),
                "write peer, or header: and a header's name",
            );
        }
        if let Err(error) = seawall::RateLimiter::new(limit.policy()) {
            for problem in error.problems {
                let path = format!("rate_limit.{}", problem.path);
                report.error(path, format!("{} is not right", problem.value), problem.right);
            }
        }
    }

    fn check_upstreams(&self, config: &GatewayConfig, report: &mut Report<'_>) {
        if config.upstreams.is_empty() {
            return; // That is the mistake.
        }
        let known: Vec<&str> = config.upstreams.keys().map(String::as_str).collect();
        let unknown = |name: &String| !config.upstreams.contains_key(name);
        let missing = |name: &String| format!("no upstream is called {name:?}");
        if unknown(&self.upstream) {
            report.error("upstream", missing(&self.upstream), choose(&known));
        }
        for (at, name) in self.fallback.iter().enumerate() {
            if unknown(name) {
                report.error(format!("fallback[{at}]"), missing(name), choose(&known));
            } else if *name == self.upstream || self.fallback[..at].contains(name) {
                let message = format!("{name:?} is asked already");
                report.error(format!("fallback[{at}]"), message, "name each upstream once");
            }
        }
    }
}

#[cfg(test)]
mod tests;
