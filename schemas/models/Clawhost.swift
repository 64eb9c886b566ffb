// Made from clawhost's JSON Schemas by `npm run models` in tests/foreign; changes here are lost.

import Foundation

/// Payload of the event `agent`.
// MARK: - GatewayAgentEvent
struct GatewayAgentEvent: Codable {
    /// The agent.
    let agentId: String
    /// What happened, by stream.
    let data: JSONAny
    /// Whether it is a run that clients are spared the chat of.
    let isHeartbeat: Bool?
    /// The run.
    let runId: String
    /// Number of the event within the run, from 1.
    let seq: Int
    /// The conversation.
    let sessionId: String?
    /// The session as whoever started the run spelled it.
    let sessionKey: String
    /// `lifecycle`, `assistant` or `tool`.
    let stream: String
    /// When, in milliseconds since the epoch.
    let ts: Int

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case data = "data"
        case isHeartbeat = "isHeartbeat"
        case runId = "runId"
        case seq = "seq"
        case sessionId = "sessionId"
        case sessionKey = "sessionKey"
        case stream = "stream"
        case ts = "ts"
    }
}

/// Parameters of `agent.identity.get`.
// MARK: - GatewayAgentIdentityGetParams
struct GatewayAgentIdentityGetParams: Codable {
    /// The agent.
    let agentId: String?
    /// A session of the agent.
    let sessionKey: String?

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case sessionKey = "sessionKey"
    }
}

/// Result of `agent.identity.get`.
// MARK: - GatewayAgentIdentityGetResult
struct GatewayAgentIdentityGetResult: Codable {
    /// The agent.
    let agentId: String
    /// A picture's address or a few characters, at most 200.
    let avatar: String
    /// Its name, at most 50 characters.
    let name: String

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case avatar = "avatar"
        case name = "name"
    }
}

/// Parameters of `agent`.
// MARK: - GatewayAgentParams
struct GatewayAgentParams: Codable {
    /// The account of that channel.
    let accountId: String?
    /// The agent, where the session does not say.
    let agentId: String?
    /// `{type?, mimeType?, fileName?, content}` each, the content in base64.
    let attachments: [JSONAny]?
    /// The channel the message is from, or `last`.
    let channel: String?
    /// A folder; there is none here (protocol 4).
    let cwd: String?
    /// Whether the answer also goes out over a channel: to `replyTo` or `to`, else to where the
    /// session last spoke.
    let deliver: Bool?
    /// Told to the agent beside its own instructions.
    let extraSystemPrompt: String?
    /// Its channel, kept with the session.
    let groupChannel: String?
    /// A group.
    let groupId: String?
    /// Its space, kept with the session.
    let groupSpace: String?
    /// Names the run, and makes it happen once.
    let idempotencyKey: String
    /// A name for the session.
    let label: String?
    /// A queue's name; runs of one session go in order in any case.
    let lane: String?
    /// What the agent is told.
    let message: String
    /// The model, `provider/model` or with `provider` beside it (protocol 4).
    let model: String?
    /// The model's provider (protocol 4).
    let provider: String?
    /// The account the answer goes out with.
    let replyAccountId: String?
    /// The channel the answer goes to, or `last`.
    let replyChannel: String?
    /// Whom the answer goes to instead.
    let replyTo: String?
    /// A conversation; the session's present one is used.
    let sessionId: String?
    /// The session, in any spelling; the agent's main session when absent.
    let sessionKey: String?
    /// The session that began this one.
    let spawnedBy: String?
    /// How much it thinks.
    let thinking: String?
    /// A thread or topic.
    let threadId: String?
    /// Seconds until the run is given up; 0 and absent are the agent's own.
    let timeout: Int?
    /// Whom an answer would go to.
    let to: String?

    enum CodingKeys: String, CodingKey {
        case accountId = "accountId"
        case agentId = "agentId"
        case attachments = "attachments"
        case channel = "channel"
        case cwd = "cwd"
        case deliver = "deliver"
        case extraSystemPrompt = "extraSystemPrompt"
        case groupChannel = "groupChannel"
        case groupId = "groupId"
        case groupSpace = "groupSpace"
        case idempotencyKey = "idempotencyKey"
        case label = "label"
        case lane = "lane"
        case message = "message"
        case model = "model"
        case provider = "provider"
        case replyAccountId = "replyAccountId"
        case replyChannel = "replyChannel"
        case replyTo = "replyTo"
        case sessionId = "sessionId"
        case sessionKey = "sessionKey"
        case spawnedBy = "spawnedBy"
        case thinking = "thinking"
        case threadId = "threadId"
        case timeout = "timeout"
        case to = "to"
    }
}

/// What `agent` answers in the end.
// MARK: - GatewayAgentResult
struct GatewayAgentResult: Codable {
    /// What came of it.
    let result: GatewayAnswer?
    /// The run.
    let runId: String
    /// `ok`, or `error` when it failed.
    let status: String
    /// `completed` or `aborted`; of a failed run, why.
    let summary: String

    enum CodingKeys: String, CodingKey {
        case result = "result"
        case runId = "runId"
        case status = "status"
        case summary = "summary"
    }
}

/// What came of it.
///
/// What came of a run.
// MARK: - GatewayAnswer
struct GatewayAnswer: Codable {
    /// About it.
    let meta: GatewayMeta
    /// What the agent said.
    let payloads: [GatewayPayload]

    enum CodingKeys: String, CodingKey {
        case meta = "meta"
        case payloads = "payloads"
    }
}

/// About it.
///
/// About a run.
// MARK: - GatewayMeta
struct GatewayMeta: Codable {
    /// Whether somebody stopped it.
    let aborted: Bool?
    /// Who answered.
    let agentMeta: GatewayAgentMeta
    /// What came of sending it on, if that was asked for.
    let delivery: GatewayDelivery?
    /// How long it took.
    let durationMs: Int

    enum CodingKeys: String, CodingKey {
        case aborted = "aborted"
        case agentMeta = "agentMeta"
        case delivery = "delivery"
        case durationMs = "durationMs"
    }
}

/// Who answered.
// MARK: - GatewayAgentMeta
struct GatewayAgentMeta: Codable {
    /// The model.
    let model: String?
    /// Who provided the model.
    let provider: String?
    /// The conversation.
    let sessionId: String?
    /// What it cost.
    let usage: GatewayUsage

    enum CodingKeys: String, CodingKey {
        case model = "model"
        case provider = "provider"
        case sessionId = "sessionId"
        case usage = "usage"
    }
}

/// What it cost.
///
/// What an answer cost, in tokens.
// MARK: - GatewayUsage
struct GatewayUsage: Codable {
    /// Read from a cache.
    let cacheRead: Int?
    /// Written to a cache.
    let cacheWrite: Int?
    /// Read, without what came from a cache.
    let input: Int?
    /// Written.
    let output: Int?
    /// All of them.
    let totalTokens: Int?

    enum CodingKeys: String, CodingKey {
        case cacheRead = "cacheRead"
        case cacheWrite = "cacheWrite"
        case input = "input"
        case output = "output"
        case totalTokens = "totalTokens"
    }
}

/// What came of sending it on, if that was asked for.
///
/// What came of it.
// MARK: - GatewayDelivery
struct GatewayDelivery: Codable {
    /// The channel.
    let channel: String?
    /// The same for programs: `OUTCOME_UNKNOWN` when nobody knows whether it went out.
    let code: String?
    /// Why it did not go out.
    let error: String?
    /// The channel's id of the message.
    let messageId: String?
    /// Whether it went out.
    let ok: Bool

    enum CodingKeys: String, CodingKey {
        case channel = "channel"
        case code = "code"
        case error = "error"
        case messageId = "messageId"
        case ok = "ok"
    }
}

/// Something that an agent said.
// MARK: - GatewayPayload
struct GatewayPayload: Codable {
    /// The text.
    let text: String

    enum CodingKeys: String, CodingKey {
        case text = "text"
    }
}

/// Parameters of `agent.wait`.
// MARK: - GatewayAgentWaitParams
struct GatewayAgentWaitParams: Codable {
    /// The run.
    let runId: String
    /// Milliseconds to wait; 30,000 when absent, and 0 only looks.
    let timeoutMs: Int?

    enum CodingKeys: String, CodingKey {
        case runId = "runId"
        case timeoutMs = "timeoutMs"
    }
}

/// Result of `agent.wait`.
// MARK: - GatewayAgentWaitResult
struct GatewayAgentWaitResult: Codable {
    /// When it ended.
    let endedAt: Int?
    /// Why it failed.
    let error: String?
    /// The run.
    let runId: String
    /// When it began, in milliseconds since the epoch.
    let startedAt: Int?
    /// `ok`, `error`, or `timeout` when it has not ended.
    let status: String
    /// Why it was stopped.
    let stopReason: String?

    enum CodingKeys: String, CodingKey {
        case endedAt = "endedAt"
        case error = "error"
        case runId = "runId"
        case startedAt = "startedAt"
        case status = "status"
        case stopReason = "stopReason"
    }
}

/// Result of `agents.list`.
// MARK: - GatewayAgentsListResult
struct GatewayAgentsListResult: Codable {
    /// The agents, in the order of the configuration.
    let agents: [GatewayListedAgent]
    /// The agent to talk to first.
    let defaultId: String
    /// Short name of the main session.
    let mainKey: String
    /// `per-sender` or `global`.
    let scope: String

    enum CodingKeys: String, CodingKey {
        case agents = "agents"
        case defaultId = "defaultId"
        case mainKey = "mainKey"
        case scope = "scope"
    }
}

/// An agent in `agents.list`.
// MARK: - GatewayListedAgent
struct GatewayListedAgent: Codable {
    /// Its id.
    let id: String
    /// How it presents itself.
    let identity: GatewayIdentity?
    /// What it thinks with. Newer web pages let nobody write to an agent without one.
    let model: GatewayListedModel
    /// Its name.
    let name: String?

    enum CodingKeys: String, CodingKey {
        case id = "id"
        case identity = "identity"
        case model = "model"
        case name = "name"
    }
}

/// How it presents itself.
///
/// How an agent presents itself.
// MARK: - GatewayIdentity
struct GatewayIdentity: Codable {
    /// A few characters, or a picture as an `https:`, `http:` or `data:image/` address.
    let avatar: String?
    /// A picture as an address.
    let avatarUrl: String?
    /// Its emoji.
    let emoji: String?
    /// The name it goes by.
    let name: String?
    /// What it is like, in a few words.
    let theme: String?

    enum CodingKeys: String, CodingKey {
        case avatar = "avatar"
        case avatarUrl = "avatarUrl"
        case emoji = "emoji"
        case name = "name"
        case theme = "theme"
    }
}

/// What it thinks with. Newer web pages let nobody write to an agent without one.
///
/// What an agent in `agents.list` thinks with.
// MARK: - GatewayListedModel
struct GatewayListedModel: Codable {
    /// The model it uses first, as `provider/model`.
    let primary: String

    enum CodingKeys: String, CodingKey {
        case primary = "primary"
    }
}

/// Parameters of `channels.start`, `channels.stop` and `channels.logout`.
// MARK: - GatewayChannelsLogoutParams
struct GatewayChannelsLogoutParams: Codable {
    /// The account; the channel's default when absent.
    let accountId: String?
    /// The channel.
    let channel: String

    enum CodingKeys: String, CodingKey {
        case accountId = "accountId"
        case channel = "channel"
    }
}

/// Result of `channels.logout`.
// MARK: - GatewayChannelsLogoutResult
struct GatewayChannelsLogoutResult: Codable {
    /// The account.
    let accountId: String
    /// The channel.
    let channel: String
    /// Whether something was kept and is gone now.
    let cleared: Bool
    /// Always true.
    let loggedOut: Bool

    enum CodingKeys: String, CodingKey {
        case accountId = "accountId"
        case channel = "channel"
        case cleared = "cleared"
        case loggedOut = "loggedOut"
    }
}

/// Parameters of `channels.pairing.approve`.
// MARK: - GatewayChannelsPairingApproveParams
struct GatewayChannelsPairingApproveParams: Codable {
    /// The account; any of the channel when absent.
    let accountId: String?
    /// Refused: there are no such owners here.
    let bootstrapCommandOwner: Bool?
    /// The channel.
    let channel: String
    /// Whether the sender is told.
    let notify: Bool?
    /// The request, or the code that the sender was told.
    let requestId: String

    enum CodingKeys: String, CodingKey {
        case accountId = "accountId"
        case bootstrapCommandOwner = "bootstrapCommandOwner"
        case channel = "channel"
        case notify = "notify"
        case requestId = "requestId"
    }
}

/// Result of `channels.pairing.approve`.
// MARK: - GatewayChannelsPairingApproveResult
struct GatewayChannelsPairingApproveResult: Codable {
    /// `not-requested` or `unavailable`.
    let commandOwnerBootstrap: String
    /// `not-requested`, `sent` or `failed`.
    let notification: String
    /// The request.
    let requestId: String
    /// Who may write now.
    let senderId: String

    enum CodingKeys: String, CodingKey {
        case commandOwnerBootstrap = "commandOwnerBootstrap"
        case notification = "notification"
        case requestId = "requestId"
        case senderId = "senderId"
    }
}

/// Parameters of `channels.pairing.dismiss`.
// MARK: - GatewayChannelsPairingDismissParams
struct GatewayChannelsPairingDismissParams: Codable {
    /// The account; any of the channel when absent.
    let accountId: String?
    /// The channel.
    let channel: String
    /// The request, or the code that the sender was told.
    let requestId: String

    enum CodingKeys: String, CodingKey {
        case accountId = "accountId"
        case channel = "channel"
        case requestId = "requestId"
    }
}

/// Result of `channels.pairing.dismiss`.
// MARK: - GatewayChannelsPairingDismissResult
struct GatewayChannelsPairingDismissResult: Codable {
    /// The request.
    let requestId: String
    /// Who was turned away.
    let senderId: String

    enum CodingKeys: String, CodingKey {
        case requestId = "requestId"
        case senderId = "senderId"
    }
}

/// Parameters of `channels.pairing.list`.
// MARK: - GatewayChannelsPairingListParams
struct GatewayChannelsPairingListParams: Codable {
    /// Only this account.
    let accountId: String?
    /// Only this channel.
    let channel: String?

    enum CodingKeys: String, CodingKey {
        case accountId = "accountId"
        case channel = "channel"
    }
}

/// Result of `channels.pairing.list`.
// MARK: - GatewayChannelsPairingListResult
struct GatewayChannelsPairingListResult: Codable {
    /// Accounts that people can knock at.
    let accounts: [GatewayAccount]
    /// Always true: nobody becomes an owner by being let in.
    let commandOwnerConfigured: Bool
    /// How many may knock, and for how long.
    let limits: GatewayLimits
    /// Those who knock, oldest first.
    let requests: [GatewayChannelsPairingListRequest]

    enum CodingKeys: String, CodingKey {
        case accounts = "accounts"
        case commandOwnerConfigured = "commandOwnerConfigured"
        case limits = "limits"
        case requests = "requests"
    }
}

/// An account of a channel.
// MARK: - GatewayAccount
struct GatewayAccount: Codable {
    /// The account.
    let accountId: String
    /// The account's name.
    let accountLabel: String?
    /// The channel.
    let channel: String
    /// Its name.
    let channelLabel: String
    /// Always true: who is let in can be told.
    let notifySupported: Bool

    enum CodingKeys: String, CodingKey {
        case accountId = "accountId"
        case accountLabel = "accountLabel"
        case channel = "channel"
        case channelLabel = "channelLabel"
        case notifySupported = "notifySupported"
    }
}

/// How many may knock, and for how long.
///
/// Limits of knocking.
// MARK: - GatewayLimits
struct GatewayLimits: Codable {
    /// Most who knock at an account.
    let pendingPerAccount: Int
    /// Milliseconds until one is forgotten.
    let ttlMs: Int

    enum CodingKeys: String, CodingKey {
        case pendingPerAccount = "pendingPerAccount"
        case ttlMs = "ttlMs"
    }
}

/// Somebody who knocks. The code is not shown: they were told it, and who approves by code
/// has heard it from them.
// MARK: - GatewayChannelsPairingListRequest
struct GatewayChannelsPairingListRequest: Codable {
    /// The account.
    let accountId: String
    /// The account's name.
    let accountLabel: String?
    /// The channel.
    let channel: String
    /// Its name.
    let channelLabel: String
    /// When they first wrote, as `2026-01-31T12:00:00Z`.
    let createdAt: String
    /// When they will be forgotten.
    let expiresAt: String
    /// When they last wrote.
    let lastSeenAt: String
    /// `name` and `handle`, as they call themselves.
    let metadata: [String: JSONAny]?
    /// Always true: who is let in can be told.
    let notifySupported: Bool
    /// Names the request.
    let requestId: String
    /// The channel's lasting id of them.
    let senderId: String
    /// What such ids are called.
    let senderLabel: String

    enum CodingKeys: String, CodingKey {
        case accountId = "accountId"
        case accountLabel = "accountLabel"
        case channel = "channel"
        case channelLabel = "channelLabel"
        case createdAt = "createdAt"
        case expiresAt = "expiresAt"
        case lastSeenAt = "lastSeenAt"
        case metadata = "metadata"
        case notifySupported = "notifySupported"
        case requestId = "requestId"
        case senderId = "senderId"
        case senderLabel = "senderLabel"
    }
}

/// Parameters of `channels.senders.list`.
// MARK: - GatewayChannelsSendersListParams
struct GatewayChannelsSendersListParams: Codable {
    /// Only this channel.
    let channel: String?

    enum CodingKeys: String, CodingKey {
        case channel = "channel"
    }
}

/// Result of `channels.senders.list`.
// MARK: - GatewayChannelsSendersListResult
struct GatewayChannelsSendersListResult: Codable {
    /// Those who were let in, by channel and account.
    let senders: [GatewaySender]

    enum CodingKeys: String, CodingKey {
        case senders = "senders"
    }
}

/// Somebody who was let in.
// MARK: - GatewaySender
struct GatewaySender: Codable {
    /// The account.
    let accountId: String
    /// When they were let in, as `2026-01-31T12:00:00Z`.
    let approvedAt: String
    /// The channel.
    let channel: String
    /// Their handle then.
    let handle: String?
    /// What they called themselves then.
    let name: String?
    /// The channel's lasting id of them.
    let senderId: String

    enum CodingKeys: String, CodingKey {
        case accountId = "accountId"
        case approvedAt = "approvedAt"
        case channel = "channel"
        case handle = "handle"
        case name = "name"
        case senderId = "senderId"
    }
}

/// Parameters of `channels.senders.remove`.
// MARK: - GatewayChannelsSendersRemoveParams
struct GatewayChannelsSendersRemoveParams: Codable {
    /// The account; the channel's unnamed one when absent.
    let accountId: String?
    /// The channel.
    let channel: String
    /// The channel's lasting id of them.
    let senderId: String

    enum CodingKeys: String, CodingKey {
        case accountId = "accountId"
        case channel = "channel"
        case senderId = "senderId"
    }
}

/// Result of `channels.senders.remove`.
// MARK: - GatewayChannelsSendersRemoveResult
struct GatewayChannelsSendersRemoveResult: Codable {
    /// Whether they had been let in.
    let removed: Bool

    enum CodingKeys: String, CodingKey {
        case removed = "removed"
    }
}

/// Parameters of `channels.start`, `channels.stop` and `channels.logout`.
// MARK: - GatewayChannelsStartParams
struct GatewayChannelsStartParams: Codable {
    /// The account; the channel's default when absent.
    let accountId: String?
    /// The channel.
    let channel: String

    enum CodingKeys: String, CodingKey {
        case accountId = "accountId"
        case channel = "channel"
    }
}

/// Result of `channels.start`.
// MARK: - GatewayChannelsStartResult
struct GatewayChannelsStartResult: Codable {
    /// The account.
    let accountId: String
    /// The channel.
    let channel: String
    /// Always true.
    let started: Bool

    enum CodingKeys: String, CodingKey {
        case accountId = "accountId"
        case channel = "channel"
        case started = "started"
    }
}

/// Parameters of `channels.status`.
// MARK: - GatewayChannelsStatusParams
struct GatewayChannelsStatusParams: Codable {
    /// Only this channel (protocol 4).
    let channel: String?
    /// Whether each channel asks its service.
    let probe: Bool?
    /// How long that may take, in milliseconds.
    let timeoutMs: Int?

    enum CodingKeys: String, CodingKey {
        case channel = "channel"
        case probe = "probe"
        case timeoutMs = "timeoutMs"
    }
}

/// Result of `channels.status`.
// MARK: - GatewayChannelsStatusResult
struct GatewayChannelsStatusResult: Codable {
    /// Accounts by id; each with an `accountId`.
    let channelAccounts: [String: [[String: JSONAny]]]
    /// The account used when none is named, by id.
    let channelDefaultAccountId: [String: String]
    /// Longer names by id.
    let channelDetailLabels: [String: String]?
    /// Names by id.
    let channelLabels: [String: String]
    /// The above once more, as a list.
    let channelMeta: [GatewayChannelMeta]?
    /// Ids, sorted.
    let channelOrder: [String]
    /// Summaries by id; each says at least whether it is `configured`.
    let channels: [String: [String: JSONAny]]
    /// Names of symbols of Apple's systems by id.
    let channelSystemImages: [String: String]?
    /// When it was asked, in milliseconds since the epoch.
    let ts: Int

    enum CodingKeys: String, CodingKey {
        case channelAccounts = "channelAccounts"
        case channelDefaultAccountId = "channelDefaultAccountId"
        case channelDetailLabels = "channelDetailLabels"
        case channelLabels = "channelLabels"
        case channelMeta = "channelMeta"
        case channelOrder = "channelOrder"
        case channels = "channels"
        case channelSystemImages = "channelSystemImages"
        case ts = "ts"
    }
}

/// How a channel is named.
// MARK: - GatewayChannelMeta
struct GatewayChannelMeta: Codable {
    /// Its longer name.
    let detailLabel: String
    /// Its id.
    let id: String
    /// Its name.
    let label: String
    /// Name of a symbol of Apple's systems.
    let systemImage: String?

    enum CodingKeys: String, CodingKey {
        case detailLabel = "detailLabel"
        case id = "id"
        case label = "label"
        case systemImage = "systemImage"
    }
}

/// Parameters of `channels.start`, `channels.stop` and `channels.logout`.
// MARK: - GatewayChannelsStopParams
struct GatewayChannelsStopParams: Codable {
    /// The account; the channel's default when absent.
    let accountId: String?
    /// The channel.
    let channel: String

    enum CodingKeys: String, CodingKey {
        case accountId = "accountId"
        case channel = "channel"
    }
}

/// Result of `channels.stop`.
// MARK: - GatewayChannelsStopResult
struct GatewayChannelsStopResult: Codable {
    /// The account.
    let accountId: String
    /// The channel.
    let channel: String
    /// Always true.
    let stopped: Bool

