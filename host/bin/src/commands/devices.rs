//! `clawhost devices`: who wants in, who is in, and what may be done about it. Ids may be shortened to a beginning that
//! only one of them has; the gateway is always told the whole.

use clap::{Args, Subcommand};
use plugin_api::catalogue::{
    ApprovedDevice, DeviceId, PairedDevice, PairingList, PendingDevice, RejectedDevice, TokenRevoked, TokenRotated,
};
use serde_json::{Value, json};

use crate::cli::Context;
use crate::failure::Failure;
use crate::session::Question;
use crate::show::{Style, Table, ago, clean};

const PLUGIN: &str = "devices";
const LIST: &str = "device.pair.list";
/// How much of a device id is shown.
const SHORT: usize = 12;
/// How much of an id has to be typed at least.
const SHORTEST: usize = 4;

/// What to do about devices.
#[derive(Debug, Subcommand)]
pub enum DevicesCommand {
    /// List devices that wait for approval, and paired ones
    List,
    /// Let a waiting device in
    Approve {
        /// The request, as listed
        request: String,
        #[command(flatten)]
        grant: Grant,
    },
    /// Turn a waiting device away
    Reject {
        /// The request, as listed
        request: String,
    },
    /// Forget a paired device; its tokens and connections end
    Remove {
        /// The device, as listed
        device: String,
    },
    /// Replace a device's token; the device gets the new one when it connects with the shared secret
    Rotate {
        /// The device, as listed
        device: String,
        /// The role the token is for: operator or node
        role: String,
        #[command(flatten)]
        grant: Grant,
    },
    /// End a device's token
    Revoke {
        /// The device, as listed
        device: String,
        /// The role the token is for: operator or node
        role: String,
    },
}

/// What is granted.
#[derive(Debug, Args)]
pub struct Grant {
    /// Grant only these scopes (comma-separated, such as operator.read,operator.write)
    #[arg(long, value_delimiter = ',', value_name = "SCOPES")]
    scopes: Option<Vec<String>>,
}

impl Grant {
    /// Adds `scopes` to a method's parameters, if any were named.
    pub fn put_into(self, params: &mut Value) {
        if let Some(scopes) = self.scopes {
            let scopes: Vec<_> = scopes.iter().map(|scope| scope.trim()).filter(|scope| !scope.is_empty()).collect();
            params["scopes"] = json!(scopes);
        }
    }
}

/// Lists or decides.
pub fn run(command: DevicesCommand, context: &Context) -> Result<(), Failure> {
    match command {
        DevicesCommand::List => context.show(&Question::new(LIST, PLUGIN), |list: PairingList| {
            Ok(render(&list, context.style, schemas::now_ms()))
        }),
        DevicesCommand::Approve { request, grant } => {
            let mut params = json!({});
            grant.put_into(&mut params);
            let act = Act { method: "device.pair.approve", id: Id::Request(request), params };
            act.run(context, |done: ApprovedDevice| {
                let device = done.device;
                format!("approved {} as {}", paired_name(&device), rights(roles(&device), scopes(&device)))
            })
        }
        DevicesCommand::Reject { request } => {
            let act = Act { method: "device.pair.reject", id: Id::Request(request), params: json!({}) };
            act.run(context, |done: RejectedDevice| format!("rejected device {}", short(&done.device_id)))
        }
        DevicesCommand::Remove { device } => {
            let act = Act { method: "device.pair.remove", id: Id::Device(device), params: json!({}) };
            act.run(context, |done: DeviceId| format!("removed device {}", short(&done.device_id)))
        }
        DevicesCommand::Rotate { device, role, grant } => {
            let mut params = json!({ "role": role });
            grant.put_into(&mut params);
            Act { method: "device.token.rotate", id: Id::Device(device), params }.run(context, rotated)
        }
        DevicesCommand::Revoke { device, role } => {
            let act = Act { method: "device.token.revoke", id: Id::Device(device), params: json!({ "role": role }) };
            act.run(context, |done: TokenRevoked| {
                format!("revoked the {} token of device {}", done.role, short(&done.device_id))
            })
        }
    }
}

/// A decision about the device or request that somebody named.
struct Act {
    method: &'static str,
    id: Id,
    params: Value,
}

/// What was typed to name it.
enum Id {
    Request(String),
    Device(String),
}

impl Act {
    fn run<T: serde::de::DeserializeOwned>(
        self,
        context: &Context,
        render: impl FnOnce(T) -> String,
    ) -> Result<(), Failure> {
        let Act { method, id, mut params } = self;
        let answer = context.with_gateway(async |connection| {
            let list: PairingList = Question::new(LIST, PLUGIN).ask_for(connection).await?;
            match id {
                Id::Request(typed) => {
                    let known = list.pending.iter().map(|request| request.request_id.as_str());
                    params["requestId"] = json!(whole(&typed, known)?);
                }
                Id::Device(typed) => {
                    let known = list.paired.iter().map(|device| device.device_id.as_str());
                    params["deviceId"] = json!(whole(&typed, known)?);
                }
            }
            Question::new(method, PLUGIN).with(params).ask(connection).await
        })?;
        context.print_answer(method, &answer, |done: T| Ok(format!("{}\n", clean(&render(done)))))
    }
}

