//! Wrong files, and what is said of them.

use crate::config::GatewayConfig;
use seawall_config::{Format, load_str};

const GOOD: &str = "\
preset: production
upstreams:
  chat: { protocol: openai, endpoints: ['http://127.0.0.1:9001'], strategy: balanced }
  backup: { endpoints: ['https://api.example.com/base'] }
routes:
  - { path: /v1/*, upstream: chat, fallback: [backup], methods: [GET, POST] }
";

/// Checks that, with `from` replaced by `to`, the file has exactly these mistakes, each with its path and some words
/// of its message.
fn check(from: &str, to: &str, expected: &[(&str, &str)]) {
    let text = GOOD.replacen(from, to, 1);
    assert_ne!(text, GOOD, "{from} is not in the file");
    let message = match load_str::<GatewayConfig>("f", &text, Format::Yaml) {
        Ok(_) => String::new(),
        Err(mistakes) => mistakes.to_string(),
    };
    let lines: Vec<&str> = message.lines().filter(|line| !line.contains(" warning: ")).collect();
    assert_eq!(lines.len(), expected.len(), "{to}:\n{message}");
    for (line, (path, words)) in lines.iter().zip(expected) {
        let named = line.split_once(": ").is_some_and(|(_, rest)| rest.starts_with(path));
        assert!(named && line.contains(words), "{path}, {words} is not in: {line}");
    }
}

#[test]
fn the_good_file_is_good() {
    let config: GatewayConfig = load_str("f", GOOD, Format::Yaml).unwrap();
    assert_eq!(config.upstreams.len(), 2);
}

#[test]
fn names_must_be_known() {
    check("preset: production", "preset: prod", &[("preset:", "simple, development, production")]);
    check("balanced", "balancd", &[("upstreams.chat.strategy:", "balanced")]);
    check("upstream: chat", "upstream: chta", &[("routes[0].upstream:", "backup, chat")]);
    check("[backup]", "[bakcup]", &[("routes[0].fallback[0]:", "\"bakcup\"")]);
    check("[backup]", "[backup, chat]", &[("routes[0].fallback[1]:", "asked already")]);
    check("[backup]", "[backup, backup]", &[("routes[0].fallback[1]:", "asked already")]);
    check("protocol: openai", "protocol: grpc", &[("upstreams.chat.protocol:", "anthropic")]);
    check("preset:", "prest:", &[("prest:", "did you mean `preset`")]);
}

#[test]
fn addresses_and_paths_must_be_some() {
    for wrong in ["ftp://a", "127.0.0.1:9001", "http://", "http://a/?q", "http://u:p@a", "no url"] {
        let to = format!("['{wrong}']");
        let expected = [("upstreams.chat.endpoints[0]:", wrong)];
        check("['http://127.0.0.1:9001']", &to, &expected);
    }
    check("['http://127.0.0.1:9001']", "[]", &[("upstreams.chat.endpoints:", "at least 1 item")]);
    for wrong in ["v1/*", "/v1/*/x", "/v1*"] {
        check("path: /v1/*", &format!("path: {wrong}"), &[("routes[0].path:", "not a path")]);
    }
    for own in ["/metrics", "/internal/x", "/dashboard/*", "/livez"] {
        check(
            "path: /v1/*",
            &format!("path: {own}"),
            &[("routes[0].path:", "the gateway answers")],
        );
    }
    check("[GET, POST]", "[get]", &[("routes[0].methods[0]:", "capitals")]);
}

