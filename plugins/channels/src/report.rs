//! What a channel is asked and answers, and how that is shown when it is incomplete, odd or missing.

use plugin_api::MethodError;
use plugin_api::contracts::channel::Report;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// The account of channels that have no names for theirs.
pub const DEFAULT_ACCOUNT: &str = "default";

/// What ids of senders are called where a channel has no word for them.
pub const SENDER: &str = "Sender id";

/// A channel as it is shown.
#[derive(Debug)]
pub struct Shown {
    pub label: String,
    pub detail_label: String,
    pub system_image: Option<String>,
    pub default_account_id: String,
    pub summary: Map<String, Value>,
    pub accounts: Vec<Map<String, Value>>,
    pub sender_label: String,
}

impl Shown {
    /// What to show for what was answered.
    pub fn from_answer(id: &str, answer: Result<Box<RawValue>, MethodError>) -> Self {
        let report = answer.map_err(|error| error.shape().message.clone()).and_then(|payload| {
            serde_json::from_str::<Report>(payload.get())
                .map_err(|_| "the channel's answer was not understood".to_string())
        });
        match report {
            Ok(report) => Self::from_report(id, report),
            Err(error) => Self::from_report(id, failed(&error)),
        }
    }

    fn from_report(id: &str, report: Report) -> Self {
        let label = said(report.label).unwrap_or_else(|| title(id));
        let mut accounts = report.accounts.unwrap_or_default();
        for account in &mut accounts {
            let named = account.get("accountId").and_then(Value::as_str).is_some_and(|id| !id.is_empty());
            if !named {
                account.insert("accountId".to_string(), json!(DEFAULT_ACCOUNT));
            }
        }
        let mut summary = report.summary.unwrap_or_default();
        if !summary.get("configured").is_some_and(Value::is_boolean) {
            // An account that does not say so is there because somebody configured it.
            let configured = accounts.iter().any(|account| account.get("configured") != Some(&json!(false)));
            summary.insert("configured".to_string(), json!(configured));
        }
        let first = accounts.first().and_then(|account| account["accountId"].as_str());
        Shown {
            detail_label: said(report.detail_label).unwrap_or_else(|| label.clone()),
            label,
            sender_label: said(report.sender_label).unwrap_or_else(|| SENDER.to_string()),
            system_image: said(report.system_image),
            default_account_id: said(report.default_account_id)
                .unwrap_or_else(|| first.unwrap_or(DEFAULT_ACCOUNT).to_string()),
            summary,
            accounts,
        }
    }
}

/// A channel that gave no answer. It is enabled, or nobody could have asked it, so it counts as configured.
fn failed(error: &str) -> Report {
    let fields = |fields: Value| fields.as_object().cloned().unwrap_or_default();
    Report {
        summary: Some(fields(json!({"configured": true, "lastError": error}))),
        accounts: Some(vec![fields(json!({"accountId": DEFAULT_ACCOUNT, "configured": true, "lastError": error}))]),
        ..Report::default()
    }
}

fn said(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

fn title(id: &str) -> String {
    let mut letters = id.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(answer: Value) -> Shown {
        Shown::from_answer("matrix", Ok(serde_json::value::to_raw_value(&answer).unwrap()))
    }

    #[test]
    fn gaps_are_filled() {
        let empty = shown(json!({}));
        assert_eq!((empty.label.as_str(), empty.detail_label.as_str()), ("Matrix", "Matrix"));
        assert_eq!((empty.default_account_id.as_str(), empty.accounts.len()), ("default", 0));
        assert_eq!(Value::Object(empty.summary), json!({"configured": false}));

        let nulls = shown(json!({"label": null, "summary": null, "accounts": [{"running": true}], "more": 1}));
        assert_eq!(nulls.accounts[0]["accountId"], "default");
        assert_eq!(nulls.summary["configured"], true);
    }

    #[test]
    fn what_is_said_is_kept() {
        let full = shown(json!({
            "label": "Matrix", "detailLabel": "Matrix (home)", "systemImage": "bubble", "defaultAccountId": "b",
            "summary": {"configured": true, "linked": false}, "accounts": [{"accountId": "a", "configured": false}],
        }));
        assert_eq!(full.detail_label, "Matrix (home)");
        assert_eq!((full.system_image.as_deref(), full.default_account_id.as_str()), (Some("bubble"), "b"));
        assert_eq!(Value::Object(full.summary), json!({"configured": true, "linked": false}));
    }

    #[test]
    fn failures_show_as_last_error() {
        let refused = Shown::from_answer("matrix", Err(MethodError::unavailable("no route").log("10.0.0.1 refused")));
        for place in [&refused.summary, &refused.accounts[0]] {
            assert_eq!((&place["lastError"], &place["configured"]), (&json!("no route"), &json!(true)));
        }
        for odd in [json!(null), json!(7), json!({"accounts": {}}), json!({"accounts": [1]})] {
            assert_eq!(shown(odd.clone()).summary["lastError"], "the channel's answer was not understood", "{odd}");
        }
    }
}