/// The id that was meant. One that is not known goes to the gateway as it is, which has the right words for it.
pub fn whole<'a>(typed: &'a str, known: impl Iterator<Item = &'a str> + Clone) -> Result<&'a str, Failure> {
    if known.clone().any(|id| id == typed) || typed.len() < SHORTEST {
        return Ok(typed);
    }
    let fitting: Vec<&str> = known.filter(|id| id.starts_with(typed)).collect();
    match fitting[..] {
        [] => Ok(typed),
        [only] => Ok(only),
        _ => Err(Failure::usage(format!("{typed} is the beginning of several ids: {}", fitting.join(", ")))),
    }
}

fn rotated(done: TokenRotated) -> String {
    let what = format!("replaced the {} token of device {}", done.role, short(&done.device_id));
    match done.token {
        Some(token) => format!("{what}: {token}"),
        None => format!("{what}; it is shown to nobody else, and the device gets it when it next connects"),
    }
}

fn render(list: &PairingList, style: Style, now_ms: u64) -> String {
    let mut text = String::new();
    if !list.pending.is_empty() {
        let mut waiting = Table::new(&["REQUEST", "WHO", "DEVICE", "FROM", "ASKS FOR", "SINCE"]);
        for request in &list.pending {
            waiting.row([
                request.request_id.clone(),
                pending_name(request),
                short(&request.device_id).to_string(),
                from(&request.remote_ip, request.silent == Some(true)),
                asked(request),
                ago(request.ts, now_ms),
            ]);
        }
        text.push_str(&format!("{}\n{}", style.bold("Waiting for approval"), waiting.render(style)));
    }
    if !list.paired.is_empty() {
        let mut paired = Table::new(&["DEVICE", "NAME", "MAY", "FROM", "TOKENS", "APPROVED", "LAST USED"]);
        for device in &list.paired {
            let used = device.tokens.iter().flatten().filter_map(|token| token.last_used_at_ms).max();
            paired.row([
                short(&device.device_id).to_string(),
                paired_name(device),
                rights(roles(device), scopes(device)),
                from(&device.remote_ip, device.approved_via.as_deref() == Some("silent")),
                tokens(device),
                ago(device.approved_at_ms, now_ms),
                used.map(|used| ago(used, now_ms)).unwrap_or_default(),
            ]);
        }
        let gap = if text.is_empty() { "" } else { "\n" };
        text.push_str(&format!("{gap}{}\n{}", style.bold("Paired"), paired.render(style)));
    }
    if text.is_empty() { "no device waits for approval and none is paired\n".to_string() } else { text }
}

fn asked(request: &PendingDevice) -> String {
    let roles = request.roles.iter().flatten().map(String::as_str);
    let roles: Vec<&str> =
        if request.roles.is_some() { roles.collect() } else { request.role.iter().map(String::as_str).collect() };
    let wish = rights(roles, request.scopes.as_deref().unwrap_or_default());
    if request.is_repair == Some(true) { format!("{wish} (paired before)") } else { wish }
}

fn tokens(device: &PairedDevice) -> String {
    let name = |token: &plugin_api::catalogue::TokenSummary| match token.revoked_at_ms {
        Some(_) => format!("{} (revoked)", token.role),
        None => token.role.clone(),
    };
    device.tokens.iter().flatten().map(name).collect::<Vec<_>>().join(", ")
}

fn pending_name(request: &PendingDevice) -> String {
    named(request.display_name.as_deref(), &[&request.client_id, &request.platform])
}

fn paired_name(device: &PairedDevice) -> String {
    let name = device.label.as_deref().or(device.display_name.as_deref());
    named(name, &[&device.client_id, &device.platform])
}

/// A name, and in brackets what the device says it is.
fn named(name: Option<&str>, facts: &[&Option<String>]) -> String {
    let facts = facts.iter().filter_map(|fact| fact.as_deref()).collect::<Vec<_>>().join(", ");
    match name {
        Some(name) if !facts.is_empty() => format!("{name} ({facts})"),
        Some(name) => name.to_string(),
        None => facts,
    }
}

/// Without an address it is this machine only if the gateway took it for that: one behind a proxy that is not trusted,
/// or under another name, has none either.
fn from(address: &Option<String>, is_local: bool) -> String {
    let unsaid = if is_local { "this machine" } else { "unknown" };
    address.clone().unwrap_or_else(|| unsaid.to_string())
}