    enum CodingKeys: String, CodingKey {
        case accountId = "accountId"
        case channel = "channel"
        case stopped = "stopped"
    }
}

/// Parameters of `chat.abort`.
// MARK: - GatewayChatAbortParams
struct GatewayChatAbortParams: Codable {
    /// One run of it; all when absent.
    let runId: String?
    /// The session.
    let sessionKey: String

    enum CodingKeys: String, CodingKey {
        case runId = "runId"
        case sessionKey = "sessionKey"
    }
}

/// Result of `chat.abort`.
// MARK: - GatewayChatAbortResult
struct GatewayChatAbortResult: Codable {
    /// Whether anything was stopped.
    let aborted: Bool
    /// Always.
    let ok: Bool
    /// What was stopped.
    let runIds: [String]

    enum CodingKeys: String, CodingKey {
        case aborted = "aborted"
        case ok = "ok"
        case runIds = "runIds"
    }
}

/// Payload of `chat`.
// MARK: - GatewayChatEvent
struct GatewayChatEvent: Codable {
    /// The agent.
    let agentId: String?
    /// Of a `delta`: what was added since the one before; with `replace`, all of it.
    let deltaText: String?
    /// Of an `error`: `refusal`, `timeout`, `rate_limit`, `context_length` or `unknown`.
    let errorKind: String?
    /// Why it failed, in a sentence for people.
    let errorMessage: String?
    /// The whole answer so far, or in the end.
    let message: GatewayMessage?
    /// Of a `delta`: the answer began anew.
    let replace: Bool?
    /// The run.
    let runId: String
    /// Grows within the run, with holes.
    let seq: Int
    /// The session, as whoever started the run spelled it.
    let sessionKey: String
    /// `delta`, `final`, `aborted` or `error`.
    let state: GatewayState
    /// Why it ended; of an `aborted` one `rpc`, `stop` or `timeout`.
    let stopReason: String?
    /// What it cost.
    let usage: JSONAny?

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case deltaText = "deltaText"
        case errorKind = "errorKind"
        case errorMessage = "errorMessage"
        case message = "message"
        case replace = "replace"
        case runId = "runId"
        case seq = "seq"
        case sessionKey = "sessionKey"
        case state = "state"
        case stopReason = "stopReason"
        case usage = "usage"
    }
}

/// One message.
// MARK: - GatewayMessage
struct GatewayMessage: Codable {
    /// What is said, in order.
    let content: [GatewayPart]?
    /// Why an answer failed, in a sentence for people.
    let errorMessage: String?
    /// Its id in the transcript; who appends a message twice with one id appends it once.
    let id: String?
    /// Of a tool's answer: whether the tool failed.
    let isError: Bool?
    /// The model.
    let model: String?
    /// Who provided the model.
    let provider: String?
    /// Who speaks; see [`role`].
    let role: String
    /// The run it belongs to.
    let runId: String?
    /// Why an answer ended: `stop`, `toolUse`, `length`, `aborted`, `error`, `injected`.
    let stopReason: String?
    /// When, in milliseconds since the epoch.
    let timestamp: Int?
    /// Of a tool's answer: the call it answers.
    let toolCallId: String?
    /// Of a tool's answer: the tool.
    let toolName: String?
    /// Tokens of the answer.
    let usage: GatewayUsage?

    enum CodingKeys: String, CodingKey {
        case content = "content"
        case errorMessage = "errorMessage"
        case id = "id"
        case isError = "isError"
        case model = "model"
        case provider = "provider"
        case role = "role"
        case runId = "runId"
        case stopReason = "stopReason"
        case timestamp = "timestamp"
        case toolCallId = "toolCallId"
        case toolName = "toolName"
        case usage = "usage"
    }
}

/// A piece of a message.
///
/// Text.
///
/// An image, in the message itself.
///
/// What a model thought before it answered.
///
/// A model asks for a tool.
///
/// A piece of a kind that this version does not know.
// MARK: - GatewayPart
struct GatewayPart: Codable {
    /// The text.
    let text: String?
    let type: GatewayPartType
    /// Its bytes in base64.
    let data: String?
    /// Its kind, `image/png` and the like.
    let mimeType: String?
    /// What its provider wants to be given back with it.
    let signature: String?
    /// The thought.
    let thinking: String?
    /// What it is given: an object.
    let arguments: JSONAny?
    /// Names this call within the conversation.
    let id: String?
    /// The tool.
    let name: String?

    enum CodingKeys: String, CodingKey {
        case text = "text"
        case type = "type"
        case data = "data"
        case mimeType = "mimeType"
        case signature = "signature"
        case thinking = "thinking"
        case arguments = "arguments"
        case id = "id"
        case name = "name"
    }
}

enum GatewayPartType: String, Codable {
    case image = "image"
    case other = "other"
    case text = "text"
    case thinking = "thinking"
    case toolCall = "toolCall"
}

/// `delta`, `final`, `aborted` or `error`.
///
/// What became of the answer.
///
/// It grows.
///
/// It is there.
///
/// It was stopped.
///
/// It failed.
enum GatewayState: String, Codable {
    case aborted = "aborted"
    case delta = "delta"
    case error = "error"
    case stateFinal = "final"
}

/// Parameters of `chat.history`.
// MARK: - GatewayChatHistoryParams
struct GatewayChatHistoryParams: Codable {
    /// Where a client was that wants only what came since (protocol 4).
    let cursor: JSONAny?
    /// The last so many messages; 200 when absent.
    let limit: Int?
    /// Largest list of messages, in bytes (protocol 4).
    let maxBytes: Int?
    /// Without the last so many (protocol 4).
    let offset: Int?
    /// The session.
    let sessionKey: String

    enum CodingKeys: String, CodingKey {
        case cursor = "cursor"
        case limit = "limit"
        case maxBytes = "maxBytes"
        case offset = "offset"
        case sessionKey = "sessionKey"
    }
}

/// Result of `chat.history`.
///
/// Messages.
///
/// Messages of a session.
///
/// Nothing is kept of where clients were: they begin anew.
// MARK: - GatewayChatHistoryResult
struct GatewayChatHistoryResult: Codable {
    /// Whether there are older ones.
    let hasMore: Bool?
    /// Messages, oldest first.
    let messages: [JSONAny]?
    /// Its present conversation; absent when there is no such session.
    let sessionId: String?
    /// The session, as it was asked for.
    let sessionKey: String?
    /// How much the agent thinks, where the session says.
    let thinkingLevel: String?
    /// How many there are.
    let totalMessages: Int?
    /// Always `reset`.
    let kind: String?

    enum CodingKeys: String, CodingKey {
        case hasMore = "hasMore"
        case messages = "messages"
        case sessionId = "sessionId"
        case sessionKey = "sessionKey"
        case thinkingLevel = "thinkingLevel"
        case totalMessages = "totalMessages"
        case kind = "kind"
    }
}

/// Messages.
///
/// Messages of a session.
// MARK: - GatewayPage
struct GatewayPage: Codable {
    /// Whether there are older ones.
    let hasMore: Bool
    /// Messages, oldest first.
    let messages: [JSONAny]
    /// Its present conversation; absent when there is no such session.
    let sessionId: String?
    /// The session, as it was asked for.
    let sessionKey: String
    /// How much the agent thinks, where the session says.
    let thinkingLevel: String?
    /// How many there are.
    let totalMessages: Int

    enum CodingKeys: String, CodingKey {
        case hasMore = "hasMore"
        case messages = "messages"
        case sessionId = "sessionId"
        case sessionKey = "sessionKey"
        case thinkingLevel = "thinkingLevel"
        case totalMessages = "totalMessages"
    }
}

/// Parameters of `chat.inject`.
// MARK: - GatewayChatInjectParams
struct GatewayChatInjectParams: Codable {
    /// Shown before it, in brackets.
    let label: String?
    /// What is said in the agent's name.
    let message: String
    /// The session.
    let sessionKey: String

    enum CodingKeys: String, CodingKey {
        case label = "label"
        case message = "message"
        case sessionKey = "sessionKey"
    }
}

/// Result of `chat.inject`.
// MARK: - GatewayChatInjectResult
struct GatewayChatInjectResult: Codable {
    /// The message.
    let messageId: String
    /// Always.
    let ok: Bool

    enum CodingKeys: String, CodingKey {
        case messageId = "messageId"
        case ok = "ok"
    }
}

/// Result of `chat.metadata`.
// MARK: - GatewayChatMetadataResult
struct GatewayChatMetadataResult: Codable {
    /// None.
    let commands: [JSONAny]
    /// Models, as `models.list` has them.
    let models: [JSONAny]

    enum CodingKeys: String, CodingKey {
        case commands = "commands"
        case models = "models"
    }
}

/// Parameters of `chat.send`.
// MARK: - GatewayChatSendParams
struct GatewayChatSendParams: Codable {
    /// `{type?, mimeType?, fileName?, content}` each, the content in base64.
    let attachments: [JSONAny]?
    /// Whether the answer is delivered to a channel.
    let deliver: Bool?
    /// Names the run, and makes it happen once.
    let idempotencyKey: String
    /// What is said.
    let message: String
    /// The session, in any spelling; events of the run carry this one.
    let sessionKey: String
    /// How much the agent shall think.
    let thinking: String?
    /// Milliseconds until the run is given up; 0 and absent are the agent's own.
    let timeoutMs: Int?

    enum CodingKeys: String, CodingKey {
        case attachments = "attachments"
        case deliver = "deliver"
        case idempotencyKey = "idempotencyKey"
        case message = "message"
        case sessionKey = "sessionKey"
        case thinking = "thinking"
        case timeoutMs = "timeoutMs"
    }
}

/// Result of `chat.send`.
///
/// What became of the message.
///
/// A run, as `chat.send` answers it.
///
/// It was a word that stops what runs.
///
/// Result of `chat.abort`.
// MARK: - GatewayChatSendResult
struct GatewayChatSendResult: Codable {
    /// The run.
    let runId: String?
    /// `started`, `in_flight`, `ok`, or `error`.
    let status: String?
    /// Why it failed.
    let summary: String?
    /// Whether anything was stopped.
    let aborted: Bool?
    /// Always.
    let ok: Bool?
    /// What was stopped.
    let runIds: [String]?

    enum CodingKeys: String, CodingKey {
        case runId = "runId"
        case status = "status"
        case summary = "summary"
        case aborted = "aborted"
        case ok = "ok"
        case runIds = "runIds"
    }
}

/// What became of the message.
///
/// A run, as `chat.send` answers it.
// MARK: - GatewayRunState
struct GatewayRunState: Codable {
    /// The run.
    let runId: String
    /// `started`, `in_flight`, `ok`, or `error`.
    let status: String
    /// Why it failed.
    let summary: String?

    enum CodingKeys: String, CodingKey {
        case runId = "runId"
        case status = "status"
        case summary = "summary"
    }
}

/// It was a word that stops what runs.
///
/// Result of `chat.abort`.
// MARK: - GatewayStopped
struct GatewayStopped: Codable {
    /// Whether anything was stopped.
    let aborted: Bool
    /// Always.
    let ok: Bool
    /// What was stopped.
    let runIds: [String]

    enum CodingKeys: String, CodingKey {
        case aborted = "aborted"
        case ok = "ok"
        case runIds = "runIds"
    }
}

/// Parameters of `chat.history`.
// MARK: - GatewayChatStartupParams
struct GatewayChatStartupParams: Codable {
    /// Where a client was that wants only what came since (protocol 4).
    let cursor: JSONAny?
    /// The last so many messages; 200 when absent.
    let limit: Int?
    /// Largest list of messages, in bytes (protocol 4).
    let maxBytes: Int?
    /// Without the last so many (protocol 4).
    let offset: Int?
    /// The session.
    let sessionKey: String

    enum CodingKeys: String, CodingKey {
        case cursor = "cursor"
        case limit = "limit"
        case maxBytes = "maxBytes"
        case offset = "offset"
        case sessionKey = "sessionKey"
    }
}

/// Result of `chat.startup`.
// MARK: - GatewayChatStartupResult
struct GatewayChatStartupResult: Codable {
    /// Models of sessions that name none.
    let defaults: JSONAny
    /// Whether there are older ones.
    let hasMore: Bool
    /// Messages, oldest first.
    let messages: [JSONAny]
    /// What waits to be said: nothing, since what is said is a run at once.
    let pendingInputs: GatewayPendingInputs
    /// Its present conversation; absent when there is no such session.
    let sessionId: String?
    /// The session's row, as `sessions.list` has it.
    let sessionInfo: JSONAny
    /// The session, as it was asked for.
    let sessionKey: String
    /// How much the agent thinks, where the session says.
    let thinkingLevel: String?
    /// How many there are.
    let totalMessages: Int

    enum CodingKeys: String, CodingKey {
        case defaults = "defaults"
        case hasMore = "hasMore"
        case messages = "messages"
        case pendingInputs = "pendingInputs"
        case sessionId = "sessionId"
        case sessionInfo = "sessionInfo"
        case sessionKey = "sessionKey"
        case thinkingLevel = "thinkingLevel"
        case totalMessages = "totalMessages"
    }
}

/// What waits to be said: nothing, since what is said is a run at once.
///
/// Inputs that wait.
// MARK: - GatewayPendingInputs
struct GatewayPendingInputs: Codable {
    /// None.
    let items: [JSONAny]
    /// 0.
    let total: Int

    enum CodingKeys: String, CodingKey {
        case items = "items"
        case total = "total"
    }
}

/// Result of `commands.list`.
// MARK: - GatewayCommandsListResult
struct GatewayCommandsListResult: Codable {
    /// None.
    let commands: [JSONAny]

    enum CodingKeys: String, CodingKey {
        case commands = "commands"
    }
}

/// Result of `config.get`.
// MARK: - GatewayConfigGetResult
struct GatewayConfigGetResult: Codable {
    /// What is in force, defaults applied, secrets replaced.
    let config: JSONAny
    /// Whether it exists.
    let exists: Bool
    /// SHA-256 of the file in hex.
    let hash: String
    /// What is wrong with it.
    let issues: [GatewayConfigIssue]
    /// Always empty; clients expect the list.
    let legacyIssues: [GatewayConfigIssue]
    /// What it says, secrets replaced.
    let parsed: JSONAny
    /// The file: its path for admins, its name for others.
    let path: String
    /// Its text, secrets replaced; `null` without a file.
    let raw: String?
    /// Whether the gateway would start with it.
    let valid: Bool
    /// Always empty; clients expect the list.
    let warnings: [GatewayConfigIssue]

    enum CodingKeys: String, CodingKey {
        case config = "config"
        case exists = "exists"
        case hash = "hash"
        case issues = "issues"
        case legacyIssues = "legacyIssues"
        case parsed = "parsed"
        case path = "path"
        case raw = "raw"
        case valid = "valid"
        case warnings = "warnings"
    }
}

/// One thing that is wrong with a configuration.
// MARK: - GatewayConfigIssue
struct GatewayConfigIssue: Codable {
    /// What is wrong and what would be right.
    let message: String
    /// Dotted path of the key.
    let path: String

    enum CodingKeys: String, CodingKey {
        case message = "message"
        case path = "path"
    }
}

/// Result of `config.schema`.
// MARK: - GatewayConfigSchemaResult
struct GatewayConfigSchemaResult: Codable {
    /// When the schema came to be, as ISO 8601.
    let generatedAt: String
    /// JSON Schema of `config.toml`.
    let schema: JSONAny
    /// How a form may show each key, by its dotted path; `*` stands for any name, `[]` for an
    /// item.
    let uiHints: [String: GatewayHint]
    /// Version of the gateway.
    let version: String

    enum CodingKeys: String, CodingKey {
        case generatedAt = "generatedAt"
        case schema = "schema"
        case uiHints = "uiHints"
        case version = "version"
    }
}

/// How a form may show a key.
// MARK: - GatewayHint
struct GatewayHint: Codable {
    /// Few need it.
    let advanced: Bool?
    /// The heading it stands under.
    let group: String?
    /// What it does.
    let help: String?
    /// Its name for people.
    let label: String?
    /// Its place among its neighbours.
    let order: Int?
    /// What is typed must not be shown.
    let sensitive: Bool?

    enum CodingKeys: String, CodingKey {
        case advanced = "advanced"
        case group = "group"
        case help = "help"
        case label = "label"
        case order = "order"
        case sensitive = "sensitive"
    }
}

// MARK: - GatewayConnectChallengeEvent
struct GatewayConnectChallengeEvent: Codable {
    /// What a device signs.
    let nonce: String
    /// Milliseconds since the epoch.
    let ts: Int

    enum CodingKeys: String, CodingKey {
        case nonce = "nonce"
        case ts = "ts"
    }
}

/// Parameters of `connect`.
// MARK: - GatewayConnectParams
struct GatewayConnectParams: Codable {
    /// Credentials.
    let auth: GatewayCredentials?
    /// Capabilities; they widen what is sent and are never an authorization.
    let caps: [String]?
    /// What program connects.
    let client: GatewayClientInfo
    /// Commands a node can be asked to run.
    let commands: [String]?
    /// Protocol 4: accepted and passed over.
    let computerUse: JSONAny?
    /// The device that signs this connection.
    let device: GatewayDeviceProof?
    /// The user's locale.
    let locale: String?
    /// Highest protocol version the client speaks.
    let maxProtocol: Int
    /// Lowest protocol version the client speaks.
    let minProtocol: Int
    /// Protocol 4: accepted and passed over.
    let modelCatalog: JSONAny?
    /// A node's `PATH`.
    let pathEnv: String?
    /// Permissions a node holds on its system.
    let permissions: [String: Bool]?
    /// `operator` (the default) or `node`.
    let role: String?
    /// Scopes asked for: an upper bound of what is granted.
    let scopes: [String]?
    /// The client's user agent.
    let userAgent: String?
    /// Protocol 4: accepted and passed over.
    let workerRuns: JSONAny?

    enum CodingKeys: String, CodingKey {
        case auth = "auth"
        case caps = "caps"
        case client = "client"
        case commands = "commands"
        case computerUse = "computerUse"
        case device = "device"
        case locale = "locale"
        case maxProtocol = "maxProtocol"
        case minProtocol = "minProtocol"
        case modelCatalog = "modelCatalog"
        case pathEnv = "pathEnv"
        case permissions = "permissions"
        case role = "role"
        case scopes = "scopes"
        case userAgent = "userAgent"
        case workerRuns = "workerRuns"
    }
}

/// Credentials.
///
/// Credentials. Never printed: the [`Debug`] form names only what is present.
// MARK: - GatewayCredentials
struct GatewayCredentials: Codable {
    /// Protocol 4: in-process helpers only.
    let agentRuntimeIdentityToken: String?
    /// Protocol 4: in-process helpers only.
    let approvalRuntimeToken: String?
    /// Protocol 4: a setup code's token.
    let bootstrapToken: String?
    /// Protocol 4: a device token.
    let deviceToken: String?
    /// The shared password.
    let password: String?
    /// The shared token, or a device token.
    let token: String?

    enum CodingKeys: String, CodingKey {
        case agentRuntimeIdentityToken = "agentRuntimeIdentityToken"
        case approvalRuntimeToken = "approvalRuntimeToken"
        case bootstrapToken = "bootstrapToken"
        case deviceToken = "deviceToken"
        case password = "password"
        case token = "token"
    }
}

/// What program connects.
// MARK: - GatewayClientInfo
struct GatewayClientInfo: Codable {
    /// Protocol 4: build of the page.
    let buildId: String?
    /// Kind of device.
    let deviceFamily: String?
    /// A name for people.
    let displayName: String?
    let id: GatewayClientInfoId
    /// Tells two instances of one program apart.
    let instanceId: String?
    /// One of [`protocol::CLIENT_MODES`].
    let mode: GatewayClientInfoMode
    /// Model of the device.
    let modelIdentifier: String?
    /// The system it runs on, in the client's own words.
    let platform: String
    /// Protocol 4: the user's time zone.
    let timeZone: String?
    /// The program's version.
    let version: String

    enum CodingKeys: String, CodingKey {
        case buildId = "buildId"
        case deviceFamily = "deviceFamily"
        case displayName = "displayName"
        case id = "id"
        case instanceId = "instanceId"
        case mode = "mode"
        case modelIdentifier = "modelIdentifier"
        case platform = "platform"
        case timeZone = "timeZone"
        case version = "version"
    }
}

enum GatewayClientInfoId: String, Codable {
    case clawdbotAndroid = "clawdbot-android"
    case clawdbotBrowserCopilot = "clawdbot-browser-copilot"
    case clawdbotControlUi = "clawdbot-control-ui"
    case clawdbotIos = "clawdbot-ios"
    case clawdbotLinux = "clawdbot-linux"
    case clawdbotMacos = "clawdbot-macos"
    case clawdbotProbe = "clawdbot-probe"
    case clawdbotWatchos = "clawdbot-watchos"
    case clawdbotWorker = "clawdbot-worker"
    case cli = "cli"
    case fingerprint = "fingerprint"
    case gatewayClient = "gateway-client"
    case moltbotAndroid = "moltbot-android"
    case moltbotBrowserCopilot = "moltbot-browser-copilot"
    case moltbotControlUi = "moltbot-control-ui"
    case moltbotIos = "moltbot-ios"
    case moltbotLinux = "moltbot-linux"
    case moltbotMacos = "moltbot-macos"
    case moltbotProbe = "moltbot-probe"
    case moltbotWatchos = "moltbot-watchos"
    case moltbotWorker = "moltbot-worker"
    case nodeHost = "node-host"
    case openclawAndroid = "openclaw-android"
    case openclawBrowserCopilot = "openclaw-browser-copilot"
    case openclawControlUi = "openclaw-control-ui"
    case openclawIos = "openclaw-ios"
    case openclawLinux = "openclaw-linux"
    case openclawMacos = "openclaw-macos"
    case openclawProbe = "openclaw-probe"
    case openclawTui = "openclaw-tui"
    case openclawWatchos = "openclaw-watchos"
    case openclawWorker = "openclaw-worker"
    case test = "test"
    case webchat = "webchat"
    case webchatUi = "webchat-ui"
}

/// One of [`protocol::CLIENT_MODES`].
enum GatewayClientInfoMode: String, Codable {
    case backend = "backend"
    case cli = "cli"
    case node = "node"
    case probe = "probe"
    case test = "test"
    case ui = "ui"
    case webchat = "webchat"
    case worker = "worker"
}

/// The device that signs this connection.
///
/// A device and its signature over the text of [`crate::device`].
// MARK: - GatewayDeviceProof
struct GatewayDeviceProof: Codable {
    /// Lower-case hex SHA-256 of the raw public key.
    let id: String
    /// The nonce of this socket's challenge.
    let nonce: String?
    /// Ed25519 public key: 32 bytes as base64url or base64, or a PEM SPKI text.
    let publicKey: String
    /// 64 bytes as base64url or base64.
    let signature: String
    /// When it was signed, in milliseconds since the epoch.
    let signedAt: Int

