//! A real nginx as the upstream: killed in the middle of traffic, and brought back.

use crate::support::{Gateway, Upstream, eventually, nobody};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

/// A folder of its own, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("seawall-nginx-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Nginx(Child);

impl Nginx {
    fn start(folder: &Path, address: SocketAddr) -> Self {
        let at = folder.display();
        let conf = format!(
            "daemon off; worker_processes 1; pid {at}/pid; error_log {at}/error.log;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p; \
             fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
             server {{ listen {address}; location / {{ return 200 'from nginx'; }} }} }}\n"
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, conf).unwrap();
        let started = Command::new("nginx")
            .arg("-p")
            .arg(folder)
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(folder.join("error.log"))
            .stderr(Stdio::null())
            .spawn();
        let missing =
            "nginx is missing: `cargo xtask test` installs it, or apt-get install nginx-light";
        Self(started.expect(missing))
    }

    /// Kills the master and its worker, with -9, so that neither can end in order. A master that is not stopped first
    /// would start another worker in between, and leave it behind.
    fn kill(&mut self) {
        let id = self.0.id().to_string();
        let missing = "kill or pkill is missing: apt-get install procps";
        for (program, arguments) in
            [("kill", ["-STOP", &id].as_slice()), ("pkill", &["-9", "-P", &id])]
        {
            Command::new(program).args(arguments).stderr(Stdio::null()).status().expect(missing);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_killed_and_comes_back_costs_no_request() {
    let folder = Folder::new();
    let address = nobody().await;
    let mut nginx = Nginx::start(&folder.0, address);
    let backup =
        Upstream::start(|_, _| async { crate::support::respond(200, "from the backup") }).await;
    let gateway = Arc::new(
        Gateway::start(&format!(
            "upstreams:\n  nginx: {{ endpoints: ['http://{address}'], attempt_timeout: 2s, policies: \
             [{{ type: circuit_breaker, failure_threshold: 3, recovery_timeout: 200ms }}] }}\n  \
             backup: {{ endpoints: ['{}'], policies: [] }}\n\
             routes: [{{ path: '/*', upstream: nginx, fallback: [backup] }}]\n",
            backup.endpoint()
        ))
        .await,
    );
    let from = async |who: &str| gateway.get("/").await.text() == who;
    eventually("nginx answers", async || from("from nginx").await).await;

    // Four clients, without a pause, through all that follows.
    let (stop, answers, failures) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (gateway, stop) = (gateway.clone(), stop.clone());
            let (answers, failures) = (answers.clone(), failures.clone());
            tokio::spawn(async move {
                while !stop.load(SeqCst) {
                    let good = gateway.get("/").await.status == 200;
                    answers.fetch_add(1, SeqCst);
                    failures.fetch_add(usize::from(!good), SeqCst);
                }
            })
        })
        .collect();
    let more = async |n: usize| {
        let target = answers.load(SeqCst) + n;
        eventually("requests are answered", async || answers.load(SeqCst) >= target).await;
    };
    more(200).await;
    nginx.kill();
    let state = async || gateway.circuit("nginx").await["state"].as_str().unwrap().to_owned();
    eventually("the circuit opens", async || state().await == "open").await;
    more(200).await;
    assert!(from("from the backup").await);

    let _back = Nginx::start(&folder.0, address);
    eventually("the circuit closes", async || state().await == "closed").await;
    more(200).await;
    eventually("nginx answers again", async || from("from nginx").await).await;
    stop.store(true, SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(failures.load(SeqCst), 0, "of {} requests", answers.load(SeqCst));
    let counts = gateway.counts("route /*").await;
    assert_eq!(counts["in_flight"], 0);
    assert!(counts["fallbacks"].as_u64().unwrap() >= 200);
}
