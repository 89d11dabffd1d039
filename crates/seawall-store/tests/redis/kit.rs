//! Redis servers for a test: real ones, which end with it.

use seawall_store::redis::{Redis, RedisAddress, RedisConfig, RedisTls};
use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A connection to this Redis, as each test has its own.
pub(crate) fn connect(address: RedisAddress) -> Redis {
    let config = RedisConfig { address, prefix: "test".into(), tls: RedisTls::default() };
    Redis::open(config).unwrap()
}

/// How long anything may take to come up on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `done` says yes.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "it takes too long until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A process that ends with the test.
pub(crate) struct Process(Child);

impl Process {
    fn start(program: &str, arguments: &[String], folder: &Path) -> Self {
        let log = fs::File::create(folder.join(format!("{program}.log"))).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn();
        let advice = "`cargo xtask test tools` installs what the tests need";
        Self(child.unwrap_or_else(|error| panic!("{program}: {error}; {advice}")))
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.0.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that is free, as is the one of the Cluster's bus that goes with it.
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        if port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

/// A Redis server.
pub(crate) struct Server {
    process: Process,
    folder: TempDir,
    arguments: Vec<String>,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    fn with(further: &[&str]) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let port_text = port.to_string();
        let arguments =
            ["--port", &port_text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let arguments: Vec<String> =
            arguments.iter().chain(further).map(|word| (*word).to_owned()).collect();
        let process = Process::start("redis-server", &arguments, folder.path());
        let server = Self { process, folder, arguments, port };
        server.wait();
        server
    }

    /// One that takes encrypted connections as well, of clients with a certificate of the same authority.
    pub(crate) fn encrypted(certificates: &Path) -> Encrypted<Self> {
        let (port, arguments) = encryption(certificates);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Encrypted { server: Self::with(&arguments), ports: vec![port] }
    }

    fn wait(&self) {
        wait_until("Redis answers", || cli(self.port, &["ping"]).contains("PONG"));
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Runs a command on it; its answer as text.
    pub(crate) fn run(&self, command: &[&str]) -> String {
        cli(self.port, command)
    }

    /// Stops the process in its tracks, as a machine that hangs does.
    pub(crate) fn freeze(&self) {
        self.process.signal("-STOP");
    }

    pub(crate) fn thaw(&self) {
        self.process.signal("-CONT");
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    pub(crate) fn restart(&mut self) {
        self.process = Process::start("redis-server", &self.arguments, self.folder.path());
        self.wait();
    }
}

/// What takes encrypted connections at these ports.
pub(crate) struct Encrypted<S> {
    #[expect(dead_code, reason = "it ends with the test")]
    server: S,
    ports: Vec<u16>,
}

impl<S> Encrypted<S> {
    pub(crate) fn urls(&self) -> Vec<String> {
        self.ports.iter().map(|port| format!("rediss://127.0.0.1:{port}/")).collect()
    }
}

/// A port for encrypted connections, and the arguments for them.
fn encryption(certificates: &Path) -> (u16, Vec<String>) {
    let port = free_port();
    let file = |name: &str| certificates.join(name).display().to_string();
    let arguments = [
        ("--tls-port", port.to_string()),
        ("--tls-cert-file", file("server.pem")),
        ("--tls-key-file", file("server-key.pem")),
        ("--tls-ca-cert-file", file("authority.pem")),
        ("--tls-auth-clients", "yes".to_owned()),
    ];
    (port, arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect())
}

fn cli(port: u16, command: &[&str]) -> String {
    let mut cli = Command::new("redis-cli");
    cli.args(["-h", "127.0.0.1", "-p", &port.to_string()]).args(command);
    let output = cli.output().expect("`cargo xtask test tools` installs redis-cli");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What makes a server the node of a Cluster.
const CLUSTERED: [&str; 4] = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];

/// A Cluster of three nodes without replicas.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Server>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        Self::of((0..3).map(|_| Server::with(&CLUSTERED)).collect())
    }

    /// One whose nodes take encrypted connections as well, and make them among themselves.
    pub(crate) fn encrypted(certificates: &Path) -> Encrypted<Self> {
        let node = || {
            let (port, encryption) = encryption(certificates);
            let encryption = encryption.iter().map(String::as_str).chain(["--tls-cluster", "yes"]);
            let arguments: Vec<&str> = CLUSTERED.into_iter().chain(encryption).collect();
            (Server::with(&arguments), port)
        };
        let (nodes, ports) = (0..3).map(|_| node()).unzip();
        Encrypted { server: Self::of(nodes), ports }
    }

    fn of(nodes: Vec<Server>) -> Self {
        let addresses = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port));
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]).args(addresses).arg("--cluster-yes");
        let created = create.output().unwrap();
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
        wait_until("the cluster is up", || {
            let up = |node: &Server| node.run(&["cluster", "info"]).contains("cluster_state:ok");
            nodes.iter().all(up)
        });
        Self { nodes }
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Server::url).collect()
    }

    /// Moves all slots of the first node to the second, while they are used.
    pub(crate) fn reshard(&self) {
        let id = |node: &Server| node.run(&["cluster", "myid"]).trim().to_owned();
        let (from, to) = (id(&self.nodes[0]), id(&self.nodes[1]));
        let mut reshard = Command::new("redis-cli");
        reshard.args(["--cluster", "reshard", &format!("127.0.0.1:{}", self.nodes[0].port)]);
        reshard.args(["--cluster-from", &from, "--cluster-to", &to]);
        reshard.args(["--cluster-slots", "16384", "--cluster-yes"]);
        let output = reshard.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// A master, its replica, and three Sentinels that watch them.
pub(crate) struct Sentinels {
    pub(crate) master: Server,
    pub(crate) replica: Server,
    sentinels: Vec<(Process, TempDir, u16)>,
}

impl Sentinels {
    pub(crate) fn start() -> Self {
        let master = Server::start();
        let port = master.port.to_string();
        let replica = Server::with(&["--replicaof", "127.0.0.1", &port]);
        wait_until("the replica follows", || {
            replica.run(&["info", "replication"]).contains("master_link_status:up")
        });
        let sentinels: Vec<_> = (0..3).map(|_| Self::sentinel(master.port)).collect();
        wait_until("the sentinels know one another", || {
            sentinels.iter().all(|(_, _, port)| {
                let known = cli(*port, &["sentinel", "master", "main"]);
                let after = |name: &str| {
                    let mut lines = known.lines().skip_while(|line| *line != name);
                    lines.nth(1).map(str::to_owned).unwrap_or_default()
                };
                after("num-other-sentinels") == "2" && after("num-slaves") == "1"
            })
        });
        Self { master, replica, sentinels }
    }

    fn sentinel(master: u16) -> (Process, TempDir, u16) {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let config = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n"
        );
        let file = folder.path().join("sentinel.conf");
        fs::write(&file, config).unwrap();
        let arguments = [file.display().to_string(), "--sentinel".to_owned()];
        let process = Process::start("redis-server", &arguments, folder.path());
        wait_until("a sentinel answers", || cli(port, &["ping"]).contains("PONG"));
        (process, folder, port)
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(|(_, _, port)| format!("redis://127.0.0.1:{port}/")).collect()
    }

    /// From now on the servers want one password, and the Sentinels another.
    pub(crate) fn protect(&self, server: &str, sentinel: &str) {
        for (_, _, port) in &self.sentinels {
            cli(*port, &["sentinel", "set", "main", "auth-pass", server]);
            cli(*port, &["acl", "setuser", "default", "resetpass", &format!(">{sentinel}")]);
            assert!(cli(*port, &["ping"]).contains("NOAUTH"));
        }
        for one in [&self.master, &self.replica] {
            one.run(&["config", "set", "masterauth", server]);
            one.run(&["config", "set", "requirepass", server]);
            assert!(one.run(&["ping"]).contains("NOAUTH"));
        }
    }
}
