//! Voice, as far as the gateway has a part in it: it keeps the words that wake an assistant and the rules where what is said
//! after them goes to, and passes on whether somebody talks. Listening and speaking are done by the apps.
//!
//! Broadcasts reach operators who may see them. Nodes have no scopes; phones that listen are nodes, so each is told by
//! itself, and a node that connects learns the words at once.

mod routing;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use plugin_api::abi::extension;
use plugin_api::catalogue::ConnectionOpened;
use plugin_api::{
    AnyParams, Call, CreateError, EventSpec, Exposure, HeardEvent, Host, HostError, Manifest, Method, MethodError,
    Methods, Plugin, Reply, Setup, StartError, Subscription,
};
use routing::{Routing, Rules};
use schemars::JsonSchema;
use schemas::scope::{READ, TALK, WRITE};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Keys of the plugin's state.
const TRIGGERS: &str = "triggers";
const RULES: &str = "routing";
/// Most words, and the longest one in characters; the protocol fixes both.
const MAX_TRIGGERS: usize = 32;
const MAX_TRIGGER: usize = 64;

/// The words have changed, or a node has just connected.
const CHANGED: &str = "voicewake.changed";
/// The rules where what was said goes to have changed, or a node has just connected.
const ROUTING: &str = "voicewake.routing.changed";
/// Somebody talks, or has stopped.
const MODE: &str = "talk.mode";

/// `[plugins.voice.config]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VoiceConfig {
    /// Words that wake an assistant as long as nobody has set others.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 64)))]
    pub default_triggers: Vec<String>,
}

impl Default for VoiceConfig {
    fn default() -> Self {
        VoiceConfig { default_triggers: ["openclaw", "claude", "computer"].map(String::from).to_vec() }
    }
}

/// The plugin.
pub struct Voice {
    host: Host,
    default_triggers: Vec<String>,
    /// Connected nodes.
    nodes: Mutex<BTreeMap<u64, Node>>,
    /// One event at a time, so that the last one tells what holds.
    telling: Mutex<()>,
    subscription: Mutex<Option<Subscription>>,
}

/// What matters here of a node.
#[derive(Clone, Copy)]
struct Node {
    /// Whether it is a phone or a tablet.
    is_mobile: bool,
    /// Whether it knows of rules: those of protocol 3 do not.
    knows_rules: bool,
}

static METHODS: LazyLock<Methods<Voice>> = LazyLock::new(|| {
    Methods::new()
        .add(
            Method::operator("talk.mode", &[TALK])
                .summary("Passes on whether somebody talks, and in which phase that is.")
                .description("A web chat is refused while no phone or tablet is connected as a node.")
                .effects(),
            Voice::mode,
        )
        .add(Method::operator("voicewake.get", &[READ]).summary("The words that wake an assistant."), Voice::get)
        .add(
            Method::operator("voicewake.set", &[WRITE])
                .summary("Sets those words, also beyond a restart; none brings back the default ones.")
                .description("`triggers` (a list of texts) is required; other fields are passed over. At most 32 of 64 characters.")
                .effects(),
            Voice::set,
        )
        .add(
            Method::operator("voicewake.routing.get", &[READ])
                .summary("Where what was said after such a word goes to."),
            Voice::routing,
        )
        .add(
            Method::operator("voicewake.routing.set", &[WRITE])
                .summary("Sets where it goes to, also beyond a restart. Apps go by it.")
                .description(
                    "`config` is required: `defaultTarget` and up to 32 `routes` of a `trigger` and its `target`. A target \
                     is the current session (`mode`: `current`), an agent (`agentId`) or a session (`sessionKey`).",
                )
                .effects(),
            Voice::set_routing,
        )
});

impl Plugin for Voice {
    fn manifest() -> Manifest {
        let with_nodes =
            |name, scope| EventSpec { role: Exposure::OperatorAndNode, ..EventSpec::operator(name, &[scope]) };
        Manifest::new("voice", env!("CARGO_PKG_VERSION"))
            .vendor("dev.clawhost")
            .license("MIT OR Apache-2.0")
            .summary("Keeps the words that wake an assistant, and passes on whether somebody talks.")
            .requires(&[extension::EVENTS, extension::CALLER, extension::KV])
            .hears(&["host.connection.*"])
            .config::<VoiceConfig>()
            .methods(&METHODS)
            .event(with_nodes(MODE, TALK).summary("Somebody talks, or has stopped.").payload::<Mode>())
            .event(
                with_nodes(CHANGED, READ)
                    .summary("The words that wake an assistant; also to a node that has just connected.")
                    .payload::<Triggers>(),
            )
            .event(
                with_nodes(ROUTING, READ)
                    .summary("Where what was said goes to; also to a node that has just connected.")
                    .payload::<Routing>(),
            )
    }

