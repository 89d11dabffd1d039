//! Instances that a list in the file names: each is asked for its state every few seconds.

use super::{InstanceReport, InstanceState};
use crate::config::{FleetConfig, Secret};
use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// The time between two questions to an instance, and how long its answer may take.
const PERIOD: Duration = Duration::from_secs(1);
/// The longest report, in bytes.
const MAX_REPORT: usize = 64 << 10;

type HttpClient = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// The instances of a list, with what each said last.
pub(super) struct Peers {
    addresses: Vec<String>,
    key: Option<Secret>,
    gone_for: Duration,
    heard: Mutex<BTreeMap<String, (InstanceReport, Instant)>>,
}

impl Peers {
    /// The instances that the configuration names.
    pub(super) fn new(config: &FleetConfig) -> Self {
        let addresses = config.instances.iter();
        Self {
            addresses: addresses.map(|text| text.trim_end_matches('/').to_owned()).collect(),
            key: config.key.clone(),
            gone_for: config.gone_for,
            heard: Mutex::default(),
        }
    }

    fn heard(&self) -> MutexGuard<'_, BTreeMap<String, (InstanceReport, Instant)>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks all of them, for ever.
    pub(super) async fn poll(&self) {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(PERIOD));
        connector.enforce_http(false);
        let secure = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http();
        let client: HttpClient = Client::builder(TokioExecutor::new())
            .build(secure.enable_http1().wrap_connector(connector));
        loop {
            let mut questions = JoinSet::new();
            for address in &self.addresses {
                let (client, address) = (client.clone(), address.clone());
                let request = self.request(&address);
                questions.spawn(async move {
                    let answer = tokio::time::timeout(PERIOD, ask(client, request?)).await;
                    Some((address, answer.ok()??))
                });
            }
            for (address, report) in questions.join_all().await.into_iter().flatten() {
                self.note(address, report);
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    fn note(&self, address: String, report: InstanceReport) {
        self.heard().insert(address, (report, Instant::now()));
    }

    fn request(&self, address: &str) -> Option<Request<Empty<Bytes>>> {
        let path = format!("{address}/internal/resilience/fleet/instance");
        let mut request = Request::get(path);
        if let Some(key) = &self.key {
            let mut value = HeaderValue::from_str(key.expose()).ok()?;
            value.set_sensitive(true);
            request = request.header("x-api-key", value);
        }
        request.header(header::ACCEPT, "application/json").body(Empty::new()).ok()
    }

    /// All of them, each with the time since it last answered.
    pub(super) fn known(&self) -> Vec<(InstanceReport, Option<Duration>)> {
        let heard = self.heard();
        let known = |address: &String| match heard.get(address) {
            // What is gone stays on the list; what it said last is forgotten.
            Some((report, at)) if at.elapsed() > self.gone_for => {
                (unknown(&report.name, address), Some(at.elapsed()))
            }
            Some((report, at)) => (report.clone(), Some(at.elapsed())),
            None => (unknown(address, address), None),
        };
        self.addresses.iter().map(known).collect()
    }
}

/// An instance of which only this is known.
pub(super) fn unknown(name: &str, address: &str) -> InstanceReport {
    InstanceReport {
        name: name.to_owned(),
        id: name.to_owned(),
        address: address.to_owned(),
        version: String::new(),
        started_at: String::new(),
        state: InstanceState::Gone,
        reason: None,
        revision: 0,
        fleet_revision: None,
        changed_alone: false,
        configuration: String::new(),
        open_circuits: 0,
        calls_per_second: 0.0,
        error_share: 0.0,
        degraded: Vec::new(),
    }
}

async fn ask(client: HttpClient, request: Request<Empty<Bytes>>) -> Option<InstanceReport> {
    let response = client.request(request).await.ok()?;
    if !response.status().is_success() {
        return None;
    }
    let body = Limited::new(response.into_body(), MAX_REPORT).collect().await.ok()?;
    serde_json::from_slice(&body.to_bytes()).ok()
}