    enum CodingKeys: String, CodingKey {
        case id = "id"
        case nonce = "nonce"
        case publicKey = "publicKey"
        case signature = "signature"
        case signedAt = "signedAt"
    }
}

/// Payload of the event `cron`.
// MARK: - GatewayCronEvent
struct GatewayCronEvent: Codable {
    /// `added`, `updated`, `removed`, `started` or `finished`.
    let action: String
    /// How long it took.
    let durationMs: Int?
    /// Why it failed or was passed over.
    let error: String?
    /// The job.
    let jobId: String
    /// When the job is due next.
    let nextRunAtMs: Int?
    /// When the run began.
    let runAtMs: Int?
    /// How it ended.
    let status: GatewayRunStatus?
    /// What came of it.
    let summary: String?

    enum CodingKeys: String, CodingKey {
        case action = "action"
        case durationMs = "durationMs"
        case error = "error"
        case jobId = "jobId"
        case nextRunAtMs = "nextRunAtMs"
        case runAtMs = "runAtMs"
        case status = "status"
        case summary = "summary"
    }
}

/// Well.
///
/// It failed.
///
/// It was passed over.
///
/// How a run ended.
enum GatewayRunStatus: String, Codable {
    case error = "error"
    case ok = "ok"
    case skipped = "skipped"
}

/// Which job: `id` or `jobId`.
// MARK: - GatewayCronGetParams
struct GatewayCronGetParams: Codable {
    /// The job.
    let id: String?
    /// The same.
    let jobId: String?

    enum CodingKeys: String, CodingKey {
        case id = "id"
        case jobId = "jobId"
    }
}

/// Parameters of `cron.list`; all but the first are of protocol 4.
// MARK: - GatewayCronListParams
struct GatewayCronListParams: Codable {
    /// Those of an agent.
    let agentId: String?
    /// With what a list shows on top.
    let compact: Bool?
    /// `all`, `enabled` or `disabled`.
    let enabled: String?
    /// Nothing is shown of where answers would go.
    let includeDeliveryPreviews: Bool?
    /// Whether disabled ones are listed.
    let includeDisabled: Bool?
    /// At most so many.
    let limit: Int?
    /// Without the first so many.
    let offset: Int?
    /// Those with this in their name, description or id.
    let query: String?
    /// `nextRunAtMs`, `updatedAtMs` or `name`.
    let sortBy: String?
    /// `asc` or `desc`.
    let sortDir: String?

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case compact = "compact"
        case enabled = "enabled"
        case includeDeliveryPreviews = "includeDeliveryPreviews"
        case includeDisabled = "includeDisabled"
        case limit = "limit"
        case offset = "offset"
        case query = "query"
        case sortBy = "sortBy"
        case sortDir = "sortDir"
    }
}

/// Which job: `id` or `jobId`.
// MARK: - GatewayCronRemoveParams
struct GatewayCronRemoveParams: Codable {
    /// The job.
    let id: String?
    /// The same.
    let jobId: String?

    enum CodingKeys: String, CodingKey {
        case id = "id"
        case jobId = "jobId"
    }
}

/// What became of a job that was to go.
// MARK: - GatewayCronRemoveResult
struct GatewayCronRemoveResult: Codable {
    /// Always true.
    let ok: Bool
    /// Whether there was such a job.
    let removed: Bool

    enum CodingKeys: String, CodingKey {
        case ok = "ok"
        case removed = "removed"
    }
}

/// Parameters of `cron.run`.
// MARK: - GatewayCronRunParams
struct GatewayCronRunParams: Codable {
    /// The job.
    let id: String?
    /// The same.
    let jobId: String?
    /// Whether it runs only if it is due; clients of 3 mean `due` when they say nothing, those
    /// of 4 `force`.
    let mode: GatewayRunMode?

    enum CodingKeys: String, CodingKey {
        case id = "id"
        case jobId = "jobId"
        case mode = "mode"
    }
}

/// If it is due.
///
/// In any case.
///
/// When a job that somebody names runs.
enum GatewayRunMode: String, Codable {
    case due = "due"
    case force = "force"
}

/// Parameters of `cron.runs`; those from `scope` on are of protocol 4.
// MARK: - GatewayCronRunsParams
struct GatewayCronRunsParams: Codable {
    /// The job.
    let id: String?
    /// The same.
    let jobId: String?
    /// At most so many.
    let limit: Int?
    /// Without the first so many.
    let offset: Int?
    /// Those with this in the job's name, the summary or the error.
    let query: String?
    /// One run.
    let runId: String?
    /// `job` or `all`.
    let scope: String?
    /// `desc` (the latest first) or `asc`.
    let sortDir: String?
    /// `ok`, `error`, `skipped` or `all`.
    let status: String?
    /// Any of these.
    let statuses: [String]?

    enum CodingKeys: String, CodingKey {
        case id = "id"
        case jobId = "jobId"
        case limit = "limit"
        case offset = "offset"
        case query = "query"
        case runId = "runId"
        case scope = "scope"
        case sortDir = "sortDir"
        case status = "status"
        case statuses = "statuses"
    }
}

/// How jobs do.
// MARK: - GatewayCronStatusResult
struct GatewayCronStatusResult: Codable {
    /// Whether they run by themselves.
    let enabled: Bool
    /// How many there are.
    let jobs: Int
    /// When the next one is due.
    let nextWakeAtMs: Int?
    /// The same place, for clients of protocol 4.
    let sqlitePath: String?
    /// `sqlite`, for clients of protocol 4.
    let storage: String?
    /// Where they are kept, from the state folder on.
    let storePath: String
    /// Whether other things than time start jobs: they do not.
    let triggersEnabled: Bool?

    enum CodingKeys: String, CodingKey {
        case enabled = "enabled"
        case jobs = "jobs"
        case nextWakeAtMs = "nextWakeAtMs"
        case sqlitePath = "sqlitePath"
        case storage = "storage"
        case storePath = "storePath"
        case triggersEnabled = "triggersEnabled"
    }
}

/// Parameters of `device.pair.approve`.
// MARK: - GatewayDevicePairApproveParams
struct GatewayDevicePairApproveParams: Codable {
    /// Id of the request.
    let requestId: String
    /// Fewer scopes than asked for; absent grants what was asked.
    let scopes: [String]?

    enum CodingKeys: String, CodingKey {
        case requestId = "requestId"
        case scopes = "scopes"
    }
}

/// A device that was approved.
// MARK: - GatewayDevicePairApproveResult
struct GatewayDevicePairApproveResult: Codable {
    /// The device.
    let device: GatewayPairedDevice
    /// Id of the request.
    let requestId: String

    enum CodingKeys: String, CodingKey {
        case device = "device"
        case requestId = "requestId"
    }
}

/// The device.
///
/// A paired device.
// MARK: - GatewayPairedDevice
struct GatewayPairedDevice: Codable {
    /// When it was last approved.
    let approvedAtMs: Int
    /// `silent` (a device of this machine), `owner` (an operator decided) or `bootstrap` (it
    /// showed a setup code).
    let approvedVia: String?
    /// `client.id`
    let clientId: String?
    /// `client.mode`
    let clientMode: String?
    /// When it was first approved.
    let createdAtMs: Int
    /// Kind of device.
    let deviceFamily: String?
    /// Id of the device.
    let deviceId: String
    /// Its name.
    let displayName: String?
    /// A label given by an operator.
    let label: String?
    /// When it last connected.
    let lastSeenAtMs: Int?
    /// Its system.
    let platform: String?
    /// Its public key, base64url.
    let publicKey: String
    /// Address it last connected from.
    let remoteIp: String?
    /// Role it last connected with.
    let role: String?
    /// Approved roles.
    let roles: [String]?
    /// Approved scopes.
    let scopes: [String]?
    /// Its tokens, without the tokens themselves, sorted by role.
    let tokens: [GatewayTokenSummary]?

    enum CodingKeys: String, CodingKey {
        case approvedAtMs = "approvedAtMs"
        case approvedVia = "approvedVia"
        case clientId = "clientId"
        case clientMode = "clientMode"
        case createdAtMs = "createdAtMs"
        case deviceFamily = "deviceFamily"
        case deviceId = "deviceId"
        case displayName = "displayName"
        case label = "label"
        case lastSeenAtMs = "lastSeenAtMs"
        case platform = "platform"
        case publicKey = "publicKey"
        case remoteIp = "remoteIp"
        case role = "role"
        case roles = "roles"
        case scopes = "scopes"
        case tokens = "tokens"
    }
}

/// A token's record.
// MARK: - GatewayTokenSummary
struct GatewayTokenSummary: Codable {
    /// When it was first minted.
    let createdAtMs: Int
    /// When it was last used.
    let lastUsedAtMs: Int?
    /// When it was revoked.
    let revokedAtMs: Int?
    /// The role it is for.
    let role: String
    /// When it was replaced.
    let rotatedAtMs: Int?
    /// Its scopes, sorted.
    let scopes: [String]

    enum CodingKeys: String, CodingKey {
        case createdAtMs = "createdAtMs"
        case lastUsedAtMs = "lastUsedAtMs"
        case revokedAtMs = "revokedAtMs"
        case role = "role"
        case rotatedAtMs = "rotatedAtMs"
        case scopes = "scopes"
    }
}

/// Pending requests and paired devices.
// MARK: - GatewayDevicePairListResult
struct GatewayDevicePairListResult: Codable {
    /// Last approved first.
    let paired: [GatewayPairedDevice]
    /// Newest first.
    let pending: [GatewayPendingDevice]

    enum CodingKeys: String, CodingKey {
        case paired = "paired"
        case pending = "pending"
    }
}

/// A device that waits for approval.
// MARK: - GatewayPendingDevice
struct GatewayPendingDevice: Codable {
    /// `client.id`
    let clientId: String?
    /// `client.mode`
    let clientMode: String?
    /// Kind of device.
    let deviceFamily: String?
    /// Id of the device.
    let deviceId: String
    /// Its name.
    let displayName: String?
    /// Whether the device was paired before.
    let isRepair: Bool?
    /// Its system.
    let platform: String?
    /// Its public key, base64url.
    let publicKey: String
    /// Address, absent for local connections.
    let remoteIp: String?
    /// Id of the request.
    let requestId: String
    /// Role asked for.
    let role: String?
    /// Roles asked for.
    let roles: [String]?
    /// Scopes asked for.
    let scopes: [String]?
    /// Whether it may be approved without a human.
    let silent: Bool?
    /// When it asked, in milliseconds since the epoch.
    let ts: Int

    enum CodingKeys: String, CodingKey {
        case clientId = "clientId"
        case clientMode = "clientMode"
        case deviceFamily = "deviceFamily"
        case deviceId = "deviceId"
        case displayName = "displayName"
        case isRepair = "isRepair"
        case platform = "platform"
        case publicKey = "publicKey"
        case remoteIp = "remoteIp"
        case requestId = "requestId"
        case role = "role"
        case roles = "roles"
        case scopes = "scopes"
        case silent = "silent"
        case ts = "ts"
    }
}

/// Parameters of `device.pair.reject`.
// MARK: - GatewayDevicePairRejectParams
struct GatewayDevicePairRejectParams: Codable {
    /// Id of the request.
    let requestId: String

    enum CodingKeys: String, CodingKey {
        case requestId = "requestId"
    }
}

/// A device that was rejected.
// MARK: - GatewayDevicePairRejectResult
struct GatewayDevicePairRejectResult: Codable {
    /// The device.
    let deviceId: String
    /// Id of the request.
    let requestId: String

    enum CodingKeys: String, CodingKey {
        case deviceId = "deviceId"
        case requestId = "requestId"
    }
}

/// Parameters of `device.pair.remove`.
// MARK: - GatewayDevicePairRemoveParams
struct GatewayDevicePairRemoveParams: Codable {
    /// The device.
    let deviceId: String

    enum CodingKeys: String, CodingKey {
        case deviceId = "deviceId"
    }
}

/// A device.
// MARK: - GatewayDevicePairRemoveResult
struct GatewayDevicePairRemoveResult: Codable {
    /// Its id.
    let deviceId: String

    enum CodingKeys: String, CodingKey {
        case deviceId = "deviceId"
    }
}

/// Parameters of `device.pair.rename`.
// MARK: - GatewayDevicePairRenameParams
struct GatewayDevicePairRenameParams: Codable {
    /// The device.
    let deviceId: String
    /// Its new label.
    let label: String

    enum CodingKeys: String, CodingKey {
        case deviceId = "deviceId"
        case label = "label"
    }
}

/// A device and its label.
// MARK: - GatewayDevicePairRenameResult
struct GatewayDevicePairRenameResult: Codable {
    /// Its id.
    let deviceId: String
    /// At most 64 characters.
    let label: String

    enum CodingKeys: String, CodingKey {
        case deviceId = "deviceId"
        case label = "label"
    }
}

/// A device that waits for approval.
// MARK: - GatewayDevicePairRequestedEvent
struct GatewayDevicePairRequestedEvent: Codable {
    /// `client.id`
    let clientId: String?
    /// `client.mode`
    let clientMode: String?
    /// Kind of device.
    let deviceFamily: String?
    /// Id of the device.
    let deviceId: String
    /// Its name.
    let displayName: String?
    /// Whether the device was paired before.
    let isRepair: Bool?
    /// Its system.
    let platform: String?
    /// Its public key, base64url.
    let publicKey: String
    /// Address, absent for local connections.
    let remoteIp: String?
    /// Id of the request.
    let requestId: String
    /// Role asked for.
    let role: String?
    /// Roles asked for.
    let roles: [String]?
    /// Scopes asked for.
    let scopes: [String]?
    /// Whether it may be approved without a human.
    let silent: Bool?
    /// When it asked, in milliseconds since the epoch.
    let ts: Int

    enum CodingKeys: String, CodingKey {
        case clientId = "clientId"
        case clientMode = "clientMode"
        case deviceFamily = "deviceFamily"
        case deviceId = "deviceId"
        case displayName = "displayName"
        case isRepair = "isRepair"
        case platform = "platform"
        case publicKey = "publicKey"
        case remoteIp = "remoteIp"
        case requestId = "requestId"
        case role = "role"
        case roles = "roles"
        case scopes = "scopes"
        case silent = "silent"
        case ts = "ts"
    }
}

/// Payload of `host.pairing.resolved`.
// MARK: - GatewayDevicePairResolvedEvent
struct GatewayDevicePairResolvedEvent: Codable {
    /// `approved` or `rejected`.
    let decision: String
    /// The device.
    let deviceId: String
    /// Id of the request.
    let requestId: String
    /// When, in milliseconds since the epoch.
    let ts: Int

    enum CodingKeys: String, CodingKey {
        case decision = "decision"
        case deviceId = "deviceId"
        case requestId = "requestId"
        case ts = "ts"
    }
}

/// Parameters of `device.pair.setupCode`.
// MARK: - GatewayDevicePairSetupCodeParams
struct GatewayDevicePairSetupCodeParams: Codable {
    /// A name for the device.
    let label: String?
    /// `operator` (the default) or `node`.
    let role: String?
    /// What an operator may do at most; absent is to read and to write.
    let scopes: [String]?
    /// Where the device reaches the gateway: `ws://HOST:PORT` or `wss://HOST:PORT`.
    let url: String?

    enum CodingKeys: String, CodingKey {
        case label = "label"
        case role = "role"
        case scopes = "scopes"
        case url = "url"
    }
}

/// A setup code.
// MARK: - GatewayDevicePairSetupCodeResult
struct GatewayDevicePairSetupCodeResult: Codable {
    /// When it is worth nothing any more, in milliseconds since the epoch.
    let expiresAtMs: Int
    /// The role it is for.
    let role: String
    /// What it grants at most.
    let scopes: [String]
    /// What the device is given: base64url of JSON with `url`, `bootstrapToken` and perhaps
    /// `tlsSha256`.
    let setupCode: String
    /// SHA-256 of the certificate that the device trusts by it: `sha256:` and 64 hexadecimal
    /// digits.
    let tlsFingerprint: String?
    /// Where it leads.
    let url: String

    enum CodingKeys: String, CodingKey {
        case expiresAtMs = "expiresAtMs"
        case role = "role"
        case scopes = "scopes"
        case setupCode = "setupCode"
        case tlsFingerprint = "tlsFingerprint"
        case url = "url"
    }
}

/// Parameters of `device.token.revoke`.
// MARK: - GatewayDeviceTokenRevokeParams
struct GatewayDeviceTokenRevokeParams: Codable {
    /// The device.
    let deviceId: String
    /// The role the token is for.
    let role: String

    enum CodingKeys: String, CodingKey {
        case deviceId = "deviceId"
        case role = "role"
    }
}

/// A revoked token.
// MARK: - GatewayDeviceTokenRevokeResult
struct GatewayDeviceTokenRevokeResult: Codable {
    /// The device.
    let deviceId: String
    /// When, in milliseconds since the epoch.
    let revokedAtMs: Int
    /// The role.
    let role: String

    enum CodingKeys: String, CodingKey {
        case deviceId = "deviceId"
        case revokedAtMs = "revokedAtMs"
        case role = "role"
    }
}

/// Parameters of `device.token.rotate`.
// MARK: - GatewayDeviceTokenRotateParams
struct GatewayDeviceTokenRotateParams: Codable {
    /// The device.
    let deviceId: String
    /// The role the token is for.
    let role: String
    /// Scopes of the new token; absent keeps those of the old one.
    let scopes: [String]?

    enum CodingKeys: String, CodingKey {
        case deviceId = "deviceId"
        case role = "role"
        case scopes = "scopes"
    }
}

/// A replaced token.
// MARK: - GatewayDeviceTokenRotateResult
struct GatewayDeviceTokenRotateResult: Codable {
    /// The device.
    let deviceId: String
    /// The role.
    let role: String
    /// When, in milliseconds since the epoch.
    let rotatedAtMs: Int
    /// Scopes of the new token.
    let scopes: [String]
    /// The new token, only when the device itself asked.
    let token: String?
    /// `in-band` or `withheld-cross-device`.
    let tokenDelivery: String

    enum CodingKeys: String, CodingKey {
        case deviceId = "deviceId"
        case role = "role"
        case rotatedAtMs = "rotatedAtMs"
        case scopes = "scopes"
        case token = "token"
        case tokenDelivery = "tokenDelivery"
    }
}

/// Why a request failed. It is data, not a `std::error::Error`: what goes on the wire is
/// chosen, never converted by
/// accident. Optional fields are left out, never `null`: clients drop a frame with
/// `"error":null` in it.
// MARK: - GatewayErrorShape
struct GatewayErrorShape: Codable {
    /// One of [`code`], or a code a plugin documents.
    let code: String
    /// Facts for programs; usually an object with a `code` of its own.
    let details: JSONAny?
    /// A sentence for people. Clients search some of these texts, so they are part of the
    /// contract.
    let message: String
    /// Whether the same request may succeed later.
    let retryable: Bool?
    /// When to try again, in milliseconds from now.
    let retryAfterMs: Int?

    enum CodingKeys: String, CodingKey {
        case code = "code"
        case details = "details"
        case message = "message"
        case retryable = "retryable"
        case retryAfterMs = "retryAfterMs"
    }
}

/// Which request.
// MARK: - GatewayExecApprovalGetParams
struct GatewayExecApprovalGetParams: Codable {
    /// Its id.
    let id: String

    enum CodingKeys: String, CodingKey {
        case id = "id"
    }
}

/// A request that waits, as whoever decides looks at it.
// MARK: - GatewayExecApprovalGetResult
struct GatewayExecApprovalGetResult: Codable {
    /// The agent that wants it.
    let agentId: String?
    /// What may be decided.
    let allowedDecisions: [GatewayDecision]
    /// A shorter form of it.
    let commandPreview: String?
    /// The command as it is shown.
    let commandText: String
    /// When it is too late to decide, in milliseconds since the epoch.
    let expiresAtMs: Int
    /// Where it would run.
    let host: String?
    /// Its id.
    let id: String
    /// The node that would run it.
    let nodeId: String?

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case allowedDecisions = "allowedDecisions"
        case commandPreview = "commandPreview"
        case commandText = "commandText"
        case expiresAtMs = "expiresAtMs"
        case host = "host"
        case id = "id"
        case nodeId = "nodeId"
    }
}

/// What an operator may decide.
///
/// The decision.
///
/// This run and no other.
///
/// This run and those like it.
///
/// It may not.
enum GatewayDecision: String, Codable {
    case allowAlways = "allow-always"
    case allowOnce = "allow-once"
    case deny = "deny"
}

/// A request as operators see it: payload of `exec.approval.requested`.
// MARK: - GatewayPending
struct GatewayPending: Codable {
    /// When it was asked, in milliseconds since the epoch.
    let createdAtMs: Int
    /// When it is too late to decide.
    let expiresAtMs: Int
    /// Its id.
    let id: String
    /// What is asked.
    let request: GatewayExecApprovalListRequest

    enum CodingKeys: String, CodingKey {
        case createdAtMs = "createdAtMs"
        case expiresAtMs = "expiresAtMs"
        case id = "id"
        case request = "request"
    }
}

/// What is asked.
// MARK: - GatewayExecApprovalListRequest
struct GatewayExecApprovalListRequest: Codable {
    /// The agent that wants it.
    let agentId: String?
    /// When operators are asked there.
    let ask: String?
    /// The command as it is shown. Characters that would deceive whoever reads it are written
    /// out, as `\u{202e}`.
    let command: String
    /// The command's words.
    let commandArgv: [String]?
    /// The folder it would run in.
    let cwd: String?
    /// Where it would run.
    let host: String?
    /// The node that would run it.
    let nodeId: String?
    /// The program that would run.
    let resolvedPath: String?
    /// The security mode in force.
    let security: String?
    /// The session that wants it.
    let sessionKey: String?
    /// What exactly a node would run.
    let systemRunPlan: GatewayPlan?

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case ask = "ask"
        case command = "command"
        case commandArgv = "commandArgv"
        case cwd = "cwd"
        case host = "host"
        case nodeId = "nodeId"
        case resolvedPath = "resolvedPath"
        case security = "security"
        case sessionKey = "sessionKey"
        case systemRunPlan = "systemRunPlan"
    }
}

/// What exactly a node would run.
// MARK: - GatewayPlan
struct GatewayPlan: Codable {
    /// The agent.
    let agentId: String?
    /// The command's words.
    let argv: [String]
    /// A shorter form of it.
    let commandPreview: String?
    /// The command as it is shown.
    let commandText: String?
    /// The folder.
    let cwd: String?
    /// The session.
    let sessionKey: String?

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case argv = "argv"
        case commandPreview = "commandPreview"
        case commandText = "commandText"
        case cwd = "cwd"
        case sessionKey = "sessionKey"
    }
}

