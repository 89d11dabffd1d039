//! A port that can refuse connections for a while and is still ours afterwards.
//!
//! A second socket, bound to the same address and never listening, keeps the port while there is no listener: connects
//! are refused, and the system gives the port to no other program, not even as the local end of a connect to this very
//! port. If the system allows no second socket, the port is bound again, which can take a few tries.

use std::{future::pending, io, net::SocketAddr, time::Duration};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::sleep,
};

const BACKLOG: u32 = 1024;
const TRY_AGAIN: Duration = Duration::from_millis(20);

pub(super) struct Port {
    address: SocketAddr,
    /// A socket that is held and not used.
    _reserved: Option<TcpSocket>,
    listener: Option<TcpListener>,
}

impl Port {
    /// Binds and listens. Port 0 takes a free one.
    pub(super) fn open(address: SocketAddr) -> io::Result<Self> {
        let reserved = bind(address)?;
        let address = reserved.local_addr()?;
        if let Ok(listener) = listen(address) {
            return Ok(Self { address, _reserved: Some(reserved), listener: Some(listener) });
        }
        drop(reserved);
        let listener = listen(address)?;
        Ok(Self { address, _reserved: None, listener: Some(listener) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Refuses connections, those not yet accepted too, until the next [`accept`](Self::accept).
    pub(super) fn refuse(&mut self) {
        self.listener = None;
    }

    /// The next connection. Dropping the future loses none.
    pub(super) async fn accept(&mut self) -> TcpStream {
        loop {
            let accepted = match &self.listener {
                Some(listener) => listener.accept().await.map(|(stream, _)| Some(stream)),
                None => listen(self.address).map(|listener| {
                    self.listener = Some(listener);
                    None
                }),
            };
            match accepted {
                Ok(Some(stream)) => return stream,
                Ok(None) => {}
                // Out of file descriptors, or the port is not free yet: both pass.
                Err(_) => sleep(TRY_AGAIN).await,
            }
        }
    }

    /// [`accept`](Self::accept) while `open`; otherwise refuses, and never ends.
    pub(super) async fn accept_if(&mut self, open: bool) -> TcpStream {
        if open {
            return self.accept().await;
        }
        self.refuse();
        pending().await
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Lets two sockets share the address as long as at most one listens. On Windows the option means more.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    bind(address)?.listen(BACKLOG)
}
