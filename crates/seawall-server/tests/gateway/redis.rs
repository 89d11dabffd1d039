//! A Redis server for a test: a real one, on a free port, which ends with it.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The password, which must not be shown anywhere.
pub(crate) const PASSWORD: &str = "sesame-of-the-test";

pub(crate) struct Redis {
    process: Child,
    port: u16,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { process: spawn(port), port }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}/", self.port)
    }

    /// Runs a command on it; its answer as text.
    pub(crate) fn run(&self, command: &[&str]) -> String {
        let mut cli = Command::new("redis-cli");
        cli.args(["--no-auth-warning", "-a", PASSWORD, "-p", &self.port.to_string()]).args(command);
        let output = cli.output().expect("`cargo xtask test tools` installs redis-cli");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Stops the process in its tracks, as a machine that hangs does.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again, without anything that it knew.
    pub(crate) fn restart(&mut self) {
        self.process = spawn(self.port);
    }
}

fn spawn(port: u16) -> Child {
    let child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "no", "--requirepass", PASSWORD])
        .stdout(Stdio::null())
        .spawn();
    let child = child.expect("`cargo xtask test tools` installs redis-server");
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(60), "Redis does not answer");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
