//! Keeps responses: a fresh one saves a call, a stale one stands in for an error.

use crate::{
    buffer::{Buffered, Collected, Whole, collect, directives, is_for_all, untouched, values},
    operation::Running,
    sending::Sending,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header,
};
use http_body::Body;
use seawall::config::{ConfigError, Problems};
use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

/// How many responses a [`CacheLayer`] keeps, and for how long.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// How long a response is given again without a call; its `max-age` shortens this. At most 30 days. Default 0:
    /// responses are kept for errors only.
    pub ttl: Duration,
    /// How long, after `ttl`, a response still stands in for an error. At most 30 days. Default 1 h.
    pub stale_for: Duration,
    /// The sum of all kept bodies and headers, in bytes; at least 1 KiB. Default 64 MiB.
    pub max_bytes: u64,
    /// The longest body that is kept, in bytes. Default 1 MiB.
    pub max_body: usize,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            ttl: Duration::ZERO,
            stale_for: Duration::from_secs(3600),
            max_bytes: 64 << 20,
            max_body: 1 << 20,
        }
    }
}

/// Keeps an HTTP client's responses to GET and HEAD requests without credentials. When a later request fails or gets a
/// 5xx, the last good response stands in, with `age` and `cache-status: seawall; hit; fwd=stale` (RFC 9211).
///
/// A response is kept if its status is 200 and it has neither `no-store`, `private` nor `set-cookie`; one that names
/// headers in `vary` is given only to requests with the same values. Put this layer outside of a
/// [`ClientLayer`](crate::ClientLayer), so that it stands in for refusals and timeouts, too.
///
/// The client is a `Clone + Send + 'static` service from `http::Request<B>` to `http::Response<R>`, where `R` is an
/// `http_body::Body<Data = Bytes> + Unpin`.
#[derive(Clone, Debug)]
pub struct CacheLayer {
    config: Arc<CacheConfig>,
    kept: moka::sync::Cache<(Method, Uri), Kept>,
}

#[derive(Clone, Debug)]
struct Kept {
    answer: Whole,
    at: Instant,
    fresh_for: Duration,
    /// The headers named in `vary`, and the values that the request had.
    varied: (Vec<HeaderName>, Vec<Vec<u8>>),
}

impl Kept {
    fn weight(&self) -> u32 {
        let headers = self.answer.parts.headers.iter();
        let headers: usize = headers.map(|(name, value)| name.as_str().len() + value.len()).sum();
        u32::try_from(self.answer.body.len() + headers + 256).unwrap_or(u32::MAX)
    }

    fn fits(&self, headers: &HeaderMap) -> bool {
        values(headers, &self.varied.0) == self.varied.1
    }

    fn give<R: Body>(self, status: &'static str) -> Response<Buffered<R>> {
        let age = self.at.elapsed().as_secs();
        let mut answer = self.answer.response();
        answer.headers_mut().insert(header::AGE, HeaderValue::from(age));
        answer.headers_mut().insert("cache-status", HeaderValue::from_static(status));
        answer
    }
}

