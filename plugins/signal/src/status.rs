//! `channel.signal.status`.

use std::sync::Arc;
use std::time::Duration;

use plugin_api::contracts::channel::{Query, Report};
use plugin_api::{Call, MethodError};
use serde_json::{Map, Value, json};

use crate::Signal;
use crate::feed::Link;

/// How long the daemon is asked, if nobody says.
const TO_PROBE: Duration = Duration::from_secs(5);

impl Signal {
    pub(crate) async fn status(self: Arc<Self>, _: Call, query: Query) -> Result<Report, MethodError> {
        let limit = if query.timeout_ms == 0 { TO_PROBE } else { Duration::from_millis(query.timeout_ms) };
        // Something has to be left to answer in.
        let limit = limit.mul_f32(0.8);
        let probed = if query.probe { Some(self.probe(limit).await) } else { None };
        let feeds = self.feeds.lock().await;
        let mut accounts = Vec::new();
        for account in self.accounts.iter() {
            let standing = account.standing();
            let feed = feeds.get(self.feed_of(&account.id)).filter(|_| !standing.is_stopped);
            let Link { is_connected, last_error } = feed.map(crate::feed::Feed::link).unwrap_or_default();
            let mut shown = fields(json!({
                "accountId": account.id,
                "configured": self.daemon.is_some(),
                "enabled": true,
                "running": feed.is_some(),
                "connected": is_connected,
                "linked": standing.is_linked.unwrap_or(is_connected),
            }));
            let mut add = |name: &str, value: Value| {
                drop(Some(value).filter(|value| !value.is_null()).map(|value| shown.insert(name.to_string(), value)))
            };
            add("lastError", json!(self.unfit().or(last_error)));
            add("lastInboundAt", json!(standing.last_inbound_at));
            add("lastOutboundAt", json!(standing.last_outbound_at));
            add("baseUrl", json!(self.daemon.as_ref().map(|daemon| daemon.address.shown())));
            if let Some(probed) = &probed {
                add("probe", Value::Object(probed.clone()));
            }
            accounts.push(shown);
        }
        let mut summary = accounts.first().cloned().unwrap_or_default();
        summary.remove("accountId");
        summary.remove("enabled");
        for name in ["running", "connected", "linked"] {
            summary.insert(name.to_string(), json!(accounts.iter().any(|account| account[name] == true)));
        }
        summary.insert("waiting".to_string(), json!(self.inbox.len()));
        Ok(Report {
            label: Some("Signal".to_string()),
            detail_label: Some("Signal (signal-cli)".to_string()),
            system_image: Some("antenna.radiowaves.left.and.right".to_string()),
            default_account_id: Some(self.accounts.default().id.clone()),
            sender_label: Some("Phone number".to_string()),
            summary: Some(summary),
            accounts: Some(accounts),
        })
    }

    /// Asks the daemon who it is and which accounts it has.
    async fn probe(self: &Arc<Self>, limit: Duration) -> Map<String, Value> {
        if self.daemon.is_none() {
            return fields(json!({ "ok": false, "error": self.unfit() }));
        }
        let began = std::time::Instant::now();
        let asked = async {
            let version = self.ask_plainly("version", json!({}), limit).await?;
            self.look_for_accounts(limit).await?;
            Ok(version)
        };
        match tokio::time::timeout(limit, asked).await {
            Ok(Ok(version)) => {
                let version = version["version"].as_str().unwrap_or_default();
                fields(json!({ "ok": true, "elapsedMs": began.elapsed().as_millis() as u64, "version": version }))
            }
            Ok(Err(failure)) => {
                let error = crate::failure::of_request(failure);
                self.host.info(&format!("signal-cli's daemon was asked in vain: {error}"));
                fields(json!({ "ok": false, "error": error.shape().message }))
            }
            Err(_) => fields(json!({ "ok": false, "error": "signal-cli's daemon did not answer in time" })),
        }
    }

    /// Why nothing can be done at all, for people.
    fn unfit(&self) -> Option<String> {
        self.daemon.is_none().then(|| crate::UNCONFIGURED.to_string())
    }
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
