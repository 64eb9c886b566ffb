//! Which channels there are, and which one is meant.

use std::collections::BTreeMap;

use plugin_api::{Call, MethodError, NoParams};
use serde::Deserialize;

use crate::SendConfig;

/// What the channels can do, by id.
#[derive(Debug, Default)]
pub(crate) struct Routes(BTreeMap<String, Can>);

#[derive(Debug, Default)]
struct Can {
    send: bool,
    poll: bool,
    resolve: bool,
}

/// A channel that was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Channel {
    pub id: String,
    /// Whether it understands targets as people write them.
    pub resolves: bool,
}

impl Routes {
    pub async fn ask(call: &Call) -> Result<Self, MethodError> {
        let registry: Registry = call.invoke("host.registry.list", &NoParams {}).with_own_grants().send().await?;
        Ok(Self::of(registry.methods.iter().map(|row| row.spec.name.as_str())))
    }

    fn of<'a>(methods: impl Iterator<Item = &'a str>) -> Self {
        let mut routes: BTreeMap<String, Can> = BTreeMap::new();
        for (id, what) in methods.filter_map(|name| name.strip_prefix("channel.")?.split_once('.')) {
            match what {
                "send" => routes.entry(id.to_string()).or_default().send = true,
                "poll" => routes.entry(id.to_string()).or_default().poll = true,
                "resolve" => routes.entry(id.to_string()).or_default().resolve = true,
                _ => {}
            }
        }
        Routes(routes)
    }

    pub fn send(&self, asked: Option<&str>, config: &SendConfig) -> Result<Channel, MethodError> {
        self.find(asked, config, |can| can.send, "unsupported channel")
    }

    pub fn poll(&self, asked: Option<&str>, config: &SendConfig) -> Result<Channel, MethodError> {
        self.find(asked, config, |can| can.poll, "unsupported poll channel")
    }

    fn find(
        &self,
        asked: Option<&str>,
        config: &SendConfig,
        able: impl Fn(&Can) -> bool,
        refusal: &str,
    ) -> Result<Channel, MethodError> {
        let asked = asked.map(str::trim).filter(|asked| !asked.is_empty());
        let fits = || self.0.iter().filter(|(_, can)| able(can));
        let found = match asked.or(config.default_channel.as_deref()) {
            Some(name) => {
                let alias = config.aliases.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name));
                let id = alias.map_or(name, |(_, id)| id);
                fits()
                    .find(|(known, _)| known.eq_ignore_ascii_case(id))
                    .ok_or_else(|| MethodError::invalid_request(format!("{refusal}: {name}")))?
            }
            None => {
                let mut all = fits();
                match (all.next(), all.next()) {
                    (Some(only), None) => only,
                    (None, _) => return Err(MethodError::invalid_request("there is no message channel for this")),
                    (Some(_), Some(_)) => {
                        let ids: Vec<_> = fits().map(|(id, _)| id.as_str()).collect();
                        let why = format!("channel is required; there are {}", ids.join(", "));
                        return Err(MethodError::invalid_request(why));
                    }
                }
            }
        };
        Ok(Channel { id: found.0.clone(), resolves: found.1.resolve })
    }
}

/// Of the registry, only names matter here.
#[derive(Deserialize)]
struct Registry {
    methods: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(asked: Option<&str>, config: &SendConfig, methods: &[&str]) -> Result<String, String> {
        let routes = Routes::of(methods.iter().copied());
        routes.send(asked, config).map(|channel| channel.id).map_err(|error| error.shape().message.clone())
    }

    #[test]
    fn the_channel_that_is_meant() {
        let two = ["channel.Matrix.send", "channel.telegram.send", "channel.blind.status", "channel.ask.poll"];
        let plain = SendConfig::default();
        let mut named = SendConfig { default_channel: Some("Telegram".to_string()), ..SendConfig::default() };
        named.aliases.insert("tg".to_string(), "telegram".to_string());
        let says = |text: &str| Err(text.to_string());
        for (asked, config, expected) in [
            (Some(" MATRIX "), &plain, Ok("Matrix".to_string())),
            (Some("tg"), &plain, says("unsupported channel: tg")),
            (Some("TG"), &named, Ok("telegram".to_string())),
            (None, &named, Ok("telegram".to_string())),
            (Some(""), &named, Ok("telegram".to_string())),
            (Some("blind"), &plain, says("unsupported channel: blind")),
            (Some("ask"), &plain, says("unsupported channel: ask")),
            (None, &plain, says("channel is required; there are Matrix, telegram")),
        ] {
            assert_eq!(found(asked, config, &two), expected, "{asked:?}");
        }
        assert_eq!(found(None, &plain, &["channel.one.send"]), Ok("one".to_string()));
        assert_eq!(found(None, &plain, &[]), says("there is no message channel for this"));
        let refused = Routes::of(two.into_iter()).poll(Some("matrix"), &plain).unwrap_err();
        assert_eq!(refused.shape().message, "unsupported poll channel: matrix");
    }
}