    fn create(host: Host, setup: Setup) -> Result<Self, CreateError> {
        let VoiceConfig { default_triggers } = setup.config()?;
        let default_triggers = tidy(default_triggers);
        if default_triggers.is_empty() {
            return Err(CreateError::new("default_triggers holds nothing but blanks"));
        }
        let (nodes, telling, subscription) = (Mutex::default(), Mutex::default(), Mutex::default());
        Ok(Voice { host, default_triggers, nodes, telling, subscription })
    }

    fn start(self: Arc<Self>) -> Result<(), StartError> {
        // Weak, or the instance would keep itself alive through its own subscription.
        let listener = Arc::downgrade(&self);
        let subscription = self.host.subscribe("host.connection.*", move |event| {
            if let Some(voice) = listener.upgrade() {
                voice.heard(&event);
            }
        })?;
        *lock(&self.subscription) = Some(subscription);
        Ok(())
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }

    async fn quiesce(&self) {
        // Out of the lock first: ending the subscription waits for a listener that may be running.
        let subscription = lock(&self.subscription).take();
        drop(subscription);
    }
}

plugin_api::plugin!(Voice);

impl Voice {
    async fn get(self: Arc<Self>, _: Call, _: AnyParams) -> Result<Triggers, MethodError> {
        Ok(self.triggers()?)
    }

    async fn set(self: Arc<Self>, _: Call, wish: Wish) -> Result<Triggers, MethodError> {
        let wanted: Vec<String> = serde_json::from_value(wish.triggers)
            .map_err(|_| MethodError::invalid_request("voicewake.set requires triggers: string[]"))?;
        let wanted = tidy(wanted);
        self.host.kv().set_json(TRIGGERS, &wanted).await?;
        let _telling = lock(&self.telling);
        // Whoever set them in the same moment tells the same.
        let stored = self.triggers()?;
        self.tell(CHANGED, &stored, |_| true);
        Ok(Triggers { triggers: self.or_default(wanted) })
    }

    async fn routing(self: Arc<Self>, _: Call, _: AnyParams) -> Result<Routing, MethodError> {
        Ok(self.rules()?)
    }

    async fn set_routing(self: Arc<Self>, _: Call, wish: RoutingWish) -> Result<Routing, MethodError> {
        let config = Rules::wanted(&wish.config, schemas::now_ms()).map_err(MethodError::invalid_request)?;
        self.host.kv().set_json(RULES, &config).await?;
        let _telling = lock(&self.telling);
        let stored = self.rules()?;
        self.tell(ROUTING, &stored, |node| node.knows_rules);
        Ok(Routing { config })
    }

    async fn mode(self: Arc<Self>, call: Call, params: ModeParams) -> Result<Mode, MethodError> {
        let caller = call.caller()?;
        let is_webchat =
            caller.client_mode.as_deref() == Some("webchat") || caller.client_id.as_deref() == Some("webchat-ui");
        if is_webchat && !lock(&self.nodes).values().any(|node| node.is_mobile) {
            return Err(MethodError::unavailable("talk disabled: no connected iOS/Android nodes"));
        }
        let _telling = lock(&self.telling);
        let mode = Mode { enabled: params.enabled, phase: params.phase, ts: schemas::now_ms() };
        self.tell(MODE, &mode, |_| true);
        Ok(mode)
    }

    fn triggers(&self) -> Result<Triggers, HostError> {
        let stored = self.host.kv().json::<Vec<String>>(TRIGGERS)?.unwrap_or_default();
        Ok(Triggers { triggers: self.or_default(stored) })
    }

    fn rules(&self) -> Result<Routing, HostError> {
        Ok(Routing { config: self.host.kv().json::<Rules>(RULES)?.unwrap_or_default() })
    }

    fn or_default(&self, triggers: Vec<String>) -> Vec<String> {
        if triggers.is_empty() { self.default_triggers.clone() } else { triggers }
    }