/// Parameters of `exec.approval.request`.
// MARK: - GatewayExecApprovalRequestParams
struct GatewayExecApprovalRequestParams: Codable {
    /// The agent that wants it.
    let agentId: String?
    /// When operators are asked there.
    let ask: String?
    /// The command as it is shown; with `systemRunPlan` or `commandArgv` it may be absent.
    let command: String?
    /// The command's words.
    let commandArgv: [String]?
    /// The folder it would run in.
    let cwd: String?
    /// Where it would run, such as `gateway` or `node`.
    let host: String?
    /// Id of the request; made up if absent.
    let id: String?
    /// The node that would run it.
    let nodeId: String?
    /// The program that would run.
    let resolvedPath: String?
    /// The security mode in force.
    let security: String?
    /// The session that wants it.
    let sessionKey: String?
    /// What exactly a node would run.
    let systemRunPlan: GatewayPlan?
    /// Milliseconds until it is too late to decide; 120,000 unless configured.
    let timeoutMs: Int?
    /// Whether to answer first that it was accepted.
    let twoPhase: Bool?

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case ask = "ask"
        case command = "command"
        case commandArgv = "commandArgv"
        case cwd = "cwd"
        case host = "host"
        case id = "id"
        case nodeId = "nodeId"
        case resolvedPath = "resolvedPath"
        case security = "security"
        case sessionKey = "sessionKey"
        case systemRunPlan = "systemRunPlan"
        case timeoutMs = "timeoutMs"
        case twoPhase = "twoPhase"
    }
}

/// What was decided.
// MARK: - GatewayExecApprovalRequestResult
struct GatewayExecApprovalRequestResult: Codable {
    /// When it was asked, in milliseconds since the epoch.
    let createdAtMs: Int
    /// The decision; null when nobody decided in time.
    let decision: GatewayDecision?
    /// When it was too late to decide.
    let expiresAtMs: Int
    /// Id of the request.
    let id: String

    enum CodingKeys: String, CodingKey {
        case createdAtMs = "createdAtMs"
        case decision = "decision"
        case expiresAtMs = "expiresAtMs"
        case id = "id"
    }
}

/// A request as operators see it: payload of `exec.approval.requested`.
// MARK: - GatewayExecApprovalRequestedEvent
struct GatewayExecApprovalRequestedEvent: Codable {
    /// When it was asked, in milliseconds since the epoch.
    let createdAtMs: Int
    /// When it is too late to decide.
    let expiresAtMs: Int
    /// Its id.
    let id: String
    /// What is asked.
    let request: GatewayExecApprovalRequestedRequest

    enum CodingKeys: String, CodingKey {
        case createdAtMs = "createdAtMs"
        case expiresAtMs = "expiresAtMs"
        case id = "id"
        case request = "request"
    }
}

/// What is asked.
// MARK: - GatewayExecApprovalRequestedRequest
struct GatewayExecApprovalRequestedRequest: Codable {
    /// The agent that wants it.
    let agentId: String?
    /// When operators are asked there.
    let ask: String?
    /// The command as it is shown. Characters that would deceive whoever reads it are written
    /// out, as `\u{202e}`.
    let command: String
    /// The command's words.
    let commandArgv: [String]?
    /// The folder it would run in.
    let cwd: String?
    /// Where it would run.
    let host: String?
    /// The node that would run it.
    let nodeId: String?
    /// The program that would run.
    let resolvedPath: String?
    /// The security mode in force.
    let security: String?
    /// The session that wants it.
    let sessionKey: String?
    /// What exactly a node would run.
    let systemRunPlan: GatewayPlan?

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case ask = "ask"
        case command = "command"
        case commandArgv = "commandArgv"
        case cwd = "cwd"
        case host = "host"
        case nodeId = "nodeId"
        case resolvedPath = "resolvedPath"
        case security = "security"
        case sessionKey = "sessionKey"
        case systemRunPlan = "systemRunPlan"
    }
}

/// Parameters of `exec.approval.resolve`.
// MARK: - GatewayExecApprovalResolveParams
struct GatewayExecApprovalResolveParams: Codable {
    /// `allow-once`, `allow-always` or `deny`.
    let decision: String
    /// Id of the request.
    let id: String

    enum CodingKeys: String, CodingKey {
        case decision = "decision"
        case id = "id"
    }
}

/// It is done.
// MARK: - GatewayExecApprovalResolveResult
struct GatewayExecApprovalResolveResult: Codable {
    /// Always true.
    let ok: Bool

    enum CodingKeys: String, CodingKey {
        case ok = "ok"
    }
}

/// Payload of `exec.approval.resolved`.
// MARK: - GatewayExecApprovalResolvedEvent
struct GatewayExecApprovalResolvedEvent: Codable {
    /// The decision.
    let decision: GatewayDecision
    /// Id of the request.
    let id: String
    /// Who decided.
    let resolvedBy: String?
    /// When, in milliseconds since the epoch.
    let ts: Int

    enum CodingKeys: String, CodingKey {
        case decision = "decision"
        case id = "id"
        case resolvedBy = "resolvedBy"
        case ts = "ts"
    }
}

/// Which request.
// MARK: - GatewayExecApprovalWaitDecisionParams
struct GatewayExecApprovalWaitDecisionParams: Codable {
    /// Its id.
    let id: String

    enum CodingKeys: String, CodingKey {
        case id = "id"
    }
}

/// What was decided.
// MARK: - GatewayExecApprovalWaitDecisionResult
struct GatewayExecApprovalWaitDecisionResult: Codable {
    /// When it was asked, in milliseconds since the epoch.
    let createdAtMs: Int
    /// The decision; null when nobody decided in time.
    let decision: GatewayDecision?
    /// When it was too late to decide.
    let expiresAtMs: Int
    /// Id of the request.
    let id: String

    enum CodingKeys: String, CodingKey {
        case createdAtMs = "createdAtMs"
        case decision = "decision"
        case expiresAtMs = "expiresAtMs"
        case id = "id"
    }
}

/// The file as clients see it.
// MARK: - GatewayExecApprovalsGetResult
struct GatewayExecApprovalsGetResult: Codable {
    /// Whether it is.
    let exists: Bool
    /// What it says, without the socket's token.
    let file: GatewayApprovalsFile
    /// SHA-256 of its text, in hex.
    let hash: String
    /// Where it is.
    let path: String

    enum CodingKeys: String, CodingKey {
        case exists = "exists"
        case file = "file"
        case hash = "hash"
        case path = "path"
    }
}

/// What it says, without the socket's token.
///
/// What the file says.
///
/// The file.
// MARK: - GatewayApprovalsFile
struct GatewayApprovalsFile: Codable {
    /// For one agent, by its id.
    let agents: [String: GatewayAgentRules]?
    /// For every agent.
    let defaults: GatewayExecApprovalsSetRules?
    /// Where a program asks the user.
    let socket: GatewaySocket?
    /// Always 1.
    let version: Int

    enum CodingKeys: String, CodingKey {
        case agents = "agents"
        case defaults = "defaults"
        case socket = "socket"
        case version = "version"
    }
}

/// An agent's rules.
// MARK: - GatewayAgentRules
struct GatewayAgentRules: Codable {
    /// Programs that may run.
    let allowlist: [GatewayAllowed]?
    /// `off`, `on-miss` or `always`: when operators are asked.
    let ask: String?
    /// What holds when nobody can be asked.
    let askFallback: String?
    /// Whether programs of skills may run.
    let autoAllowSkills: Bool?
    /// `deny`, `allowlist` or `full`.
    let security: String?

    enum CodingKeys: String, CodingKey {
        case allowlist = "allowlist"
        case ask = "ask"
        case askFallback = "askFallback"
        case autoAllowSkills = "autoAllowSkills"
        case security = "security"
    }
}

/// A program that may run. What is said beyond this is kept: it may bound what is allowed,
/// and leaving it out would allow
/// more.
// MARK: - GatewayAllowed
struct GatewayAllowed: Codable {
    /// Which programs.
    let pattern: String

    enum CodingKeys: String, CodingKey {
        case pattern = "pattern"
    }
}

/// What holds unless an agent has rules of its own.
// MARK: - GatewayExecApprovalsSetRules
struct GatewayExecApprovalsSetRules: Codable {
    /// `off`, `on-miss` or `always`: when operators are asked.
    let ask: String?
    /// What holds when nobody can be asked.
    let askFallback: String?
    /// Whether programs of skills may run.
    let autoAllowSkills: Bool?
    /// `deny`, `allowlist` or `full`.
    let security: String?

    enum CodingKeys: String, CodingKey {
        case ask = "ask"
        case askFallback = "askFallback"
        case autoAllowSkills = "autoAllowSkills"
        case security = "security"
    }
}

/// A program that asks the user.
// MARK: - GatewaySocket
struct GatewaySocket: Codable {
    /// Its path.
    let path: String?
    /// What lets in there; written, and never read out.
    let token: String?

    enum CodingKeys: String, CodingKey {
        case path = "path"
        case token = "token"
    }
}

/// What holds unless an agent has rules of its own.
// MARK: - GatewayExecApprovalsGetRules
struct GatewayExecApprovalsGetRules: Codable {
    /// `off`, `on-miss` or `always`: when operators are asked.
    let ask: String?
    /// What holds when nobody can be asked.
    let askFallback: String?
    /// Whether programs of skills may run.
    let autoAllowSkills: Bool?
    /// `deny`, `allowlist` or `full`.
    let security: String?

    enum CodingKeys: String, CodingKey {
        case ask = "ask"
        case askFallback = "askFallback"
        case autoAllowSkills = "autoAllowSkills"
        case security = "security"
    }
}

/// Parameters of `exec.approvals.node.get`.
// MARK: - GatewayExecApprovalsNodeGetParams
struct GatewayExecApprovalsNodeGetParams: Codable {
    /// The node.
    let nodeId: String

    enum CodingKeys: String, CodingKey {
        case nodeId = "nodeId"
    }
}

/// Parameters of `exec.approvals.node.set`.
// MARK: - GatewayExecApprovalsNodeSetParams
struct GatewayExecApprovalsNodeSetParams: Codable {
    /// Hash of the file that it replaces.
    let baseHash: String?
    /// The file, as the node understands it.
    let file: [String: JSONAny]
    /// The node.
    let nodeId: String

    enum CodingKeys: String, CodingKey {
        case baseHash = "baseHash"
        case file = "file"
        case nodeId = "nodeId"
    }
}

/// Parameters of `exec.approvals.set`.
// MARK: - GatewayExecApprovalsSetParams
struct GatewayExecApprovalsSetParams: Codable {
    /// Hash of the file that it replaces.
    let baseHash: String?
    /// The file.
    let file: GatewayApprovalsFile

    enum CodingKeys: String, CodingKey {
        case baseHash = "baseHash"
        case file = "file"
    }
}

/// The file as clients see it.
// MARK: - GatewayExecApprovalsSetResult
struct GatewayExecApprovalsSetResult: Codable {
    /// Whether it is.
    let exists: Bool
    /// What it says, without the socket's token.
    let file: GatewayApprovalsFile
    /// SHA-256 of its text, in hex.
    let hash: String
    /// Where it is.
    let path: String

    enum CodingKeys: String, CodingKey {
        case exists = "exists"
        case file = "file"
        case hash = "hash"
        case path = "path"
    }
}

/// How the gateway is doing. Clients take `ok` alone for "healthy".
// MARK: - GatewayHealthEvent
struct GatewayHealthEvent: Codable {
    /// The agents.
    let agents: [GatewayAgentHealth]
    /// Names of the channels by id.
    let channelLabels: [String: String]
    /// Ids of the channels in the order to show them in.
    let channelOrder: [String]
    /// Channels by id: `accountId`, `configured`, `linked`, `probe`, `lastError` and whatever
    /// else they tell.
    let channels: [String: [String: JSONAny]]
    /// The agent that is meant when none is named.
    let defaultAgentId: String
    /// How long finding it took.
    let durationMs: Int
    /// Seconds between two heartbeats of the default agent; 0 without.
    let heartbeatSeconds: Int
    /// Always true: a gateway that is not well does not answer.
    let ok: Bool
    /// How plugins are doing.
    let plugins: GatewayPluginsHealth
    /// Sessions of the default agent.
    let sessions: GatewaySessionsHealth
    /// When this was found, in milliseconds since the epoch.
    let ts: Int

    enum CodingKeys: String, CodingKey {
        case agents = "agents"
        case channelLabels = "channelLabels"
        case channelOrder = "channelOrder"
        case channels = "channels"
        case defaultAgentId = "defaultAgentId"
        case durationMs = "durationMs"
        case heartbeatSeconds = "heartbeatSeconds"
        case ok = "ok"
        case plugins = "plugins"
        case sessions = "sessions"
        case ts = "ts"
    }
}

/// How an agent is doing.
// MARK: - GatewayAgentHealth
struct GatewayAgentHealth: Codable {
    /// Its id.
    let agentId: String
    /// Its heartbeats.
    let heartbeat: GatewayHeartbeat
    /// Whether it is the one that is meant when none is named.
    let isDefault: Bool
    /// Its name.
    let name: String?
    /// Its sessions.
    let sessions: GatewaySessionsHealth

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case heartbeat = "heartbeat"
        case isDefault = "isDefault"
        case name = "name"
        case sessions = "sessions"
    }
}

/// Its heartbeats.
///
/// How heartbeats go; the answer of `heartbeat.settings`.
// MARK: - GatewayHeartbeat
struct GatewayHeartbeat: Codable {
    /// An answer of "all is well" with at most so many further characters is not passed on.
    let ackMaxChars: Int
    /// Whether they are on.
    let enabled: Bool
    /// How often, for people: `30m`, or `disabled`.
    let every: String
    /// Milliseconds between two; null when they are off.
    let everyMs: Int?
    /// What the agent is asked.
    let prompt: String
    /// Where an answer goes.
    let target: String

    enum CodingKeys: String, CodingKey {
        case ackMaxChars = "ackMaxChars"
        case enabled = "enabled"
        case every = "every"
        case everyMs = "everyMs"
        case prompt = "prompt"
        case target = "target"
    }
}

/// Its sessions.
///
/// Sessions in short.
///
/// Sessions of the default agent.
// MARK: - GatewaySessionsHealth
struct GatewaySessionsHealth: Codable {
    /// How many there are.
    let count: Int
    /// Where they are kept, without the way there; empty when no plugin keeps any.
    let path: String
    /// Those used last.
    let recent: [GatewayRecentSession]

    enum CodingKeys: String, CodingKey {
        case count = "count"
        case path = "path"
        case recent = "recent"
    }
}

/// A session that was used lately.
// MARK: - GatewayRecentSession
struct GatewayRecentSession: Codable {
    /// How long ago that is, in milliseconds.
    let age: Int?
    /// Its key.
    let key: String
    /// When it was last used, in milliseconds since the epoch.
    let updatedAt: Int?

    enum CodingKeys: String, CodingKey {
        case age = "age"
        case key = "key"
        case updatedAt = "updatedAt"
    }
}

/// How plugins are doing.
///
/// Plugins in short, closed as the schema of protocol 4 has it.
// MARK: - GatewayPluginsHealth
struct GatewayPluginsHealth: Codable {
    /// Those that could not run or were stopped, and those whose HTTP is not served, and why.
    let errors: [GatewayFailedPlugin]
    /// Ids of those that run.
    let loaded: [String]

    enum CodingKeys: String, CodingKey {
        case errors = "errors"
        case loaded = "loaded"
    }
}

/// A plugin that does not run although it should, or not as it should.
// MARK: - GatewayFailedPlugin
struct GatewayFailedPlugin: Codable {
    /// Whether it runs: then nobody listens on the port that its HTTP has to itself.
    let activated: Bool
    /// Why, without paths; the log has all of it.
    let error: String
    /// Its id.
    let id: String
    /// `linked` or `loaded`.
    let origin: String

    enum CodingKeys: String, CodingKey {
        case activated = "activated"
        case error = "error"
        case id = "id"
        case origin = "origin"
    }
}

/// Parameters of `health`: open.
// MARK: - GatewayHealthParams
struct GatewayHealthParams: Codable {
    /// `true`: channels contact their services.
    let probe: JSONAny?

    enum CodingKeys: String, CodingKey {
        case probe = "probe"
    }
}

/// How the gateway is doing. Clients take `ok` alone for "healthy".
// MARK: - GatewaySummary
struct GatewaySummary: Codable {
    /// The agents.
    let agents: [GatewayAgentHealth]
    /// Names of the channels by id.
    let channelLabels: [String: String]
    /// Ids of the channels in the order to show them in.
    let channelOrder: [String]
    /// Channels by id: `accountId`, `configured`, `linked`, `probe`, `lastError` and whatever
    /// else they tell.
    let channels: [String: [String: JSONAny]]
    /// The agent that is meant when none is named.
    let defaultAgentId: String
    /// How long finding it took.
    let durationMs: Int
    /// Seconds between two heartbeats of the default agent; 0 without.
    let heartbeatSeconds: Int
    /// Always true: a gateway that is not well does not answer.
    let ok: Bool
    /// How plugins are doing.
    let plugins: GatewayPluginsHealth
    /// Sessions of the default agent.
    let sessions: GatewaySessionsHealth
    /// When this was found, in milliseconds since the epoch.
    let ts: Int

    enum CodingKeys: String, CodingKey {
        case agents = "agents"
        case channelLabels = "channelLabels"
        case channelOrder = "channelOrder"
        case channels = "channels"
        case defaultAgentId = "defaultAgentId"
        case durationMs = "durationMs"
        case heartbeatSeconds = "heartbeatSeconds"
        case ok = "ok"
        case plugins = "plugins"
        case sessions = "sessions"
        case ts = "ts"
    }
}

/// What a heartbeat brought: payload of the event `heartbeat`.
// MARK: - GatewayHeartbeatEvent
struct GatewayHeartbeatEvent: Codable {
    /// The channel that the answer went through.
    let channel: String?
    /// How long it took.
    let durationMs: Int?
    /// Whether the answer had media.
    let hasMedia: Bool?
    /// What an indicator shows: `ok`, `alert` or `error`.
    let indicatorType: GatewayIndicator?
    /// The beginning of the answer.
    let preview: String?
    /// Why it was skipped or failed.
    let reason: String?
    /// Whether nobody was told.
    let silent: Bool?
    /// What came of it.
    let status: GatewayHeartbeatStatus
    /// Who got the answer.
    let to: String?
    /// When, in milliseconds since the epoch.
    let ts: Int

    enum CodingKeys: String, CodingKey {
        case channel = "channel"
        case durationMs = "durationMs"
        case hasMedia = "hasMedia"
        case indicatorType = "indicatorType"
        case preview = "preview"
        case reason = "reason"
        case silent = "silent"
        case status = "status"
        case to = "to"
        case ts = "ts"
    }
}

/// All is well.
///
/// Something needs attention.
///
/// The heartbeat failed.
///
/// What an indicator shows.
enum GatewayIndicator: String, Codable {
    case alert = "alert"
    case error = "error"
    case ok = "ok"
}

/// What came of it.
///
/// What came of a heartbeat.
///
/// An answer was passed on.
///
/// The answer was empty: nothing needs attention.
///
/// The answer was the word for "nothing needs attention".
///
/// It did not run.
///
/// It ran and failed.
enum GatewayHeartbeatStatus: String, Codable {
    case failed = "failed"
    case okEmpty = "ok-empty"
    case okToken = "ok-token"
    case sent = "sent"
    case skipped = "skipped"
}

/// The payload of the answer to an accepted `connect`.
// MARK: - GatewayHelloOk
struct GatewayHelloOk: Codable {
    /// What was granted. Protocol 3 sends it only together with a device token.
    let auth: GatewayGranted?
    /// Protocol 3: base of the canvas addresses.
    let canvasHostUrl: String?
    /// What can be asked and heard.
    let features: GatewayFeatures
    /// Protocol 4: addresses of what plugins show, by name.
    let pluginSurfaceUrls: [String: String]?
    /// Limits in force.
    let policy: GatewayPolicy
    /// The negotiated protocol version.
    let helloOkProtocol: Int
    /// The gateway.
    let server: GatewayServer
    /// State at the moment of joining.
    let snapshot: GatewaySnapshot
    /// Always `hello-ok`.
    let type: GatewayHelloOkType

    enum CodingKeys: String, CodingKey {
        case auth = "auth"
        case canvasHostUrl = "canvasHostUrl"
        case features = "features"
        case pluginSurfaceUrls = "pluginSurfaceUrls"
        case policy = "policy"
        case helloOkProtocol = "protocol"
        case server = "server"
        case snapshot = "snapshot"
        case type = "type"
    }
}

/// What was granted. Protocol 3 sends it only together with a device token.
///
/// What was granted to this connection.
// MARK: - GatewayGranted
struct GatewayGranted: Codable {
    /// Token to present next time in place of the shared secret.
    let deviceToken: String?
    /// When the token was minted, in milliseconds since the epoch.
    let issuedAtMs: Int?
    /// Role in force.
    let role: String
    /// Scopes of the token (protocol 3) or of the connection (protocol 4), sorted.
    let scopes: [String]

    enum CodingKeys: String, CodingKey {
        case deviceToken = "deviceToken"
        case issuedAtMs = "issuedAtMs"
        case role = "role"
        case scopes = "scopes"
    }
}

/// What can be asked and heard.
///
/// The sorted content of the registry.
// MARK: - GatewayFeatures
struct GatewayFeatures: Codable {
    /// Events that sockets may hear.
    let events: [String]
    /// Methods that sockets may call.
    let methods: [String]

    enum CodingKeys: String, CodingKey {
        case events = "events"
        case methods = "methods"
    }
}

/// Limits in force.
///
/// Limits in force for this connection.
// MARK: - GatewayPolicy
struct GatewayPolicy: Codable {
    /// Outbound backlog, in bytes, above which a connection is a slow consumer.
    let maxBufferedBytes: Int
    /// Largest message the gateway reads, in bytes.
    let maxPayload: Int
    /// Milliseconds between two `tick` events.
    let tickIntervalMs: Int

    enum CodingKeys: String, CodingKey {
        case maxBufferedBytes = "maxBufferedBytes"
        case maxPayload = "maxPayload"
        case tickIntervalMs = "tickIntervalMs"
    }
}

/// The gateway.
// MARK: - GatewayServer
struct GatewayServer: Codable {
    /// Protocol 3: commit the gateway was built from.
    let commit: String?
    /// Id of this connection.
    let connId: String
    /// Protocol 3: name of the machine.
    let host: String?
    /// The gateway's version.
    let version: String

    enum CodingKeys: String, CodingKey {
        case commit = "commit"
        case connId = "connId"
        case host = "host"
        case version = "version"
    }
}

/// State at the moment of joining.
// MARK: - GatewaySnapshot
struct GatewaySnapshot: Codable {
    /// Path of the configuration file; for admins.
    let configPath: String?
    /// The last health summary, `{}` before the first.
    let health: [String: JSONAny]
    /// Presence entries; see [`crate::PresenceEntry`].
    let presence: [GatewayPresenceEntry]
    /// What user interfaces derive their session key from.
    let sessionDefaults: GatewaySessionDefaults?
    /// Path of the state directory; for admins.
    let stateDir: String?
    /// Versions of both.
    let stateVersion: GatewayStateVersion
    /// How long the gateway has been running.
    let uptimeMs: Int

