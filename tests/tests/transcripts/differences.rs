//! Where this gateway differs from the reference on purpose, and what a recording lacks.

/// Keys that the reference sends and this gateway does not.
pub const ABSENT: &[(&str, &str)] = &[
    ("hello-ok/snapshot/stateDir", "shown to admins only"),
    ("device.token.rotate/token", "only the device itself is told its token (protocol-4.md 7.1)"),
];

/// Keys that this gateway sends and the reference does not; version 3 clients pass over unknown payload fields.
pub const EXTRA: &[(&str, &str)] = &[
    ("health/plugins", "protocol-4.md 6.2"),
    ("hello-ok/snapshot/health/plugins", "protocol-4.md 6.2"),
    ("device.pair.list/paired/[]/lastSeenAtMs", "protocol-4.md 7.1"),
    ("device.pair.list/paired/[]/approvedVia", "protocol-4.md 7.1"),
    ("device.pair.approve/device/approvedVia", "protocol-4.md 7.1"),
    ("device.token.rotate/tokenDelivery", "protocol-4.md 7.1"),
    ("hello-ok/canvasHostUrl", "the reference showed no canvas when it was recorded"),
    ("status/uptimeMs", "said beside what clients read"),
    ("status/runtimeVersion", "said beside what clients read"),
    ("status/connections", "said beside what clients read"),
    ("sessions.list/hasMore", "protocol-4.md 8.3"),
    ("sessions.list/limitApplied", "protocol-4.md 8.3"),
    ("sessions.list/nextOffset", "protocol-4.md 8.3"),
    ("sessions.list/owners", "protocol-4.md 8.3"),
    ("sessions.list/totalCount", "protocol-4.md 8.3"),
    ("node/approvalState", "protocol-4.md 7.4"),
    ("node/approvedAtMs", "protocol-4.md 7.4"),
    ("node/clientId", "protocol-4.md 7.4"),
    ("node/clientMode", "protocol-4.md 7.4"),
    ("node/lastConnectedAtMs", "protocol-4.md 7.4"),
    ("node/lastSeenAtMs", "protocol-4.md 7.4"),
    ("node/lastSeenReason", "protocol-4.md 7.4"),
    ("node/nodePluginTools", "protocol-4.md 7.4"),
    ("node/sessionHost", "protocol-4.md 7.4"),
    ("node/version", "of a node that is away: as it was approved"),
];

/// Keys that are sent or not, as the machine and the command line of the day have it.
pub const MAYBE: &[(&str, &str)] = &[
    ("hello-ok/snapshot/presence/[]/ip", "a machine without a network has no address"),
    ("presence/[]/ip", "a machine without a network has no address"),
    ("hello-ok/snapshot/configPath", "shown to admins only"),
    ("device.pair.list/paired/[]/remoteIp", "all devices in the recording came by a proxy"),
    ("node/remoteIp", "all nodes in the recording came by a proxy"),
];

/// Values of another type, and why.
pub const OTHER_TYPE: &[(&str, &str)] = &[
    ("status/sessions/defaults/model", "no model was configured when it was recorded"),
    ("status/sessions/defaults/contextTokens", "no model is configured, and the field may be null (protocol.md 6.1)"),
    ("sessions.list/defaults/contextTokens", "no model is configured, and the field may be null (protocol.md 6.6)"),
];

/// Values whose content is each gateway's own; only their type is compared.
pub const OPAQUE: &[(&str, &str)] =
    &[("config.get/config", "another configuration file"), ("config.get/parsed", "another configuration file")];

/// Sentences that differ on purpose: the reference's, the beginning of ours, and why.
pub const SENTENCES: &[(&str, &str, &str)] = &[
    (
        "invalid connect params: must be object",
        "invalid connect params: must have required property 'minProtocol'",
        "absent params count as {} here as everywhere",
    ),
    (
        "invalid connect params: at /client/id: must be equal to constant; at /client/id: must match a schema in anyOf",
        "invalid connect params: at /client/id: must be equal to one of the allowed values",
        "the sentence names the values",
    ),
    ("node command not allowed", "node command not allowed: ", "the sentence says why, as that of 4 does"),
    (
        "node command not allowed: \"camera.snap\" requires explicit gateway.nodes.commands.allow opt-in",
        "node command not allowed: \"camera.snap\" is not offered by nodes of this kind unless ",
        "the key of the configuration is another one",
    ),
    (
        "device pairing approval denied",
        "unknown requestId",
        "who may pair sees every request that there is, and is told that this one is not among them",
    ),
];

/// Requests that the reference refuses and this gateway answers: the method, the beginning of the refusal, and why.
pub const ANSWERED: &[(&str, &str, &str)] = &[
    (
        "config.get",
        "missing scope: operator.admin",
        "reading is enough, because secrets are replaced (protocol-4.md 5.2)",
    ),
    ("connect", "device signature invalid", "payload v3 is understood at protocol 3 too (protocol-4.md 2.3)"),
    ("node.event", "node pairing changed while invocation was active", "a race in the reference"),
    (
        "node.runnerInventory.update",
        "node capability surface is awaiting operator approval",
        "a node that waits need not ask each second: it hears node.pair.resolved",
    ),
];

/// Recordings in which nobody approves what a node offers, and why this gateway's operator does.
pub const APPROVED: &[(&str, &str)] = &[("p3-node-host.jsonl", "the reference of 3 asks nobody (protocol-4.md 7.2)")];

/// Recordings whose remote door the reference took for one on its own machine.
pub const LOCAL_DOORS: &[(&str, &str)] = &[("p4-device-pairing.jsonl", "its device was approved silently")];

/// What long lists of commands lost in the recordings, where they say `<cut 9 more>` (protocol-4.md 7.3).
pub const CUT: [&str; 9] = [
    "ollama.models",
    "system.execApprovals.get",
    "system.execApprovals.set",
    "system.run",
    "system.run.prepare",
    "system.which",
    "terminal.upload",
    "workspace.memory",
    "workspace.skills",
];

/// Keys of ids that a gateway makes and its clients say again.
pub const IDS: [&str; 2] = ["requestId", "pendingRequestId"];

/// Connections that are not played.
pub const SKIPPED: &[(&str, u64, &str)] =
    &[("p3-raw-errors.jsonl", 15, "a race in the reference; here frames behind connect wait")];

/// What the schema of protocol 4 requires in hello-ok.
pub const REQUIRED_BY_4: [&str; 12] = [
    "/type",
    "/protocol",
    "/server/version",
    "/server/connId",
    "/features/methods",
    "/features/events",
    "/snapshot/presence",
    "/snapshot/health",
    "/snapshot/stateVersion",
    "/snapshot/uptimeMs",
    "/auth/role",
    "/auth/scopes",
];
