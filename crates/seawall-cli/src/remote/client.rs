//! One client: a question with its answer, or a stream that goes on.

use super::{ROOT, Reply, problem, stream::Messages};
use crate::failure::{Failure, Failure::Refused, Failure::Unusable};
use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::de::DeserializeOwned;
use std::{error::Error, time::Duration};
use tokio::time::timeout;

/// The largest answer that is read: the configuration of thousands of operations.
const MAX_ANSWER: usize = 64 << 20;

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

/// A body that is sent: its type and its text.
type Sent = (&'static str, String);

/// A client of one server.
#[derive(Debug)]
pub(crate) struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    key: Option<HeaderValue>,
    timeout: Duration,
}

impl Client {
    pub(super) fn new(url: &Uri, key: Option<&str>, timeout: Duration) -> Result<Self, Failure> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(timeout));
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let key = key.filter(|key| !key.is_empty()).map(bearer).transpose()?;
        let pool = Pool::builder(TokioExecutor::new()).build(connector);
        let base = url.to_string().trim_end_matches('/').to_owned();
        Ok(Self { pool, base, key, timeout })
    }

    /// Sends a request, and reads the answer.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Reply<T>, Failure> {
        self.asked(method, path, body.map(|body| (JSON, body))).await
    }

    /// Sends lines of JSON, and reads the answer.
    pub(crate) async fn upload<T: DeserializeOwned>(
        &self,
        path: &str,
        lines: String,
    ) -> Result<Reply<T>, Failure> {
        self.asked(&Method::POST, path, Some((NDJSON, lines))).await
    }

    /// Asks for an answer that is too long to keep.
    pub(crate) async fn download(&self, path: &str) -> Result<Incoming, Failure> {
        let answer = self.answer(&Method::GET, &format!("{ROOT}{path}"), None).await?;
        Ok(answer.into_body())
    }

    async fn asked<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: Option<Sent>,
    ) -> Result<Reply<T>, Failure> {
        let text = self.text(method, &format!("{ROOT}{path}"), body).await?;
        super::reading(&text).map_err(|told| self.strange(&told))
    }

    /// A failure: the server answers, and not as a Seawall server would.
    pub(crate) fn strange(&self, told: &str) -> Failure {
        super::strange(&self.base, told)
    }

    /// Opens the stream of events.
    pub(crate) async fn events(&self) -> Result<Messages, Failure> {
        let answer = self.answer(&Method::GET, &format!("{ROOT}/events"), None).await?;
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            return Err(self.strange("no stream of events"));
        }
        Ok(Messages::new(answer.into_body()))
    }

    async fn text(
        &self,
        method: &Method,
        path: &str,
        body: Option<Sent>,
    ) -> Result<String, Failure> {
        let answer = self.answer(method, path, body).await?;
        let text = self.read(answer.into_body()).await?;
        String::from_utf8(text.into())
            .map_err(|_| Unusable(format!("{} answered what is no text", self.base)))
    }

    /// The answer, if it is a success.
    async fn answer(
        &self,
        method: &Method,
        path: &str,
        body: Option<Sent>,
    ) -> Result<Response<Incoming>, Failure> {
        let request = self.request(method, path, body)?;
        let answer = match timeout(self.timeout, self.pool.request(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(Unusable(self.unreachable(&error))),
            Err(_) => return Err(Unusable(self.too_slow())),
        };
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let body = self.read(answer.into_body()).await.unwrap_or_default();
        Err(self.refused(status, &body))
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        body: Option<Sent>,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        request = request.header(ACCEPT, "application/json, text/event-stream");
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key);
        }
        if let Some((kind, _)) = &body {
            request = request.header(CONTENT_TYPE, *kind);
        }
        let body = Full::new(Bytes::from(body.map(|(_, body)| body).unwrap_or_default()));
        request.body(body).map_err(|error| Unusable(format!("cannot ask for {path}: {error}")))
    }

    async fn read(&self, body: Incoming) -> Result<Bytes, Failure> {
        match timeout(self.timeout, Limited::new(body, MAX_ANSWER).collect()).await {
            Ok(Ok(read)) => Ok(read.to_bytes()),
            Ok(Err(error)) => {
                Err(Unusable(format!("the answer of {} broke off: {error}", self.base)))
            }
            Err(_) => Err(Unusable(self.too_slow())),
        }
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> Failure {
        let told = problem::text(status, body);
        let hint = match (status, &self.key) {
            (StatusCode::UNAUTHORIZED, None) => "\n  give a key: --key, or SEAWALL_API_KEY",
            (StatusCode::UNAUTHORIZED, Some(_)) => {
                "\n  the key is not one of the server's: see --key and SEAWALL_API_KEY"
            }
            _ => "",
        };
        Refused(told + hint)
    }

    fn unreachable(&self, error: &(dyn Error + 'static)) -> String {
        let mut innermost = error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        let advice = "is `seawall serve` running there? --url or SEAWALL_URL says where it is";
        format!("cannot reach {}: {innermost}; {advice}", self.base)
    }

    fn too_slow(&self) -> String {
        let seconds = self.timeout.as_secs_f64();
        format!("{} did not answer within {seconds} s; --timeout waits longer", self.base)
    }
}

/// The header with a key, which is never shown.
fn bearer(key: &str) -> Result<HeaderValue, Failure> {
    let mut header = HeaderValue::from_str(&format!("Bearer {key}"))
        .map_err(|_| Unusable("the key holds characters that no header can carry".into()))?;
    header.set_sensitive(true);
    Ok(header)
}
