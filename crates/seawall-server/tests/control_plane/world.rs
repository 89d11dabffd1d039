//! A server from files and variables, in a folder that goes away, and a client for its API.

use crate::support::{Answer, send};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use seawall_server::{Inputs, Server, Startup, Stop};
use serde_json::Value;
use std::{net::SocketAddr, path::PathBuf};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// A file with one upstream whose address has no listener: most of the API needs no more.
pub(crate) const QUIET: &str = "\
upstreams:
  chat: { endpoints: ['http://127.0.0.1:9'], strategy: aggressive }
  qa: { endpoints: ['http://127.0.0.1:9'] }
routes: [{ path: /chat/*, upstream: chat, fallback: [qa] }]
";

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) folder: TempDir,
    pub(crate) stop: Stop,
    pub(crate) running: Option<JoinHandle<bool>>,
    key: Option<String>,
}

impl World {
    pub(crate) async fn quiet() -> Self {
        Self::of(QUIET).await
    }

    pub(crate) async fn of(yaml: &str) -> Self {
        Self::with(yaml, &[]).await
    }

    /// Starts a server with these variables; a key among `SEAWALL_API_KEYS` is sent along.
    pub(crate) async fn with(yaml: &str, variables: &[(&str, &str)]) -> Self {
        Self::again(tempfile::tempdir().unwrap(), yaml, variables).await
    }

    /// In a folder where another one was.
    pub(crate) async fn again(folder: TempDir, yaml: &str, variables: &[(&str, &str)]) -> Self {
        let file = folder.path().join("seawall.yaml");
        std::fs::write(&file, format!("listen: 127.0.0.1:0\n{yaml}")).unwrap();
        let pairs = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let inputs = Inputs::file(file).with_variables(pairs);
        let startup = Startup::read(inputs).unwrap_or_else(|error| panic!("{error}"));
        let server =
            Server::start(startup, Vec::new()).await.unwrap_or_else(|error| panic!("{error}"));
        let (address, stop) = (server.address(), server.stop());
        let key = variables.iter().find(|(name, _)| *name == "SEAWALL_API_KEYS");
        let key = key.map(|(_, list)| list.split(',').next().unwrap().to_owned());
        let running = Some(tokio::spawn(server.run()));
        Self { address, folder, stop, running, key }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("seawall.yaml")
    }

    pub(crate) fn write(&self, yaml: &str) {
        std::fs::write(self.file(), format!("listen: 127.0.0.1:0\n{yaml}")).unwrap();
    }

    /// Stops it, as at SIGTERM, and gives its folder back.
    pub(crate) async fn ended(mut self) -> TempDir {
        self.stop.now();
        assert!(self.running.take().unwrap().await.unwrap(), "it drains");
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let path = match path.strip_prefix('/') {
            Some(_) => path.to_owned(),
            None => format!("/internal/resilience/{path}"),
        };
        let request =
            Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        match &self.key {
            Some(key) => request.header("x-api-key", key),
            None => request,
        }
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: &str) -> Answer {
        let request = self.request(method, path).header("content-type", "application/json");
        send(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path).body(Full::default()).unwrap()).await
    }

    /// The answer to a GET, which must succeed.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, &body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::PUT, path, &body.to_string()).await
    }

    /// The answer to a POST, which must succeed.
    pub(crate) async fn posted(&self, path: &str, body: Value) -> Value {
        let answer = self.post(path, body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.now();
    }
}