    enum CodingKeys: String, CodingKey {
        case configPath = "configPath"
        case health = "health"
        case presence = "presence"
        case sessionDefaults = "sessionDefaults"
        case stateDir = "stateDir"
        case stateVersion = "stateVersion"
        case uptimeMs = "uptimeMs"
    }
}

/// Who is here. All fields but `ts` are optional; absent ones are left out.
// MARK: - GatewayPresenceEntry
struct GatewayPresenceEntry: Codable {
    /// Kind of device.
    let deviceFamily: String?
    /// The paired device.
    let deviceId: String?
    /// Name of the machine or program.
    let host: String?
    /// Tells two instances of one program apart.
    let instanceId: String?
    /// Where it connects from; absent for local connections.
    let ip: String?
    /// Seconds since the user last touched the machine.
    let lastInputSeconds: Int?
    /// The client's mode, or `gateway` for the gateway's own row.
    let mode: String?
    /// Model of the device.
    let modelIdentifier: String?
    /// The system it runs on.
    let platform: String?
    /// Why the row was last written: `self`, `connect`, `disconnect`, or a client's word.
    let reason: String?
    /// Roles of the device's connections.
    let roles: [String]?
    /// Scopes of the device's connections.
    let scopes: [String]?
    /// Free words.
    let tags: [String]?
    /// One line for people.
    let text: String?
    /// When the row was last written, in milliseconds since the epoch.
    let ts: Int
    /// Version of the program.
    let version: String?

    enum CodingKeys: String, CodingKey {
        case deviceFamily = "deviceFamily"
        case deviceId = "deviceId"
        case host = "host"
        case instanceId = "instanceId"
        case ip = "ip"
        case lastInputSeconds = "lastInputSeconds"
        case mode = "mode"
        case modelIdentifier = "modelIdentifier"
        case platform = "platform"
        case reason = "reason"
        case roles = "roles"
        case scopes = "scopes"
        case tags = "tags"
        case text = "text"
        case ts = "ts"
        case version = "version"
    }
}

/// What user interfaces derive their session key from.
// MARK: - GatewaySessionDefaults
struct GatewaySessionDefaults: Codable {
    /// The default agent.
    let defaultAgentId: String
    /// Short name of the main session.
    let mainKey: String
    /// Full key of the main session.
    let mainSessionKey: String
    /// `per-sender` or `global`.
    let scope: String?

    enum CodingKeys: String, CodingKey {
        case defaultAgentId = "defaultAgentId"
        case mainKey = "mainKey"
        case mainSessionKey = "mainSessionKey"
        case scope = "scope"
    }
}

/// Versions of both.
///
/// Versions of the parts of the snapshot.
// MARK: - GatewayStateVersion
struct GatewayStateVersion: Codable {
    /// Raised with every refresh of the health summary.
    let health: Int
    /// Raised with every change of the presence list.
    let presence: Int

    enum CodingKeys: String, CodingKey {
        case health = "health"
        case presence = "presence"
    }
}

enum GatewayHelloOkType: String, Codable {
    case helloOk = "hello-ok"
}

/// Parameters of `logs.tail`.
// MARK: - GatewayLogsTailParams
struct GatewayLogsTailParams: Codable {
    /// The cursor of the last answer.
    let cursor: Int?
    /// How many lines at most; 500 when absent.
    let limit: Int?
    /// How many bytes of the file at most; 250,000 when absent.
    let maxBytes: Int?

    enum CodingKeys: String, CodingKey {
        case cursor = "cursor"
        case limit = "limit"
        case maxBytes = "maxBytes"
    }
}

/// Result of `logs.tail`.
// MARK: - GatewayLogsTailResult
struct GatewayLogsTailResult: Codable {
    /// What to pass next time.
    let cursor: Int
    /// The log file: its path for admins, its name for others, empty if none is written.
    let file: String
    /// The lines, oldest first.
    let lines: [String]
    /// The lines do not follow on those of the last look.
    let reset: Bool
    /// Size of the file in bytes.
    let size: Int
    /// Lines between the last look and these were left out.
    let truncated: Bool

    enum CodingKeys: String, CodingKey {
        case cursor = "cursor"
        case file = "file"
        case lines = "lines"
        case reset = "reset"
        case size = "size"
        case truncated = "truncated"
    }
}

/// Parameters of `models.list`. Protocol 3 has none; those of protocol 4 narrow the list for
/// one session, which makes no
/// difference here.
// MARK: - GatewayModelsListParams
struct GatewayModelsListParams: Codable {
    /// The agent to choose for.
    let agentId: String?
    /// Whether to look again; every look is fresh.
    let refresh: Bool?
    /// The session to choose for.
    let sessionKey: String?
    /// `configured`, `all` and the like.
    let view: String?

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case refresh = "refresh"
        case sessionKey = "sessionKey"
        case view = "view"
    }
}

/// Result of `models.list`.
// MARK: - GatewayModelsListResult
struct GatewayModelsListResult: Codable {
    /// The models.
    let models: [GatewayModel]

    enum CodingKeys: String, CodingKey {
        case models = "models"
    }
}

/// A model that can be chosen.
// MARK: - GatewayModel
struct GatewayModel: Codable {
    /// How many tokens it reads.
    let contextWindow: Int?
    /// Its id at the provider.
    let id: String
    /// What it reads.
    let input: [GatewayInput]?
    /// Its name for people.
    let name: String
    /// Who provides it.
    let provider: String
    /// Whether it reasons before it answers.
    let reasoning: Bool?

    enum CodingKeys: String, CodingKey {
        case contextWindow = "contextWindow"
        case id = "id"
        case input = "input"
        case name = "name"
        case provider = "provider"
        case reasoning = "reasoning"
    }
}

/// What a model reads.
///
/// Text.
///
/// Images.
enum GatewayInput: String, Codable {
    case image = "image"
    case text = "text"
}

/// Result of `node.canvas.capability.refresh`.
// MARK: - GatewayNodeCanvasCapabilityRefreshResult
struct GatewayNodeCanvasCapabilityRefreshResult: Codable {
    /// The part of the address that lets in.
    let canvasCapability: String
    /// How long it is good at least, in milliseconds since the epoch.
    let canvasCapabilityExpiresAtMs: Int
    /// The address, that part included.
    let canvasHostUrl: String

    enum CodingKeys: String, CodingKey {
        case canvasCapability = "canvasCapability"
        case canvasCapabilityExpiresAtMs = "canvasCapabilityExpiresAtMs"
        case canvasHostUrl = "canvasHostUrl"
    }
}

/// A node.
// MARK: - GatewayNodeDescribeParams
struct GatewayNodeDescribeParams: Codable {
    /// Its id.
    let nodeId: String

    enum CodingKeys: String, CodingKey {
        case nodeId = "nodeId"
    }
}

/// One node.
// MARK: - GatewayNodeDescribeResult
struct GatewayNodeDescribeResult: Codable {
    /// `approved`, `pending-approval`, `pending-reapproval` (what was approved before stays) or
    /// `unapproved`.
    let approvalState: String
    /// When it was approved, in milliseconds since the epoch.
    let approvedAtMs: Int?
    /// Capabilities.
    let caps: [String]
    /// `client.id`
    let clientId: String?
    /// `client.mode`
    let clientMode: String?
    /// Commands.
    let commands: [String]
    /// Whether it is connected.
    let connected: Bool
    /// When it connected, if it is connected.
    let connectedAtMs: Int?
    /// Kind of device.
    let deviceFamily: String?
    /// Its name.
    let displayName: String?
    /// What the machine last said of its load.
    let hostStats: JSONAny?
    /// When it last connected.
    let lastConnectedAtMs: Int?
    /// When it was last seen.
    let lastSeenAtMs: Int?
    /// What it was seen doing.
    let lastSeenReason: String?
    /// Model of the machine.
    let modelIdentifier: String?
    /// Its id.
    let nodeId: String
    /// Tools that it publishes: none are kept.
    let nodePluginTools: [JSONAny]
    /// Whether its device is paired.
    let paired: Bool
    /// Its search path.
    let pathEnv: String?
    /// What it asks for; for those who may decide about it.
    let pendingDeclaredCaps: [String]?
    /// What it asks for; for those who may decide about it.
    let pendingDeclaredCommands: [String]?
    /// The request that waits; for those who may decide about it.
    let pendingRequestId: String?
    /// What its system lets it do.
    let permissions: [String: Bool]?
    /// Its system.
    let platform: String?
    /// Address it connected from.
    let remoteIp: String?
    /// Whether it keeps sessions: none does.
    let sessionHost: Bool
    /// When, in milliseconds since the epoch.
    let ts: Int
    /// Its version.
    let version: String?
    /// Commands that it asked for and was not given; for those who may decide about it.
    let withheldCommands: [String]?

    enum CodingKeys: String, CodingKey {
        case approvalState = "approvalState"
        case approvedAtMs = "approvedAtMs"
        case caps = "caps"
        case clientId = "clientId"
        case clientMode = "clientMode"
        case commands = "commands"
        case connected = "connected"
        case connectedAtMs = "connectedAtMs"
        case deviceFamily = "deviceFamily"
        case displayName = "displayName"
        case hostStats = "hostStats"
        case lastConnectedAtMs = "lastConnectedAtMs"
        case lastSeenAtMs = "lastSeenAtMs"
        case lastSeenReason = "lastSeenReason"
        case modelIdentifier = "modelIdentifier"
        case nodeId = "nodeId"
        case nodePluginTools = "nodePluginTools"
        case paired = "paired"
        case pathEnv = "pathEnv"
        case pendingDeclaredCaps = "pendingDeclaredCaps"
        case pendingDeclaredCommands = "pendingDeclaredCommands"
        case pendingRequestId = "pendingRequestId"
        case permissions = "permissions"
        case platform = "platform"
        case remoteIp = "remoteIp"
        case sessionHost = "sessionHost"
        case ts = "ts"
        case version = "version"
        case withheldCommands = "withheldCommands"
    }
}

/// Parameters of `node.event`.
// MARK: - GatewayNodeEventParams
struct GatewayNodeEventParams: Codable {
    /// Its name.
    let event: String
    /// Its content.
    let payload: JSONAny?
    /// Its content as JSON text.
    let payloadJson: String?

    enum CodingKeys: String, CodingKey {
        case event = "event"
        case payload = "payload"
        case payloadJson = "payloadJSON"
    }
}

/// It was heard.
// MARK: - GatewayNodeEventResult
struct GatewayNodeEventResult: Codable {
    /// Nothing came of it: it was unknown, late, said before, or not this node's to say.
    let ignored: Bool?
    /// Always true.
    let ok: Bool

    enum CodingKeys: String, CodingKey {
        case ignored = "ignored"
        case ok = "ok"
    }
}

/// Payload of `node.invoke.cancel`.
// MARK: - GatewayNodeInvokeCancelEvent
struct GatewayNodeInvokeCancelEvent: Codable {
    /// Id of the question.
    let invokeId: String
    /// The node.
    let nodeId: String

    enum CodingKeys: String, CodingKey {
        case invokeId = "invokeId"
        case nodeId = "nodeId"
    }
}

/// Parameters of `node.invoke`.
// MARK: - GatewayNodeInvokeParams
struct GatewayNodeInvokeParams: Codable {
    /// The command.
    let command: String
    /// Passed on to the node, which may use it to tell a repeated question.
    let idempotencyKey: String
    /// The node.
    let nodeId: String
    /// Its parameters, as the command has them.
    let params: JSONAny?
    /// What to do when the node is away and the configuration lets the command wait for it. Who
    /// says nothing is told at
    /// once that it is not connected, unless queue_unasked is set.
    let queue: GatewayQueueing?
    /// The session on whose behalf it is asked; passed over.
    let sessionKey: String?
    /// Milliseconds until the node must have answered; 30,000 if absent.
    let timeoutMs: Int?
    /// Where the session's turn came from; passed over.
    let turnSourceAccountId: String?
    /// Where the session's turn came from; passed over.
    let turnSourceChannel: String?
    /// Where the session's turn came from; passed over.
    let turnSourceThreadId: JSONAny?
    /// Where the session's turn came from; passed over.
    let turnSourceTo: String?

    enum CodingKeys: String, CodingKey {
        case command = "command"
        case idempotencyKey = "idempotencyKey"
        case nodeId = "nodeId"
        case params = "params"
        case queue = "queue"
        case sessionKey = "sessionKey"
        case timeoutMs = "timeoutMs"
        case turnSourceAccountId = "turnSourceAccountId"
        case turnSourceChannel = "turnSourceChannel"
        case turnSourceThreadId = "turnSourceThreadId"
        case turnSourceTo = "turnSourceTo"
    }
}

/// Whoever asks waits, up to timeoutMs, and nothing of it is left behind then.
///
/// The question is kept until the node comes or its time is up; whoever asks has a ticket at
/// once.
///
/// How a question waits for a node that is away.
enum GatewayQueueing: String, Codable {
    case ticket = "ticket"
    case wait = "wait"
}

/// Parameters of `node.invoke.progress`.
// MARK: - GatewayNodeInvokeProgressParams
struct GatewayNodeInvokeProgressParams: Codable {
    /// A piece of what comes of the command.
    let chunk: String
    /// Id of the question.
    let invokeId: String
    /// The node.
    let nodeId: String
    /// Its number.
    let seq: Int

    enum CodingKeys: String, CodingKey {
        case chunk = "chunk"
        case invokeId = "invokeId"
        case nodeId = "nodeId"
        case seq = "seq"
    }
}

/// It was heard.
// MARK: - GatewayNodeInvokeProgressResult
struct GatewayNodeInvokeProgressResult: Codable {
    /// Nothing came of it: it was unknown, late, said before, or not this node's to say.
    let ignored: Bool?
    /// Always true.
    let ok: Bool

    enum CodingKeys: String, CodingKey {
        case ignored = "ignored"
        case ok = "ok"
    }
}

/// Payload of `node.invoke.request`.
// MARK: - GatewayNodeInvokeRequestEvent
struct GatewayNodeInvokeRequestEvent: Codable {
    /// The command.
    let command: String
    /// Id of the question.
    let id: String
    /// As it was asked with.
    let idempotencyKey: String
    /// The node.
    let nodeId: String
    /// Its parameters as JSON text.
    let paramsJson: String?
    /// Milliseconds that are left.
    let timeoutMs: Int

    enum CodingKeys: String, CodingKey {
        case command = "command"
        case id = "id"
        case idempotencyKey = "idempotencyKey"
        case nodeId = "nodeId"
        case paramsJson = "paramsJSON"
        case timeoutMs = "timeoutMs"
    }
}

/// What a node answered.
// MARK: - GatewayNodeInvokeResult
struct GatewayNodeInvokeResult: Codable {
    /// The command.
    let command: String
    /// The node.
    let nodeId: String
    /// Always true.
    let ok: Bool
    /// What came of it.
    let payload: JSONAny?
    /// The same as text, if the node sent text.
    let payloadJson: String?
    /// The question as it was left for the node, for those who asked for a ticket; nothing came
    /// of it yet.
    let queued: GatewayTicket?

    enum CodingKeys: String, CodingKey {
        case command = "command"
        case nodeId = "nodeId"
        case ok = "ok"
        case payload = "payload"
        case payloadJson = "payloadJSON"
        case queued = "queued"
    }
}

/// A question that was left for a node, and the payload of `node.queue.done`.
// MARK: - GatewayTicket
struct GatewayTicket: Codable {
    /// The command.
    let command: String
    /// Why nothing came of it.
    let error: GatewayNodeError?
    /// When it is given up, or, when it is over, forgotten.
    let expiresAtMs: Int
    /// As it was asked with.
    let idempotencyKey: String
    /// The node.
    let nodeId: String
    /// What came of it. A long one is in the event only.
    let payload: JSONAny?
    /// When it was left, in milliseconds since the epoch.
    let queuedAtMs: Int
    /// What became of it.
    let status: GatewayStatus
    /// Its name.
    let ticket: String

    enum CodingKeys: String, CodingKey {
        case command = "command"
        case error = "error"
        case expiresAtMs = "expiresAtMs"
        case idempotencyKey = "idempotencyKey"
        case nodeId = "nodeId"
        case payload = "payload"
        case queuedAtMs = "queuedAtMs"
        case status = "status"
        case ticket = "ticket"
    }
}

/// Why a command failed. What else a node says of it is passed over.
// MARK: - GatewayNodeError
struct GatewayNodeError: Codable {
    /// The node's code.
    let code: String?
    /// A sentence.
    let message: String?

    enum CodingKeys: String, CodingKey {
        case code = "code"
        case message = "message"
    }
}

/// What became of it.
///
/// What became of a question that was left.
///
/// It waits for its node.
///
/// Its node was asked.
///
/// Its node did it.
///
/// Its node did not.
///
/// Its node was asked, and nobody knows what came of it.
///
/// Its node did not come in time.
///
/// Somebody took it back, or what was approved of its node.
enum GatewayStatus: String, Codable {
    case cancelled = "cancelled"
    case done = "done"
    case expired = "expired"
    case failed = "failed"
    case queued = "queued"
    case sent = "sent"
    case unknown = "unknown"
}

/// Parameters of `node.invoke.result`, with the nulls and the objects in the place of text
/// that nodes really send.
// MARK: - GatewayNodeInvokeResultParams
struct GatewayNodeInvokeResultParams: Codable {
    /// Why it failed.
    let error: GatewayNodeError?
    /// Id of the question.
    let id: String
    /// The node.
    let nodeId: String
    /// Whether the command succeeded: true or false. What is neither is refused, and ends the
    /// question all the same.
    let ok: Bool?
    /// What came of it.
    let payload: JSONAny?
    /// The same as JSON text. What is not text counts as `payload`, unless that is there.
    let payloadJson: JSONAny?

    enum CodingKeys: String, CodingKey {
        case error = "error"
        case id = "id"
        case nodeId = "nodeId"
        case ok = "ok"
        case payload = "payload"
        case payloadJson = "payloadJSON"
    }
}

/// It was heard.
// MARK: - GatewayNodeInvokeResultResult
struct GatewayNodeInvokeResultResult: Codable {
    /// Nothing came of it: it was unknown, late, said before, or not this node's to say.
    let ignored: Bool?
    /// Always true.
    let ok: Bool

    enum CodingKeys: String, CodingKey {
        case ignored = "ignored"
        case ok = "ok"
    }
}

/// Every node.
// MARK: - GatewayNodeListResult
struct GatewayNodeListResult: Codable {
    /// Connected ones first, then by name.
    let nodes: [GatewayNodeRow]
    /// When, in milliseconds since the epoch.
    let ts: Int

    enum CodingKeys: String, CodingKey {
        case nodes = "nodes"
        case ts = "ts"
    }
}

/// A node, connected or paired or both.
// MARK: - GatewayNodeRow
struct GatewayNodeRow: Codable {
    /// `approved`, `pending-approval`, `pending-reapproval` (what was approved before stays) or
    /// `unapproved`.
    let approvalState: String
    /// When it was approved, in milliseconds since the epoch.
    let approvedAtMs: Int?
    /// Capabilities.
    let caps: [String]
    /// `client.id`
    let clientId: String?
    /// `client.mode`
    let clientMode: String?
    /// Commands.
    let commands: [String]
    /// Whether it is connected.
    let connected: Bool
    /// When it connected, if it is connected.
    let connectedAtMs: Int?
    /// Kind of device.
    let deviceFamily: String?
    /// Its name.
    let displayName: String?
    /// What the machine last said of its load.
    let hostStats: JSONAny?
    /// When it last connected.
    let lastConnectedAtMs: Int?
    /// When it was last seen.
    let lastSeenAtMs: Int?
    /// What it was seen doing.
    let lastSeenReason: String?
    /// Model of the machine.
    let modelIdentifier: String?
    /// Its id.
    let nodeId: String
    /// Tools that it publishes: none are kept.
    let nodePluginTools: [JSONAny]
    /// Whether its device is paired.
    let paired: Bool
    /// Its search path.
    let pathEnv: String?
    /// What it asks for; for those who may decide about it.
    let pendingDeclaredCaps: [String]?
    /// What it asks for; for those who may decide about it.
    let pendingDeclaredCommands: [String]?
    /// The request that waits; for those who may decide about it.
    let pendingRequestId: String?
    /// What its system lets it do.
    let permissions: [String: Bool]?
    /// Its system.
    let platform: String?
    /// Address it connected from.
    let remoteIp: String?
    /// Whether it keeps sessions: none does.
    let sessionHost: Bool
    /// Its version.
    let version: String?
    /// Commands that it asked for and was not given; for those who may decide about it.
    let withheldCommands: [String]?

    enum CodingKeys: String, CodingKey {
        case approvalState = "approvalState"
        case approvedAtMs = "approvedAtMs"
        case caps = "caps"
        case clientId = "clientId"
        case clientMode = "clientMode"
        case commands = "commands"
        case connected = "connected"
        case connectedAtMs = "connectedAtMs"
        case deviceFamily = "deviceFamily"
        case displayName = "displayName"
        case hostStats = "hostStats"
        case lastConnectedAtMs = "lastConnectedAtMs"
        case lastSeenAtMs = "lastSeenAtMs"
        case lastSeenReason = "lastSeenReason"
        case modelIdentifier = "modelIdentifier"
        case nodeId = "nodeId"
        case nodePluginTools = "nodePluginTools"
        case paired = "paired"
        case pathEnv = "pathEnv"
        case pendingDeclaredCaps = "pendingDeclaredCaps"
        case pendingDeclaredCommands = "pendingDeclaredCommands"
        case pendingRequestId = "pendingRequestId"
        case permissions = "permissions"
        case platform = "platform"
        case remoteIp = "remoteIp"
        case sessionHost = "sessionHost"
        case version = "version"
        case withheldCommands = "withheldCommands"
    }
}

/// Parameters of `node.pair.approve`.
// MARK: - GatewayNodePairApproveParams
struct GatewayNodePairApproveParams: Codable {
    /// Those of the commands it asks for that are approved; all of them if absent. Those in
    /// withheldCommands may be named
    /// as well.
    let commands: [String]?
    /// The request's id.
    let requestId: String

    enum CodingKeys: String, CodingKey {
        case commands = "commands"
        case requestId = "requestId"
    }
}

/// It was approved.
// MARK: - GatewayNodePairApproveResult
struct GatewayNodePairApproveResult: Codable {
    /// The node.
    let node: GatewayPairedNode
    /// Id of the request.
    let requestId: String

    enum CodingKeys: String, CodingKey {
        case node = "node"
        case requestId = "requestId"
    }
}