impl CacheLayer {
    /// Makes an empty cache, which clones of the layer share.
    ///
    /// # Errors
    /// Names every field that is out of its bounds.
    pub fn new(config: CacheConfig) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        let month = Duration::from_secs(30 * 86_400);
        for (field, length) in [("ttl", config.ttl), ("stale_for", config.stale_for)] {
            problems.require(length <= month, field, length, "at most 30 days");
        }
        problems.require(config.max_bytes >= 1024, "max_bytes", config.max_bytes, "at least 1024");
        problems.into_result()?;
        let kept = moka::sync::Cache::builder()
            .max_capacity(config.max_bytes)
            .weigher(|_, kept: &Kept| kept.weight())
            .time_to_live(config.ttl + config.stale_for)
            .build();
        Ok(Self { config: Arc::new(config), kept })
    }

    /// The number of responses kept now. It may lag behind changes that happen meanwhile.
    pub fn len(&self) -> u64 {
        self.kept.run_pending_tasks();
        self.kept.entry_count()
    }

    /// Whether no response is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all responses.
    pub fn clear(&self) {
        self.kept.invalidate_all();
    }

    /// How long a response is fresh, and the headers of its request that it depends on; `None` if it may not be kept.
    fn keeps<R>(&self, answer: &Response<R>) -> Option<(Duration, Vec<HeaderName>)> {
        let headers = answer.headers();
        if answer.status() != StatusCode::OK || headers.contains_key(header::SET_COOKIE) {
            return None;
        }
        let mut fresh_for = self.config.ttl;
        for directive in directives(headers, header::CACHE_CONTROL) {
            match directive.split_once('=') {
                None if ["no-store", "private"].contains(&directive.as_str()) => return None,
                None if directive == "no-cache" => fresh_for = Duration::ZERO,
                Some(("max-age" | "s-maxage", seconds)) => {
                    let seconds = seconds.trim_matches('"').parse().unwrap_or(0);
                    fresh_for = fresh_for.min(Duration::from_secs(seconds));
                }
                _ => {}
            }
        }
        let varied = directives(headers, header::VARY);
        // `*` depends on more than the headers.
        let names: Result<Vec<_>, _> = varied.map(|name| name.parse::<HeaderName>()).collect();
        Some((fresh_for, names.ok()?)).filter(|(_, names)| names.iter().all(|name| name != "*"))
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = Cached<S>;
    fn layer(&self, service: S) -> Cached<S> {
        Cached { service, layer: self.clone() }
    }
}

/// A client under a [`CacheLayer`].
#[derive(Clone, Debug)]
pub struct Cached<S> {
    service: S,
    layer: CacheLayer,
}

impl<S> Cached<S> {
    /// The client inside. Calls made with it do not pass through the layer.
    pub fn get_ref(&self) -> &S {
        &self.service
    }

    /// Takes the client out of the layer.
    pub fn into_inner(self) -> S {
        self.service
    }
}

impl<S, B, R> Service<Request<B>> for Cached<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Send + 'static,
    R: Body<Data = Bytes> + Unpin + Send + 'static,
    R::Error: Send,
{
    type Response = Response<Buffered<R>>;
    type Error = S::Error;
    type Future = Running<Self::Response, S::Error>;

    /// Is always ready, since a kept response needs no service.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (service, layer) = (self.service.clone(), self.layer.clone());
        let mut asked = directives(request.headers(), header::CACHE_CONTROL);
        if !is_for_all(&request, &[]) || asked.any(|word| word == "no-store") {
            return Box::pin(
                async move { Ok(Sending::new(service, request).await?.map(untouched)) },
            );
        }
        let fresh_wanted =
            directives(request.headers(), header::CACHE_CONTROL).all(|word| word != "no-cache");
        let key = (request.method().clone(), request.uri().clone());
        let headers = request.headers().clone();
        Box::pin(async move {
            let kept = layer.kept.get(&key).filter(|kept| kept.fits(&headers));
            match kept {
                Some(kept) if fresh_wanted && kept.at.elapsed() < kept.fresh_for => {
                    return Ok(kept.give("seawall; hit"));
                }
                _ => {}
            }
            let answer = Sending::new(service, request).await;
            let failed = answer.as_ref().map_or(true, |answer| answer.status().is_server_error());
            if failed {
                // Looked up again, since another request may have brought it meanwhile.
                let kept = layer.kept.get(&key).filter(|kept| kept.fits(&headers));
                let bound = |kept: &Kept| kept.fresh_for + layer.config.stale_for;
                return match kept.filter(|kept| kept.at.elapsed() < bound(kept)) {
                    Some(kept) => Ok(kept.give("seawall; hit; fwd=stale")),
                    None => Ok(answer?.map(untouched)),
                };
            }
            let answer = answer?;
            let Some((fresh_for, names)) = layer.keeps(&answer) else {
                return Ok(answer.map(untouched));
            };
            match collect(answer, layer.config.max_body).await {
                Collected::Whole(answer) => {
                    let varied = (names.clone(), values(&headers, &names));
                    let at = Instant::now();
                    layer.kept.insert(key, Kept { answer: answer.clone(), at, fresh_for, varied });
                    Ok(answer.response())
                }
                Collected::Resumed(resumed) => Ok(resumed),
            }
        })
    }
}
