//! Requests to the daemon, JSON-RPC: over HTTP, or on a connection of its own over a socket, so that no request waits for
//! another one and a broken one breaks nothing else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outside::Method;
use outside::http::{Client, Limits, Trouble};
use outside::service::Service;
use plugin_api::Host;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::address::Address;
use crate::config::SignalConfig;
use crate::lines::Lines;

/// Longest wait for a request that asks people something.
const LONGEST: Duration = Duration::from_secs(900);
/// What an answer has beside a file.
const AROUND_FILE: usize = 1024 * 1024;

/// The daemon, to be asked.
pub struct Daemon {
    /// Where it is.
    pub address: Address,
    client: Client,
    connect: Duration,
    most: usize,
    next_id: AtomicU64,
}

/// Why there is no result.
#[derive(Debug)]
pub enum Failure {
    /// The daemon heard nothing; why, for the log.
    Unreachable(String),
    /// It may have heard it; why, for the log.
    Lost(String),
    /// It answered this status instead of anything else; it did nothing.
    Status(u16),
    /// It refused.
    Refused(Refusal),
}

/// An error of the daemon's.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Refusal {
    /// Its number.
    #[serde(default)]
    pub code: i64,
    /// Its sentence.
    #[serde(default)]
    pub message: String,
    /// More of it.
    #[serde(default)]
    pub data: Value,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    params: Value,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    error: Option<Refusal>,
}

/// Whoever is told of messages that come on a connection that was made for a request.
pub type Overhears<'a> = &'a (dyn Fn(Value) + Send + Sync);

impl Daemon {
    /// The daemon at an address.
    pub fn new(address: Address, config: &SignalConfig) -> Self {
        let connect = Duration::from_millis(config.connect_timeout_ms);
        let most = config.max_media_bytes / 3 * 4 + AROUND_FILE;
        let most = most.max(config.max_event_bytes);
        let client = Client::new(Limits { connect, stall: LONGEST, max_bytes: most as u64 });
        Daemon { address, client, connect, most, next_id: AtomicU64::new(1) }
    }

    /// A connection on which each line is a JSON text, if the daemon speaks so.
    pub async fn lines(&self, most: usize) -> Option<std::io::Result<Lines>> {
        match &self.address {
            Address::Http(_) => None,
            Address::Tcp(host, port) => Some(Lines::tcp(host, *port, self.connect, most).await),
            Address::Unix(path) => Some(Lines::unix(path, self.connect, most).await),
        }
    }

    /// Asks.
    pub async fn call(
        &self,
        host: &Host,
        method: &str,
        params: Value,
        limit: Duration,
        overhears: Overhears<'_>,
    ) -> Result<Value, Failure> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let text = request(method, params, json!(id));
        let response = match &self.address {
            Address::Http(service) => self.over_http(host, service, text, limit).await?,
            _ => self.over_lines(&text, id, limit, overhears).await?,
        };
        match response.error {
            Some(refusal) => Err(Failure::Refused(refusal)),
            None => Ok(response.result),
        }
    }

    async fn over_http(
        &self,
        host: &Host,
        service: &Service,
        text: String,
        limit: Duration,
    ) -> Result<Response, Failure> {
        let request = service.request(Method::POST, "/api/v1/rpc", Some(text.into_bytes()));
        let request = request.map_err(|error| Failure::Unreachable(error.to_string()))?;
        let lost = |trouble: Trouble| match trouble {
            Trouble::Unreachable(why) => Failure::Unreachable(why),
            other => Failure::Lost(other.to_string()),
        };
        let asked = async {
            let mut answer = self.client.send(host, request).await.map_err(lost)?;
            let status = answer.status();
            if status.is_client_error() || status.is_redirection() {
                return Err(Failure::Status(status.as_u16()));
            }
            let body = answer.body().await.map_err(lost)?;
            if !status.is_success() {
                return Err(Failure::Lost(format!("HTTP {status}")));
            }
            serde_json::from_slice(&body).map_err(|error| Failure::Lost(format!("the answer is no JSON-RPC: {error}")))
        };
        timeout(limit, asked).await.unwrap_or_else(|_| Err(too_late(limit)))
    }

    async fn over_lines(
        &self,
        text: &str,
        id: u64,
        limit: Duration,
        overhears: Overhears<'_>,
    ) -> Result<Response, Failure> {
        let Some(lines) = self.lines(self.most).await else {
            return Err(Failure::Unreachable("no socket".to_string()));
        };
        let mut lines = lines.map_err(|error| Failure::Unreachable(error.to_string()))?;
        let lost = |error: std::io::Error| Failure::Lost(error.to_string());
        let asked = async {
            lines.write(text).await.map_err(lost)?;
            loop {
                let Some(line) = lines.next().await.map_err(lost)? else {
                    return Err(Failure::Lost("the connection was closed before the answer".to_string()));
                };
                let Ok(response) = serde_json::from_slice::<Response>(&line) else { continue };
                if response.method.as_deref() == Some("receive") {
                    overhears(response.params);
                } else if response.id == id || (response.id.is_null() && response.error.is_some()) {
                    return Ok(response);
                }
            }
        };
        timeout(limit, asked).await.unwrap_or_else(|_| Err(too_late(limit)))
    }
}

/// A request as a JSON text.
pub fn request(method: &str, params: Value, id: Value) -> String {
    json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": id }).to_string()
}

fn too_late(limit: Duration) -> Failure {
    Failure::Lost(format!("no answer within {} ms", limit.as_millis()))
}
