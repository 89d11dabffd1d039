//! `seawall events`: the tail of what happened, and what happens.

use crate::{
    failure::{Ended, Failure},
    output,
    output::{Paint, Tone, plain},
    remote::{Client, Next, Remote, run},
    table::shown,
};
use clap::Args;
use serde_json::Value;
use std::{process::ExitCode, time::Duration};

/// Without `--follow`: the tail comes at once, so that this much silence is its end.
const SILENCE: Duration = Duration::from_secs(1);
/// A snapshot comes every second: this much silence is a cut.
const CUT: Duration = Duration::from_secs(15);

/// Arguments of `events`.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Go on until interrupted; connect again where the stream is cut
    #[arg(long)]
    follow: bool,
    /// Only those of this operation
    #[arg(long)]
    operation: Option<String>,
    /// Only those of this kind, such as `circuit_changed`, `rejected`, `retry_scheduled`
    #[arg(long)]
    kind: Option<String>,
    /// Print JSON, one event a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Events {
    pub(crate) fn run(self) -> Ended {
        run(async {
            let client = self.remote.client()?;
            if self.follow { self.follow(&client).await } else { self.tail(&client).await }
        })?;
        Ok(ExitCode::SUCCESS)
    }

    async fn tail(&self, client: &Client) -> Result<(), Failure> {
        let mut messages = client.events().await?;
        // A snapshot comes before the tail, where there is one by then; the next one comes after it.
        let mut first = true;
        while let Next::Message(message) = messages.next(SILENCE).await {
            match &*message.kind {
                "event" => self.tell(&message.data)?,
                "snapshot" if !first => break,
                _ => {}
            }
            first = false;
        }
        Ok(())
    }

    async fn follow(&self, client: &Client) -> Result<(), Failure> {
        let mut pause = Pause::default();
        let mut latest = (String::new(), 0);
        // Who cannot be reached from the start is told so; who was there once is waited for.
        let mut messages = client.events().await?;
        loop {
            let cut = loop {
                match messages.next(CUT).await {
                    Next::Message(message) if message.kind == "event" => {
                        let seen = when(&message.data);
                        // The tail comes again with each connection.
                        if seen > latest {
                            latest = seen;
                            self.tell(&message.data)?;
                        }
                    }
                    Next::Message(_) => pause = Pause::default(),
                    Next::Silence => break "nothing came any more".to_owned(),
                    Next::Over(why) => break why,
                }
            };
            eprintln!("seawall: the stream was cut ({}); connecting again", plain(&cut));
            messages = loop {
                tokio::time::sleep(pause.next()).await;
                match client.events().await {
                    Ok(again) => break again,
                    // A refusal is an answer: waiting does not change it.
                    Err(failure @ Failure::Refused(_)) => return Err(failure),
                    Err(_) => {}
                }
            };
        }
    }

    fn tell(&self, data: &str) -> Result<(), Failure> {
        let Ok(event) = serde_json::from_str::<Value>(data) else { return Ok(()) };
        let is = |field: &str, wanted: &Option<String>| {
            wanted.as_deref().is_none_or(|wanted| event[field] == wanted)
        };
        if !is("operation", &self.operation) || !is("kind", &self.kind) {
            return Ok(());
        }
        if self.json {
            return output::write(&format!("{event}\n"));
        }
        output::write(&line(&event, Paint::of_stdout()))
    }
}

/// When it happened, and its number in that run of the server.
fn when(data: &str) -> (String, u64) {
    let event: Value = serde_json::from_str(data).unwrap_or_default();
    (shown(&event["at"]), event["id"].as_u64().unwrap_or(0))
}

fn line(event: &Value, paint: Paint) -> String {
    let text = |field: &str| plain(event[field].as_str().unwrap_or(""));
    let kind = text("kind");
    let kind = paint.tone(tone(&kind), &format!("{kind:15}"));
    let operation = paint.tone(Tone::Strong, &format!("{:16}", text("operation")));
    format!("{}  {operation}  {kind}  {}\n", paint.tone(Tone::Quiet, &text("at")), text("text"))
}

/// The tone of an event's kind.
pub(crate) fn tone(kind: &str) -> Tone {
    match kind {
        "rejected" | "timed_out" | "alert_started" => Tone::Bad,
        "circuit_changed" | "forced" | "brake" | "mode" => Tone::Warning,
        "alert_ended" | "reset" => Tone::Good,
        _ => Tone::Usual,
    }
}

/// Growing pauses between attempts to connect, each by chance shorter, so that many do not come at once.
#[derive(Debug, Default)]
pub(crate) struct Pause(u32);

impl Pause {
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(10);

    /// The next pause.
    pub(crate) fn next(&mut self) -> Duration {
        let whole = Self::FIRST.saturating_mul(1 << self.0.min(8)).min(Self::LONGEST);
        self.0 = self.0.saturating_add(1);
        whole.mul_f64(0.5 + 0.5 * seawall::Random::new(seawall::fresh_seed()).unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_bounded() {
        let mut pause = Pause::default();
        for expected in [500, 1000, 2000, 4000, 8000, 10_000, 10_000] {
            let length = pause.next();
            let whole = Duration::from_millis(expected);
            assert!(length >= whole / 2 && length <= whole, "{length:?} of {whole:?}");
        }
    }
}