#[test]
fn policies_keep_their_bounds() {
    let with = |policy: &str| format!("policies: [{{ {policy} }}]");
    for (policy, path, words) in [
        ("type: retry, max_attempts: 0", "max_attempts", "1 to 100"),
        ("type: circuit_breaker, failure_ratio: 1.5", "failure_ratio", "1"),
        ("type: circuit_breaker, window: { calls: 10001 }", "window.calls", "10000"),
        ("type: circuit_breaker, slow_call_duration: 1s", "slow_call_duration", "window"),
        ("type: timeout, limit: 0s", "limit", "0"),
        ("type: bulkhead, max_concurrent: 0", "max_concurrent", "1000000"),
        ("type: rate_limiter, rate: 10, per: 5ns", "rate", "nanosecond"),
        ("type: retry, backoff: { min_delay: 2m }", "backoff.min_delay", "max_delay"),
        ("type: dead_letter", "type", "dead_letter: true"),
    ] {
        let path = format!("upstreams.chat.policies[0].{path}:");
        check("strategy: balanced", &with(policy), &[(&path, words)]);
    }
    let both = "strategy: balanced, policies: []";
    check("strategy: balanced", both, &[("upstreams.chat.strategy:", "both")]);
    check("strategy: balanced", "attempt_timeout: 0s", &[("upstreams.chat.attempt_timeout:", "0")]);
    for (field, words) in [
        ("first_byte_timeout: 0s", "0"),
        ("stream_idle_timeout: 0s", "0"),
        ("first_byte_timeout: 18446744073709551615", "365 days"),
        ("stream_idle_timeout: 400days", "365 days"),
        ("hold_headers: 400days", "365 days"),
    ] {
        let path = format!("upstreams.chat.{}:", field.split(':').next().unwrap());
        check("strategy: balanced", field, &[(&path, words)]);
    }
    for (field, words) in [("total_timeout: 0s", "0"), ("total_timeout: 400days", "365 days")] {
        let to = format!("{field}, methods: [GET, POST]");
        check("methods: [GET, POST]", &to, &[("routes[0].total_timeout:", words)]);
    }
    let limit = "rate_limit: { rate: 5, key: cookie }";
    let to = format!("{limit}, methods: [GET, POST]");
    check("methods: [GET, POST]", &to, &[("routes[0].rate_limit.key:", "header:")]);
}

#[test]
fn tiers_are_named_and_take_the_place_of_a_rate() {
    let check = |limit: &str, path: &str, words: &str| {
        let to = format!("rate_limit: {{ {limit} }}, methods: [GET, POST]");
        let path = format!("routes[0].rate_limit.{path}:");
        check("methods: [GET, POST]", &to, &[(&path, words)]);
    };
    check("key: peer", "rate", "tier");
    check("rate: 5, tier: 'header:x-plan'", "rate", "leave out rate, or tier");
    check("tier: x-plan", "tier", "header:");
    check("rate: 5, tiers: { gold: { rate: 5 } }", "tiers", "tier: header:");
    check("tier: 'header:x-plan', tiers: { gold: { rate: 5 } }", "default_tier", "gold");
    check("tier: 'header:x-plan', default_tier: gold", "default_tier", "basic, enterprise, free");
    let gold = "tier: 'header:x-plan', default_tier: gold, tiers: { gold: { rate: 0 } }";
    check(gold, "tiers.gold.rate", "1 to 1000000000");
}

#[test]
fn an_empty_file_says_what_is_missing() {
    let message = load_str::<GatewayConfig>("f", "{}\n", Format::Yaml).unwrap_err().to_string();
    assert!(message.contains("upstreams:") && message.contains("routes:"), "{message}");
}

#[test]
fn attempt_timeout_takes_the_place_of_the_innermost_timeout() {
    let effective = |fields: &str| {
        let text = GOOD.replace("strategy: balanced", fields);
        let config: GatewayConfig = load_str("f", &text, Format::Yaml).unwrap();
        let policies = config.effective_policies("chat");
        let limit = |policy: &seawall::PolicyConfig| match policy {
            seawall::PolicyConfig::Timeout(config) => Some(config.limit.as_secs()),
            _ => None,
        };
        policies.iter().filter_map(limit).collect::<Vec<_>>()
    };
    assert_eq!(effective("policies: []"), [120]);
    assert_eq!(effective("policies: [], attempt_timeout: 7s"), [7]);
    assert_eq!(effective("strategy: database"), [5]);
    // The total of a built-in strategy is the time for beginning and one attempt more.
    assert_eq!(effective("strategy: balanced"), [150, 120]);
    assert_eq!(effective("strategy: balanced, attempt_timeout: 7s"), [37, 7]);
    assert_eq!(effective("strategy: balanced, attempt_timeout: 10m"), [630, 600]);
    assert_eq!(effective("attempt_timeout: 10m"), [700, 600]);
    assert_eq!(effective("strategy: database, attempt_timeout: 7s"), [7]);
    let total = "policies: [{ type: timeout, limit: 60s }, { type: retry }]";
    assert_eq!(effective(total), [60]);
    assert_eq!(effective(&format!("{total}, attempt_timeout: 7s")), [60, 7]);
}

