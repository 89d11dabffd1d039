//! A running server: where it is, the key, and questions to its control API.

use crate::{
    failure::{Failure, Failure::Unusable},
    length, output,
    output::Paint,
};
use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use http::{Method, Uri, uri::Scheme};
use seawall_server::Secret;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{future::Future, time::Duration};

mod client;
mod problem;
mod stream;

pub(crate) use client::Client;
pub(crate) use stream::Next;

/// The path that everything of the API lies below.
const ROOT: &str = "/internal/resilience";

/// The address of the server, and the key for it.
#[derive(Debug, Args)]
pub(crate) struct Remote {
    /// The address of the server
    #[arg(
        long,
        env = "SEAWALL_URL",
        default_value = "http://127.0.0.1:8000",
        global = true,
        help_heading = "Server",
        value_parser = base
    )]
    url: Uri,
    /// The API key; set it in the environment rather than here, where other users see it
    #[arg(
        long,
        env = "SEAWALL_API_KEY",
        hide_env_values = true,
        global = true,
        help_heading = "Server"
    )]
    key: Option<Secret>,
    /// The longest wait for an answer, such as 10s
    #[arg(
        long,
        default_value = "10s",
        global = true,
        help_heading = "Server",
        value_parser = length::parse
    )]
    timeout: Duration,
}

impl Remote {
    /// A client for this server. It needs a runtime around it.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.url, self.key.as_ref().map(Secret::expose), self.timeout)
    }

    /// Waits at least this long for an answer.
    pub(crate) fn wait_at_least(&mut self, timeout: Duration) {
        self.timeout = self.timeout.max(timeout);
    }

    /// Asks for what is at a path below the API's root.
    pub(crate) fn read<T: DeserializeOwned>(&self, path: &str) -> Result<Reply<T>, Failure> {
        run(async { self.client()?.ask(&Method::GET, path, None).await })
    }

    /// Asks for a change, without a body.
    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str) -> Result<Reply<T>, Failure> {
        run(async { self.client()?.ask(&Method::POST, path, None).await })
    }

    /// Asks for a change with this body.
    pub(crate) fn send<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Reply<T>, Failure> {
        let body = serde_json::to_string(body).map_err(|error| Unusable(error.to_string()))?;
        run(async { self.client()?.ask(method, path, Some(body)).await })
    }

    /// A failure: the server answers, and not as a Seawall server would.
    pub(crate) fn strange(&self, told: &str) -> Failure {
        strange(&self.shown(), told)
    }

    /// The address of the server, for messages.
    pub(crate) fn shown(&self) -> String {
        self.url.to_string().trim_end_matches('/').to_owned()
    }
}

/// The server that a command asks, and the form in which it prints what was answered.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

impl Server {
    /// Prints an answer: its JSON as it came, or as text.
    pub(crate) fn show<T>(
        &self,
        reply: &Reply<T>,
        text: impl FnOnce(&T, Paint) -> String,
    ) -> Result<(), Failure> {
        if self.json {
            return output::json(&reply.json);
        }
        output::write(&text(&reply.read, Paint::of_stdout()))
    }
}

/// One of the words that a type of the API is written as, for arguments.
pub(crate) fn word<T>(
    words: impl IntoIterator<Item = &'static str>,
) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| serde_json::from_value(Value::String(word)))
}

/// The answer of a server: the JSON as it came, and what this command reads of it.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    /// All of it, also what only a newer server says.
    pub(crate) json: Value,
    pub(crate) read: T,
}

impl<T: DeserializeOwned> Reply<T> {
    /// Reads an answer as the type that the server writes it from.
    ///
    /// # Errors
    /// The field that is missing or is not what it should be.
    fn of(json: Value) -> Result<Self, String> {
        let read = serde_path_to_error::deserialize(&json).map_err(|error| {
            match error.path().to_string() {
                path if path == "." => error.inner().to_string(),
                path => format!("{path}: {}", error.inner()),
            }
        })?;
        Ok(Self { json, read })
    }
}

/// Text as the type that the server writes it from.
///
/// # Errors
/// The field that is missing or is not what it should be.
pub(crate) fn reading<T: DeserializeOwned>(text: &str) -> Result<Reply<T>, String> {
    Reply::of(serde_json::from_str(text).map_err(|error| format!("no JSON ({error})"))?)
}

fn strange(server: &str, told: &str) -> Failure {
    let told = output::plain(told);
    Unusable(format!("{server} answered {told}; is this a Seawall server, and of this version?"))
}

/// Runs what talks to a server.
pub(crate) fn run<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Unusable(format!("cannot start: {error}")))?;
    let ended = runtime.block_on(work);
    // A name that is being looked up must not keep the command from ending.
    runtime.shutdown_background();
    ended
}

/// `http://host:port`, perhaps with a path before ours.
fn base(text: &str) -> Result<Uri, String> {
    const RIGHT: &str = "write it as http://127.0.0.1:8000 or https://host";
    let url: Uri = text.parse().map_err(|error| format!("{error}; {RIGHT}"))?;
    if ![Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&url.scheme()) {
        return Err(RIGHT.into());
    }
    let authority = url.authority().map_or("", |authority| authority.as_str());
    if authority.is_empty() {
        return Err(RIGHT.into());
    }
    if authority.contains('@') {
        return Err("it may hold no user and no password; --key is for the key".into());
    }
    if url.query().is_some() {
        return Err(format!("it may hold no query; {RIGHT}"));
    }
    Ok(url)
}

/// A name as one part of a path.
pub(crate) fn part(name: &str) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => text.push(byte.into()),
            // Also the dot: `..` would mean the part above.
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_strictly() {
        for good in ["http://127.0.0.1:8000", "https://host", "http://[::1]:1/prefix/"] {
            assert!(base(good).is_ok(), "{good}");
        }
        for bad in ["", "host", "host:80", "ftp://a", "http://", "http://u:p@a", "http://a/?b=c"] {
            assert!(base(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_answer_is_read_as_what_it_should_be_or_its_field_is_named() {
        use seawall_server::wire::{CircuitBreakers, PauseChange};
        let told = |text: &str| reading::<PauseChange>(text).unwrap_err();
        assert_eq!(told("{}"), "missing field `paused`");
        assert!(told("[]").contains("paused") || told("[]").contains("invalid length"));
        assert!(told(r#"{"paused":"yes","operations":[]}"#).starts_with("paused: invalid type"));
        assert!(told(r#"{"paused":true,"operations":[1]}"#).starts_with("operations[0]: "));
        assert!(told("<html>").starts_with("no JSON"));
        let text = r#"{"paused":true,"operations":["a"],"later":1}"#;
        let reply = reading::<PauseChange>(text).unwrap();
        assert_eq!((reply.read.paused, &reply.json["later"]), (true, &Value::from(1)));
        let text = r#"{"circuit_breakers":{"a":{"name":"a"}},"total_count":1,"healthy_count":1,"open_count":0}"#;
        assert!(
            reading::<CircuitBreakers>(text)
                .unwrap_err()
                .starts_with("circuit_breakers.a: missing field")
        );
    }

    #[test]
    fn a_name_stays_one_part() {
        assert_eq!(part("chat-1_a"), "chat-1_a");
        assert_eq!(part("../a b/ü"), "%2E%2E%2Fa%20b%2F%C3%BC");
    }
}