/// The node.
///
/// A node whose surface was approved.
// MARK: - GatewayPairedNode
struct GatewayPairedNode: Codable {
    /// When it was last approved.
    let approvedAtMs: Int
    /// Capabilities.
    let caps: [String]
    /// `client.id`
    let clientId: String?
    /// `client.mode`
    let clientMode: String?
    /// Commands.
    let commands: [String]
    /// When it was first approved.
    let createdAtMs: Int
    /// Kind of device.
    let deviceFamily: String?
    /// Its name.
    let displayName: String?
    /// When it was last seen.
    let lastSeenAtMs: Int?
    /// What it was seen doing.
    let lastSeenReason: String?
    /// Model of the machine.
    let modelIdentifier: String?
    /// The node.
    let nodeId: String
    /// What its system lets it do.
    let permissions: [String: Bool]?
    /// Its system.
    let platform: String?
    /// Its version.
    let version: String?

    enum CodingKeys: String, CodingKey {
        case approvedAtMs = "approvedAtMs"
        case caps = "caps"
        case clientId = "clientId"
        case clientMode = "clientMode"
        case commands = "commands"
        case createdAtMs = "createdAtMs"
        case deviceFamily = "deviceFamily"
        case displayName = "displayName"
        case lastSeenAtMs = "lastSeenAtMs"
        case lastSeenReason = "lastSeenReason"
        case modelIdentifier = "modelIdentifier"
        case nodeId = "nodeId"
        case permissions = "permissions"
        case platform = "platform"
        case version = "version"
    }
}

/// Requests and approvals.
// MARK: - GatewayNodePairListResult
struct GatewayNodePairListResult: Codable {
    /// Last approved first.
    let paired: [GatewayPairedNode]
    /// Newest first.
    let pending: [GatewayNodePairListRequest]

    enum CodingKeys: String, CodingKey {
        case paired = "paired"
        case pending = "pending"
    }
}

/// A node that waits for approval of its surface.
// MARK: - GatewayNodePairListRequest
struct GatewayNodePairListRequest: Codable {
    /// Capabilities.
    let caps: [String]
    /// `client.id`
    let clientId: String?
    /// `client.mode`
    let clientMode: String?
    /// Commands.
    let commands: [String]
    /// Kind of device.
    let deviceFamily: String?
    /// Its name.
    let displayName: String?
    /// Model of the machine.
    let modelIdentifier: String?
    /// The node.
    let nodeId: String
    /// What its system lets it do.
    let permissions: [String: Bool]?
    /// Its system.
    let platform: String?
    /// Id of the request.
    let requestId: String
    /// Scopes that its approval takes.
    let requiredApproveScopes: [String]
    /// Whether its device was paired without a human.
    let silent: Bool?
    /// When it asked, in milliseconds since the epoch.
    let ts: Int
    /// Its version.
    let version: String?
    /// Commands that it offers as well, and that were withheld from it before. It does not ask
    /// for them: they are approved
    /// only if they are named.
    let withheldCommands: [String]?

    enum CodingKeys: String, CodingKey {
        case caps = "caps"
        case clientId = "clientId"
        case clientMode = "clientMode"
        case commands = "commands"
        case deviceFamily = "deviceFamily"
        case displayName = "displayName"
        case modelIdentifier = "modelIdentifier"
        case nodeId = "nodeId"
        case permissions = "permissions"
        case platform = "platform"
        case requestId = "requestId"
        case requiredApproveScopes = "requiredApproveScopes"
        case silent = "silent"
        case ts = "ts"
        case version = "version"
        case withheldCommands = "withheldCommands"
    }
}

/// A request of a node.
// MARK: - GatewayNodePairRejectParams
struct GatewayNodePairRejectParams: Codable {
    /// Its id.
    let requestId: String

    enum CodingKeys: String, CodingKey {
        case requestId = "requestId"
    }
}

/// It was rejected.
// MARK: - GatewayNodePairRejectResult
struct GatewayNodePairRejectResult: Codable {
    /// The node.
    let nodeId: String
    /// Id of the request.
    let requestId: String

    enum CodingKeys: String, CodingKey {
        case nodeId = "nodeId"
        case requestId = "requestId"
    }
}

/// A node.
// MARK: - GatewayNodePairRemoveParams
struct GatewayNodePairRemoveParams: Codable {
    /// Its id.
    let nodeId: String

    enum CodingKeys: String, CodingKey {
        case nodeId = "nodeId"
    }
}

/// It was forgotten.
// MARK: - GatewayNodePairRemoveResult
struct GatewayNodePairRemoveResult: Codable {
    /// The node.
    let nodeId: String

    enum CodingKeys: String, CodingKey {
        case nodeId = "nodeId"
    }
}

/// A node that waits for approval of its surface.
// MARK: - GatewayNodePairRequestedEvent
struct GatewayNodePairRequestedEvent: Codable {
    /// Capabilities.
    let caps: [String]
    /// `client.id`
    let clientId: String?
    /// `client.mode`
    let clientMode: String?
    /// Commands.
    let commands: [String]
    /// Kind of device.
    let deviceFamily: String?
    /// Its name.
    let displayName: String?
    /// Model of the machine.
    let modelIdentifier: String?
    /// The node.
    let nodeId: String
    /// What its system lets it do.
    let permissions: [String: Bool]?
    /// Its system.
    let platform: String?
    /// Id of the request.
    let requestId: String
    /// Scopes that its approval takes.
    let requiredApproveScopes: [String]
    /// Whether its device was paired without a human.
    let silent: Bool?
    /// When it asked, in milliseconds since the epoch.
    let ts: Int
    /// Its version.
    let version: String?
    /// Commands that it offers as well, and that were withheld from it before. It does not ask
    /// for them: they are approved
    /// only if they are named.
    let withheldCommands: [String]?

    enum CodingKeys: String, CodingKey {
        case caps = "caps"
        case clientId = "clientId"
        case clientMode = "clientMode"
        case commands = "commands"
        case deviceFamily = "deviceFamily"
        case displayName = "displayName"
        case modelIdentifier = "modelIdentifier"
        case nodeId = "nodeId"
        case permissions = "permissions"
        case platform = "platform"
        case requestId = "requestId"
        case requiredApproveScopes = "requiredApproveScopes"
        case silent = "silent"
        case ts = "ts"
        case version = "version"
        case withheldCommands = "withheldCommands"
    }
}

/// Payload of `node.pair.resolved`.
// MARK: - GatewayNodePairResolvedEvent
struct GatewayNodePairResolvedEvent: Codable {
    /// `approved` or `rejected`.
    let decision: String
    /// The node.
    let nodeId: String
    /// Id of the request.
    let requestId: String
    /// When, in milliseconds since the epoch.
    let ts: Int

    enum CodingKeys: String, CodingKey {
        case decision = "decision"
        case nodeId = "nodeId"
        case requestId = "requestId"
        case ts = "ts"
    }
}

/// What a client asks for: a fresh address of a surface.
// MARK: - GatewayNodePluginSurfaceRefreshParams
struct GatewayNodePluginSurfaceRefreshParams: Codable {
    /// The address that the client knows. If it is not the one in force, the one in force is the
    /// answer.
    let observedUrl: String?
    /// Name of the surface.
    let surface: String

    enum CodingKeys: String, CodingKey {
        case observedUrl = "observedUrl"
        case surface = "surface"
    }
}

/// What a client is told then.
// MARK: - GatewayNodePluginSurfaceRefreshResult
struct GatewayNodePluginSurfaceRefreshResult: Codable {
    /// How long the address is good at least, in milliseconds since the epoch.
    let expiresAtMs: Int
    /// Its address, by its name.
    let pluginSurfaceUrls: [String: String]
    /// Name of the surface.
    let surface: String

    enum CodingKeys: String, CodingKey {
        case expiresAtMs = "expiresAtMs"
        case pluginSurfaceUrls = "pluginSurfaceUrls"
        case surface = "surface"
    }
}

/// The answer to an inventory.
// MARK: - GatewayNodePluginToolsUpdateResult
struct GatewayNodePluginToolsUpdateResult: Codable {
    /// The node.
    let nodeId: String
    /// Skills that are kept: none.
    let skills: [JSONAny]?
    /// Tools that are kept: none.
    let tools: [JSONAny]?

    enum CodingKeys: String, CodingKey {
        case nodeId = "nodeId"
        case skills = "skills"
        case tools = "tools"
    }
}

/// A ticket.
// MARK: - GatewayNodeQueueCancelParams
struct GatewayNodeQueueCancelParams: Codable {
    /// Its name.
    let ticket: String

    enum CodingKeys: String, CodingKey {
        case ticket = "ticket"
    }
}

/// A question that was left for a node, and the payload of `node.queue.done`.
// MARK: - GatewayNodeQueueCancelResult
struct GatewayNodeQueueCancelResult: Codable {
    /// The command.
    let command: String
    /// Why nothing came of it.
    let error: GatewayNodeError?
    /// When it is given up, or, when it is over, forgotten.
    let expiresAtMs: Int
    /// As it was asked with.
    let idempotencyKey: String
    /// The node.
    let nodeId: String
    /// What came of it. A long one is in the event only.
    let payload: JSONAny?
    /// When it was left, in milliseconds since the epoch.
    let queuedAtMs: Int
    /// What became of it.
    let status: GatewayStatus
    /// Its name.
    let ticket: String

    enum CodingKeys: String, CodingKey {
        case command = "command"
        case error = "error"
        case expiresAtMs = "expiresAtMs"
        case idempotencyKey = "idempotencyKey"
        case nodeId = "nodeId"
        case payload = "payload"
        case queuedAtMs = "queuedAtMs"
        case status = "status"
        case ticket = "ticket"
    }
}

/// A question that was left for a node, and the payload of `node.queue.done`.
// MARK: - GatewayNodeQueueDoneEvent
struct GatewayNodeQueueDoneEvent: Codable {
    /// The command.
    let command: String
    /// Why nothing came of it.
    let error: GatewayNodeError?
    /// When it is given up, or, when it is over, forgotten.
    let expiresAtMs: Int
    /// As it was asked with.
    let idempotencyKey: String
    /// The node.
    let nodeId: String
    /// What came of it. A long one is in the event only.
    let payload: JSONAny?
    /// When it was left, in milliseconds since the epoch.
    let queuedAtMs: Int
    /// What became of it.
    let status: GatewayStatus
    /// Its name.
    let ticket: String

    enum CodingKeys: String, CodingKey {
        case command = "command"
        case error = "error"
        case expiresAtMs = "expiresAtMs"
        case idempotencyKey = "idempotencyKey"
        case nodeId = "nodeId"
        case payload = "payload"
        case queuedAtMs = "queuedAtMs"
        case status = "status"
        case ticket = "ticket"
    }
}

/// Parameters of `node.queue.list`.
// MARK: - GatewayNodeQueueListParams
struct GatewayNodeQueueListParams: Codable {
    /// Of this node only.
    let nodeId: String?

    enum CodingKeys: String, CodingKey {
        case nodeId = "nodeId"
    }
}

/// Questions that were left for nodes.
// MARK: - GatewayNodeQueueListResult
struct GatewayNodeQueueListResult: Codable {
    /// Questions that connected nodes were asked and have not answered, of all nodes.
    let nodeQueueListResultOpen: Int
    /// In the order in which they were left.
    let queued: [GatewayTicket]
    /// When, in milliseconds since the epoch.
    let ts: Int
    /// Callers that wait for a node themselves.
    let waiting: Int

    enum CodingKeys: String, CodingKey {
        case nodeQueueListResultOpen = "open"
        case queued = "queued"
        case ts = "ts"
        case waiting = "waiting"
    }
}

/// Parameters of `node.rename`.
// MARK: - GatewayNodeRenameParams
struct GatewayNodeRenameParams: Codable {
    /// Its new name.
    let displayName: String
    /// The node.
    let nodeId: String

    enum CodingKeys: String, CodingKey {
        case displayName = "displayName"
        case nodeId = "nodeId"
    }
}

/// A node and its name.
// MARK: - GatewayNodeRenameResult
struct GatewayNodeRenameResult: Codable {
    /// Its name.
    let displayName: String
    /// The node.
    let nodeId: String

    enum CodingKeys: String, CodingKey {
        case displayName = "displayName"
        case nodeId = "nodeId"
    }
}

/// The answer to an inventory.
// MARK: - GatewayNodeRunnerInventoryUpdateResult
struct GatewayNodeRunnerInventoryUpdateResult: Codable {
    /// The node.
    let nodeId: String
    /// Skills that are kept: none.
    let skills: [JSONAny]?
    /// Tools that are kept: none.
    let tools: [JSONAny]?

    enum CodingKeys: String, CodingKey {
        case nodeId = "nodeId"
        case skills = "skills"
        case tools = "tools"
    }
}

/// The answer to an inventory.
// MARK: - GatewayNodeSkillsUpdateResult
struct GatewayNodeSkillsUpdateResult: Codable {
    /// The node.
    let nodeId: String
    /// Skills that are kept: none.
    let skills: [JSONAny]?
    /// Tools that are kept: none.
    let tools: [JSONAny]?

    enum CodingKeys: String, CodingKey {
        case nodeId = "nodeId"
        case skills = "skills"
        case tools = "tools"
    }
}

/// What a client asks for: a fresh address of a surface.
// MARK: - GatewayPluginSurfaceRefreshParams
struct GatewayPluginSurfaceRefreshParams: Codable {
    /// The address that the client knows. If it is not the one in force, the one in force is the
    /// answer.
    let observedUrl: String?
    /// Name of the surface.
    let surface: String

    enum CodingKeys: String, CodingKey {
        case observedUrl = "observedUrl"
        case surface = "surface"
    }
}

/// What a client is told then.
// MARK: - GatewayPluginSurfaceRefreshResult
struct GatewayPluginSurfaceRefreshResult: Codable {
    /// How long the address is good at least, in milliseconds since the epoch.
    let expiresAtMs: Int
    /// Its address, by its name.
    let pluginSurfaceUrls: [String: String]
    /// Name of the surface.
    let surface: String

    enum CodingKeys: String, CodingKey {
        case expiresAtMs = "expiresAtMs"
        case pluginSurfaceUrls = "pluginSurfaceUrls"
        case surface = "surface"
    }
}

/// Payload of `host.registry.changed`.
// MARK: - GatewayPluginsChangedEvent
struct GatewayPluginsChangedEvent: Codable {
    /// How often the registry has changed.
    let generation: Int
    /// Ids of the plugins that were changed; none at the start.
    let plugins: [String]?

    enum CodingKeys: String, CodingKey {
        case generation = "generation"
        case plugins = "plugins"
    }
}

/// A plugin's id.
// MARK: - GatewayPluginsReloadParams
struct GatewayPluginsReloadParams: Codable {
    /// The id: the name of its table in `config.toml`.
    let id: String

    enum CodingKeys: String, CodingKey {
        case id = "id"
    }
}

/// What became of a plugin that was to be made anew.
// MARK: - GatewayPluginsReloadResult
struct GatewayPluginsReloadResult: Codable {
    /// Why not: in the operator's words, without secrets.
    let error: String?
    /// How the plugin is doing now.
    let plugin: GatewayPluginState
    /// Whether a new instance answers now, or none because the configuration wants none.
    let reloaded: Bool

    enum CodingKeys: String, CodingKey {
        case error = "error"
        case plugin = "plugin"
        case reloaded = "reloaded"
    }
}

/// How the plugin is doing now.
///
/// A plugin and how it is doing.
// MARK: - GatewayPluginState
struct GatewayPluginState: Codable {
    /// Calls since the start.
    let calls: Int
    /// Why it failed: in the operator's words, without secrets.
    let error: String?
    /// Calls that failed.
    let errors: Int
    /// Names of its events.
    let events: [String]
    /// The port that its HTTP has to itself, while it runs and the configuration gives it one.
    let httpPort: GatewayHTTPPort?
    /// Its id.
    let id: String
    /// Names of its enabled methods.
    let methods: [String]
    /// `linked` or `loaded`.
    let origin: String
    /// Calls that panicked.
    let panics: Int
    /// `running`, `disabled` (by config) or `failed`.
    let state: String
    /// What it is for.
    let summary: String?
    /// Its version.
    let version: String

    enum CodingKeys: String, CodingKey {
        case calls = "calls"
        case error = "error"
        case errors = "errors"
        case events = "events"
        case httpPort = "httpPort"
        case id = "id"
        case methods = "methods"
        case origin = "origin"
        case panics = "panics"
        case state = "state"
        case summary = "summary"
        case version = "version"
    }
}

/// A port that a plugin's HTTP has to itself.
// MARK: - GatewayHTTPPort
struct GatewayHTTPPort: Codable {
    /// Why nobody listens there, if nobody does. The plugin's HTTP is then served nowhere.
    let error: String?
    /// Its number.
    let port: Int

    enum CodingKeys: String, CodingKey {
        case error = "error"
        case port = "port"
    }
}

/// Parameters of `poll`.
// MARK: - GatewayPollParams
struct GatewayPollParams: Codable {
    /// The account to send with.
    let accountId: String?
    /// The channel.
    let channel: String?
    /// How long it is open, in hours.
    let durationHours: Int?
    /// Names this poll.
    let idempotencyKey: String
    /// How many answers one may give.
    let maxSelections: Int?
    /// What can be answered.
    let options: [String]
    /// What is asked.
    let question: String
    /// To whom.
    let to: String

    enum CodingKeys: String, CodingKey {
        case accountId = "accountId"
        case channel = "channel"
        case durationHours = "durationHours"
        case idempotencyKey = "idempotencyKey"
        case maxSelections = "maxSelections"
        case options = "options"
        case question = "question"
        case to = "to"
    }
}

/// Result of `send.deliver`, `send` and `poll`.
// MARK: - GatewayPollResult
struct GatewayPollResult: Codable {
    /// The channel's id.
    let channel: String
    /// The service's id of the message; of the last one, if it was cut into several.
    let messageId: String
    /// The key it was sent with.
    let runId: String
    /// To whom, where `send.deliver` found that by the session.
    let to: String?

    enum CodingKeys: String, CodingKey {
        case channel = "channel"
        case messageId = "messageId"
        case runId = "runId"
        case to = "to"
    }
}

/// Payload of the event `presence`.
// MARK: - GatewayPresenceEvent
struct GatewayPresenceEvent: Codable {
    /// Everyone who is here, latest first.
    let presence: [GatewayPresenceEntry]

    enum CodingKeys: String, CodingKey {
        case presence = "presence"
    }
}

/// Result of `question.list`.
// MARK: - GatewayQuestionListResult
struct GatewayQuestionListResult: Codable {
    /// None.
    let questions: [JSONAny]

    enum CodingKeys: String, CodingKey {
        case questions = "questions"
    }
}

/// Parameters of `send`.
// MARK: - GatewaySendParams
struct GatewaySendParams: Codable {
    /// The account to send with.
    let accountId: String?
    /// The agent whose session is derived from the route (protocol 4).
    let agentId: String?
    /// The channel.
    let channel: String?
    /// Whether a film is shown as a moving picture.
    let gifPlayback: Bool?
    /// Names this message.
    let idempotencyKey: String
    /// A file, by address.
    let mediaUrl: String?
    /// Files, by address.
    let mediaUrls: [String]?
    /// The text; may be left out when there are files (protocol 4).
    let message: String?
    /// The message that it answers (protocol 4).
    let replyToId: String?
    /// The session that notes it.
    let sessionKey: String?
    /// Whether nobody's device shall make a sound (protocol 4).
    let silent: Bool?
    /// A thread or topic (protocol 4).
    let threadId: String?
    /// To whom, as the channel's people write it.
    let to: String

    enum CodingKeys: String, CodingKey {
        case accountId = "accountId"
        case agentId = "agentId"
        case channel = "channel"
        case gifPlayback = "gifPlayback"
        case idempotencyKey = "idempotencyKey"
        case mediaUrl = "mediaUrl"
        case mediaUrls = "mediaUrls"
        case message = "message"
        case replyToId = "replyToId"
        case sessionKey = "sessionKey"
        case silent = "silent"
        case threadId = "threadId"
        case to = "to"
    }
}

/// Result of `send.deliver`, `send` and `poll`.
// MARK: - GatewaySendResult
struct GatewaySendResult: Codable {
    /// The channel's id.
    let channel: String
    /// The service's id of the message; of the last one, if it was cut into several.
    let messageId: String
    /// The key it was sent with.
    let runId: String
    /// To whom, where `send.deliver` found that by the session.
    let to: String?

    enum CodingKeys: String, CodingKey {
        case channel = "channel"
        case messageId = "messageId"
        case runId = "runId"
        case to = "to"
    }
}

/// Payload of `session.message`.
// MARK: - GatewaySessionMessageEvent
struct GatewaySessionMessageEvent: Codable {
    /// Its agent.
    let agentId: String
    /// The message.
    let message: [String: JSONAny]
    /// Id of the message.
    let messageId: String
    /// Its place in the conversation, counted from 1.
    let messageSeq: Int
    /// The conversation.
    let sessionId: String
    /// The session.
    let sessionKey: String

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case message = "message"
        case messageId = "messageId"
        case messageSeq = "messageSeq"
        case sessionId = "sessionId"
        case sessionKey = "sessionKey"
    }
}

/// Parameters of `sessions.abort`.
// MARK: - GatewaySessionsAbortParams
struct GatewaySessionsAbortParams: Codable {
    /// The agent of a key that names none.
    let agentId: String?
    /// The session, in any spelling.
    let key: String?
    /// One of its runs; all when absent.
    let runId: String?

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case key = "key"
        case runId = "runId"
    }
}

/// Result of `sessions.abort`.
// MARK: - GatewaySessionsAbortResult
struct GatewaySessionsAbortResult: Codable {
    /// The run that was told to stop, the first of several.
    let abortedRunId: String?
    /// Always true.
    let ok: Bool
    /// `aborted` or `no-active-run`.
    let status: String

    enum CodingKeys: String, CodingKey {
        case abortedRunId = "abortedRunId"
        case ok = "ok"
        case status = "status"
    }
}

/// Payload of `sessions.changed`. Without a key, any number of sessions changed.
// MARK: - GatewaySessionsChangedEvent
struct GatewaySessionsChangedEvent: Codable {
    /// Its agent.
    let agentId: String?
    /// What happened last: `create`, `patch`, `message`, `reset`, `compact`, `delete`, or `many`.
    let reason: String
    /// As `sessions.list` shows it; absent when it is gone.
    let session: [String: JSONAny]?
    /// The session.
    let sessionKey: String?

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case reason = "reason"
        case session = "session"
        case sessionKey = "sessionKey"
    }
}

/// Parameters of `sessions.compact`. From `agentId` on they are of protocol 4.
// MARK: - GatewaySessionsCompactParams
struct GatewaySessionsCompactParams: Codable {
    /// The agent of a key that names none.
    let agentId: String?
    /// The session, in any spelling.
    let key: String
    /// Messages that stay, 400 unless said.
    let maxLines: Int?

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case key = "key"
        case maxLines = "maxLines"
    }
}

/// Result of `sessions.compact`.
// MARK: - GatewaySessionsCompactResult
struct GatewaySessionsCompactResult: Codable {
    /// Where the others are kept.
    let archived: String?
    /// Whether anything was taken away.
    let compacted: Bool
    /// Messages that stay.
    let kept: Int?
    /// The session, in its canonical spelling.
    let key: String
    /// Always true.
    let ok: Bool
    /// Why not.
    let reason: String?

