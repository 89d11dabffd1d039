//! The binary as a child process, a small upstream, and a small client.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// The binary under test: the release build where the test suite built one.
pub(crate) fn seawall() -> Command {
    let built = env!("CARGO_BIN_EXE_seawall");
    let mut command = Command::new(env::var_os("SEAWALL_BIN").unwrap_or_else(|| built.into()));
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if ["SEAWALL_", "RESILIENCE_"].iter().any(|ours| name.starts_with(ours)) {
            command.env_remove(&*name);
        }
    }
    command.env_remove("LOG_LEVEL");
    command
}

/// The code, the output and the errors of one run.
pub(crate) fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    ended(seawall().args(arguments))
}

/// Runs a prepared command to its end, and returns what it printed.
pub(crate) fn ended(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// A whole answer in JSON, for servers that only pretend.
pub(crate) fn answer(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// A folder of its own, gone when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("seawall-cli-{}-{number}", std::process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running `seawall serve`, killed when dropped.
pub(crate) struct Serving {
    child: Child,
    pub(crate) address: String,
    log: Arc<Mutex<String>>,
    _folder: Folder,
}

impl Serving {
    /// Serves this file on a free port, with further arguments.
    pub(crate) fn start(yaml: &str, arguments: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", yaml, arguments)
    }

    pub(crate) fn start_on(listen: &str, yaml: &str, arguments: &[&str]) -> Self {
        Self::start_with(listen, yaml, arguments, &[])
    }

    /// Starts `seawall serve` with these environment variables.
    pub(crate) fn start_with(
        listen: &str,
        yaml: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let folder = Folder::new();
        let file = folder.file("seawall.yaml", yaml);
        let mut command = seawall();
        command.envs(variables.iter().copied());
        command.args(["serve", "--listen", listen, "--config"]).arg(&file).args(arguments);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (found, address) = std::sync::mpsc::channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let kept = log.clone();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("serving on http://") {
                    let end = rest.find([',', '"']).unwrap_or(rest.len());
                    let _ = found.send(rest[..end].to_owned());
                }
                let mut log = kept.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let address = address.recv_timeout(Duration::from_secs(20));
        let address = address.unwrap_or_else(|_| panic!("it does not serve: {:?}", log.lock()));
        Self { child, address, log, _folder: folder }
    }

    /// A command that talks to this server.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = seawall();
        command.args(arguments).env("SEAWALL_URL", format!("http://{}", self.address));
        command
    }

    /// Runs a command against this server.
    pub(crate) fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        ended(&mut self.command(arguments))
    }

    /// Runs one that succeeds, and gives its JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let (code, text, told) = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(code, Some(0), "{arguments:?}: {told}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Waits until the process has ended.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "it does not end: {}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An upstream that answers every request with its name.
pub(crate) fn upstream(name: &'static str) -> SocketAddr {
    answering(move |stream| {
        let length = name.len();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n";
        write!(stream, "{head}content-length: {length}\r\n\r\n{name}")
    })
}

/// An upstream that answers every request like this.
pub(crate) fn answering(
    answer: impl Fn(&mut &TcpStream) -> std::io::Result<()> + Clone + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || {
                for line in BufReader::new(&stream).lines() {
                    let end_of_head = line.is_ok_and(|line| line.is_empty());
                    if end_of_head && answer(&mut &stream).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Asks and reads to the end.
pub(crate) fn get(address: &str, path: &str) -> String {
    let mut answer = String::new();
    ask(address, path).read_to_string(&mut answer).unwrap();
    answer
}

/// Asks; the answer is still to be read.
pub(crate) fn ask(address: &str, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    stream
}
