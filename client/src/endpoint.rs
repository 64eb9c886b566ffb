//! An address, and the way from it to an open WebSocket.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::{ClientError, ConnectOptions, tls};

/// Whatever carries the bytes: TCP, or TLS on it.
pub(crate) trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carrier for T {}

/// An open WebSocket, before anything was said.
pub(crate) type Socket = WebSocketStream<Box<dyn Carrier>>;

/// tungstenite's default of 128 KiB is zeroed before each read.
const READ_BUFFER: usize = 8 * 1024;
/// How much of a refusal's body is kept.
const SHOWN_BODY: usize = 300;

/// A parsed address.
#[derive(Debug)]
pub(crate) struct Endpoint {
    uri: Uri,
    secure: bool,
    host: String,
    port: u16,
}

impl Endpoint {
    pub(crate) fn parse(url: &str) -> Result<Self, ClientError> {
        let wrong = |problem: &str| {
            ClientError::Options(format!("gateway address {problem}; expected ws://HOST:PORT or wss://HOST:PORT"))
        };
        let uri: Uri = url.trim().parse().map_err(|_| wrong("cannot be read"))?;
        let secure = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(wrong("does not begin with ws:// or wss://")),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| wrong("has no host"))?;
        // Not quoted in the error: it may hold a secret.
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(wrong("holds credentials, which do not belong there"));
        }
        if uri.port_u16().is_none() && uri.authority().is_some_and(|authority| authority.as_str() != host) {
            return Err(wrong("has a port that is no number below 65536"));
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Endpoint { uri, secure, host, port })
    }

    /// The gateway's name in the token store when it was given none.
    pub(crate) fn name(&self) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{scheme}://{host}:{}", self.port)
    }

    /// Dials, does TLS if asked, and upgrades.
    pub(crate) async fn open(&self, options: &ConnectOptions) -> Result<Socket, ClientError> {
        if !self.secure && !options.tls.pins.is_empty() {
            return Err(ClientError::Options(
                "a certificate fingerprint needs a wss:// address: over ws:// nothing proves who answers".to_string(),
            ));
        }
        let mut request = self.uri.clone().into_client_request().map_err(socket_error)?;
        for (name, value) in &options.headers {
            let header = HeaderName::try_from(name.as_str());
            let content = HeaderValue::try_from(value.as_str());
            let (Ok(header), Ok(content)) = (header, content) else {
                return Err(ClientError::Options(format!("{name:?} or its value cannot be an HTTP header")));
            };
            request.headers_mut().insert(header, content);
        }

        let unreachable = |error| ClientError::Io(format!("{} cannot be reached: {error}", self.name()));
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(unreachable)?;
        // A request is one small message, and its answer is waited for.
        stream.set_nodelay(true).map_err(unreachable)?;
        let carrier: Box<dyn Carrier> = if self.secure {
            Box::new(tls::connect(&options.tls, &self.host, stream).await?)
        } else {
            Box::new(stream)
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(options.max_message))
            .max_frame_size(Some(options.max_message));
        let upgraded = tokio_tungstenite::client_async_with_config(request, carrier, Some(config)).await;
        upgraded.map(|(socket, _)| socket).map_err(socket_error)
    }
}

/// What a WebSocket error means to a caller.
pub(crate) fn socket_error(error: SocketError) -> ClientError {
    match error {
        SocketError::Http(response) => {
            let body = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default());
            let body = body.trim().chars().filter(|c| !c.is_control()).take(SHOWN_BODY).collect();
            ClientError::Upgrade { status: response.status().as_u16(), body }
        }
        SocketError::ConnectionClosed | SocketError::AlreadyClosed => ClientError::abnormal_close(),
        SocketError::Io(error) => match error.kind() {
            std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::UnexpectedEof => ClientError::abnormal_close(),
            _ => ClientError::Io(format!("the socket broke: {error}")),
        },
        SocketError::Protocol(tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            ClientError::abnormal_close()
        }
        error => ClientError::Protocol(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_name() {
        for (url, name) in [
            ("ws://Gateway.Local:1234/", "ws://gateway.local:1234"),
            ("wss://gateway.local", "wss://gateway.local:443"),
            ("ws://[::1]:18789/path?x=1", "ws://[::1]:18789"),
            (" ws://127.0.0.1 ", "ws://127.0.0.1:80"),
        ] {
            assert_eq!(Endpoint::parse(url).unwrap().name(), name, "{url}");
        }
    }

    #[test]
    fn a_wrong_address_says_what_is_right() {
        for url in ["", "localhost:18789", "http://h:1", "ws://", "ws://me:s3cret@h:1", "ws://h:port"] {
            let error = Endpoint::parse(url).expect_err(url).to_string();
            assert!(error.contains("expected ws://HOST:PORT") && !error.contains("s3cret"), "{error}");
        }
    }
}