    enum CodingKeys: String, CodingKey {
        case archived = "archived"
        case compacted = "compacted"
        case kept = "kept"
        case key = "key"
        case ok = "ok"
        case reason = "reason"
    }
}

/// Parameters of `sessions.delete`. From `agentId` on they are of protocol 4.
// MARK: - GatewaySessionsDeleteParams
struct GatewaySessionsDeleteParams: Codable {
    /// The agent of a key that names none.
    let agentId: String?
    /// Only if it was put away before.
    let archivedOnly: Bool?
    /// Whether its transcript is archived, which it is unless said; else it keeps its name.
    let deleteTranscript: Bool?
    /// Only if this is still its conversation.
    let expectedSessionId: String?
    /// The session, in any spelling.
    let key: String

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case archivedOnly = "archivedOnly"
        case deleteTranscript = "deleteTranscript"
        case expectedSessionId = "expectedSessionId"
        case key = "key"
    }
}

/// Result of `sessions.delete`.
// MARK: - GatewaySessionsDeleteResult
struct GatewaySessionsDeleteResult: Codable {
    /// Names under which transcripts are kept.
    let archived: [String]
    /// Whether there was one.
    let deleted: Bool
    /// The session, in its canonical spelling.
    let key: String
    /// Always true.
    let ok: Bool

    enum CodingKeys: String, CodingKey {
        case archived = "archived"
        case deleted = "deleted"
        case key = "key"
        case ok = "ok"
    }
}

/// Parameters of `sessions.describe`.
// MARK: - GatewaySessionsDescribeParams
struct GatewaySessionsDescribeParams: Codable {
    /// The agent of a key that names none.
    let agentId: String?
    /// Whether the row has a `derivedTitle`.
    let includeDerivedTitles: Bool?
    /// Whether the row has a `lastMessagePreview`.
    let includeLastMessage: Bool?
    /// The session, in any spelling.
    let key: String

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case includeDerivedTitles = "includeDerivedTitles"
        case includeLastMessage = "includeLastMessage"
        case key = "key"
    }
}

/// Result of `sessions.describe`.
// MARK: - GatewaySessionsDescribeResult
struct GatewaySessionsDescribeResult: Codable {
    /// As `sessions.list` shows it; null when there is none.
    let session: [String: JSONAny]?

    enum CodingKeys: String, CodingKey {
        case session = "session"
    }
}

/// Parameters of `sessions.get`.
// MARK: - GatewaySessionsGetParams
struct GatewaySessionsGetParams: Codable {
    /// The agent of a key that names none.
    let agentId: String?
    /// The session, in any spelling.
    let key: String
    /// The last so many messages, 200 unless said.
    let limit: Int?

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case key = "key"
        case limit = "limit"
    }
}

/// Result of `sessions.get`.
// MARK: - GatewaySessionsGetResult
struct GatewaySessionsGetResult: Codable {
    /// The transcript's end, oldest first.
    let messages: [[String: JSONAny]]

    enum CodingKeys: String, CodingKey {
        case messages = "messages"
    }
}

/// Parameters of `sessions.list`. From `offset` on they are of protocol 4.
// MARK: - GatewaySessionsListParams
struct GatewaySessionsListParams: Codable {
    /// Only those used in the last so many minutes.
    let activeMinutes: Int?
    /// Only those of this agent.
    let agentId: String?
    /// Those that were put away, instead of the others.
    let archived: Bool?
    /// Only those of agents that are configured.
    let configuredAgentsOnly: Bool?
    /// Whether rows have a `derivedTitle`.
    let includeDerivedTitles: Bool?
    /// Whether `global` is listed.
    let includeGlobal: Bool?
    /// Whether rows have a `lastMessagePreview`.
    let includeLastMessage: Bool?
    /// Whether `unknown` is listed.
    let includeUnknown: Bool?
    /// Only the one with this label.
    let label: String?
    /// At most so many.
    let limit: Int?
    /// Without the first so many.
    let offset: Int?
    /// Whether one's own come first; all belong to the operator.
    let ownerFirst: Bool?
    /// Only those with this in their name, label, subject, id or key.
    let search: String?
    /// `createdAt`, or when they were used last.
    let sortBy: String?
    /// Only those that this session started.
    let spawnedBy: String?

    enum CodingKeys: String, CodingKey {
        case activeMinutes = "activeMinutes"
        case agentId = "agentId"
        case archived = "archived"
        case configuredAgentsOnly = "configuredAgentsOnly"
        case includeDerivedTitles = "includeDerivedTitles"
        case includeGlobal = "includeGlobal"
        case includeLastMessage = "includeLastMessage"
        case includeUnknown = "includeUnknown"
        case label = "label"
        case limit = "limit"
        case offset = "offset"
        case ownerFirst = "ownerFirst"
        case search = "search"
        case sortBy = "sortBy"
        case spawnedBy = "spawnedBy"
    }
}

/// Result of `sessions.list`.
// MARK: - GatewaySessionsListResult
struct GatewaySessionsListResult: Codable {
    /// How many are listed.
    let count: Int
    /// What a new session starts with.
    let defaults: GatewayDefaults
    /// Whether there is one.
    let hasMore: Bool
    /// How many are listed at most.
    let limitApplied: Int
    /// Where the next page begins.
    let nextOffset: Int?
    /// Whose they are: there is one owner, who is not named.
    let owners: [JSONAny]
    /// Where they are kept; to administrators with the way there.
    let path: String
    /// Those used last first.
    let sessions: [[String: JSONAny]]
    /// How many there are.
    let totalCount: Int
    /// When it was asked, in milliseconds since the epoch.
    let ts: Int

    enum CodingKeys: String, CodingKey {
        case count = "count"
        case defaults = "defaults"
        case hasMore = "hasMore"
        case limitApplied = "limitApplied"
        case nextOffset = "nextOffset"
        case owners = "owners"
        case path = "path"
        case sessions = "sessions"
        case totalCount = "totalCount"
        case ts = "ts"
    }
}

/// What a new session starts with.
// MARK: - GatewayDefaults
struct GatewayDefaults: Codable {
    /// How much that model reads.
    let contextTokens: Int?
    /// Its model.
    let model: String?
    /// Who provides its model.
    let modelProvider: String?

    enum CodingKeys: String, CodingKey {
        case contextTokens = "contextTokens"
        case model = "model"
        case modelProvider = "modelProvider"
    }
}

/// Parameters of `sessions.messages.subscribe` and `.unsubscribe`.
// MARK: - GatewaySessionsMessagesSubscribeParams
struct GatewaySessionsMessagesSubscribeParams: Codable {
    /// The agent of a key that names none.
    let agentId: String?
    /// Whether approvals of the session are told, too; they go to all who may see them.
    let includeApprovals: Bool?
    /// The session, in any spelling.
    let key: String

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case includeApprovals = "includeApprovals"
        case key = "key"
    }
}

/// Result of `sessions.messages.subscribe` and `.unsubscribe`.
// MARK: - GatewaySessionsMessagesSubscribeResult
struct GatewaySessionsMessagesSubscribeResult: Codable {
    /// The session, in its canonical spelling.
    let key: String
    /// Whether the connection hears now.
    let subscribed: Bool

    enum CodingKeys: String, CodingKey {
        case key = "key"
        case subscribed = "subscribed"
    }
}

/// Parameters of `sessions.messages.subscribe` and `.unsubscribe`.
// MARK: - GatewaySessionsMessagesUnsubscribeParams
struct GatewaySessionsMessagesUnsubscribeParams: Codable {
    /// The agent of a key that names none.
    let agentId: String?
    /// Whether approvals of the session are told, too; they go to all who may see them.
    let includeApprovals: Bool?
    /// The session, in any spelling.
    let key: String

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case includeApprovals = "includeApprovals"
        case key = "key"
    }
}

/// Result of `sessions.messages.subscribe` and `.unsubscribe`.
// MARK: - GatewaySessionsMessagesUnsubscribeResult
struct GatewaySessionsMessagesUnsubscribeResult: Codable {
    /// The session, in its canonical spelling.
    let key: String
    /// Whether the connection hears now.
    let subscribed: Bool

    enum CodingKeys: String, CodingKey {
        case key = "key"
        case subscribed = "subscribed"
    }
}

/// Parameters of `sessions.patch`. From `agentId` on they are of protocol 4.
// MARK: - GatewaySessionsPatchParams
struct GatewaySessionsPatchParams: Codable {
    /// The agent of a key that names none.
    let agentId: String?
    /// Whether it is put away.
    let archived: Bool?
    /// A group of sessions in lists.
    let category: String?
    /// A colour in lists.
    let color: String?
    /// `on`, `off`, `ask` or `full`.
    let elevatedLevel: String?
    /// `off`, `on-miss` or `always`.
    let execAsk: String?
    /// `sandbox`, `gateway` or `node`.
    let execHost: String?
    /// The node on which programs run.
    let execNode: String?
    /// `deny`, `allowlist` or `full`.
    let execSecurity: String?
    /// Whether answers shall come fast: `true`, `false` or a word.
    let fastMode: JSONAny?
    /// When a group is answered.
    let groupActivation: GatewaySessionsPatchParamsGroupActivation?
    /// A picture in lists.
    let icon: String?
    /// The session, in any spelling; made when it is absent.
    let key: String
    /// A name, unique among the agent's sessions.
    let label: String?
    /// `provider/model`, or a model's own id where only one provider has it; `null` is the
    /// agent's default.
    let model: String?
    /// Whether it comes first in lists.
    let pinned: Bool?
    /// `on`, `off` or `stream`.
    let reasoningLevel: String?
    /// What of an answer's cost is shown with it.
    let responseUsage: GatewaySessionsPatchParamsResponseUsage?
    /// Whether messages go out.
    let sendPolicy: GatewaySessionsPatchParamsSendPolicy?
    /// The session that started this one; it never changes.
    let spawnedBy: String?
    /// `off`, `minimal`, `low`, `medium`, `high` or `xhigh`.
    let thinkingLevel: String?
    /// Whether it is marked as not read.
    let unread: Bool?
    /// `on`, `off` or `full`.
    let verboseLevel: String?

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case archived = "archived"
        case category = "category"
        case color = "color"
        case elevatedLevel = "elevatedLevel"
        case execAsk = "execAsk"
        case execHost = "execHost"
        case execNode = "execNode"
        case execSecurity = "execSecurity"
        case fastMode = "fastMode"
        case groupActivation = "groupActivation"
        case icon = "icon"
        case key = "key"
        case label = "label"
        case model = "model"
        case pinned = "pinned"
        case reasoningLevel = "reasoningLevel"
        case responseUsage = "responseUsage"
        case sendPolicy = "sendPolicy"
        case spawnedBy = "spawnedBy"
        case thinkingLevel = "thinkingLevel"
        case unread = "unread"
        case verboseLevel = "verboseLevel"
    }
}

enum GatewaySessionsPatchParamsGroupActivation: String, Codable {
    case always = "always"
    case mention = "mention"
}

enum GatewaySessionsPatchParamsResponseUsage: String, Codable {
    case full = "full"
    case off = "off"
    case on = "on"
    case tokens = "tokens"
}

enum GatewaySessionsPatchParamsSendPolicy: String, Codable {
    case allow = "allow"
    case deny = "deny"
}

/// Result of `sessions.patch`.
// MARK: - GatewaySessionsPatchResult
struct GatewaySessionsPatchResult: Codable {
    /// Its entry.
    let entry: [String: JSONAny]
    /// The session, in its canonical spelling.
    let key: String
    /// Always true.
    let ok: Bool
    /// Where sessions are kept; to administrators with the way there.
    let path: String

    enum CodingKeys: String, CodingKey {
        case entry = "entry"
        case key = "key"
        case ok = "ok"
        case path = "path"
    }
}

/// Parameters of `sessions.preview`.
// MARK: - GatewaySessionsPreviewParams
struct GatewaySessionsPreviewParams: Codable {
    /// Sessions, in any spelling.
    let keys: [String]
    /// Messages of each, 12 unless said.
    let limit: Int?
    /// Characters of each message, 240 unless said.
    let maxChars: Int?

    enum CodingKeys: String, CodingKey {
        case keys = "keys"
        case limit = "limit"
        case maxChars = "maxChars"
    }
}

/// Result of `sessions.preview`.
// MARK: - GatewaySessionsPreviewResult
struct GatewaySessionsPreviewResult: Codable {
    /// In the order in which they were asked for.
    let previews: [GatewayPreview]
    /// When it was asked, in milliseconds since the epoch.
    let ts: Int

    enum CodingKeys: String, CodingKey {
        case previews = "previews"
        case ts = "ts"
    }
}

/// What was said last in a session.
// MARK: - GatewayPreview
struct GatewayPreview: Codable {
    /// Oldest first.
    let items: [GatewayItem]
    /// The session, as it was asked for.
    let key: String
    /// `ok`, `empty`, `missing` or `error`.
    let status: String

    enum CodingKeys: String, CodingKey {
        case items = "items"
        case key = "key"
        case status = "status"
    }
}

/// A message in short.
// MARK: - GatewayItem
struct GatewayItem: Codable {
    /// `user`, `assistant`, `tool`, `system` or `other`.
    let role: String
    /// What it says.
    let text: String

    enum CodingKeys: String, CodingKey {
        case role = "role"
        case text = "text"
    }
}

/// Parameters of `sessions.reset`. From `agentId` on they are of protocol 4.
// MARK: - GatewaySessionsResetParams
struct GatewaySessionsResetParams: Codable {
    /// The agent of a key that names none.
    let agentId: String?
    /// Only if this is still its conversation.
    let expectedSessionId: String?
    /// The session, in any spelling.
    let key: String
    /// `new` or `reset`; it makes no difference.
    let reason: String?

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case expectedSessionId = "expectedSessionId"
        case key = "key"
        case reason = "reason"
    }
}

/// Result of `sessions.reset`.
// MARK: - GatewaySessionsResetResult
struct GatewaySessionsResetResult: Codable {
    /// Its entry.
    let entry: [String: JSONAny]
    /// The session, in its canonical spelling.
    let key: String
    /// Always true.
    let ok: Bool

    enum CodingKeys: String, CodingKey {
        case entry = "entry"
        case key = "key"
        case ok = "ok"
    }
}

/// Parameters of `sessions.resolve`.
// MARK: - GatewaySessionsResolveParams
struct GatewaySessionsResolveParams: Codable {
    /// Only sessions of this agent.
    let agentId: String?
    /// Whether `global` is meant too.
    let includeGlobal: Bool?
    /// Whether `unknown` is meant too.
    let includeUnknown: Bool?
    /// A session, in any spelling.
    let key: String?
    /// Its label.
    let label: String?
    /// Its present conversation.
    let sessionId: String?
    /// Only those that this session started.
    let spawnedBy: String?

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case includeGlobal = "includeGlobal"
        case includeUnknown = "includeUnknown"
        case key = "key"
        case label = "label"
        case sessionId = "sessionId"
        case spawnedBy = "spawnedBy"
    }
}

/// Result of `sessions.resolve`.
// MARK: - GatewaySessionsResolveResult
struct GatewaySessionsResolveResult: Codable {
    /// The session, in its canonical spelling.
    let key: String
    /// Always true.
    let ok: Bool

    enum CodingKeys: String, CodingKey {
        case key = "key"
        case ok = "ok"
    }
}

/// Result of `sessions.subscribe` and `sessions.unsubscribe`.
// MARK: - GatewaySessionsSubscribeResult
struct GatewaySessionsSubscribeResult: Codable {
    /// Whether the connection hears now.
    let subscribed: Bool

    enum CodingKeys: String, CodingKey {
        case subscribed = "subscribed"
    }
}

/// Result of `sessions.subscribe` and `sessions.unsubscribe`.
// MARK: - GatewaySessionsUnsubscribeResult
struct GatewaySessionsUnsubscribeResult: Codable {
    /// Whether the connection hears now.
    let subscribed: Bool

    enum CodingKeys: String, CodingKey {
        case subscribed = "subscribed"
    }
}

/// Parameters of `set-heartbeats`: open, and checked by hand because clients know the
/// sentence that refuses them.
// MARK: - GatewaySetHeartbeatsParams
struct GatewaySetHeartbeatsParams: Codable {
    /// Whether heartbeats shall come.
    let enabled: JSONAny?

    enum CodingKeys: String, CodingKey {
        case enabled = "enabled"
    }
}

/// Result of `set-heartbeats`.
// MARK: - GatewaySetHeartbeatsResult
struct GatewaySetHeartbeatsResult: Codable {
    /// Whether heartbeats come now.
    let enabled: Bool
    /// Always true.
    let ok: Bool

    enum CodingKeys: String, CodingKey {
        case enabled = "enabled"
        case ok = "ok"
    }
}

// MARK: - GatewayShutdownEvent
struct GatewayShutdownEvent: Codable {
    /// Why, for people.
    let reason: String
    /// When the gateway is expected back, in milliseconds; null when it is not.
    let restartExpectedMs: Int?

    enum CodingKeys: String, CodingKey {
        case reason = "reason"
        case restartExpectedMs = "restartExpectedMs"
    }
}

/// Programs that skills need.
// MARK: - GatewaySkillsBinsResult
struct GatewaySkillsBinsResult: Codable {
    /// Their names.
    let bins: [String]

    enum CodingKeys: String, CodingKey {
        case bins = "bins"
    }
}

/// Result of `status`.
// MARK: - GatewayStatusResult
struct GatewayStatusResult: Codable {
    /// A line for each message channel.
    let channelSummary: [String]
    /// How many are connected.
    let connections: GatewayConnectionCount
    /// Heartbeats of the agents.
    let heartbeat: GatewayHeartbeats
    /// What happened and no agent has read yet, oldest first.
    let queuedSystemEvents: [String]
    /// Version of the gateway.
    let runtimeVersion: String?
    /// Sessions of all agents.
    let sessions: GatewaySessions
    /// SHA-256 of the certificate that the gateway shows, if it speaks TLS: what clients pin.
    let tlsFingerprint: String?
    /// How long the gateway has been running.
    let uptimeMs: Int?

    enum CodingKeys: String, CodingKey {
        case channelSummary = "channelSummary"
        case connections = "connections"
        case heartbeat = "heartbeat"
        case queuedSystemEvents = "queuedSystemEvents"
        case runtimeVersion = "runtimeVersion"
        case sessions = "sessions"
        case tlsFingerprint = "tlsFingerprint"
        case uptimeMs = "uptimeMs"
    }
}

/// How many are connected.
// MARK: - GatewayConnectionCount
struct GatewayConnectionCount: Codable {
    /// Nodes.
    let nodes: Int
    /// Operators, the one that asks included.
    let operators: Int

    enum CodingKeys: String, CodingKey {
        case nodes = "nodes"
        case operators = "operators"
    }
}

/// Heartbeats of the agents.
// MARK: - GatewayHeartbeats
struct GatewayHeartbeats: Codable {
    /// One row an agent.
    let agents: [GatewayAgentHeartbeat]
    /// The agent that is meant when none is named.
    let defaultAgentId: String

    enum CodingKeys: String, CodingKey {
        case agents = "agents"
        case defaultAgentId = "defaultAgentId"
    }
}

/// Heartbeats of an agent.
// MARK: - GatewayAgentHeartbeat
struct GatewayAgentHeartbeat: Codable {
    /// The agent.
    let agentId: String
    /// Whether they are on.
    let enabled: Bool
    /// How often, for people: `30m`, or `disabled`.
    let every: String
    /// Milliseconds between two; null when they are off.
    let everyMs: Int?

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case enabled = "enabled"
        case every = "every"
        case everyMs = "everyMs"
    }
}

/// Sessions of all agents.
///
/// Sessions of all agents; none where no plugin keeps any.
// MARK: - GatewaySessions
struct GatewaySessions: Codable {
    /// The same by agent.
    let byAgent: [[String: JSONAny]]
    /// How many there are.
    let count: Int
    /// What a new session starts with.
    let defaults: GatewaySessionModel
    /// Where they are kept.
    let paths: [String]
    /// Those used last.
    let recent: [[String: JSONAny]]

    enum CodingKeys: String, CodingKey {
        case byAgent = "byAgent"
        case count = "count"
        case defaults = "defaults"
        case paths = "paths"
        case recent = "recent"
    }
}

/// What a new session starts with.
// MARK: - GatewaySessionModel
struct GatewaySessionModel: Codable {
    /// How much that model reads.
    let contextTokens: Int?
    /// Its model.
    let model: String?

    enum CodingKeys: String, CodingKey {
        case contextTokens = "contextTokens"
        case model = "model"
    }
}

/// Every open connection.
// MARK: - GatewaySystemConnectionsResult
struct GatewaySystemConnectionsResult: Codable {
    /// Oldest first.
    let connections: [GatewayConnection]

    enum CodingKeys: String, CodingKey {
        case connections = "connections"
    }
}

/// A connection's record: its `connect` without secrets.
// MARK: - GatewayConnection
struct GatewayConnection: Codable {
    /// Capabilities as sent.
    let caps: [String]?
    /// `client` of its `connect`: id, displayName, version, platform, mode and so on.
    let client: JSONAny
    /// Commands as sent; nodes only.
    let commands: [String]?
    /// Number of the connection, as in calls and targeted events.
    let conn: Int
    /// When it was accepted, in milliseconds since the epoch.
    let connectedAtMs: Int
    /// Its id on the wire.
    let connId: String
    /// The paired device.
    let deviceId: String?
    /// Whether it is local.
    let local: Bool
    /// A node's `PATH`.
    let pathEnv: String?
    /// Permissions as sent; nodes only.
    let permissions: JSONAny?
    /// Negotiated protocol version.
    let connectionProtocol: Int
    /// Address, absent for local connections.
    let remoteIp: String?
    /// `operator` or `node`.
    let role: String
    /// Granted scopes.
    let scopes: [String]

    enum CodingKeys: String, CodingKey {
        case caps = "caps"
        case client = "client"
        case commands = "commands"
        case conn = "conn"
        case connectedAtMs = "connectedAtMs"
        case connId = "connId"
        case deviceId = "deviceId"
        case local = "local"
        case pathEnv = "pathEnv"
        case permissions = "permissions"
        case connectionProtocol = "protocol"
        case remoteIp = "remoteIp"
        case role = "role"
        case scopes = "scopes"
    }
}

/// Parameters of `system.describe`.
// MARK: - GatewaySystemDescribeParams
struct GatewaySystemDescribeParams: Codable {
    /// What it is, for names that are both.
    let kind: GatewayKind?
    /// Its name.
    let name: String

    enum CodingKeys: String, CodingKey {
        case kind = "kind"
        case name = "name"
    }
}

/// What a name stands for.
enum GatewayKind: String, Codable {
    case event = "event"
    case method = "method"
}

/// Result of `system.describe`: the row of the manifest and where it is from.
// MARK: - GatewaySystemDescribeResult
struct GatewaySystemDescribeResult: Codable {
    /// `method` or `event`.
    let kind: String
    /// The plugin that owns it; `host` for the gateway's own.
    let plugin: String

