//! Destinations of requests: named upstreams, and the routes that lead to them.

use super::{dead_letters::RouteDeadLetter, tiers::TierConfig};
use schemars::JsonSchema;
use seawall::{
    PolicyConfig,
    config::{days, secs},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

seawall::configuration! {
    /// A named destination.
    pub struct UpstreamConfig {
        /// The protocol of the upstream, by which its streams and errors are read.
        protocol: Protocol = Protocol::Http,
        /// Its addresses, used in turn: `http://host:port` or `https://host`, with an optional path before
        /// that of the request.
        #[schemars(length(min = 1), inner(url))]
        endpoints: Vec<String> = Vec::new(),
        /// The name of a profile. It cannot be set together with `policies`.
        strategy: Option<String> = None,
        /// The policies in order, outermost first.
        policies: Option<Vec<PolicyConfig>> = None,
        /// How long one attempt may take until the answer has begun: its headers and the first byte behind them, or
        /// the first content of an event stream, for as long as its headers are held. Left out: what its policies
        /// say, or 2 minutes where they have no timeout, so that nothing waits for ever.
        #[range(positive..=days(365))]
        attempt_timeout: Option<Duration> = None,
        /// How long opening a connection may take.
        #[range(positive..=days(365))]
        connect_timeout: Duration = secs(5),
        /// How long an answer may take until its first byte, or the first content of an event stream: pings, comments
        /// and events such as `response.created` do not count. Counts from the call on; where a body is passed
        /// on as it comes, from the answer's headers on. Beyond it the attempt has failed, and may be repeated.
        /// Left out: `attempt_timeout` alone bounds it.
        #[range(positive..=days(365))]
        first_byte_timeout: Option<Duration> = None,
        /// How long the headers of an answer are held back for its first content, where `first_byte_timeout` does not say
        /// so. While they are held, a failed attempt can be repeated, or a fallback asked. An event stream of an
        /// `openai`, `anthropic` or `gemini` upstream is held this long from its first event or comment on, at most 64
        /// events or 512 KiB; any other answer from its headers on, an event stream of an `http` upstream for at
        /// most 100 ms. With 0 s they pass on with whatever comes first.
        #[range(..=days(365))]
        hold_headers: Duration = secs(5),
        /// The longest pause between two pieces of an answer.
        #[range(positive..=days(365))]
        stream_idle_timeout: Duration = secs(120),
        /// Which requests may be sent again.
        repeatable: Repeatable = Repeatable::Auto,
        /// Whether the upstream gets the `Host` that the client asked for, in place of the endpoint's. Its connections are
        /// HTTP/1.1 then: HTTP/2 has no place for a second name.
        preserve_host: bool = false,
    }
}

/// The protocol of an upstream, by which its streams and errors are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Any HTTP: a stream is complete when its body is.
    #[default]
    Http,
    /// OpenAI-compatible: a stream of the API for chat or completions is complete at `[DONE]`, or when each choice
    /// has a `finish_reason`; one of the Responses API at `response.completed` or `response.incomplete`; one of
    /// the Assistants API when its run is over.
    Openai,
    /// Anthropic: a stream is complete at `message_stop`; errors come as `error` events.
    Anthropic,
    /// Google's Gemini and Vertex AI (`streamGenerateContent?alt=sse`): a stream is complete when each candidate has a
    /// `finishReason`, or the prompt was blocked. Its paths for clients of OpenAI are read as `openai`.
    Gemini,
}

/// Which requests may be sent again after they may have reached the upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Repeatable {
    /// GET, HEAD, OPTIONS, PUT, DELETE, requests with an `idempotency-key`, and every request to
    /// `openai`, `anthropic` and `gemini` upstreams.
    #[default]
    Auto,
    /// All requests may be sent again.
    Always,
    /// No request is sent again.
    Never,
}

seawall::configuration! {
    /// Which requests go to which upstream.
    #[schemars(extend("required" = ["path", "upstream"]))]
    pub struct RouteConfig {
        /// A whole path (`/v1/models`), or the start of one (`/v1/*`).
        #[schemars(length(min = 1))]
        path: String = String::new(),
        /// The name of the upstream.
        upstream: String = String::new(),
        /// The methods that match; left out: all methods.
        methods: Vec<String> = Vec::new(),
        /// The names of upstreams that are asked in turn if the first gives no answer.
        fallback: Vec<String> = Vec::new(),
        /// How long a client waits at most until an answer begins, over all attempts, pauses and fallbacks; beyond it
        /// the answer is 504. It ends whatever call is under way, and a call that it ends is not held against
        /// its upstream: bound that with `attempt_timeout` or `first_byte_timeout`. Left out: no bound but theirs.
        #[range(positive..=days(365))]
        total_timeout: Option<Duration> = None,
        /// The limit of the requests that may come along this route.
        #[nested]
        rate_limit: Option<RateLimitConfig> = None,
        /// Whether requests that failed for good are kept as dead letters: `true`, or the name of a queue.
        dead_letter: RouteDeadLetter = RouteDeadLetter::default(),
    }
}

seawall::configuration! {
    /// A limit of the requests along a route.
    pub struct RateLimitConfig {
        /// Requests allowed in each `per`. Left out only where there are tiers, or `tokens`.
        #[range(1..=1_000_000_000)]
        rate: Option<u32> = None,
        /// The period that `rate` counts in.
        #[range(positive..=days(31))]
        per: Duration = secs(1),
        /// Requests allowed on top of `rate` after a quiet time.
        #[range(0..=1_000_000_000)]
        burst: u32 = 0,
        /// A limit of the tokens of language models that the requests use, beside that of their number.
        #[nested]
        tokens: Option<TokenLimitConfig> = None,
        /// One limit for each `peer` (the client's address, as far as `trusted_proxies` can be believed) or
        /// `header:<name>`; left out: one for all.
        key: Option<String> = None,
        /// The header that says which tier a request has, as `header:<name>`: each tier has a limit of its own in place of
        /// `rate`, `per` and `burst`. It is believed from `trusted_proxies` only, such as what checks the clients' keys; from
        /// anybody else a request has the `default_tier`.
        tier: Option<String> = None,
        /// The tiers by name. Left out: `free` (100 an hour, 10 more after a quiet time), `basic` (1,000 and 100),
        /// `premium` (10,000 and 1,000), `enterprise` (100,000 and 10,000).
        tiers: BTreeMap<String, TierConfig> = BTreeMap::new(),
        /// The tier of requests that name none, or one that there is not.
        default_tier: String = "free".into(),
        /// The most keys that are remembered, in each tier.
        #[range(1..=10_000_000)]
        max_keys: u32 = 100_000,
        /// Shares the limit with other instances through `store.redis`; says how. Left out: this instance counts alone.
        shared: Option<seawall::SharedLimit> = None,
    }
}

seawall::configuration! {
    /// A limit of tokens of language models: those of requests and answers together. Before a request is sent, an estimate is
    /// taken: a quarter of its bytes, and the bound that it sets for the answer, or 1,000. What its answer reports settles it:
    /// more becomes a debt, which later requests wait for; the rest goes back, all of it where the request failed.
    #[schemars(extend("required" = ["rate"]))]
    pub struct TokenLimitConfig {
        /// Tokens allowed in each `per`. An estimate beyond the whole limit takes all of it.
        #[range(1..=1_000_000_000)]
        rate: u32 = 0,
        /// The period that `rate` counts in.
        #[range(positive..=days(31))]
        per: Duration = secs(60),
        /// Tokens allowed on top of `rate` after a quiet time.
        #[range(0..=1_000_000_000)]
        burst: u32 = 0,
    }
}
