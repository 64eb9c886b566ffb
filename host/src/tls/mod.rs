//! TLS on the gateway's own port: which certificate it shows, and what happens to a socket before HTTP sees it.
//!
//! Without files of the operator's the gateway makes a certificate for itself, once. Clients pin it, so it is never
//! replaced silently: whoever wants another one deletes both files.

mod certificate;
mod look;
mod stream;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

pub use stream::Transport;

use crate::config::TlsSettings;
use look::{Look, Sight};

/// The first byte of every TLS connection: a record that holds a handshake.
const HANDSHAKE_RECORD: u8 = 0x16;

/// What a plain request to this port is told. It ends with the connection, so no length has to be counted.
const SPEAK_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n\
    \r\nthis gateway speaks TLS on this port: use https:// or wss://\n";

/// How long a gateway on the same port may take to say what it speaks.
const ANSWERED: Duration = Duration::from_secs(1);

/// Why there is no certificate to show. The text is for the operator and names the file.
#[derive(Debug)]
pub enum TlsError {
    /// A file that the configuration names is wrong.
    Configured(String),
    /// The gateway's own certificate cannot be made or read.
    Own(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::Configured(why) | TlsError::Own(why) => f.write_str(why),
        }
    }
}

/// The gateway's side of TLS.
pub struct Tls {
    acceptor: TlsAcceptor,
    shown: Arc<Shown>,
    /// The operator's certificate and key, if they are not the gateway's own.
    files: Option<(PathBuf, PathBuf)>,
    /// What of these files was seen and read.
    sight: Mutex<Sight>,
}

/// The certificate that new connections are shown.
#[derive(Debug)]
struct Shown(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Tls {
    /// With the files that the configuration names, or a certificate of the gateway's own in its state folder.
    pub fn new(
        settings: &TlsSettings,
        state_dir: &Path,
        host: &str,
        addresses: &[SocketAddr],
    ) -> Result<Self, TlsError> {
        let certified = match &settings.files {
            Some((cert, key)) => certificate::read(cert, key).map_err(TlsError::Configured)?,
            None => certificate::own(state_dir, host, addresses).map_err(TlsError::Own)?,
        };
        let shown = Arc::new(Shown(ArcSwap::from_pointee(certified)));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Own(format!("TLS cannot be set up: {error}")))?
            .with_no_client_auth()
            .with_cert_resolver(shown.clone());
        Ok(Tls {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            shown,
            files: settings.files.clone(),
            sight: Mutex::default(),
        })
    }

    /// SHA-256 of the certificate that is shown now, as clients take it for a pin.
    pub fn fingerprint(&self) -> String {
        let certified = self.shown.0.load();
        let leaf = certified.cert.first().map_or(&[][..], |leaf| leaf);
        format!("sha256:{}", schemas::device::hex(&Sha256::digest(leaf)))
    }

    /// Reads the operator's files again, for connections from now on. True if the certificate is another one; with files
    /// that are wrong the one before stays.
    pub fn reload(&self) -> Result<bool, String> {
        let Some((cert, key)) = &self.files else { return Ok(false) };
        // Looked at first: what is written while they are read is another look.
        self.sight().read(Look::at(cert, key));
        let before = self.fingerprint();
        self.shown.0.store(Arc::new(certificate::read(cert, key)?));
        Ok(self.fingerprint() != before)
    }

    /// Whether the operator's files are others than those that were read last, right or wrong, and the same as at the
    /// question before this one: nobody is writing them just now.
    pub fn has_new_files(&self) -> bool {
        let Some((cert, key)) = &self.files else { return false };
        self.sight().is_new(Look::at(cert, key))
    }

    /// Whether its certificate comes from files of the operator's.
    pub fn has_files(&self) -> bool {
        self.files.is_some()
    }

    fn sight(&self) -> MutexGuard<'_, Sight> {
        self.sight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From an accepted socket to one that HTTP may read. Who does not speak TLS is told so, and gets an error here.
    ///
    /// There is no end to it by itself: the caller says how long a handshake may take.
    pub async fn accept(&self, mut stream: TcpStream, grace: Duration) -> io::Result<Transport> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first[0] != HANDSHAKE_RECORD {
            // A socket dropped with unread bytes would take the answer with it.
            let _ = timeout(grace, turn_away(&mut stream)).await;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the peer did not speak TLS"));
        }
        let stream = self.acceptor.accept(stream).await?;
        Ok(Transport::Tls(Box::new(stream)))
    }
}

/// Whether a gateway at this address speaks TLS: it says so to who does not.
pub async fn is_spoken_at(address: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
        let mut answer = vec![0; SPEAK_TLS.len()];
        stream.read_exact(&mut answer).await?;
        io::Result::Ok(answer == SPEAK_TLS)
    };
    matches!(timeout(ANSWERED, ask).await, Ok(Ok(true)))
}

/// Says what is spoken here, and reads until the peer is done.
async fn turn_away(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(SPEAK_TLS).await?;
    stream.shutdown().await?;
    let mut scratch = [0; 1024];
    while stream.read(&mut scratch).await? > 0 {}
    Ok(())
}