    enum CodingKeys: String, CodingKey {
        case kind = "kind"
        case plugin = "plugin"
    }
}

/// It is noted.
// MARK: - GatewaySystemEventResult
struct GatewaySystemEventResult: Codable {
    /// Always true.
    let ok: Bool

    enum CodingKeys: String, CodingKey {
        case ok = "ok"
    }
}

/// Parameters of `system.methods`.
// MARK: - GatewaySystemMethodsParams
struct GatewaySystemMethodsParams: Codable {
    /// Whether internal ones are listed too; needs operator.admin.
    let systemMethodsParamsInternal: Bool?

    enum CodingKeys: String, CodingKey {
        case systemMethodsParamsInternal = "internal"
    }
}

/// Result of `system.methods`.
// MARK: - GatewaySystemMethodsResult
struct GatewaySystemMethodsResult: Codable {
    /// Sorted by name.
    let events: [GatewayEventRow]
    /// Sorted by name.
    let methods: [GatewayMethodRow]

    enum CodingKeys: String, CodingKey {
        case events = "events"
        case methods = "methods"
    }
}

/// An event in short.
// MARK: - GatewayEventRow
struct GatewayEventRow: Codable {
    /// Its name.
    let name: String
    /// The plugin that owns it; `host` for the gateway's own.
    let plugin: String
    /// Who may see it.
    let role: GatewayExposure
    /// Any of these scopes is needed; none when empty.
    let scopes: [String]
    /// When it comes.
    let summary: String

    enum CodingKeys: String, CodingKey {
        case name = "name"
        case plugin = "plugin"
        case role = "role"
        case scopes = "scopes"
        case summary = "summary"
    }
}

/// Who may see it.
///
/// Who may call it.
enum GatewayExposure: Codable {
    case enumArray([GatewayExposureItem])
    case enumeration(GatewayExposureWord)

    init(from decoder: Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let x = try? container.decode([GatewayExposureItem].self) {
            self = .enumArray(x)
            return
        }
        if let x = try? container.decode(GatewayExposureWord.self) {
            self = .enumeration(x)
            return
        }
        throw DecodingError.typeMismatch(GatewayExposure.self, DecodingError.Context(codingPath: decoder.codingPath, debugDescription: "Wrong type for GatewayExposure"))
    }

    func encode(to encoder: Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .enumArray(let x):
            try container.encode(x)
        case .enumeration(let x):
            try container.encode(x)
        }
    }
}

enum GatewayExposureItem: String, Codable {
    case exposureItemOperator = "operator"
    case node = "node"
}

enum GatewayExposureWord: String, Codable {
    case exposureWordInternal = "internal"
    case exposureWordOperator = "operator"
    case node = "node"
}

/// A method in short.
// MARK: - GatewayMethodRow
struct GatewayMethodRow: Codable {
    /// Whether it has effects.
    let effects: Bool
    /// What a repeated idempotency key does.
    let idempotency: GatewayIdempotency
    /// Its name.
    let name: String
    /// The plugin that owns it; `host` for the gateway's own.
    let plugin: String
    /// Whether it answers once or with interim replies.
    let replies: GatewayReplies
    /// Who may call it.
    let role: GatewayExposure
    /// Any of these scopes is needed; none when empty.
    let scopes: [String]
    /// What it does.
    let summary: String

    enum CodingKeys: String, CodingKey {
        case effects = "effects"
        case idempotency = "idempotency"
        case name = "name"
        case plugin = "plugin"
        case replies = "replies"
        case role = "role"
        case scopes = "scopes"
        case summary = "summary"
    }
}

/// What a repeated idempotency key does.
///
/// The method takes no key.
///
/// The host keeps the answer and gives it again; the plugin never sees a duplicate.
///
/// The key is handed through; the plugin sees to it.
enum GatewayIdempotency: String, Codable {
    case none = "none"
    case plugin = "plugin"
    case replay = "replay"
}

/// Whether it answers once or with interim replies.
///
/// How often a method answers.
///
/// Once.
///
/// Any number of interim answers, then one final.
enum GatewayReplies: String, Codable {
    case interim = "interim"
    case single = "single"
}

/// Result of `system.metrics`.
// MARK: - GatewaySystemMetricsResult
struct GatewaySystemMetricsResult: Codable {
    /// Limits that were hit, by their names in `gateway.limits`, sorted.
    let limits: [GatewayLimitCount]
    /// Methods that were called, sorted by name.
    let methods: [GatewayMethodCount]

    enum CodingKeys: String, CodingKey {
        case limits = "limits"
        case methods = "methods"
    }
}

/// How often a limit was hit.
// MARK: - GatewayLimitCount
struct GatewayLimitCount: Codable {
    /// How often.
    let hits: Int
    /// The limit.
    let limit: String

    enum CodingKeys: String, CodingKey {
        case hits = "hits"
        case limit = "limit"
    }
}

/// What was counted of a method.
// MARK: - GatewayMethodCount
struct GatewayMethodCount: Codable {
    /// Calls that were asked for.
    let calls: Int
    /// Calls that were answered with an error.
    let errors: Int
    /// Its name.
    let method: String
    /// Microseconds from the begin to the last answer, added up.
    let microseconds: Int
    /// The plugin that owns it.
    let plugin: String

    enum CodingKeys: String, CodingKey {
        case calls = "calls"
        case errors = "errors"
        case method = "method"
        case microseconds = "microseconds"
        case plugin = "plugin"
    }
}

/// Result of `system.plugins`.
// MARK: - GatewaySystemPluginsResult
struct GatewaySystemPluginsResult: Codable {
    /// Sorted by id.
    let plugins: [GatewayPluginState]

    enum CodingKeys: String, CodingKey {
        case plugins = "plugins"
    }
}

/// Whether somebody talks.
// MARK: - GatewayTalkModeEvent
struct GatewayTalkModeEvent: Codable {
    /// Whether somebody does.
    let enabled: Bool
    /// In which phase that is.
    let phase: String?
    /// When it was said, in milliseconds since the epoch.
    let ts: Int

    enum CodingKeys: String, CodingKey {
        case enabled = "enabled"
        case phase = "phase"
        case ts = "ts"
    }
}

/// Parameters of `talk.mode`.
// MARK: - GatewayTalkModeParams
struct GatewayTalkModeParams: Codable {
    /// Whether somebody talks.
    let enabled: Bool
    /// In which phase that is.
    let phase: String?

    enum CodingKeys: String, CodingKey {
        case enabled = "enabled"
        case phase = "phase"
    }
}

/// Whether somebody talks.
// MARK: - GatewayTalkModeResult
struct GatewayTalkModeResult: Codable {
    /// Whether somebody does.
    let enabled: Bool
    /// In which phase that is.
    let phase: String?
    /// When it was said, in milliseconds since the epoch.
    let ts: Int

    enum CodingKeys: String, CodingKey {
        case enabled = "enabled"
        case phase = "phase"
        case ts = "ts"
    }
}

// MARK: - GatewayTickEvent
struct GatewayTickEvent: Codable {
    /// Milliseconds since the epoch.
    let ts: Int

    enum CodingKeys: String, CodingKey {
        case ts = "ts"
    }
}

/// Words that wake an assistant.
// MARK: - GatewayVoicewakeChangedEvent
struct GatewayVoicewakeChangedEvent: Codable {
    /// The words.
    let triggers: [String]

    enum CodingKeys: String, CodingKey {
        case triggers = "triggers"
    }
}

/// Words that wake an assistant.
// MARK: - GatewayVoicewakeGetResult
struct GatewayVoicewakeGetResult: Codable {
    /// The words.
    let triggers: [String]

    enum CodingKeys: String, CodingKey {
        case triggers = "triggers"
    }
}

/// Where what was said goes to.
// MARK: - GatewayVoicewakeRoutingChangedEvent
struct GatewayVoicewakeRoutingChangedEvent: Codable {
    /// The rules.
    let config: GatewayVoicewakeRoutingChangedRules

    enum CodingKeys: String, CodingKey {
        case config = "config"
    }
}

/// The rules.
///
/// Rules by which what was said finds its session.
// MARK: - GatewayVoicewakeRoutingChangedRules
struct GatewayVoicewakeRoutingChangedRules: Codable {
    /// Where it goes if no rule says otherwise.
    let defaultTarget: GatewayTarget
    /// Rules; of two that fit, no two are alike.
    let routes: [GatewayRoute]
    /// When they last changed, in milliseconds since the epoch; 0 is never.
    let updatedAtMs: Int
    /// Always 1.
    let version: Int

    enum CodingKeys: String, CodingKey {
        case defaultTarget = "defaultTarget"
        case routes = "routes"
        case updatedAtMs = "updatedAtMs"
        case version = "version"
    }
}

/// Where it goes if no rule says otherwise.
///
/// A place that it goes to.
///
/// Where what follows goes to.
///
/// The session that is open.
///
/// The main session of an agent.
///
/// One session.
// MARK: - GatewayTarget
struct GatewayTarget: Codable {
    /// Always `current`.
    let mode: GatewayCurrent?
    /// The agent.
    let agentId: String?
    /// The session.
    let sessionKey: String?

    enum CodingKeys: String, CodingKey {
        case mode = "mode"
        case agentId = "agentId"
        case sessionKey = "sessionKey"
    }
}

/// Always `current`.
enum GatewayCurrent: String, Codable {
    case current = "current"
}

/// One rule.
// MARK: - GatewayRoute
struct GatewayRoute: Codable {
    /// Where what follows goes to.
    let target: GatewayTarget
    /// The word or words that were said.
    let trigger: String

    enum CodingKeys: String, CodingKey {
        case target = "target"
        case trigger = "trigger"
    }
}

/// Where what was said goes to.
// MARK: - GatewayVoicewakeRoutingGetResult
struct GatewayVoicewakeRoutingGetResult: Codable {
    /// The rules.
    let config: GatewayVoicewakeRoutingGetRules

    enum CodingKeys: String, CodingKey {
        case config = "config"
    }
}

/// The rules.
///
/// Rules by which what was said finds its session.
// MARK: - GatewayVoicewakeRoutingGetRules
struct GatewayVoicewakeRoutingGetRules: Codable {
    /// Where it goes if no rule says otherwise.
    let defaultTarget: GatewayTarget
    /// Rules; of two that fit, no two are alike.
    let routes: [GatewayRoute]
    /// When they last changed, in milliseconds since the epoch; 0 is never.
    let updatedAtMs: Int
    /// Always 1.
    let version: Int

    enum CodingKeys: String, CodingKey {
        case defaultTarget = "defaultTarget"
        case routes = "routes"
        case updatedAtMs = "updatedAtMs"
        case version = "version"
    }
}

/// Parameters of `voicewake.routing.set`: open, and checked by hand for the same reason.
// MARK: - GatewayVoicewakeRoutingSetParams
struct GatewayVoicewakeRoutingSetParams: Codable {
    /// The rules.
    let config: JSONAny?

    enum CodingKeys: String, CodingKey {
        case config = "config"
    }
}

/// Where what was said goes to.
// MARK: - GatewayVoicewakeRoutingSetResult
struct GatewayVoicewakeRoutingSetResult: Codable {
    /// The rules.
    let config: GatewayVoicewakeRoutingSetRules

    enum CodingKeys: String, CodingKey {
        case config = "config"
    }
}

/// The rules.
///
/// Rules by which what was said finds its session.
// MARK: - GatewayVoicewakeRoutingSetRules
struct GatewayVoicewakeRoutingSetRules: Codable {
    /// Where it goes if no rule says otherwise.
    let defaultTarget: GatewayTarget
    /// Rules; of two that fit, no two are alike.
    let routes: [GatewayRoute]
    /// When they last changed, in milliseconds since the epoch; 0 is never.
    let updatedAtMs: Int
    /// Always 1.
    let version: Int

    enum CodingKeys: String, CodingKey {
        case defaultTarget = "defaultTarget"
        case routes = "routes"
        case updatedAtMs = "updatedAtMs"
        case version = "version"
    }
}

/// Parameters of `voicewake.set`: open, and checked by hand because clients know the
/// sentence that refuses them.
// MARK: - GatewayVoicewakeSetParams
struct GatewayVoicewakeSetParams: Codable {
    /// The words.
    let triggers: JSONAny?

    enum CodingKeys: String, CodingKey {
        case triggers = "triggers"
    }
}

/// Words that wake an assistant.
// MARK: - GatewayVoicewakeSetResult
struct GatewayVoicewakeSetResult: Codable {
    /// The words.
    let triggers: [String]

    enum CodingKeys: String, CodingKey {
        case triggers = "triggers"
    }
}

/// Parameters of `wake`; the last two are of protocol 4, and there is one main session.
// MARK: - GatewayWakeParams
struct GatewayWakeParams: Codable {
    /// The default agent; no other one can be woken.
    let agentId: String?
    /// When the agent hears of it.
    let mode: GatewayWakeMode
    /// A session of the default agent.
    let sessionKey: String?
    /// What happened.
    let text: String

    enum CodingKeys: String, CodingKey {
        case agentId = "agentId"
        case mode = "mode"
        case sessionKey = "sessionKey"
        case text = "text"
    }
}

/// When the agent hears of it.
///
/// When an agent hears of it.
///
/// At once.
///
/// With the next heartbeat.
enum GatewayWakeMode: String, Codable {
    case nextHeartbeat = "next-heartbeat"
    case now = "now"
}

/// Result of `wake`.
// MARK: - GatewayWakeResult
struct GatewayWakeResult: Codable {
    /// Whether there was anything to say.
    let ok: Bool

    enum CodingKeys: String, CodingKey {
        case ok = "ok"
    }
}

/// Parameters of `web.login.start`.
// MARK: - GatewayWebLoginStartParams
struct GatewayWebLoginStartParams: Codable {
    /// The account.
    let accountId: String?
    /// Whether to begin anew although it is logged in.
    let force: Bool?
    /// How long to wait for the picture, in milliseconds.
    let timeoutMs: Int?
    /// Makes no difference.
    let verbose: Bool?

    enum CodingKeys: String, CodingKey {
        case accountId = "accountId"
        case force = "force"
        case timeoutMs = "timeoutMs"
        case verbose = "verbose"
    }
}

/// Result of `web.login.start`.
// MARK: - GatewayWebLoginStartResult
struct GatewayWebLoginStartResult: Codable {
    /// What to do next.
    let message: String
    /// A picture to scan.
    let qrDataUrl: String?

    enum CodingKeys: String, CodingKey {
        case message = "message"
        case qrDataUrl = "qrDataUrl"
    }
}

/// Parameters of `web.login.wait`.
// MARK: - GatewayWebLoginWaitParams
struct GatewayWebLoginWaitParams: Codable {
    /// The account.
    let accountId: String?
    /// The picture that is shown (protocol 4); makes no difference.
    let currentQrDataUrl: String?
    /// How long to wait, in milliseconds.
    let timeoutMs: Int?

    enum CodingKeys: String, CodingKey {
        case accountId = "accountId"
        case currentQrDataUrl = "currentQrDataUrl"
        case timeoutMs = "timeoutMs"
    }
}

/// Result of `web.login.wait`.
// MARK: - GatewayWebLoginWaitResult
struct GatewayWebLoginWaitResult: Codable {
    /// Whether the account is connected.
    let connected: Bool
    /// What to do next.
    let message: String

    enum CodingKeys: String, CodingKey {
        case connected = "connected"
        case message = "message"
    }
}

// MARK: - Encode/decode helpers

class JSONNull: Codable, Hashable {

    public static func == (lhs: JSONNull, rhs: JSONNull) -> Bool {
        return true
    }

    public var hashValue: Int {
        return 0
    }

    public func hash(into hasher: inout Hasher) {
        // No-op
    }

    public init() {}

    public required init(from decoder: Decoder) throws {
        let container = try decoder.singleValueContainer()
        if !container.decodeNil() {
            throw DecodingError.typeMismatch(JSONNull.self, DecodingError.Context(codingPath: decoder.codingPath, debugDescription: "Wrong type for JSONNull"))
        }
    }

    public func encode(to encoder: Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encodeNil()
    }
}

class JSONCodingKey: CodingKey {
    let key: String

    required init?(intValue: Int) {
        return nil
    }

    required init?(stringValue: String) {
        key = stringValue
    }

    var intValue: Int? {
        return nil
    }

    var stringValue: String {
        return key
    }
}

class JSONAny: Codable {

    let value: Any

    static func decodingError(forCodingPath codingPath: [CodingKey]) -> DecodingError {
        let context = DecodingError.Context(codingPath: codingPath, debugDescription: "Cannot decode JSONAny")
        return DecodingError.typeMismatch(JSONAny.self, context)
    }

    static func encodingError(forValue value: Any, codingPath: [CodingKey]) -> EncodingError {
        let context = EncodingError.Context(codingPath: codingPath, debugDescription: "Cannot encode JSONAny")
        return EncodingError.invalidValue(value, context)
    }

    static func decode(from container: SingleValueDecodingContainer) throws -> Any {
        if let value = try? container.decode(Bool.self) {
            return value
        }
        if let value = try? container.decode(Int64.self) {
            return value
        }
        if let value = try? container.decode(Double.self) {
            return value
        }
        if let value = try? container.decode(String.self) {
            return value
        }
        if container.decodeNil() {
            return JSONNull()
        }
        throw decodingError(forCodingPath: container.codingPath)
    }

    static func decode(from container: inout UnkeyedDecodingContainer) throws -> Any {
        if let value = try? container.decode(Bool.self) {
            return value
        }
        if let value = try? container.decode(Int64.self) {
            return value
        }
        if let value = try? container.decode(Double.self) {
            return value
        }
        if let value = try? container.decode(String.self) {
            return value
        }
        if let value = try? container.decodeNil() {
            if value {
                return JSONNull()
            }
        }
        if var container = try? container.nestedUnkeyedContainer() {
            return try decodeArray(from: &container)
        }
        if var container = try? container.nestedContainer(keyedBy: JSONCodingKey.self) {
            return try decodeDictionary(from: &container)
        }
        throw decodingError(forCodingPath: container.codingPath)
    }

    static func decode(from container: inout KeyedDecodingContainer<JSONCodingKey>, forKey key: JSONCodingKey) throws -> Any {
        if let value = try? container.decode(Bool.self, forKey: key) {
            return value
        }
        if let value = try? container.decode(Int64.self, forKey: key) {
            return value
        }
        if let value = try? container.decode(Double.self, forKey: key) {
            return value
        }
        if let value = try? container.decode(String.self, forKey: key) {
            return value
        }
        if let value = try? container.decodeNil(forKey: key) {
            if value {
                return JSONNull()
            }
        }
        if var container = try? container.nestedUnkeyedContainer(forKey: key) {
            return try decodeArray(from: &container)
        }
        if var container = try? container.nestedContainer(keyedBy: JSONCodingKey.self, forKey: key) {
            return try decodeDictionary(from: &container)
        }
        throw decodingError(forCodingPath: container.codingPath)
    }

    static func decodeArray(from container: inout UnkeyedDecodingContainer) throws -> [Any] {
        var arr: [Any] = []
        while !container.isAtEnd {
            let value = try decode(from: &container)
            arr.append(value)
        }
        return arr
    }

    static func decodeDictionary(from container: inout KeyedDecodingContainer<JSONCodingKey>) throws -> [String: Any] {
        var dict = [String: Any]()
        for key in container.allKeys {
            let value = try decode(from: &container, forKey: key)
            dict[key.stringValue] = value
        }
        return dict
    }

    static func encode(to container: inout UnkeyedEncodingContainer, array: [Any]) throws {
        for value in array {
            if let value = value as? Bool {
                try container.encode(value)
            } else if let value = value as? Int64 {
                try container.encode(value)
            } else if let value = value as? Double {
                try container.encode(value)
            } else if let value = value as? String {
                try container.encode(value)
            } else if value is JSONNull {
                try container.encodeNil()
            } else if let value = value as? [Any] {
                var container = container.nestedUnkeyedContainer()
                try encode(to: &container, array: value)
            } else if let value = value as? [String: Any] {
                var container = container.nestedContainer(keyedBy: JSONCodingKey.self)
                try encode(to: &container, dictionary: value)
            } else {
                throw encodingError(forValue: value, codingPath: container.codingPath)
            }
        }
    }

    static func encode(to container: inout KeyedEncodingContainer<JSONCodingKey>, dictionary: [String: Any]) throws {
        for (key, value) in dictionary {
            let key = JSONCodingKey(stringValue: key)!
            if let value = value as? Bool {
                try container.encode(value, forKey: key)
            } else if let value = value as? Int64 {
                try container.encode(value, forKey: key)
            } else if let value = value as? Double {
                try container.encode(value, forKey: key)
            } else if let value = value as? String {
                try container.encode(value, forKey: key)
            } else if value is JSONNull {
                try container.encodeNil(forKey: key)
            } else if let value = value as? [Any] {
                var container = container.nestedUnkeyedContainer(forKey: key)
                try encode(to: &container, array: value)
            } else if let value = value as? [String: Any] {
                var container = container.nestedContainer(keyedBy: JSONCodingKey.self, forKey: key)
                try encode(to: &container, dictionary: value)
            } else {
                throw encodingError(forValue: value, codingPath: container.codingPath)
            }
        }
    }

    static func encode(to container: inout SingleValueEncodingContainer, value: Any) throws {
        if let value = value as? Bool {
            try container.encode(value)
        } else if let value = value as? Int64 {
            try container.encode(value)
        } else if let value = value as? Double {
            try container.encode(value)
        } else if let value = value as? String {
            try container.encode(value)
        } else if value is JSONNull {
            try container.encodeNil()
        } else {
            throw encodingError(forValue: value, codingPath: container.codingPath)
        }
    }

    public required init(from decoder: Decoder) throws {
        if var arrayContainer = try? decoder.unkeyedContainer() {
            self.value = try JSONAny.decodeArray(from: &arrayContainer)
        } else if var container = try? decoder.container(keyedBy: JSONCodingKey.self) {
            self.value = try JSONAny.decodeDictionary(from: &container)
        } else {
            let container = try decoder.singleValueContainer()
            self.value = try JSONAny.decode(from: container)
        }
    }

    public func encode(to encoder: Encoder) throws {
        if let arr = self.value as? [Any] {
            var container = encoder.unkeyedContainer()
            try JSONAny.encode(to: &container, array: arr)
        } else if let dict = self.value as? [String: Any] {
            var container = encoder.container(keyedBy: JSONCodingKey.self)
            try JSONAny.encode(to: &container, dictionary: dict)
        } else {
            var container = encoder.singleValueContainer()
            try JSONAny.encode(to: &container, value: self.value)
        }
    }
}

typealias GatewayExecApprovalListResult = [GatewayPending]

typealias GatewayHealthResult = GatewaySummary

typealias GatewayLastHeartbeatResult = GatewayHeartbeatEvent?

typealias GatewaySystemPresenceResult = [GatewayPresenceEntry]