fn roles(device: &PairedDevice) -> Vec<&str> {
    match &device.roles {
        Some(roles) => roles.iter().map(String::as_str).collect(),
        None => device.role.iter().map(String::as_str).collect(),
    }
}

fn scopes(device: &PairedDevice) -> &[String] {
    device.scopes.as_deref().unwrap_or_default()
}

/// Roles and scopes in short: `operator: admin, read`.
pub fn rights<'a>(roles: impl IntoIterator<Item = &'a str>, scopes: &[String]) -> String {
    let roles: Vec<&str> = roles.into_iter().collect();
    let scopes: Vec<&str> =
        scopes.iter().map(|scope| scope.strip_prefix("operator.").unwrap_or(scope.as_str())).collect();
    let (roles, scopes) = (roles.join(" and "), scopes.join(", "));
    if scopes.is_empty() { roles } else { format!("{roles}: {scopes}") }
}

/// The beginning of a device id.
pub fn short(device_id: &str) -> &str {
    &device_id[..device_id.floor_char_boundary(SHORT)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(pending: Value, paired: Value) -> PairingList {
        serde_json::from_value(json!({ "pending": pending, "paired": paired })).unwrap()
    }

    #[test]
    fn who_from_where_asking_for_what_since_when() {
        let list = list(
            json!([{"requestId": "3f1c2b7e", "deviceId": "0123456789abcdef", "publicKey": "k",
                    "displayName": "Anna\u{1b}[2K", "clientId": "cli", "platform": "linux", "role": "operator",
                    "scopes": ["operator.admin"], "remoteIp": "192.0.2.4", "isRepair": true, "ts": 30_000},
                   {"requestId": "4f1c2b7e", "deviceId": "0123456789abcdef", "publicKey": "k", "clientId": "cli",
                    "role": "node", "silent": false, "ts": 30_000}]),
            json!([{"deviceId": "fedcba9876543210", "publicKey": "k", "displayName": "x", "label": "Phone",
                    "roles": ["node"], "createdAtMs": 0, "approvedAtMs": 0, "approvedVia": "silent",
                    "tokens": [{"role": "node", "scopes": [], "createdAtMs": 0, "revokedAtMs": 1,
                                "lastUsedAtMs": 30_000}]},
                   {"deviceId": "fedcba9876543211", "publicKey": "k", "label": "Tablet", "roles": ["node"],
                    "createdAtMs": 0, "approvedAtMs": 0, "approvedVia": "owner"}]),
        );
        let expected = "Waiting for approval\n\
            REQUEST   WHO                         DEVICE        FROM       ASKS FOR                         SINCE\n\
            3f1c2b7e  Anna\\u{1b}[2K (cli, linux)  0123456789ab  192.0.2.4  operator: admin (paired before)  30 s ago\n\
            4f1c2b7e  cli                         0123456789ab  unknown    node                             30 s ago\n\
            \n\
            Paired\n\
            DEVICE        NAME    MAY   FROM          TOKENS          APPROVED   LAST USED\n\
            fedcba987654  Phone   node  this machine  node (revoked)  1 min ago  30 s ago\n\
            fedcba987654  Tablet  node  unknown       -               1 min ago  -\n";
        assert_eq!(render(&list, Style::plain(), 60_000), expected);
    }

    #[test]
    fn nothing_is_said_to_be_nothing() {
        let text = render(&list(json!([]), json!([])), Style::plain(), 0);
        assert_eq!(text, "no device waits for approval and none is paired\n");
    }

    #[test]
    fn a_beginning_is_enough_when_it_is_clear() {
        let known = ["abcdef", "abcxyz", "abcd"];
        let meant = |typed| whole(typed, known.into_iter());
        assert_eq!(meant("abcx").unwrap(), "abcxyz");
        assert_eq!(meant("abcd").unwrap(), "abcd", "a whole id is no beginning");
        assert_eq!(meant("abc").unwrap(), "abc", "too short to mean one");
        assert_eq!(meant("zzzz").unwrap(), "zzzz");
        let failure = whole("abcdef", ["abcdef01", "abcdef02"].into_iter()).unwrap_err();
        assert!(failure.code() == 2 && failure.sentence().contains("abcdef01, abcdef02"));
    }

    #[test]
    fn a_withheld_token_is_explained() {
        let done = |token: Option<&str>| TokenRotated {
            device_id: "0123456789abcdef".into(),
            role: "node".into(),
            token: token.map(str::to_string),
            token_delivery: String::new(),
            scopes: Vec::new(),
            rotated_at_ms: 0,
        };
        assert!(rotated(done(None)).contains("when it next connects"));
        assert_eq!(rotated(done(Some("t"))), "replaced the node token of device 0123456789ab: t");
        assert_eq!(short("äöü"), "äöü");
    }
}