    /// To operators, and to each node that wants it.
    fn tell<T: Serialize>(&self, event: &str, payload: &T, wants: impl Fn(Node) -> bool) {
        let nodes: Vec<u64> =
            lock(&self.nodes).iter().filter(|(_, node)| wants(**node)).map(|(conn, _)| *conn).collect();
        let to_nodes = (!nodes.is_empty()).then(|| self.host.event(event).droppable().send_to(&nodes, payload));
        self.sent(event, self.host.event(event).droppable().send(payload));
        self.sent(event, to_nodes.unwrap_or(Ok(())));
    }

    fn sent(&self, event: &str, outcome: Result<(), HostError>) {
        match outcome {
            // Nobody is there to hear it.
            Ok(()) | Err(HostError::Gone) => {}
            Err(error) => self.host.warn(&format!("{event} was not sent: {error}")),
        }
    }

    /// Most connections are nobody's node, so who it is comes first.
    fn heard(&self, event: &HeardEvent<'_>) {
        let heard = match &*event.event {
            "host.connection.opened" => event.party().and_then(|party| match &*party.role {
                "node" => event.payload::<ConnectionOpened>().map(|opened| self.opened(&opened)),
                _ => Ok(()),
            }),
            "host.connection.closed" => event.party().map(|closed| {
                lock(&self.nodes).remove(&closed.conn);
            }),
            _ => Ok(()),
        };
        if let Err(error) = heard {
            self.host.warn(&format!("{} could not be read: {error}", event.event));
        }
    }

    fn opened(&self, opened: &ConnectionOpened) {
        let connection = &opened.connection;
        let platform = connection.client["platform"].as_str().unwrap_or_default().trim().to_ascii_lowercase();
        let is_mobile = ["ios", "ipados", "android"].iter().any(|name| platform.starts_with(name));
        let _telling = lock(&self.telling);
        let knows_rules = connection.protocol >= 4;
        lock(&self.nodes).insert(connection.conn, Node { is_mobile, knows_rules });
        if opened.replay {
            return;
        }
        match self.triggers() {
            Ok(triggers) => {
                self.sent(CHANGED, self.host.event(CHANGED).send_to(&[connection.conn], &triggers));
            }
            Err(error) => self.host.warn(&format!("the words that wake an assistant could not be read: {error}")),
        }
        if knows_rules {
            match self.rules() {
                Ok(rules) => self.sent(ROUTING, self.host.event(ROUTING).send_to(&[connection.conn], &rules)),
                Err(error) => self.host.warn(&format!("the rules where it goes to could not be read: {error}")),
            }
        }
    }
}

/// Words without blanks around them and without empty ones, as many and as long as may be.
fn tidy(triggers: Vec<String>) -> Vec<String> {
    let trimmed = triggers.iter().map(|trigger| trigger.trim()).filter(|trigger| !trigger.is_empty());
    let cut = |trigger: &str| trigger.chars().take(MAX_TRIGGER).collect::<String>().trim_end().to_string();
    trimmed.take(MAX_TRIGGERS).map(cut).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Words that wake an assistant.
#[derive(Debug, Serialize, JsonSchema)]
struct Triggers {
    /// The words.
    triggers: Vec<String>,
}

/// Parameters of `voicewake.set`: open, and checked by hand because clients know the sentence that refuses them.
#[derive(Debug, Deserialize, JsonSchema)]
struct Wish {
    /// The words.
    #[serde(default)]
    triggers: Value,
}

/// Parameters of `voicewake.routing.set`: open, and checked by hand for the same reason.
#[derive(Debug, Deserialize, JsonSchema)]
struct RoutingWish {
    /// The rules.
    #[serde(default)]
    config: Value,
}

/// Parameters of `talk.mode`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ModeParams {
    /// Whether somebody talks.
    enabled: bool,
    /// In which phase that is.
    #[serde(default)]
    phase: Option<String>,
}

/// Whether somebody talks.
#[derive(Debug, Serialize, JsonSchema)]
struct Mode {
    /// Whether somebody does.
    enabled: bool,
    /// In which phase that is.
    phase: Option<String>,
    /// When it was said, in milliseconds since the epoch.
    ts: u64,
}

#[cfg(test)]
mod tests;
