//! `seawall serve`: runs until it is stopped, then drains.

use clap::Args;
use seawall_config::LoadError;
use seawall_server::{Inputs, Server, Startup, Stop};
use std::{io::IsTerminal, net::SocketAddr, path::PathBuf, process::ExitCode};
use tracing_subscriber::EnvFilter;

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The configuration file (YAML, JSON or TOML, by its ending)
    #[arg(long, env = "SEAWALL_CONFIG", default_value = "seawall.yaml")]
    config: PathBuf,
    /// The address to listen on, in place of that in the file
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Write log lines as JSON
    #[arg(long)]
    log_json: bool,
}

impl Serve {
    pub(crate) fn run(self) -> ExitCode {
        let inputs = Inputs::file(self.config).with_process_variables().with_listen(self.listen);
        // Before anything starts, and without a log line around each mistake.
        let startup = match Startup::read(inputs) {
            Ok(startup) => startup,
            Err(error) => {
                eprintln!("{error}");
                if let LoadError::Io { .. } = error {
                    eprintln!(
                        "docs/gateway.md shows a file to start from; `seawall demo` needs none"
                    );
                }
                return ExitCode::from(2);
            }
        };
        log(self.log_json);
        if std::env::var("SHOW_CONFIG_LOADING")
            .is_ok_and(|value| matches!(value.as_str(), "true" | "1"))
        {
            let loaded = startup.loaded();
            let document = serde_json::to_value(&loaded.document).unwrap_or_default();
            for value in loaded.origins.leaves(&document) {
                tracing::info!("{} = {} ({})", value.path, value.value, value.origin);
            }
        }
        let runtime = match tokio::runtime::Runtime::new() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("seawall: cannot start: {error}");
                return ExitCode::FAILURE;
            }
        };
        runtime.block_on(async {
            let server = match Server::start(startup, Vec::new()).await {
                Ok(server) => server,
                Err(error) => {
                    eprintln!("seawall: {error}");
                    return ExitCode::from(2);
                }
            };
            let address = server.address();
            tracing::info!("serving on http://{address}, dashboard at http://{address}/dashboard");
            tokio::spawn(reload_on_signal(server.stop()));
            tokio::spawn(stop_on_signal(server.stop()));
            if server.run().await { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        })
    }
}

fn log(json: bool) {
    let level = std::env::var("LOG_LEVEL").unwrap_or_else(|_| "info".into());
    let filter = EnvFilter::try_new(&level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    if json {
        lines.json().init();
    } else {
        lines.with_target(false).init();
    }
}

/// Reads the files again at each SIGHUP.
async fn reload_on_signal(server: Stop) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hang_up) = signal(SignalKind::hangup()) else { return };
    while hang_up.recv().await.is_some() {
        tracing::info!("reading the configuration anew");
        server.reload().await;
    }
}

/// SIGTERM and Ctrl-C drain; a second Ctrl-C does not wait.
async fn stop_on_signal(stop: Stop) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tracing::info!("draining; interrupt again to stop at once");
    stop.now();
    if tokio::signal::ctrl_c().await.is_ok() {
        std::process::exit(130);
    }
}
