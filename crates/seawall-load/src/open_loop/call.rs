//! One request from its head to the last byte of its answer, and what it counts as.

use super::{Config, StartError, report::ErrorClass, ticket::Ticket};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use std::{sync::Arc, time::Duration};

/// Sends requests, over connections that are kept and used again.
pub(super) struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    uris: Vec<Uri>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
    timeout: Duration,
}

impl Caller {
    pub(super) fn new(config: &Config) -> Result<Self, StartError> {
        if config.targets.is_empty() {
            return Err(StartError::NoTarget);
        }
        let uris = config.targets.iter().map(|base| uri(base, &config.path));
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client =
            Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Ok(Self {
            client,
            uris: uris.collect::<Result<_, _>>()?,
            method: config.method.clone(),
            headers: config.headers.clone(),
            body: config.body.clone(),
            timeout: config.timeout,
        })
    }

    /// Sends the `nth` request; its ticket says how it ended.
    pub(super) async fn call(self: Arc<Self>, nth: usize, mut ticket: Ticket) {
        ticket.begin();
        let result = tokio::time::timeout(self.timeout, self.exchange(nth)).await;
        ticket.end(result.unwrap_or(Err(ErrorClass::Timeout)));
    }

    async fn exchange(&self, nth: usize) -> Result<(), ErrorClass> {
        let response = self.client.request(self.request(nth)).await.map_err(|e| unanswered(&e))?;
        let status = response.status().as_u16();
        // Errors are read as well: a connection with an unread body is lost.
        let body = read(response.into_body()).await;
        match status {
            200..=299 => body.map_err(|_| ErrorClass::Body),
            400..=499 => Err(ErrorClass::Status4xx),
            500..=599 => Err(ErrorClass::Status5xx),
            _ => Err(ErrorClass::StatusOther),
        }
    }

    fn request(&self, nth: usize) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uris[nth % self.uris.len()].clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

async fn read(mut body: Incoming) -> Result<(), hyper::Error> {
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(())
}

fn unanswered(error: &Error) -> ErrorClass {
    if error.is_connect() { ErrorClass::Connect } else { ErrorClass::Reset }
}

fn uri(base: &str, path: &str) -> Result<Uri, StartError> {
    let slash = if path.starts_with('/') { "" } else { "/" };
    let url = format!("{}{slash}{path}", base.trim_end_matches('/'));
    let wrong = |reason: String| StartError::Target { url: url.clone(), reason };
    let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| wrong(error.to_string()))?;
    if uri.scheme_str() != Some("http") {
        return Err(wrong("only http:// is supported".to_owned()));
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_and_path_become_one_url() {
        let table = [
            ("http://127.0.0.1:8080", "/v1/chat?x=1", "http://127.0.0.1:8080/v1/chat?x=1"),
            ("http://127.0.0.1:8080/", "/v1", "http://127.0.0.1:8080/v1"),
            ("http://localhost/base/", "v1", "http://localhost/base/v1"),
        ];
        for (base, path, expected) in table {
            assert_eq!(uri(base, path).unwrap(), *expected);
        }
        for base in
            ["", "127.0.0.1:8080", "https://example.com", "http://", "ftp://x", "http://a b"]
        {
            let error = uri(base, "/").expect_err(base).to_string();
            assert!(error.starts_with("load cannot be sent to `"), "{error}");
        }
    }

    #[test]
    fn no_target_is_an_error() {
        assert!(matches!(Caller::new(&Config::default()), Err(StartError::NoTarget)));
    }
}