#[test]
fn an_endpoint_that_leads_back_is_a_mistake() {
    for endpoint in ["http://127.0.0.1:8000", "http://localhost:8000/x", "http://0.0.0.0:8000"] {
        let to = format!("['{endpoint}']");
        let expected = [("upstreams.chat.endpoints[0]:", "127.0.0.1:8000")];
        check("['http://127.0.0.1:9001']", &to, &expected);
    }
    // Where it listens elsewhere the same endpoint is another server.
    let elsewhere = GOOD.replace(":9001", ":8000");
    let text = format!("listen: 127.0.0.1:8100\n{elsewhere}");
    load_str::<GatewayConfig>("f", &text, Format::Yaml).unwrap();
}

#[test]
fn bounds_on_clients_are_bounds() {
    let check = |line: &str, path: &str, words: &str| {
        check("preset: production\n", &format!("preset: production\n{line}\n"), &[(path, words)]);
    };
    check("trusted_proxies: [10.0.0.0/33]", "trusted_proxies[0]:", "10.0.0.0/8");
    check("trusted_proxies: [10.0.0.1, nginx]", "trusted_proxies[1]:", "\"nginx\"");
    check("limits: { keep_alive_timeout: 0s }", "limits.keep_alive_timeout:", "0");
    check("limits: { write_timeout: 0s }", "limits.write_timeout:", "0");
    check("limits: { min_upload_rate: 1000000001 }", "limits.min_upload_rate:", "1000000000");
    check("limits: { client_timeout: 0s }", "limits.client_timeout:", "0");
    check("limits: { max_in_flight: 0 }", "limits.max_in_flight:", "1");
    check("limits: { max_in_flight: 1000001 }", "limits.max_in_flight:", "1000000");
}

#[test]
fn a_limit_by_what_a_client_says_of_itself_is_looked_at() {
    let message = |key: &str| {
        let limit = format!("rate_limit: {{ rate: 5, key: '{key}' }}, methods: [GET, POST]");
        let text = GOOD.replace("methods: [GET, POST]", &limit);
        let source = seawall_config::Source::new("f", text, Format::Yaml);
        let loaded = source.load::<GatewayConfig>().unwrap();
        loaded.warnings.iter().any(|warning| warning.to_string().contains("trusted_proxies"))
    };
    assert!(message("header:X-Forwarded-For") && message("header:forwarded"));
    assert!(!message("peer") && !message("header:authorization"));
}

#[test]
fn a_limit_that_nothing_shares_is_looked_at() {
    let warned = |store: &str, limit: &str| {
        let text = GOOD.replace("methods: [GET, POST]", &format!("{limit}, methods: [GET, POST]"));
        let text = format!("{store}\n{text}");
        let source = seawall_config::Source::new("f", text, Format::Yaml);
        let loaded = source.load::<GatewayConfig>().unwrap();
        loaded.warnings.iter().any(|warning| warning.to_string().contains("store.redis"))
    };
    let (redis, shared) =
        ("store: { redis: { url: 'redis://127.0.0.1' } }", "rate_limit: { rate: 5, shared: {} }");
    assert!(warned("", shared));
    assert!(!warned(redis, shared) && !warned("", "rate_limit: { rate: 5 }"));
}

