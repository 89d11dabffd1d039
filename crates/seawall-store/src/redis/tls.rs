//! Encrypted connections to Redis: `rediss://`.

use redis::{
    Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo, RedisResult, TlsCertificates,
};
use std::fmt;

/// Whether this is the URL of a Redis or a Valkey.
pub fn is_address(url: &str) -> bool {
    url.into_connection_info().is_ok()
}

/// Whether connections to the server at this URL are encrypted: those of `rediss://` and `valkeys://` are.
pub fn is_encrypted(url: &str) -> bool {
    let info = url.into_connection_info();
    info.is_ok_and(|info| matches!(info.addr(), ConnectionAddr::TcpTls { .. }))
}

/// The certificates of encrypted connections, in PEM. Without any, a server's certificate must come from an authority that
/// browsers trust, and this client shows none.
#[derive(Clone, Default)]
pub struct RedisTls {
    /// The authorities that a server's certificate may come from, in place of those that browsers trust.
    pub authorities: Option<Vec<u8>>,
    /// The certificate that this client shows, where the server asks for one.
    pub identity: Option<RedisIdentity>,
}

/// A certificate with its key, in PEM.
#[derive(Clone)]
pub struct RedisIdentity {
    /// The certificate, and those between it and the authority.
    pub certificate: Vec<u8>,
    /// The private key.
    pub key: Vec<u8>,
}

/// Says what there is, and nothing of the key.
impl fmt::Debug for RedisTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTls")
            .field("authorities", &self.authorities.is_some())
            .field("identity", &self.identity.is_some())
            .finish()
    }
}

impl RedisTls {
    pub(super) fn certificates(&self) -> TlsCertificates {
        // The client asks the process for its cryptography, and panics where several are compiled in and none was chosen.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let identity = self.identity.clone();
        TlsCertificates {
            client_tls: identity.map(|identity| ClientTlsConfig {
                client_cert: identity.certificate,
                client_key: identity.key,
            }),
            root_cert: self.authorities.clone(),
        }
    }

    /// A client of the server at this URL, encrypted or not.
    pub(super) fn client(&self, url: &str) -> RedisResult<Client> {
        if is_encrypted(url) {
            Client::build_with_tls(url, self.certificates())
        } else {
            Client::open(url)
        }
    }
}
