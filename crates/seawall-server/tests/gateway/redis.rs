//! A Redis server for a test.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
};

/// A Redis server on a free port, which ends with the test. Its password must be shown nowhere.
pub(crate) struct Redis(Child, u16);

pub(crate) const PASSWORD: &str = "sesame-of-the-test";

impl Redis {
    pub(crate) fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self(Self::on(port), port)
    }

    fn on(port: u16) -> Child {
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "no", "--requirepass", PASSWORD])
            .stdout(Stdio::null())
            .spawn();
        child.expect("`cargo xtask test tools` installs redis-server")
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}/", self.1)
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Starts it again, empty, after it was killed.
    pub(crate) fn restart(&mut self) {
        self.0 = Self::on(self.1);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