#[test]
fn certificates_are_for_encrypted_connections() {
    let check = |redis: &str, expected: &[(&str, &str)]| {
        check("preset: production", &format!("store: {{ redis: {{ {redis} }} }}"), expected);
    };
    check("url: 'rediss://a', tls: { authorities: a, certificate: b, key: c }", &[]);
    let sentinel = "addresses: ['redis://a'], master: main, login: 'rediss://any'";
    check(&format!("sentinel: {{ {sentinel} }}, tls: {{ authorities: a }}"), &[]);
    check("url: 'redis://a', tls: { authorities: a }", &[("store.redis.tls:", "rediss://")]);
    check("url: 'rediss://a', tls: { key: a }", &[("store.redis.tls.key:", "certificate")]);
    check("url: 'rediss://a', cluster: ['redis://b']", &[("store.redis.url:", "only one of")]);
    check("url: 'valkeys://a', tls: { authorities: a }", &[]);
    check("url: 'http://user:secret@a'", &[("store.redis.url:", "*** is not right; use a URL")]);
    check("cluster: ['redis://a', b]", &[("store.redis.cluster[1]:", "rediss://")]);
    let sentinel = "addresses: ['redis://a'], master: main, login: secret";
    check(&format!("sentinel: {{ {sentinel} }}"), &[("store.redis.sentinel.login:", "***")]);
    let sentinel = "addresses: [], master: main";
    let expected = [("store.redis.sentinel:", "0 addresses and the name \"main\"")];
    check(&format!("sentinel: {{ {sentinel} }}"), &expected);
}

#[test]
fn instances_of_a_fleet_are_named_by_their_addresses() {
    let check = |fleet: &str, expected: &[(&str, &str)]| {
        check("preset: production", &format!("fleet: {{ {fleet} }}"), expected);
    };
    check("instances: ['http://10.0.0.1:8000']", &[]);
    let expected = [("fleet.instances[1]:", "\"nope\" is not right; use an address such as")];
    check("instances: ['http://10.0.0.1:8000', nope]", &expected);
    let expected = [("fleet.address:", "\"here\""), ("fleet.name:", "\"a~b\"")];
    check("instances: ['http://10.0.0.1:8000'], address: here, name: 'a~b'", &expected);
}

#[test]
fn a_certificate_that_cannot_be_read_is_named() {
    let text = GOOD.replace(
        "preset: production",
        "store: { redis: { url: 'rediss://a', tls: { authorities: /no/such.pem } } }",
    );
    let config: GatewayConfig = load_str("f", &text, Format::Yaml).unwrap();
    let message = config.store.redis.unwrap().connection().err().unwrap();
    assert!(message.starts_with("store.redis.tls.authorities: /no/such.pem: "), "{message}");
}

#[test]
fn a_circuit_that_nothing_shares_is_looked_at() {
    let warned = |store: &str, shared: &str| {
        let text = format!(
            "{store}upstreams:\n  a: {{ endpoints: ['http://127.0.0.1:1'], policies: [{{ type: circuit_breaker{shared} }}] }}\n\
             routes:\n  - {{ path: /*, upstream: a }}\n"
        );
        let source = seawall_config::Source::new("f", text, Format::Yaml);
        let loaded = source.load::<GatewayConfig>().unwrap();
        loaded
            .warnings
            .iter()
            .any(|warning| warning.to_string().contains("each instance has its own"))
    };
    assert!(warned("", ", shared: {}") && !warned("", ""));
    assert!(!warned("store: { redis: { url: 'redis://127.0.0.1' } }\n", ", shared: {}"));
}

#[test]
fn a_tier_that_nobody_may_say_is_looked_at() {
    let warned = |proxies: &str| {
        let limit = "rate_limit: { tier: 'header:x-plan' }, methods: [GET, POST]";
        let text = GOOD.replace("methods: [GET, POST]", limit);
        let text = format!("trusted_proxies: [{proxies}]\n{text}");
        let source = seawall_config::Source::new("f", text, Format::Yaml);
        let loaded = source.load::<GatewayConfig>().unwrap();
        loaded.warnings.iter().any(|warning| warning.to_string().contains("rate_limit.tier"))
    };
    assert!(warned("") && !warned("127.0.0.1"));
}
