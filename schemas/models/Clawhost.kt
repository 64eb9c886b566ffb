// Made from clawhost's JSON Schemas by `npm run models` in tests/foreign; changes here are lost.

package clawhost.models

import kotlinx.serialization.*
import kotlinx.serialization.json.*
import kotlinx.serialization.descriptors.*
import kotlinx.serialization.encoding.*

/**
 * Payload of the event `agent`.
 */
@Serializable
data class AgentEvent (
    /**
     * The agent.
     */
    val agentId: String,

    /**
     * What happened, by stream.
     */
    val data: JsonElement?,

    /**
     * Whether it is a run that clients are spared the chat of.
     */
    val isHeartbeat: Boolean? = null,

    /**
     * The run.
     */
    val runId: String,

    /**
     * Number of the event within the run, from 1.
     */
    val seq: Long,

    /**
     * The conversation.
     */
    val sessionId: String? = null,

    /**
     * The session as whoever started the run spelled it.
     */
    val sessionKey: String,

    /**
     * `lifecycle`, `assistant` or `tool`.
     */
    val stream: String,

    /**
     * When, in milliseconds since the epoch.
     */
    val ts: Long
)

/**
 * Parameters of `agent.identity.get`.
 */
@Serializable
data class AgentIdentityGetParams (
    /**
     * The agent.
     */
    val agentId: String? = null,

    /**
     * A session of the agent.
     */
    val sessionKey: String? = null
)

/**
 * Result of `agent.identity.get`.
 */
@Serializable
data class AgentIdentityGetResult (
    /**
     * The agent.
     */
    val agentId: String,

    /**
     * A picture's address or a few characters, at most 200.
     */
    val avatar: String,

    /**
     * Its name, at most 50 characters.
     */
    val name: String
)

/**
 * Parameters of `agent`.
 */
@Serializable
data class AgentParams (
    /**
     * The account of that channel.
     */
    val accountId: String? = null,

    /**
     * The agent, where the session does not say.
     */
    val agentId: String? = null,

    /**
     * `{type?, mimeType?, fileName?, content}` each, the content in base64.
     */
    val attachments: JsonArray? = null,

    /**
     * The channel the message is from, or `last`.
     */
    val channel: String? = null,

    /**
     * A folder; there is none here (protocol 4).
     */
    val cwd: String? = null,

    /**
     * Whether the answer also goes out over a channel: to `replyTo` or `to`, else to where the
     * session last spoke.
     */
    val deliver: Boolean? = null,

    /**
     * Told to the agent beside its own instructions.
     */
    val extraSystemPrompt: String? = null,

    /**
     * Its channel, kept with the session.
     */
    val groupChannel: String? = null,

    /**
     * A group.
     */
    val groupId: String? = null,

    /**
     * Its space, kept with the session.
     */
    val groupSpace: String? = null,

    /**
     * Names the run, and makes it happen once.
     */
    val idempotencyKey: String,

    /**
     * A name for the session.
     */
    val label: String? = null,

    /**
     * A queue's name; runs of one session go in order in any case.
     */
    val lane: String? = null,

    /**
     * What the agent is told.
     */
    val message: String,

    /**
     * The model, `provider/model` or with `provider` beside it (protocol 4).
     */
    val model: String? = null,

    /**
     * The model's provider (protocol 4).
     */
    val provider: String? = null,

    /**
     * The account the answer goes out with.
     */
    val replyAccountId: String? = null,

    /**
     * The channel the answer goes to, or `last`.
     */
    val replyChannel: String? = null,

    /**
     * Whom the answer goes to instead.
     */
    val replyTo: String? = null,

    /**
     * A conversation; the session's present one is used.
     */
    val sessionId: String? = null,

    /**
     * The session, in any spelling; the agent's main session when absent.
     */
    val sessionKey: String? = null,

    /**
     * The session that began this one.
     */
    val spawnedBy: String? = null,

    /**
     * How much it thinks.
     */
    val thinking: String? = null,

    /**
     * A thread or topic.
     */
    val threadId: String? = null,

    /**
     * Seconds until the run is given up; 0 and absent are the agent's own.
     */
    val timeout: Long? = null,

    /**
     * Whom an answer would go to.
     */
    val to: String? = null
)

/**
 * What `agent` answers in the end.
 */
@Serializable
data class AgentResult (
    /**
     * What came of it.
     */
    val result: Answer? = null,

    /**
     * The run.
     */
    val runId: String,

    /**
     * `ok`, or `error` when it failed.
     */
    val status: String,

    /**
     * `completed` or `aborted`; of a failed run, why.
     */
    val summary: String
)

/**
 * What came of it.
 *
 * What came of a run.
 */
@Serializable
data class Answer (
    /**
     * About it.
     */
    val meta: Meta,

    /**
     * What the agent said.
     */
    val payloads: List<Payload>
)

/**
 * About it.
 *
 * About a run.
 */
@Serializable
data class Meta (
    /**
     * Whether somebody stopped it.
     */
    val aborted: Boolean? = null,

    /**
     * Who answered.
     */
    val agentMeta: AgentMeta,

    /**
     * What came of sending it on, if that was asked for.
     */
    val delivery: Delivery? = null,

    /**
     * How long it took.
     */
    val durationMs: Long
)

/**
 * Who answered.
 */
@Serializable
data class AgentMeta (
    /**
     * The model.
     */
    val model: String? = null,

    /**
     * Who provided the model.
     */
    val provider: String? = null,

    /**
     * The conversation.
     */
    val sessionId: String? = null,

    /**
     * What it cost.
     */
    val usage: Usage
)

/**
 * What it cost.
 *
 * What an answer cost, in tokens.
 */
@Serializable
data class Usage (
    /**
     * Read from a cache.
     */
    val cacheRead: Long? = null,

    /**
     * Written to a cache.
     */
    val cacheWrite: Long? = null,

    /**
     * Read, without what came from a cache.
     */
    val input: Long? = null,

    /**
     * Written.
     */
    val output: Long? = null,

    /**
     * All of them.
     */
    val totalTokens: Long? = null
)

/**
 * What came of sending it on, if that was asked for.
 *
 * What came of it.
 */
@Serializable
data class Delivery (
    /**
     * The channel.
     */
    val channel: String? = null,

    /**
     * The same for programs: `OUTCOME_UNKNOWN` when nobody knows whether it went out.
     */
    val code: String? = null,

    /**
     * Why it did not go out.
     */
    val error: String? = null,

    /**
     * The channel's id of the message.
     */
    val messageId: String? = null,

    /**
     * Whether it went out.
     */
    val ok: Boolean
)

/**
 * Something that an agent said.
 */
@Serializable
data class Payload (
    /**
     * The text.
     */
    val text: String
)

/**
 * Parameters of `agent.wait`.
 */
@Serializable
data class AgentWaitParams (
    /**
     * The run.
     */
    val runId: String,

    /**
     * Milliseconds to wait; 30,000 when absent, and 0 only looks.
     */
    val timeoutMs: Long? = null
)

/**
 * Result of `agent.wait`.
 */
@Serializable
data class AgentWaitResult (
    /**
     * When it ended.
     */
    val endedAt: Long? = null,

    /**
     * Why it failed.
     */
    val error: String? = null,

    /**
     * The run.
     */
    val runId: String,

    /**
     * When it began, in milliseconds since the epoch.
     */
    val startedAt: Long? = null,

    /**
     * `ok`, `error`, or `timeout` when it has not ended.
     */
    val status: String,

    /**
     * Why it was stopped.
     */
    val stopReason: String? = null
)

/**
 * Result of `agents.list`.
 */
@Serializable
data class AgentsListResult (
    /**
     * The agents, in the order of the configuration.
     */
    val agents: List<ListedAgent>,

    /**
     * The agent to talk to first.
     */
    val defaultId: String,

    /**
     * Short name of the main session.
     */
    val mainKey: String,

    /**
     * `per-sender` or `global`.
     */
    val scope: String
)

/**
 * An agent in `agents.list`.
 */
@Serializable
data class ListedAgent (
    /**
     * Its id.
     */
    val id: String,

    /**
     * How it presents itself.
     */
    val identity: Identity? = null,

    /**
     * What it thinks with. Newer web pages let nobody write to an agent without one.
     */
    val model: ListedModel,

    /**
     * Its name.
     */
    val name: String? = null
)

/**
 * How it presents itself.
 *
 * How an agent presents itself.
 */
@Serializable
data class Identity (
    /**
     * A few characters, or a picture as an `https:`, `http:` or `data:image/` address.
     */
    val avatar: String? = null,

    /**
     * A picture as an address.
     */
    val avatarUrl: String? = null,

    /**
     * Its emoji.
     */
    val emoji: String? = null,

    /**
     * The name it goes by.
     */
    val name: String? = null,

    /**
     * What it is like, in a few words.
     */
    val theme: String? = null
)

/**
 * What it thinks with. Newer web pages let nobody write to an agent without one.
 *
 * What an agent in `agents.list` thinks with.
 */
@Serializable
data class ListedModel (
    /**
     * The model it uses first, as `provider/model`.
     */
    val primary: String
)

/**
 * Parameters of `channels.start`, `channels.stop` and `channels.logout`.
 */
@Serializable
data class ChannelsLogoutParams (
    /**
     * The account; the channel's default when absent.
     */
    val accountId: String? = null,

    /**
     * The channel.
     */
    val channel: String
)

/**
 * Result of `channels.logout`.
 */
@Serializable
data class ChannelsLogoutResult (
    /**
     * The account.
     */
    val accountId: String,

    /**
     * The channel.
     */
    val channel: String,

    /**
     * Whether something was kept and is gone now.
     */
    val cleared: Boolean,

    /**
     * Always true.
     */
    val loggedOut: Boolean
)

/**
 * Parameters of `channels.pairing.approve`.
 */
@Serializable
data class ChannelsPairingApproveParams (
    /**
     * The account; any of the channel when absent.
     */
    val accountId: String? = null,

    /**
     * Refused: there are no such owners here.
     */
    val bootstrapCommandOwner: Boolean? = null,

    /**
     * The channel.
     */
    val channel: String,

    /**
     * Whether the sender is told.
     */
    val notify: Boolean? = null,

    /**
     * The request, or the code that the sender was told.
     */
    val requestId: String
)

/**
 * Result of `channels.pairing.approve`.
 */
@Serializable
data class ChannelsPairingApproveResult (
    /**
     * `not-requested` or `unavailable`.
     */
    val commandOwnerBootstrap: String,

    /**
     * `not-requested`, `sent` or `failed`.
     */
    val notification: String,

    /**
     * The request.
     */
    val requestId: String,

    /**
     * Who may write now.
     */
    val senderId: String
)

/**
 * Parameters of `channels.pairing.dismiss`.
 */
@Serializable
data class ChannelsPairingDismissParams (
    /**
     * The account; any of the channel when absent.
     */
    val accountId: String? = null,

    /**
     * The channel.
     */
    val channel: String,

    /**
     * The request, or the code that the sender was told.
     */
    val requestId: String
)

/**
 * Result of `channels.pairing.dismiss`.
 */
@Serializable
data class ChannelsPairingDismissResult (
    /**
     * The request.
     */
    val requestId: String,

    /**
     * Who was turned away.
     */
    val senderId: String
)

/**
 * Parameters of `channels.pairing.list`.
 */
@Serializable
data class ChannelsPairingListParams (
    /**
     * Only this account.
     */
    val accountId: String? = null,

    /**
     * Only this channel.
     */
    val channel: String? = null
)

/**
 * Result of `channels.pairing.list`.
 */
@Serializable
data class ChannelsPairingListResult (
    /**
     * Accounts that people can knock at.
     */
    val accounts: List<Account>,

    /**
     * Always true: nobody becomes an owner by being let in.
     */
    val commandOwnerConfigured: Boolean,

    /**
     * How many may knock, and for how long.
     */
    val limits: Limits,

    /**
     * Those who knock, oldest first.
     */
    val requests: List<ChannelsPairingListRequest>
)

/**
 * An account of a channel.
 */
@Serializable
data class Account (
    /**
     * The account.
     */
    val accountId: String,

    /**
     * The account's name.
     */
    val accountLabel: String? = null,

    /**
     * The channel.
     */
    val channel: String,

    /**
     * Its name.
     */
    val channelLabel: String,

    /**
     * Always true: who is let in can be told.
     */
    val notifySupported: Boolean
)

/**
 * How many may knock, and for how long.
 *
 * Limits of knocking.
 */
@Serializable
data class Limits (
    /**
     * Most who knock at an account.
     */
    val pendingPerAccount: Long,

    /**
     * Milliseconds until one is forgotten.
     */
    val ttlMs: Long
)

/**
 * Somebody who knocks. The code is not shown: they were told it, and who approves by code
 * has heard it from them.
 */
@Serializable
data class ChannelsPairingListRequest (
    /**
     * The account.
     */
    val accountId: String,

    /**
     * The account's name.
     */
    val accountLabel: String? = null,

    /**
     * The channel.
     */
    val channel: String,

    /**
     * Its name.
     */
    val channelLabel: String,

    /**
     * When they first wrote, as `2026-01-31T12:00:00Z`.
     */
    val createdAt: String,

    /**
     * When they will be forgotten.
     */
    val expiresAt: String,

    /**
     * When they last wrote.
     */
    val lastSeenAt: String,

    /**
     * `name` and `handle`, as they call themselves.
     */
    val metadata: JsonObject? = null,

    /**
     * Always true: who is let in can be told.
     */
    val notifySupported: Boolean,

    /**
     * Names the request.
     */
    val requestId: String,

    /**
     * The channel's lasting id of them.
     */
    val senderId: String,

    /**
     * What such ids are called.
     */
    val senderLabel: String
)

/**
 * Parameters of `channels.senders.list`.
 */
@Serializable
data class ChannelsSendersListParams (
    /**
     * Only this channel.
     */
    val channel: String? = null
)

/**
 * Result of `channels.senders.list`.
 */
@Serializable
data class ChannelsSendersListResult (
    /**
     * Those who were let in, by channel and account.
     */
    val senders: List<Sender>
)

/**
 * Somebody who was let in.
 */
@Serializable
data class Sender (
    /**
     * The account.
     */
    val accountId: String,

    /**
     * When they were let in, as `2026-01-31T12:00:00Z`.
     */
    val approvedAt: String,

    /**
     * The channel.
     */
    val channel: String,

    /**
     * Their handle then.
     */
    val handle: String? = null,

    /**
     * What they called themselves then.
     */
    val name: String? = null,

    /**
     * The channel's lasting id of them.
     */
    val senderId: String
)

/**
 * Parameters of `channels.senders.remove`.
 */
@Serializable
data class ChannelsSendersRemoveParams (
    /**
     * The account; the channel's unnamed one when absent.
     */
    val accountId: String? = null,

    /**
     * The channel.
     */
    val channel: String,

    /**
     * The channel's lasting id of them.
     */
    val senderId: String
)

/**
 * Result of `channels.senders.remove`.
 */
@Serializable
data class ChannelsSendersRemoveResult (
    /**
     * Whether they had been let in.
     */
    val removed: Boolean
)

/**
 * Parameters of `channels.start`, `channels.stop` and `channels.logout`.
 */
@Serializable
data class ChannelsStartParams (
    /**
     * The account; the channel's default when absent.
     */
    val accountId: String? = null,

    /**
     * The channel.
     */
    val channel: String
)

/**
 * Result of `channels.start`.
 */
@Serializable
data class ChannelsStartResult (
    /**
     * The account.
     */
    val accountId: String,

    /**
     * The channel.
     */
    val channel: String,

    /**
     * Always true.
     */
    val started: Boolean
)

/**
 * Parameters of `channels.status`.
 */
@Serializable
data class ChannelsStatusParams (
    /**
     * Only this channel (protocol 4).
     */
    val channel: String? = null,

    /**
     * Whether each channel asks its service.
     */
    val probe: Boolean? = null,

    /**
     * How long that may take, in milliseconds.
     */
    val timeoutMs: Long? = null
)

/**
 * Result of `channels.status`.
 */
@Serializable
data class ChannelsStatusResult (
    /**
     * Accounts by id; each with an `accountId`.
     */
    val channelAccounts: Map<String, JsonArray>,

    /**
     * The account used when none is named, by id.
     */
    val channelDefaultAccountId: Map<String, String>,

    /**
     * Longer names by id.
     */
    val channelDetailLabels: Map<String, String>? = null,

    /**
     * Names by id.
     */
    val channelLabels: Map<String, String>,

    /**
     * The above once more, as a list.
     */
    val channelMeta: List<ChannelMeta>? = null,

    /**
     * Ids, sorted.
     */
    val channelOrder: List<String>,

    /**
     * Summaries by id; each says at least whether it is `configured`.
     */
    val channels: JsonObject,

    /**
     * Names of symbols of Apple's systems by id.
     */
    val channelSystemImages: Map<String, String>? = null,

    /**
     * When it was asked, in milliseconds since the epoch.
     */
    val ts: Long
)

/**
 * How a channel is named.
 */
@Serializable
data class ChannelMeta (
    /**
     * Its longer name.
     */
    val detailLabel: String,

    /**
     * Its id.
     */
    val id: String,

    /**
     * Its name.
     */
    val label: String,

    /**
     * Name of a symbol of Apple's systems.
     */
    val systemImage: String? = null
)

/**
 * Parameters of `channels.start`, `channels.stop` and `channels.logout`.
 */
@Serializable
data class ChannelsStopParams (
    /**
     * The account; the channel's default when absent.
     */
    val accountId: String? = null,

    /**
     * The channel.
     */
    val channel: String
)

/**
 * Result of `channels.stop`.
 */
@Serializable
data class ChannelsStopResult (
    /**
     * The account.
     */
    val accountId: String,

    /**
     * The channel.
     */
    val channel: String,

    /**
     * Always true.
     */
    val stopped: Boolean
)

/**
 * Parameters of `chat.abort`.
 */
@Serializable
data class ChatAbortParams (
    /**
     * One run of it; all when absent.
     */
    val runId: String? = null,

    /**
     * The session.
     */
    val sessionKey: String
)

/**
 * Result of `chat.abort`.
 */
@Serializable
data class ChatAbortResult (
    /**
     * Whether anything was stopped.
     */
    val aborted: Boolean,

    /**
     * Always.
     */
    val ok: Boolean,

    /**
     * What was stopped.
     */
    val runIds: List<String>
)

/**
 * Payload of `chat`.
 */
@Serializable
data class ChatEvent (
    /**
     * The agent.
     */
    val agentId: String? = null,

    /**
     * Of a `delta`: what was added since the one before; with `replace`, all of it.
     */
    val deltaText: String? = null,

    /**
     * Of an `error`: `refusal`, `timeout`, `rate_limit`, `context_length` or `unknown`.
     */
    val errorKind: String? = null,

    /**
     * Why it failed, in a sentence for people.
     */
    val errorMessage: String? = null,

    /**
     * The whole answer so far, or in the end.
     */
    val message: Message? = null,

    /**
     * Of a `delta`: the answer began anew.
     */
    val replace: Boolean? = null,

    /**
     * The run.
     */
    val runId: String,

    /**
     * Grows within the run, with holes.
     */
    val seq: Long,

    /**
     * The session, as whoever started the run spelled it.
     */
    val sessionKey: String,

    /**
     * `delta`, `final`, `aborted` or `error`.
     */
    val state: State,

    /**
     * Why it ended; of an `aborted` one `rpc`, `stop` or `timeout`.
     */
    val stopReason: String? = null,

    /**
     * What it cost.
     */
    val usage: JsonElement? = null
)

/**
 * One message.
 */
@Serializable
data class Message (
    /**
     * What is said, in order.
     */
    val content: List<Part>? = null,

    /**
     * Why an answer failed, in a sentence for people.
     */
    val errorMessage: String? = null,

    /**
     * Its id in the transcript; who appends a message twice with one id appends it once.
     */
    val id: String? = null,

    /**
     * Of a tool's answer: whether the tool failed.
     */
    val isError: Boolean? = null,

    /**
     * The model.
     */
    val model: String? = null,

    /**
     * Who provided the model.
     */
    val provider: String? = null,

    /**
     * Who speaks; see [`role`].
     */
    val role: String,

    /**
     * The run it belongs to.
     */
    val runId: String? = null,

    /**
     * Why an answer ended: `stop`, `toolUse`, `length`, `aborted`, `error`, `injected`.
     */
    val stopReason: String? = null,

    /**
     * When, in milliseconds since the epoch.
     */
    val timestamp: Long? = null,

    /**
     * Of a tool's answer: the call it answers.
     */
    val toolCallId: String? = null,

    /**
     * Of a tool's answer: the tool.
     */
    val toolName: String? = null,

    /**
     * Tokens of the answer.
     */
    val usage: Usage? = null
)

/**
 * A piece of a message.
 *
 * Text.
 *
 * An image, in the message itself.
 *
 * What a model thought before it answered.
 *
 * A model asks for a tool.
 *
 * A piece of a kind that this version does not know.
 */
@Serializable
data class Part (
    /**
     * The text.
     */
    val text: String? = null,

    val type: PartType,

    /**
     * Its bytes in base64.
     */
    val data: String? = null,

    /**
     * Its kind, `image/png` and the like.
     */
    val mimeType: String? = null,

    /**
     * What its provider wants to be given back with it.
     */
    val signature: String? = null,

    /**
     * The thought.
     */
    val thinking: String? = null,

    /**
     * What it is given: an object.
     */
    val arguments: JsonElement? = null,

    /**
     * Names this call within the conversation.
     */
    val id: String? = null,

    /**
     * The tool.
     */
    val name: String? = null
)

@Serializable
enum class PartType(val value: String) {
    @SerialName("image") Image("image"),
    @SerialName("other") Other("other"),
    @SerialName("text") Text("text"),
    @SerialName("thinking") Thinking("thinking"),
    @SerialName("toolCall") ToolCall("toolCall");
}

/**
 * `delta`, `final`, `aborted` or `error`.
 *
 * What became of the answer.
 *
 * It grows.
 *
 * It is there.
 *
 * It was stopped.
 *
 * It failed.
 */
@Serializable
enum class State(val value: String) {
    @SerialName("aborted") Aborted("aborted"),
    @SerialName("delta") Delta("delta"),
    @SerialName("error") Error("error"),
    @SerialName("final") Final("final");
}

/**
 * Parameters of `chat.history`.
 */
@Serializable
data class ChatHistoryParams (
    /**
     * Where a client was that wants only what came since (protocol 4).
     */
    val cursor: JsonElement? = null,

    /**
     * The last so many messages; 200 when absent.
     */
    val limit: Long? = null,

    /**
     * Largest list of messages, in bytes (protocol 4).
     */
    val maxBytes: Long? = null,

    /**
     * Without the last so many (protocol 4).
     */
    val offset: Long? = null,

    /**
     * The session.
     */
    val sessionKey: String
)

/**
 * Result of `chat.history`.
 *
 * Messages.
 *
 * Messages of a session.
 *
 * Nothing is kept of where clients were: they begin anew.
 */
@Serializable
data class ChatHistoryResult (
    /**
     * Whether there are older ones.
     */
    val hasMore: Boolean? = null,

    /**
     * Messages, oldest first.
     */
    val messages: JsonArray? = null,

    /**
     * Its present conversation; absent when there is no such session.
     */
    val sessionId: String? = null,

    /**
     * The session, as it was asked for.
     */
    val sessionKey: String? = null,

    /**
     * How much the agent thinks, where the session says.
     */
    val thinkingLevel: String? = null,

    /**
     * How many there are.
     */
    val totalMessages: Long? = null,

    /**
     * Always `reset`.
     */
    val kind: String? = null
)

/**
 * Messages.
 *
 * Messages of a session.
 */
@Serializable
data class Page (
    /**
     * Whether there are older ones.
     */
    val hasMore: Boolean,

    /**
     * Messages, oldest first.
     */
    val messages: JsonArray,

    /**
     * Its present conversation; absent when there is no such session.
     */
    val sessionId: String? = null,

    /**
     * The session, as it was asked for.
     */
    val sessionKey: String,

    /**
     * How much the agent thinks, where the session says.
     */
    val thinkingLevel: String? = null,

    /**
     * How many there are.
     */
    val totalMessages: Long
)

/**
 * Parameters of `chat.inject`.
 */
@Serializable
data class ChatInjectParams (
    /**
     * Shown before it, in brackets.
     */
    val label: String? = null,

    /**
     * What is said in the agent's name.
     */
    val message: String,

    /**
     * The session.
     */
    val sessionKey: String
)

/**
 * Result of `chat.inject`.
 */
@Serializable
data class ChatInjectResult (
    /**
     * The message.
     */
    val messageId: String,

    /**
     * Always.
     */
    val ok: Boolean
)

/**
 * Result of `chat.metadata`.
 */
@Serializable
data class ChatMetadataResult (
    /**
     * None.
     */
    val commands: JsonArray,

    /**
     * Models, as `models.list` has them.
     */
    val models: JsonArray
)

/**
 * Parameters of `chat.send`.
 */
@Serializable
data class ChatSendParams (
    /**
     * `{type?, mimeType?, fileName?, content}` each, the content in base64.
     */
    val attachments: JsonArray? = null,

    /**
     * Whether the answer is delivered to a channel.
     */
    val deliver: Boolean? = null,

    /**
     * Names the run, and makes it happen once.
     */
    val idempotencyKey: String,

    /**
     * What is said.
     */
    val message: String,

    /**
     * The session, in any spelling; events of the run carry this one.
     */
    val sessionKey: String,

    /**
     * How much the agent shall think.
     */
    val thinking: String? = null,

    /**
     * Milliseconds until the run is given up; 0 and absent are the agent's own.
     */
    val timeoutMs: Long? = null
)

/**
 * Result of `chat.send`.
 *
 * What became of the message.
 *
 * A run, as `chat.send` answers it.
 *
 * It was a word that stops what runs.
 *
 * Result of `chat.abort`.
 */
@Serializable
data class ChatSendResult (
    /**
     * The run.
     */
    val runId: String? = null,

    /**
     * `started`, `in_flight`, `ok`, or `error`.
     */
    val status: String? = null,

    /**
     * Why it failed.
     */
    val summary: String? = null,

    /**
     * Whether anything was stopped.
     */
    val aborted: Boolean? = null,

    /**
     * Always.
     */
    val ok: Boolean? = null,

    /**
     * What was stopped.
     */
    val runIds: List<String>? = null
)

/**
 * What became of the message.
 *
 * A run, as `chat.send` answers it.
 */
@Serializable
data class RunState (
    /**
     * The run.
     */
    val runId: String,

    /**
     * `started`, `in_flight`, `ok`, or `error`.
     */
    val status: String,

    /**
     * Why it failed.
     */
    val summary: String? = null
)

/**
 * It was a word that stops what runs.
 *
 * Result of `chat.abort`.
 */
@Serializable
data class Stopped (
    /**
     * Whether anything was stopped.
     */
    val aborted: Boolean,

    /**
     * Always.
     */
    val ok: Boolean,

    /**
     * What was stopped.
     */
    val runIds: List<String>
)

/**
 * Parameters of `chat.history`.
 */
@Serializable
data class ChatStartupParams (
    /**
     * Where a client was that wants only what came since (protocol 4).
     */
    val cursor: JsonElement? = null,

    /**
     * The last so many messages; 200 when absent.
     */
    val limit: Long? = null,

    /**
     * Largest list of messages, in bytes (protocol 4).
     */
    val maxBytes: Long? = null,

    /**
     * Without the last so many (protocol 4).
     */
    val offset: Long? = null,

    /**
     * The session.
     */
    val sessionKey: String
)

/**
 * Result of `chat.startup`.
 */
@Serializable
data class ChatStartupResult (
    /**
     * Models of sessions that name none.
     */
    val defaults: JsonElement?,

    /**
     * Whether there are older ones.
     */
    val hasMore: Boolean,

    /**
     * Messages, oldest first.
     */
    val messages: JsonArray,

    /**
     * What waits to be said: nothing, since what is said is a run at once.
     */
    val pendingInputs: PendingInputs,

    /**
     * Its present conversation; absent when there is no such session.
     */
    val sessionId: String? = null,

    /**
     * The session's row, as `sessions.list` has it.
     */
    val sessionInfo: JsonElement?,

    /**
     * The session, as it was asked for.
     */
    val sessionKey: String,

    /**
     * How much the agent thinks, where the session says.
     */
    val thinkingLevel: String? = null,

    /**
     * How many there are.
     */
    val totalMessages: Long
)

/**
 * What waits to be said: nothing, since what is said is a run at once.
 *
 * Inputs that wait.
 */
@Serializable
data class PendingInputs (
    /**
     * None.
     */
    val items: JsonArray,

    /**
     * 0.
     */
    val total: Long
)

/**
 * Result of `commands.list`.
 */
@Serializable
data class CommandsListResult (
    /**
     * None.
     */
    val commands: JsonArray
)

/**
 * Result of `config.get`.
 */
@Serializable
data class ConfigGetResult (
    /**
     * What is in force, defaults applied, secrets replaced.
     */
    val config: JsonElement?,

    /**
     * Whether it exists.
     */
    val exists: Boolean,

    /**
     * SHA-256 of the file in hex.
     */
    val hash: String,

    /**
     * What is wrong with it.
     */
    val issues: List<ConfigIssue>,

    /**
     * Always empty; clients expect the list.
     */
    val legacyIssues: List<ConfigIssue>,

    /**
     * What it says, secrets replaced.
     */
    val parsed: JsonElement?,

    /**
     * The file: its path for admins, its name for others.
     */
    val path: String,

    /**
     * Its text, secrets replaced; `null` without a file.
     */
    val raw: String? = null,

    /**
     * Whether the gateway would start with it.
     */
    val valid: Boolean,

    /**
     * Always empty; clients expect the list.
     */
    val warnings: List<ConfigIssue>
)

/**
 * One thing that is wrong with a configuration.
 */
@Serializable
data class ConfigIssue (
    /**
     * What is wrong and what would be right.
     */
    val message: String,

    /**
     * Dotted path of the key.
     */
    val path: String
)

/**
 * Result of `config.schema`.
 */
@Serializable
data class ConfigSchemaResult (
    /**
     * When the schema came to be, as ISO 8601.
     */
    val generatedAt: String,

    /**
     * JSON Schema of `config.toml`.
     */
    val schema: JsonElement?,

    /**
     * How a form may show each key, by its dotted path; `*` stands for any name, `[]` for an
     * item.
     */
    val uiHints: Map<String, Hint>,

    /**
     * Version of the gateway.
     */
    val version: String
)

/**
 * How a form may show a key.
 */
@Serializable
data class Hint (
    /**
     * Few need it.
     */
    val advanced: Boolean? = null,

    /**
     * The heading it stands under.
     */
    val group: String? = null,

    /**
     * What it does.
     */
    val help: String? = null,

    /**
     * Its name for people.
     */
    val label: String? = null,

    /**
     * Its place among its neighbours.
     */
    val order: Long? = null,

    /**
     * What is typed must not be shown.
     */
    val sensitive: Boolean? = null
)

@Serializable
data class ConnectChallengeEvent (
    /**
     * What a device signs.
     */
    val nonce: String,

    /**
     * Milliseconds since the epoch.
     */
    val ts: Long
)

/**
 * Parameters of `connect`.
 */
@Serializable
data class ConnectParams (
    /**
     * Credentials.
     */
    val auth: Credentials? = null,

    /**
     * Capabilities; they widen what is sent and are never an authorization.
     */
    val caps: List<String>? = null,

    /**
     * What program connects.
     */
    val client: ClientInfo,

    /**
     * Commands a node can be asked to run.
     */
    val commands: List<String>? = null,

    /**
     * Protocol 4: accepted and passed over.
     */
    val computerUse: JsonElement? = null,

    /**
     * The device that signs this connection.
     */
    val device: DeviceProof? = null,

    /**
     * The user's locale.
     */
    val locale: String? = null,

    /**
     * Highest protocol version the client speaks.
     */
    val maxProtocol: Long,

    /**
     * Lowest protocol version the client speaks.
     */
    val minProtocol: Long,

    /**
     * Protocol 4: accepted and passed over.
     */
    val modelCatalog: JsonElement? = null,

    /**
     * A node's `PATH`.
     */
    val pathEnv: String? = null,

    /**
     * Permissions a node holds on its system.
     */
    val permissions: Map<String, Boolean>? = null,

    /**
     * `operator` (the default) or `node`.
     */
    val role: String? = null,

    /**
     * Scopes asked for: an upper bound of what is granted.
     */
    val scopes: List<String>? = null,

    /**
     * The client's user agent.
     */
    val userAgent: String? = null,

    /**
     * Protocol 4: accepted and passed over.
     */
    val workerRuns: JsonElement? = null
)

/**
 * Credentials.
 *
 * Credentials. Never printed: the [`Debug`] form names only what is present.
 */
@Serializable
data class Credentials (
    /**
     * Protocol 4: in-process helpers only.
     */
    val agentRuntimeIdentityToken: String? = null,

    /**
     * Protocol 4: in-process helpers only.
     */
    val approvalRuntimeToken: String? = null,

    /**
     * Protocol 4: a setup code's token.
     */
    val bootstrapToken: String? = null,

    /**
     * Protocol 4: a device token.
     */
    val deviceToken: String? = null,

    /**
     * The shared password.
     */
    val password: String? = null,

    /**
     * The shared token, or a device token.
     */
    val token: String? = null
)

/**
 * What program connects.
 */
@Serializable
data class ClientInfo (
    /**
     * Protocol 4: build of the page.
     */
    val buildId: String? = null,

    /**
     * Kind of device.
     */
    val deviceFamily: String? = null,

    /**
     * A name for people.
     */
    val displayName: String? = null,

    val id: ClientInfoId,

    /**
     * Tells two instances of one program apart.
     */
    val instanceId: String? = null,

    /**
     * One of [`protocol::CLIENT_MODES`].
     */
    val mode: ClientInfoMode,

    /**
     * Model of the device.
     */
    val modelIdentifier: String? = null,

    /**
     * The system it runs on, in the client's own words.
     */
    val platform: String,

    /**
     * Protocol 4: the user's time zone.
     */
    val timeZone: String? = null,

    /**
     * The program's version.
     */
    val version: String
)

@Serializable
enum class ClientInfoId(val value: String) {
    @SerialName("cli") CLI("cli"),
    @SerialName("clawdbot-android") ClawdbotAndroid("clawdbot-android"),
    @SerialName("clawdbot-browser-copilot") ClawdbotBrowserCopilot("clawdbot-browser-copilot"),
    @SerialName("clawdbot-control-ui") ClawdbotControlUi("clawdbot-control-ui"),
    @SerialName("clawdbot-ios") ClawdbotIos("clawdbot-ios"),
    @SerialName("clawdbot-linux") ClawdbotLinux("clawdbot-linux"),
    @SerialName("clawdbot-macos") ClawdbotMacos("clawdbot-macos"),
    @SerialName("clawdbot-probe") ClawdbotProbe("clawdbot-probe"),
    @SerialName("clawdbot-watchos") ClawdbotWatchos("clawdbot-watchos"),
    @SerialName("clawdbot-worker") ClawdbotWorker("clawdbot-worker"),
    @SerialName("fingerprint") Fingerprint("fingerprint"),
    @SerialName("gateway-client") GatewayClient("gateway-client"),
    @SerialName("moltbot-android") MoltbotAndroid("moltbot-android"),
    @SerialName("moltbot-browser-copilot") MoltbotBrowserCopilot("moltbot-browser-copilot"),
    @SerialName("moltbot-control-ui") MoltbotControlUi("moltbot-control-ui"),
    @SerialName("moltbot-ios") MoltbotIos("moltbot-ios"),
    @SerialName("moltbot-linux") MoltbotLinux("moltbot-linux"),
    @SerialName("moltbot-macos") MoltbotMacos("moltbot-macos"),
    @SerialName("moltbot-probe") MoltbotProbe("moltbot-probe"),
    @SerialName("moltbot-watchos") MoltbotWatchos("moltbot-watchos"),
    @SerialName("moltbot-worker") MoltbotWorker("moltbot-worker"),
    @SerialName("node-host") NodeHost("node-host"),
    @SerialName("openclaw-android") OpenclawAndroid("openclaw-android"),
    @SerialName("openclaw-browser-copilot") OpenclawBrowserCopilot("openclaw-browser-copilot"),
    @SerialName("openclaw-control-ui") OpenclawControlUi("openclaw-control-ui"),
    @SerialName("openclaw-ios") OpenclawIos("openclaw-ios"),
    @SerialName("openclaw-linux") OpenclawLinux("openclaw-linux"),
    @SerialName("openclaw-macos") OpenclawMacos("openclaw-macos"),
    @SerialName("openclaw-probe") OpenclawProbe("openclaw-probe"),
    @SerialName("openclaw-tui") OpenclawTui("openclaw-tui"),
    @SerialName("openclaw-watchos") OpenclawWatchos("openclaw-watchos"),
    @SerialName("openclaw-worker") OpenclawWorker("openclaw-worker"),
    @SerialName("test") Test("test"),
    @SerialName("webchat") Webchat("webchat"),
    @SerialName("webchat-ui") WebchatUi("webchat-ui");
}

/**
 * One of [`protocol::CLIENT_MODES`].
 */
@Serializable
enum class ClientInfoMode(val value: String) {
    @SerialName("backend") Backend("backend"),
    @SerialName("cli") CLI("cli"),
    @SerialName("node") Node("node"),
    @SerialName("probe") Probe("probe"),
    @SerialName("test") Test("test"),
    @SerialName("ui") UI("ui"),
    @SerialName("webchat") Webchat("webchat"),
    @SerialName("worker") Worker("worker");
}

/**
 * The device that signs this connection.
 *
 * A device and its signature over the text of [`crate::device`].
 */
@Serializable
data class DeviceProof (
    /**
     * Lower-case hex SHA-256 of the raw public key.
     */
    val id: String,

    /**
     * The nonce of this socket's challenge.
     */
    val nonce: String? = null,

    /**
     * Ed25519 public key: 32 bytes as base64url or base64, or a PEM SPKI text.
     */
    val publicKey: String,

    /**
     * 64 bytes as base64url or base64.
     */
    val signature: String,

    /**
     * When it was signed, in milliseconds since the epoch.
     */
    val signedAt: Long
)

/**
 * Payload of the event `cron`.
 */
@Serializable
data class CronEvent (
    /**
     * `added`, `updated`, `removed`, `started` or `finished`.
     */
    val action: String,

    /**
     * How long it took.
     */
    val durationMs: Long? = null,

    /**
     * Why it failed or was passed over.
     */
    val error: String? = null,

    /**
     * The job.
     */
    val jobId: String,

    /**
     * When the job is due next.
     */
    val nextRunAtMs: Long? = null,

    /**
     * When the run began.
     */
    val runAtMs: Long? = null,

    /**
     * How it ended.
     */
    val status: RunStatus? = null,

    /**
     * What came of it.
     */
    val summary: String? = null
)

/**
 * Well.
 *
 * It failed.
 *
 * It was passed over.
 *
 * How a run ended.
 */
@Serializable
enum class RunStatus(val value: String) {
    @SerialName("error") Error("error"),
    @SerialName("ok") Ok("ok"),
    @SerialName("skipped") Skipped("skipped");
}

/**
 * Which job: `id` or `jobId`.
 */
@Serializable
data class CronGetParams (
    /**
     * The job.
     */
    val id: String? = null,

    /**
     * The same.
     */
    val jobId: String? = null
)

/**
 * Parameters of `cron.list`; all but the first are of protocol 4.
 */
@Serializable
data class CronListParams (
    /**
     * Those of an agent.
     */
    val agentId: String? = null,

    /**
     * With what a list shows on top.
     */
    val compact: Boolean? = null,

    /**
     * `all`, `enabled` or `disabled`.
     */
    val enabled: String? = null,

    /**
     * Nothing is shown of where answers would go.
     */
    val includeDeliveryPreviews: Boolean? = null,

    /**
     * Whether disabled ones are listed.
     */
    val includeDisabled: Boolean? = null,

    /**
     * At most so many.
     */
    val limit: Long? = null,

    /**
     * Without the first so many.
     */
    val offset: Long? = null,

    /**
     * Those with this in their name, description or id.
     */
    val query: String? = null,

    /**
     * `nextRunAtMs`, `updatedAtMs` or `name`.
     */
    val sortBy: String? = null,

    /**
     * `asc` or `desc`.
     */
    val sortDir: String? = null
)

/**
 * Which job: `id` or `jobId`.
 */
@Serializable
data class CronRemoveParams (
    /**
     * The job.
     */
    val id: String? = null,

    /**
     * The same.
     */
    val jobId: String? = null
)

/**
 * What became of a job that was to go.
 */
@Serializable
data class CronRemoveResult (
    /**
     * Always true.
     */
    val ok: Boolean,

    /**
     * Whether there was such a job.
     */
    val removed: Boolean
)

/**
 * Parameters of `cron.run`.
 */
@Serializable
data class CronRunParams (
    /**
     * The job.
     */
    val id: String? = null,

    /**
     * The same.
     */
    val jobId: String? = null,

    /**
     * Whether it runs only if it is due; clients of 3 mean `due` when they say nothing, those
     * of 4 `force`.
     */
    val mode: RunMode? = null
)

/**
 * If it is due.
 *
 * In any case.
 *
 * When a job that somebody names runs.
 */
@Serializable
enum class RunMode(val value: String) {
    @SerialName("due") Due("due"),
    @SerialName("force") Force("force");
}

/**
 * Parameters of `cron.runs`; those from `scope` on are of protocol 4.
 */
@Serializable
data class CronRunsParams (
    /**
     * The job.
     */
    val id: String? = null,

    /**
     * The same.
     */
    val jobId: String? = null,

    /**
     * At most so many.
     */
    val limit: Long? = null,

    /**
     * Without the first so many.
     */
    val offset: Long? = null,

    /**
     * Those with this in the job's name, the summary or the error.
     */
    val query: String? = null,

    /**
     * One run.
     */
    val runId: String? = null,

    /**
     * `job` or `all`.
     */
    val scope: String? = null,

    /**
     * `desc` (the latest first) or `asc`.
     */
    val sortDir: String? = null,

    /**
     * `ok`, `error`, `skipped` or `all`.
     */
    val status: String? = null,

    /**
     * Any of these.
     */
    val statuses: List<String>? = null
)

/**
 * How jobs do.
 */
@Serializable
data class CronStatusResult (
    /**
     * Whether they run by themselves.
     */
    val enabled: Boolean,

    /**
     * How many there are.
     */
    val jobs: Long,

    /**
     * When the next one is due.
     */
    val nextWakeAtMs: Long? = null,

    /**
     * The same place, for clients of protocol 4.
     */
    val sqlitePath: String? = null,

    /**
     * `sqlite`, for clients of protocol 4.
     */
    val storage: String? = null,

    /**
     * Where they are kept, from the state folder on.
     */
    val storePath: String,

    /**
     * Whether other things than time start jobs: they do not.
     */
    val triggersEnabled: Boolean? = null
)

/**
 * Parameters of `device.pair.approve`.
 */
@Serializable
data class DevicePairApproveParams (
    /**
     * Id of the request.
     */
    val requestId: String,

    /**
     * Fewer scopes than asked for; absent grants what was asked.
     */
    val scopes: List<String>? = null
)

/**
 * A device that was approved.
 */
@Serializable
data class DevicePairApproveResult (
    /**
     * The device.
     */
    val device: PairedDevice,

    /**
     * Id of the request.
     */
    val requestId: String
)

/**
 * The device.
 *
 * A paired device.
 */
@Serializable
data class PairedDevice (
    /**
     * When it was last approved.
     */
    val approvedAtMs: Long,

    /**
     * `silent` (a device of this machine), `owner` (an operator decided) or `bootstrap` (it
     * showed a setup code).
     */
    val approvedVia: String? = null,

    /**
     * `client.id`
     */
    val clientId: String? = null,

    /**
     * `client.mode`
     */
    val clientMode: String? = null,

    /**
     * When it was first approved.
     */
    val createdAtMs: Long,

    /**
     * Kind of device.
     */
    val deviceFamily: String? = null,

    /**
     * Id of the device.
     */
    val deviceId: String,

    /**
     * Its name.
     */
    val displayName: String? = null,

    /**
     * A label given by an operator.
     */
    val label: String? = null,

    /**
     * When it last connected.
     */
    val lastSeenAtMs: Long? = null,

    /**
     * Its system.
     */
    val platform: String? = null,

    /**
     * Its public key, base64url.
     */
    val publicKey: String,

    /**
     * Address it last connected from.
     */
    val remoteIp: String? = null,

    /**
     * Role it last connected with.
     */
    val role: String? = null,

    /**
     * Approved roles.
     */
    val roles: List<String>? = null,

    /**
     * Approved scopes.
     */
    val scopes: List<String>? = null,

    /**
     * Its tokens, without the tokens themselves, sorted by role.
     */
    val tokens: List<TokenSummary>? = null
)

/**
 * A token's record.
 */
@Serializable
data class TokenSummary (
    /**
     * When it was first minted.
     */
    val createdAtMs: Long,

    /**
     * When it was last used.
     */
    val lastUsedAtMs: Long? = null,

    /**
     * When it was revoked.
     */
    val revokedAtMs: Long? = null,

    /**
     * The role it is for.
     */
    val role: String,

    /**
     * When it was replaced.
     */
    val rotatedAtMs: Long? = null,

    /**
     * Its scopes, sorted.
     */
    val scopes: List<String>
)

/**
 * Pending requests and paired devices.
 */
@Serializable
data class DevicePairListResult (
    /**
     * Last approved first.
     */
    val paired: List<PairedDevice>,

    /**
     * Newest first.
     */
    val pending: List<PendingDevice>
)

/**
 * A device that waits for approval.
 */
@Serializable
data class PendingDevice (
    /**
     * `client.id`
     */
    val clientId: String? = null,

    /**
     * `client.mode`
     */
    val clientMode: String? = null,

    /**
     * Kind of device.
     */
    val deviceFamily: String? = null,

    /**
     * Id of the device.
     */
    val deviceId: String,

    /**
     * Its name.
     */
    val displayName: String? = null,

    /**
     * Whether the device was paired before.
     */
    val isRepair: Boolean? = null,

    /**
     * Its system.
     */
    val platform: String? = null,

    /**
     * Its public key, base64url.
     */
    val publicKey: String,

    /**
     * Address, absent for local connections.
     */
    val remoteIp: String? = null,

    /**
     * Id of the request.
     */
    val requestId: String,

    /**
     * Role asked for.
     */
    val role: String? = null,

    /**
     * Roles asked for.
     */
    val roles: List<String>? = null,

    /**
     * Scopes asked for.
     */
    val scopes: List<String>? = null,

    /**
     * Whether it may be approved without a human.
     */
    val silent: Boolean? = null,

    /**
     * When it asked, in milliseconds since the epoch.
     */
    val ts: Long
)

/**
 * Parameters of `device.pair.reject`.
 */
@Serializable
data class DevicePairRejectParams (
    /**
     * Id of the request.
     */
    val requestId: String
)

/**
 * A device that was rejected.
 */
@Serializable
data class DevicePairRejectResult (
    /**
     * The device.
     */
    val deviceId: String,

    /**
     * Id of the request.
     */
    val requestId: String
)

/**
 * Parameters of `device.pair.remove`.
 */
@Serializable
data class DevicePairRemoveParams (
    /**
     * The device.
     */
    val deviceId: String
)

/**
 * A device.
 */
@Serializable
data class DevicePairRemoveResult (
    /**
     * Its id.
     */
    val deviceId: String
)

/**
 * Parameters of `device.pair.rename`.
 */
@Serializable
data class DevicePairRenameParams (
    /**
     * The device.
     */
    val deviceId: String,

    /**
     * Its new label.
     */
    val label: String
)

/**
 * A device and its label.
 */
@Serializable
data class DevicePairRenameResult (
    /**
     * Its id.
     */
    val deviceId: String,

    /**
     * At most 64 characters.
     */
    val label: String
)

/**
 * A device that waits for approval.
 */
@Serializable
data class DevicePairRequestedEvent (
    /**
     * `client.id`
     */
    val clientId: String? = null,

    /**
     * `client.mode`
     */
    val clientMode: String? = null,

    /**
     * Kind of device.
     */
    val deviceFamily: String? = null,

    /**
     * Id of the device.
     */
    val deviceId: String,

    /**
     * Its name.
     */
    val displayName: String? = null,

    /**
     * Whether the device was paired before.
     */
    val isRepair: Boolean? = null,

    /**
     * Its system.
     */
    val platform: String? = null,

    /**
     * Its public key, base64url.
     */
    val publicKey: String,

    /**
     * Address, absent for local connections.
     */
    val remoteIp: String? = null,

    /**
     * Id of the request.
     */
    val requestId: String,

    /**
     * Role asked for.
     */
    val role: String? = null,

    /**
     * Roles asked for.
     */
    val roles: List<String>? = null,

    /**
     * Scopes asked for.
     */
    val scopes: List<String>? = null,

    /**
     * Whether it may be approved without a human.
     */
    val silent: Boolean? = null,

    /**
     * When it asked, in milliseconds since the epoch.
     */
    val ts: Long
)

/**
 * Payload of `host.pairing.resolved`.
 */
@Serializable
data class DevicePairResolvedEvent (
    /**
     * `approved` or `rejected`.
     */
    val decision: String,

    /**
     * The device.
     */
    val deviceId: String,

    /**
     * Id of the request.
     */
    val requestId: String,

    /**
     * When, in milliseconds since the epoch.
     */
    val ts: Long
)

/**
 * Parameters of `device.pair.setupCode`.
 */
@Serializable
data class DevicePairSetupCodeParams (
    /**
     * A name for the device.
     */
    val label: String? = null,

    /**
     * `operator` (the default) or `node`.
     */
    val role: String? = null,

    /**
     * What an operator may do at most; absent is to read and to write.
     */
    val scopes: List<String>? = null,

    /**
     * Where the device reaches the gateway: `ws://HOST:PORT` or `wss://HOST:PORT`.
     */
    val url: String? = null
)

/**
 * A setup code.
 */
@Serializable
data class DevicePairSetupCodeResult (
    /**
     * When it is worth nothing any more, in milliseconds since the epoch.
     */
    val expiresAtMs: Long,

    /**
     * The role it is for.
     */
    val role: String,

    /**
     * What it grants at most.
     */
    val scopes: List<String>,

    /**
     * What the device is given: base64url of JSON with `url`, `bootstrapToken` and perhaps
     * `tlsSha256`.
     */
    val setupCode: String,

    /**
     * SHA-256 of the certificate that the device trusts by it: `sha256:` and 64 hexadecimal
     * digits.
     */
    val tlsFingerprint: String? = null,

    /**
     * Where it leads.
     */
    val url: String
)

/**
 * Parameters of `device.token.revoke`.
 */
@Serializable
data class DeviceTokenRevokeParams (
    /**
     * The device.
     */
    val deviceId: String,

    /**
     * The role the token is for.
     */
    val role: String
)

/**
 * A revoked token.
 */
@Serializable
data class DeviceTokenRevokeResult (
    /**
     * The device.
     */
    val deviceId: String,

    /**
     * When, in milliseconds since the epoch.
     */
    val revokedAtMs: Long,

    /**
     * The role.
     */
    val role: String
)

/**
 * Parameters of `device.token.rotate`.
 */
@Serializable
data class DeviceTokenRotateParams (
    /**
     * The device.
     */
    val deviceId: String,

    /**
     * The role the token is for.
     */
    val role: String,

    /**
     * Scopes of the new token; absent keeps those of the old one.
     */
    val scopes: List<String>? = null
)

/**
 * A replaced token.
 */
@Serializable
data class DeviceTokenRotateResult (
    /**
     * The device.
     */
    val deviceId: String,

    /**
     * The role.
     */
    val role: String,

    /**
     * When, in milliseconds since the epoch.
     */
    val rotatedAtMs: Long,

    /**
     * Scopes of the new token.
     */
    val scopes: List<String>,

    /**
     * The new token, only when the device itself asked.
     */
    val token: String? = null,

    /**
     * `in-band` or `withheld-cross-device`.
     */
    val tokenDelivery: String
)

/**
 * Why a request failed. It is data, not a `std::error::Error`: what goes on the wire is
 * chosen, never converted by
 * accident. Optional fields are left out, never `null`: clients drop a frame with
 * `"error":null` in it.
 */
@Serializable
data class ErrorShape (
    /**
     * One of [`code`], or a code a plugin documents.
     */
    val code: String,

    /**
     * Facts for programs; usually an object with a `code` of its own.
     */
    val details: JsonElement? = null,

    /**
     * A sentence for people. Clients search some of these texts, so they are part of the
     * contract.
     */
    val message: String,

    /**
     * Whether the same request may succeed later.
     */
    val retryable: Boolean? = null,

    /**
     * When to try again, in milliseconds from now.
     */
    val retryAfterMs: Long? = null
)

/**
 * Which request.
 */
@Serializable
data class ExecApprovalGetParams (
    /**
     * Its id.
     */
    val id: String
)

/**
 * A request that waits, as whoever decides looks at it.
 */
@Serializable
data class ExecApprovalGetResult (
    /**
     * The agent that wants it.
     */
    val agentId: String? = null,

    /**
     * What may be decided.
     */
    val allowedDecisions: List<Decision>,

    /**
     * A shorter form of it.
     */
    val commandPreview: String? = null,

    /**
     * The command as it is shown.
     */
    val commandText: String,

    /**
     * When it is too late to decide, in milliseconds since the epoch.
     */
    val expiresAtMs: Long,

    /**
     * Where it would run.
     */
    val host: String? = null,

    /**
     * Its id.
     */
    val id: String,

    /**
     * The node that would run it.
     */
    val nodeId: String? = null
)

/**
 * What an operator may decide.
 *
 * The decision.
 *
 * This run and no other.
 *
 * This run and those like it.
 *
 * It may not.
 */
@Serializable
enum class Decision(val value: String) {
    @SerialName("allow-always") AllowAlways("allow-always"),
    @SerialName("allow-once") AllowOnce("allow-once"),
    @SerialName("deny") Deny("deny");
}

/**
 * A request as operators see it: payload of `exec.approval.requested`.
 */
@Serializable
data class Pending (
    /**
     * When it was asked, in milliseconds since the epoch.
     */
    val createdAtMs: Long,

    /**
     * When it is too late to decide.
     */
    val expiresAtMs: Long,

    /**
     * Its id.
     */
    val id: String,

    /**
     * What is asked.
     */
    val request: ExecApprovalListRequest
)

/**
 * What is asked.
 */
@Serializable
data class ExecApprovalListRequest (
    /**
     * The agent that wants it.
     */
    val agentId: String? = null,

    /**
     * When operators are asked there.
     */
    val ask: String? = null,

    /**
     * The command as it is shown. Characters that would deceive whoever reads it are written
     * out, as `\u{202e}`.
     */
    val command: String,

    /**
     * The command's words.
     */
    val commandArgv: List<String>? = null,

    /**
     * The folder it would run in.
     */
    val cwd: String? = null,

    /**
     * Where it would run.
     */
    val host: String? = null,

    /**
     * The node that would run it.
     */
    val nodeId: String? = null,

    /**
     * The program that would run.
     */
    val resolvedPath: String? = null,

    /**
     * The security mode in force.
     */
    val security: String? = null,

    /**
     * The session that wants it.
     */
    val sessionKey: String? = null,

    /**
     * What exactly a node would run.
     */
    val systemRunPlan: Plan? = null
)

/**
 * What exactly a node would run.
 */
@Serializable
data class Plan (
    /**
     * The agent.
     */
    val agentId: String? = null,

    /**
     * The command's words.
     */
    val argv: List<String>,

    /**
     * A shorter form of it.
     */
    val commandPreview: String? = null,

    /**
     * The command as it is shown.
     */
    val commandText: String? = null,

    /**
     * The folder.
     */
    val cwd: String? = null,

    /**
     * The session.
     */
    val sessionKey: String? = null
)

/**
 * Parameters of `exec.approval.request`.
 */
@Serializable
data class ExecApprovalRequestParams (
    /**
     * The agent that wants it.
     */
    val agentId: String? = null,

    /**
     * When operators are asked there.
     */
    val ask: String? = null,

    /**
     * The command as it is shown; with `systemRunPlan` or `commandArgv` it may be absent.
     */
    val command: String? = null,

    /**
     * The command's words.
     */
    val commandArgv: List<String>? = null,

    /**
     * The folder it would run in.
     */
    val cwd: String? = null,

    /**
     * Where it would run, such as `gateway` or `node`.
     */
    val host: String? = null,

    /**
     * Id of the request; made up if absent.
     */
    val id: String? = null,

    /**
     * The node that would run it.
     */
    val nodeId: String? = null,

    /**
     * The program that would run.
     */
    val resolvedPath: String? = null,

    /**
     * The security mode in force.
     */
    val security: String? = null,

    /**
     * The session that wants it.
     */
    val sessionKey: String? = null,

    /**
     * What exactly a node would run.
     */
    val systemRunPlan: Plan? = null,

    /**
     * Milliseconds until it is too late to decide; 120,000 unless configured.
     */
    val timeoutMs: Long? = null,

    /**
     * Whether to answer first that it was accepted.
     */
    val twoPhase: Boolean? = null
)

/**
 * What was decided.
 */
@Serializable
data class ExecApprovalRequestResult (
    /**
     * When it was asked, in milliseconds since the epoch.
     */
    val createdAtMs: Long,

    /**
     * The decision; null when nobody decided in time.
     */
    val decision: Decision? = null,

    /**
     * When it was too late to decide.
     */
    val expiresAtMs: Long,

    /**
     * Id of the request.
     */
    val id: String
)

/**
 * A request as operators see it: payload of `exec.approval.requested`.
 */
@Serializable
data class ExecApprovalRequestedEvent (
    /**
     * When it was asked, in milliseconds since the epoch.
     */
    val createdAtMs: Long,

    /**
     * When it is too late to decide.
     */
    val expiresAtMs: Long,

    /**
     * Its id.
     */
    val id: String,

    /**
     * What is asked.
     */
    val request: ExecApprovalRequestedRequest
)

/**
 * What is asked.
 */
@Serializable
data class ExecApprovalRequestedRequest (
    /**
     * The agent that wants it.
     */
    val agentId: String? = null,

    /**
     * When operators are asked there.
     */
    val ask: String? = null,

    /**
     * The command as it is shown. Characters that would deceive whoever reads it are written
     * out, as `\u{202e}`.
     */
    val command: String,

    /**
     * The command's words.
     */
    val commandArgv: List<String>? = null,

    /**
     * The folder it would run in.
     */
    val cwd: String? = null,

    /**
     * Where it would run.
     */
    val host: String? = null,

    /**
     * The node that would run it.
     */
    val nodeId: String? = null,

    /**
     * The program that would run.
     */
    val resolvedPath: String? = null,

    /**
     * The security mode in force.
     */
    val security: String? = null,

    /**
     * The session that wants it.
     */
    val sessionKey: String? = null,

    /**
     * What exactly a node would run.
     */
    val systemRunPlan: Plan? = null
)

/**
 * Parameters of `exec.approval.resolve`.
 */
@Serializable
data class ExecApprovalResolveParams (
    /**
     * `allow-once`, `allow-always` or `deny`.
     */
    val decision: String,

    /**
     * Id of the request.
     */
    val id: String
)

/**
 * It is done.
 */
@Serializable
data class ExecApprovalResolveResult (
    /**
     * Always true.
     */
    val ok: Boolean
)

/**
 * Payload of `exec.approval.resolved`.
 */
@Serializable
data class ExecApprovalResolvedEvent (
    /**
     * The decision.
     */
    val decision: Decision,

    /**
     * Id of the request.
     */
    val id: String,

    /**
     * Who decided.
     */
    val resolvedBy: String? = null,

    /**
     * When, in milliseconds since the epoch.
     */
    val ts: Long
)

/**
 * Which request.
 */
@Serializable
data class ExecApprovalWaitDecisionParams (
    /**
     * Its id.
     */
    val id: String
)

/**
 * What was decided.
 */
@Serializable
data class ExecApprovalWaitDecisionResult (
    /**
     * When it was asked, in milliseconds since the epoch.
     */
    val createdAtMs: Long,

    /**
     * The decision; null when nobody decided in time.
     */
    val decision: Decision? = null,

    /**
     * When it was too late to decide.
     */
    val expiresAtMs: Long,

    /**
     * Id of the request.
     */
    val id: String
)

/**
 * The file as clients see it.
 */
@Serializable
data class ExecApprovalsGetResult (
    /**
     * Whether it is.
     */
    val exists: Boolean,

    /**
     * What it says, without the socket's token.
     */
    val file: ApprovalsFile,

    /**
     * SHA-256 of its text, in hex.
     */
    val hash: String,

    /**
     * Where it is.
     */
    val path: String
)

/**
 * What it says, without the socket's token.
 *
 * What the file says.
 *
 * The file.
 */
@Serializable
data class ApprovalsFile (
    /**
     * For one agent, by its id.
     */
    val agents: Map<String, AgentRules>? = null,

    /**
     * For every agent.
     */
    val defaults: ExecApprovalsSetRules? = null,

    /**
     * Where a program asks the user.
     */
    val socket: Socket? = null,

    /**
     * Always 1.
     */
    val version: Long
)

/**
 * An agent's rules.
 */
@Serializable
data class AgentRules (
    /**
     * Programs that may run.
     */
    val allowlist: List<Allowed>? = null,

    /**
     * `off`, `on-miss` or `always`: when operators are asked.
     */
    val ask: String? = null,

    /**
     * What holds when nobody can be asked.
     */
    val askFallback: String? = null,

    /**
     * Whether programs of skills may run.
     */
    val autoAllowSkills: Boolean? = null,

    /**
     * `deny`, `allowlist` or `full`.
     */
    val security: String? = null
)

/**
 * A program that may run. What is said beyond this is kept: it may bound what is allowed,
 * and leaving it out would allow
 * more.
 */
@Serializable
data class Allowed (
    /**
     * Which programs.
     */
    val pattern: String
)

/**
 * What holds unless an agent has rules of its own.
 */
@Serializable
data class ExecApprovalsSetRules (
    /**
     * `off`, `on-miss` or `always`: when operators are asked.
     */
    val ask: String? = null,

    /**
     * What holds when nobody can be asked.
     */
    val askFallback: String? = null,

    /**
     * Whether programs of skills may run.
     */
    val autoAllowSkills: Boolean? = null,

    /**
     * `deny`, `allowlist` or `full`.
     */
    val security: String? = null
)

/**
 * A program that asks the user.
 */
@Serializable
data class Socket (
    /**
     * Its path.
     */
    val path: String? = null,

    /**
     * What lets in there; written, and never read out.
     */
    val token: String? = null
)

/**
 * What holds unless an agent has rules of its own.
 */
@Serializable
data class ExecApprovalsGetRules (
    /**
     * `off`, `on-miss` or `always`: when operators are asked.
     */
    val ask: String? = null,

    /**
     * What holds when nobody can be asked.
     */
    val askFallback: String? = null,

    /**
     * Whether programs of skills may run.
     */
    val autoAllowSkills: Boolean? = null,

    /**
     * `deny`, `allowlist` or `full`.
     */
    val security: String? = null
)

/**
 * Parameters of `exec.approvals.node.get`.
 */
@Serializable
data class ExecApprovalsNodeGetParams (
    /**
     * The node.
     */
    val nodeId: String
)

/**
 * Parameters of `exec.approvals.node.set`.
 */
@Serializable
data class ExecApprovalsNodeSetParams (
    /**
     * Hash of the file that it replaces.
     */
    val baseHash: String? = null,

    /**
     * The file, as the node understands it.
     */
    val file: JsonObject,

    /**
     * The node.
     */
    val nodeId: String
)

/**
 * Parameters of `exec.approvals.set`.
 */
@Serializable
data class ExecApprovalsSetParams (
    /**
     * Hash of the file that it replaces.
     */
    val baseHash: String? = null,

    /**
     * The file.
     */
    val file: ApprovalsFile
)

/**
 * The file as clients see it.
 */
@Serializable
data class ExecApprovalsSetResult (
    /**
     * Whether it is.
     */
    val exists: Boolean,

    /**
     * What it says, without the socket's token.
     */
    val file: ApprovalsFile,

    /**
     * SHA-256 of its text, in hex.
     */
    val hash: String,

    /**
     * Where it is.
     */
    val path: String
)

/**
 * How the gateway is doing. Clients take `ok` alone for "healthy".
 */
@Serializable
data class HealthEvent (
    /**
     * The agents.
     */
    val agents: List<AgentHealth>,

    /**
     * Names of the channels by id.
     */
    val channelLabels: Map<String, String>,

    /**
     * Ids of the channels in the order to show them in.
     */
    val channelOrder: List<String>,

    /**
     * Channels by id: `accountId`, `configured`, `linked`, `probe`, `lastError` and whatever
     * else they tell.
     */
    val channels: JsonObject,

    /**
     * The agent that is meant when none is named.
     */
    val defaultAgentId: String,

    /**
     * How long finding it took.
     */
    val durationMs: Long,

    /**
     * Seconds between two heartbeats of the default agent; 0 without.
     */
    val heartbeatSeconds: Long,

    /**
     * Always true: a gateway that is not well does not answer.
     */
    val ok: Boolean,

    /**
     * How plugins are doing.
     */
    val plugins: PluginsHealth,

    /**
     * Sessions of the default agent.
     */
    val sessions: SessionsHealth,

    /**
     * When this was found, in milliseconds since the epoch.
     */
    val ts: Long
)

/**
 * How an agent is doing.
 */
@Serializable
data class AgentHealth (
    /**
     * Its id.
     */
    val agentId: String,

    /**
     * Its heartbeats.
     */
    val heartbeat: Heartbeat,

    /**
     * Whether it is the one that is meant when none is named.
     */
    val isDefault: Boolean,

    /**
     * Its name.
     */
    val name: String? = null,

    /**
     * Its sessions.
     */
    val sessions: SessionsHealth
)

/**
 * Its heartbeats.
 *
 * How heartbeats go; the answer of `heartbeat.settings`.
 */
@Serializable
data class Heartbeat (
    /**
     * An answer of "all is well" with at most so many further characters is not passed on.
     */
    val ackMaxChars: Long,

    /**
     * Whether they are on.
     */
    val enabled: Boolean,

    /**
     * How often, for people: `30m`, or `disabled`.
     */
    val every: String,

    /**
     * Milliseconds between two; null when they are off.
     */
    val everyMs: Long? = null,

    /**
     * What the agent is asked.
     */
    val prompt: String,

    /**
     * Where an answer goes.
     */
    val target: String
)

/**
 * Its sessions.
 *
 * Sessions in short.
 *
 * Sessions of the default agent.
 */
@Serializable
data class SessionsHealth (
    /**
     * How many there are.
     */
    val count: Long,

    /**
     * Where they are kept, without the way there; empty when no plugin keeps any.
     */
    val path: String,

    /**
     * Those used last.
     */
    val recent: List<RecentSession>
)

/**
 * A session that was used lately.
 */
@Serializable
data class RecentSession (
    /**
     * How long ago that is, in milliseconds.
     */
    val age: Long? = null,

    /**
     * Its key.
     */
    val key: String,

    /**
     * When it was last used, in milliseconds since the epoch.
     */
    val updatedAt: Long? = null
)

/**
 * How plugins are doing.
 *
 * Plugins in short, closed as the schema of protocol 4 has it.
 */
@Serializable
data class PluginsHealth (
    /**
     * Those that could not run or were stopped, and those whose HTTP is not served, and why.
     */
    val errors: List<FailedPlugin>,

    /**
     * Ids of those that run.
     */
    val loaded: List<String>
)

/**
 * A plugin that does not run although it should, or not as it should.
 */
@Serializable
data class FailedPlugin (
    /**
     * Whether it runs: then nobody listens on the port that its HTTP has to itself.
     */
    val activated: Boolean,

    /**
     * Why, without paths; the log has all of it.
     */
    val error: String,

    /**
     * Its id.
     */
    val id: String,

    /**
     * `linked` or `loaded`.
     */
    val origin: String
)

/**
 * Parameters of `health`: open.
 */
@Serializable
data class HealthParams (
    /**
     * `true`: channels contact their services.
     */
    val probe: JsonElement? = null
)

/**
 * How the gateway is doing. Clients take `ok` alone for "healthy".
 */
@Serializable
data class Summary (
    /**
     * The agents.
     */
    val agents: List<AgentHealth>,

    /**
     * Names of the channels by id.
     */
    val channelLabels: Map<String, String>,

    /**
     * Ids of the channels in the order to show them in.
     */
    val channelOrder: List<String>,

    /**
     * Channels by id: `accountId`, `configured`, `linked`, `probe`, `lastError` and whatever
     * else they tell.
     */
    val channels: JsonObject,

    /**
     * The agent that is meant when none is named.
     */
    val defaultAgentId: String,

    /**
     * How long finding it took.
     */
    val durationMs: Long,

    /**
     * Seconds between two heartbeats of the default agent; 0 without.
     */
    val heartbeatSeconds: Long,

    /**
     * Always true: a gateway that is not well does not answer.
     */
    val ok: Boolean,

    /**
     * How plugins are doing.
     */
    val plugins: PluginsHealth,

    /**
     * Sessions of the default agent.
     */
    val sessions: SessionsHealth,

    /**
     * When this was found, in milliseconds since the epoch.
     */
    val ts: Long
)

/**
 * What a heartbeat brought: payload of the event `heartbeat`.
 */
@Serializable
data class HeartbeatEvent (
    /**
     * The channel that the answer went through.
     */
    val channel: String? = null,

    /**
     * How long it took.
     */
    val durationMs: Long? = null,

    /**
     * Whether the answer had media.
     */
    val hasMedia: Boolean? = null,

    /**
     * What an indicator shows: `ok`, `alert` or `error`.
     */
    val indicatorType: Indicator? = null,

    /**
     * The beginning of the answer.
     */
    val preview: String? = null,

    /**
     * Why it was skipped or failed.
     */
    val reason: String? = null,

    /**
     * Whether nobody was told.
     */
    val silent: Boolean? = null,

    /**
     * What came of it.
     */
    val status: HeartbeatStatus,

    /**
     * Who got the answer.
     */
    val to: String? = null,

    /**
     * When, in milliseconds since the epoch.
     */
    val ts: Long
)

/**
 * All is well.
 *
 * Something needs attention.
 *
 * The heartbeat failed.
 *
 * What an indicator shows.
 */
@Serializable
enum class Indicator(val value: String) {
    @SerialName("alert") Alert("alert"),
    @SerialName("error") Error("error"),
    @SerialName("ok") Ok("ok");
}

/**
 * What came of it.
 *
 * What came of a heartbeat.
 *
 * An answer was passed on.
 *
 * The answer was empty: nothing needs attention.
 *
 * The answer was the word for "nothing needs attention".
 *
 * It did not run.
 *
 * It ran and failed.
 */
@Serializable
enum class HeartbeatStatus(val value: String) {
    @SerialName("failed") Failed("failed"),
    @SerialName("ok-empty") OkEmpty("ok-empty"),
    @SerialName("ok-token") OkToken("ok-token"),
    @SerialName("sent") Sent("sent"),
    @SerialName("skipped") Skipped("skipped");
}

/**
 * The payload of the answer to an accepted `connect`.
 */
@Serializable
data class HelloOk (
    /**
     * What was granted. Protocol 3 sends it only together with a device token.
     */
    val auth: Granted? = null,

    /**
     * Protocol 3: base of the canvas addresses.
     */
    val canvasHostUrl: String? = null,

    /**
     * What can be asked and heard.
     */
    val features: Features,

    /**
     * Protocol 4: addresses of what plugins show, by name.
     */
    val pluginSurfaceUrls: Map<String, String>? = null,

    /**
     * Limits in force.
     */
    val policy: Policy,

    /**
     * The negotiated protocol version.
     */
    val protocol: Long,

    /**
     * The gateway.
     */
    val server: Server,

    /**
     * State at the moment of joining.
     */
    val snapshot: Snapshot,

    /**
     * Always `hello-ok`.
     */
    val type: HelloOkType
)

/**
 * What was granted. Protocol 3 sends it only together with a device token.
 *
 * What was granted to this connection.
 */
@Serializable
data class Granted (
    /**
     * Token to present next time in place of the shared secret.
     */
    val deviceToken: String? = null,

    /**
     * When the token was minted, in milliseconds since the epoch.
     */
    val issuedAtMs: Long? = null,

    /**
     * Role in force.
     */
    val role: String,

    /**
     * Scopes of the token (protocol 3) or of the connection (protocol 4), sorted.
     */
    val scopes: List<String>
)

/**
 * What can be asked and heard.
 *
 * The sorted content of the registry.
 */
@Serializable
data class Features (
    /**
     * Events that sockets may hear.
     */
    val events: List<String>,

    /**
     * Methods that sockets may call.
     */
    val methods: List<String>
)

/**
 * Limits in force.
 *
 * Limits in force for this connection.
 */
@Serializable
data class Policy (
    /**
     * Outbound backlog, in bytes, above which a connection is a slow consumer.
     */
    val maxBufferedBytes: Long,

    /**
     * Largest message the gateway reads, in bytes.
     */
    val maxPayload: Long,

    /**
     * Milliseconds between two `tick` events.
     */
    val tickIntervalMs: Long
)

/**
 * The gateway.
 */
@Serializable
data class Server (
    /**
     * Protocol 3: commit the gateway was built from.
     */
    val commit: String? = null,

    /**
     * Id of this connection.
     */
    val connId: String,

    /**
     * Protocol 3: name of the machine.
     */
    val host: String? = null,

    /**
     * The gateway's version.
     */
    val version: String
)

/**
 * State at the moment of joining.
 */
@Serializable
data class Snapshot (
    /**
     * Path of the configuration file; for admins.
     */
    val configPath: String? = null,

    /**
     * The last health summary, `{}` before the first.
     */
    val health: JsonObject,

    /**
     * Presence entries; see [`crate::PresenceEntry`].
     */
    val presence: List<PresenceEntry>,

    /**
     * What user interfaces derive their session key from.
     */
    val sessionDefaults: SessionDefaults? = null,

    /**
     * Path of the state directory; for admins.
     */
    val stateDir: String? = null,

    /**
     * Versions of both.
     */
    val stateVersion: StateVersion,

    /**
     * How long the gateway has been running.
     */
    val uptimeMs: Long
)

/**
 * Who is here. All fields but `ts` are optional; absent ones are left out.
 */
@Serializable
data class PresenceEntry (
    /**
     * Kind of device.
     */
    val deviceFamily: String? = null,

    /**
     * The paired device.
     */
    val deviceId: String? = null,

    /**
     * Name of the machine or program.
     */
    val host: String? = null,

    /**
     * Tells two instances of one program apart.
     */
    val instanceId: String? = null,

    /**
     * Where it connects from; absent for local connections.
     */
    val ip: String? = null,

    /**
     * Seconds since the user last touched the machine.
     */
    val lastInputSeconds: Long? = null,

    /**
     * The client's mode, or `gateway` for the gateway's own row.
     */
    val mode: String? = null,

    /**
     * Model of the device.
     */
    val modelIdentifier: String? = null,

    /**
     * The system it runs on.
     */
    val platform: String? = null,

    /**
     * Why the row was last written: `self`, `connect`, `disconnect`, or a client's word.
     */
    val reason: String? = null,

    /**
     * Roles of the device's connections.
     */
    val roles: List<String>? = null,

    /**
     * Scopes of the device's connections.
     */
    val scopes: List<String>? = null,

    /**
     * Free words.
     */
    val tags: List<String>? = null,

    /**
     * One line for people.
     */
    val text: String? = null,

    /**
     * When the row was last written, in milliseconds since the epoch.
     */
    val ts: Long,

    /**
     * Version of the program.
     */
    val version: String? = null
)

/**
 * What user interfaces derive their session key from.
 */
@Serializable
data class SessionDefaults (
    /**
     * The default agent.
     */
    val defaultAgentId: String,

    /**
     * Short name of the main session.
     */
    val mainKey: String,

    /**
     * Full key of the main session.
     */
    val mainSessionKey: String,

    /**
     * `per-sender` or `global`.
     */
    val scope: String? = null
)

/**
 * Versions of both.
 *
 * Versions of the parts of the snapshot.
 */
@Serializable
data class StateVersion (
    /**
     * Raised with every refresh of the health summary.
     */
    val health: Long,

    /**
     * Raised with every change of the presence list.
     */
    val presence: Long
)

@Serializable
enum class HelloOkType(val value: String) {
    @SerialName("hello-ok") HelloOk("hello-ok");
}

/**
 * Parameters of `logs.tail`.
 */
@Serializable
data class LogsTailParams (
    /**
     * The cursor of the last answer.
     */
    val cursor: Long? = null,

    /**
     * How many lines at most; 500 when absent.
     */
    val limit: Long? = null,

    /**
     * How many bytes of the file at most; 250,000 when absent.
     */
    val maxBytes: Long? = null
)

/**
 * Result of `logs.tail`.
 */
@Serializable
data class LogsTailResult (
    /**
     * What to pass next time.
     */
    val cursor: Long,

    /**
     * The log file: its path for admins, its name for others, empty if none is written.
     */
    val file: String,

    /**
     * The lines, oldest first.
     */
    val lines: List<String>,

    /**
     * The lines do not follow on those of the last look.
     */
    val reset: Boolean,

    /**
     * Size of the file in bytes.
     */
    val size: Long,

    /**
     * Lines between the last look and these were left out.
     */
    val truncated: Boolean
)

/**
 * Parameters of `models.list`. Protocol 3 has none; those of protocol 4 narrow the list for
 * one session, which makes no
 * difference here.
 */
@Serializable
data class ModelsListParams (
    /**
     * The agent to choose for.
     */
    val agentId: String? = null,

    /**
     * Whether to look again; every look is fresh.
     */
    val refresh: Boolean? = null,

    /**
     * The session to choose for.
     */
    val sessionKey: String? = null,

    /**
     * `configured`, `all` and the like.
     */
    val view: String? = null
)

/**
 * Result of `models.list`.
 */
@Serializable
data class ModelsListResult (
    /**
     * The models.
     */
    val models: List<Model>
)

/**
 * A model that can be chosen.
 */
@Serializable
data class Model (
    /**
     * How many tokens it reads.
     */
    val contextWindow: Long? = null,

    /**
     * Its id at the provider.
     */
    val id: String,

    /**
     * What it reads.
     */
    val input: List<Input>? = null,

    /**
     * Its name for people.
     */
    val name: String,

    /**
     * Who provides it.
     */
    val provider: String,

    /**
     * Whether it reasons before it answers.
     */
    val reasoning: Boolean? = null
)

/**
 * What a model reads.
 *
 * Text.
 *
 * Images.
 */
@Serializable
enum class Input(val value: String) {
    @SerialName("image") Image("image"),
    @SerialName("text") Text("text");
}

/**
 * Result of `node.canvas.capability.refresh`.
 */
@Serializable
data class NodeCanvasCapabilityRefreshResult (
    /**
     * The part of the address that lets in.
     */
    val canvasCapability: String,

    /**
     * How long it is good at least, in milliseconds since the epoch.
     */
    val canvasCapabilityExpiresAtMs: Long,

    /**
     * The address, that part included.
     */
    val canvasHostUrl: String
)

/**
 * A node.
 */
@Serializable
data class NodeDescribeParams (
    /**
     * Its id.
     */
    val nodeId: String
)

/**
 * One node.
 */
@Serializable
data class NodeDescribeResult (
    /**
     * `approved`, `pending-approval`, `pending-reapproval` (what was approved before stays) or
     * `unapproved`.
     */
    val approvalState: String,

    /**
     * When it was approved, in milliseconds since the epoch.
     */
    val approvedAtMs: Long? = null,

    /**
     * Capabilities.
     */
    val caps: List<String>,

    /**
     * `client.id`
     */
    val clientId: String? = null,

    /**
     * `client.mode`
     */
    val clientMode: String? = null,

    /**
     * Commands.
     */
    val commands: List<String>,

    /**
     * Whether it is connected.
     */
    val connected: Boolean,

    /**
     * When it connected, if it is connected.
     */
    val connectedAtMs: Long? = null,

    /**
     * Kind of device.
     */
    val deviceFamily: String? = null,

    /**
     * Its name.
     */
    val displayName: String? = null,

    /**
     * What the machine last said of its load.
     */
    val hostStats: JsonElement? = null,

    /**
     * When it last connected.
     */
    val lastConnectedAtMs: Long? = null,

    /**
     * When it was last seen.
     */
    val lastSeenAtMs: Long? = null,

    /**
     * What it was seen doing.
     */
    val lastSeenReason: String? = null,

    /**
     * Model of the machine.
     */
    val modelIdentifier: String? = null,

    /**
     * Its id.
     */
    val nodeId: String,

    /**
     * Tools that it publishes: none are kept.
     */
    val nodePluginTools: JsonArray,

    /**
     * Whether its device is paired.
     */
    val paired: Boolean,

    /**
     * Its search path.
     */
    val pathEnv: String? = null,

    /**
     * What it asks for; for those who may decide about it.
     */
    val pendingDeclaredCaps: List<String>? = null,

    /**
     * What it asks for; for those who may decide about it.
     */
    val pendingDeclaredCommands: List<String>? = null,

    /**
     * The request that waits; for those who may decide about it.
     */
    val pendingRequestId: String? = null,

    /**
     * What its system lets it do.
     */
    val permissions: Map<String, Boolean>? = null,

    /**
     * Its system.
     */
    val platform: String? = null,

    /**
     * Address it connected from.
     */
    val remoteIp: String? = null,

    /**
     * Whether it keeps sessions: none does.
     */
    val sessionHost: Boolean,

    /**
     * When, in milliseconds since the epoch.
     */
    val ts: Long,

    /**
     * Its version.
     */
    val version: String? = null,

    /**
     * Commands that it asked for and was not given; for those who may decide about it.
     */
    val withheldCommands: List<String>? = null
)

/**
 * Parameters of `node.event`.
 */
@Serializable
data class NodeEventParams (
    /**
     * Its name.
     */
    val event: String,

    /**
     * Its content.
     */
    val payload: JsonElement? = null,

    /**
     * Its content as JSON text.
     */
    @SerialName("payloadJSON")
    val payloadJson: String? = null
)

/**
 * It was heard.
 */
@Serializable
data class NodeEventResult (
    /**
     * Nothing came of it: it was unknown, late, said before, or not this node's to say.
     */
    val ignored: Boolean? = null,

    /**
     * Always true.
     */
    val ok: Boolean
)

/**
 * Payload of `node.invoke.cancel`.
 */
@Serializable
data class NodeInvokeCancelEvent (
    /**
     * Id of the question.
     */
    val invokeId: String,

    /**
     * The node.
     */
    val nodeId: String
)

/**
 * Parameters of `node.invoke`.
 */
@Serializable
data class NodeInvokeParams (
    /**
     * The command.
     */
    val command: String,

    /**
     * Passed on to the node, which may use it to tell a repeated question.
     */
    val idempotencyKey: String,

    /**
     * The node.
     */
    val nodeId: String,

    /**
     * Its parameters, as the command has them.
     */
    val params: JsonElement? = null,

    /**
     * What to do when the node is away and the configuration lets the command wait for it. Who
     * says nothing is told at
     * once that it is not connected, unless queue_unasked is set.
     */
    val queue: Queueing? = null,

    /**
     * The session on whose behalf it is asked; passed over.
     */
    val sessionKey: String? = null,

    /**
     * Milliseconds until the node must have answered; 30,000 if absent.
     */
    val timeoutMs: Long? = null,

    /**
     * Where the session's turn came from; passed over.
     */
    val turnSourceAccountId: String? = null,

    /**
     * Where the session's turn came from; passed over.
     */
    val turnSourceChannel: String? = null,

    /**
     * Where the session's turn came from; passed over.
     */
    val turnSourceThreadId: JsonElement? = null,

    /**
     * Where the session's turn came from; passed over.
     */
    val turnSourceTo: String? = null
)

/**
 * Whoever asks waits, up to timeoutMs, and nothing of it is left behind then.
 *
 * The question is kept until the node comes or its time is up; whoever asks has a ticket at
 * once.
 *
 * How a question waits for a node that is away.
 */
@Serializable
enum class Queueing(val value: String) {
    @SerialName("ticket") Ticket("ticket"),
    @SerialName("wait") Wait("wait");
}

/**
 * Parameters of `node.invoke.progress`.
 */
@Serializable
data class NodeInvokeProgressParams (
    /**
     * A piece of what comes of the command.
     */
    val chunk: String,

    /**
     * Id of the question.
     */
    val invokeId: String,

    /**
     * The node.
     */
    val nodeId: String,

    /**
     * Its number.
     */
    val seq: Long
)

/**
 * It was heard.
 */
@Serializable
data class NodeInvokeProgressResult (
    /**
     * Nothing came of it: it was unknown, late, said before, or not this node's to say.
     */
    val ignored: Boolean? = null,

    /**
     * Always true.
     */
    val ok: Boolean
)

/**
 * Payload of `node.invoke.request`.
 */
@Serializable
data class NodeInvokeRequestEvent (
    /**
     * The command.
     */
    val command: String,

    /**
     * Id of the question.
     */
    val id: String,

    /**
     * As it was asked with.
     */
    val idempotencyKey: String,

    /**
     * The node.
     */
    val nodeId: String,

    /**
     * Its parameters as JSON text.
     */
    @SerialName("paramsJSON")
    val paramsJson: String? = null,

    /**
     * Milliseconds that are left.
     */
    val timeoutMs: Long
)

/**
 * What a node answered.
 */
@Serializable
data class NodeInvokeResult (
    /**
     * The command.
     */
    val command: String,

    /**
     * The node.
     */
    val nodeId: String,

    /**
     * Always true.
     */
    val ok: Boolean,

    /**
     * What came of it.
     */
    val payload: JsonElement? = null,

    /**
     * The same as text, if the node sent text.
     */
    @SerialName("payloadJSON")
    val payloadJson: String? = null,

    /**
     * The question as it was left for the node, for those who asked for a ticket; nothing came
     * of it yet.
     */
    val queued: Ticket? = null
)

/**
 * A question that was left for a node, and the payload of `node.queue.done`.
 */
@Serializable
data class Ticket (
    /**
     * The command.
     */
    val command: String,

    /**
     * Why nothing came of it.
     */
    val error: NodeError? = null,

    /**
     * When it is given up, or, when it is over, forgotten.
     */
    val expiresAtMs: Long,

    /**
     * As it was asked with.
     */
    val idempotencyKey: String,

    /**
     * The node.
     */
    val nodeId: String,

    /**
     * What came of it. A long one is in the event only.
     */
    val payload: JsonElement? = null,

    /**
     * When it was left, in milliseconds since the epoch.
     */
    val queuedAtMs: Long,

    /**
     * What became of it.
     */
    val status: Status,

    /**
     * Its name.
     */
    val ticket: String
)

/**
 * Why a command failed. What else a node says of it is passed over.
 */
@Serializable
data class NodeError (
    /**
     * The node's code.
     */
    val code: String? = null,

    /**
     * A sentence.
     */
    val message: String? = null
)

/**
 * What became of it.
 *
 * What became of a question that was left.
 *
 * It waits for its node.
 *
 * Its node was asked.
 *
 * Its node did it.
 *
 * Its node did not.
 *
 * Its node was asked, and nobody knows what came of it.
 *
 * Its node did not come in time.
 *
 * Somebody took it back, or what was approved of its node.
 */
@Serializable
enum class Status(val value: String) {
    @SerialName("cancelled") Cancelled("cancelled"),
    @SerialName("done") Done("done"),
    @SerialName("expired") Expired("expired"),
    @SerialName("failed") Failed("failed"),
    @SerialName("queued") Queued("queued"),
    @SerialName("sent") Sent("sent"),
    @SerialName("unknown") Unknown("unknown");
}

/**
 * Parameters of `node.invoke.result`, with the nulls and the objects in the place of text
 * that nodes really send.
 */
@Serializable
data class NodeInvokeResultParams (
    /**
     * Why it failed.
     */
    val error: NodeError? = null,

    /**
     * Id of the question.
     */
    val id: String,

    /**
     * The node.
     */
    val nodeId: String,

    /**
     * Whether the command succeeded: true or false. What is neither is refused, and ends the
     * question all the same.
     */
    val ok: Boolean? = null,

    /**
     * What came of it.
     */
    val payload: JsonElement? = null,

    /**
     * The same as JSON text. What is not text counts as `payload`, unless that is there.
     */
    @SerialName("payloadJSON")
    val payloadJson: JsonElement? = null
)

/**
 * It was heard.
 */
@Serializable
data class NodeInvokeResultResult (
    /**
     * Nothing came of it: it was unknown, late, said before, or not this node's to say.
     */
    val ignored: Boolean? = null,

    /**
     * Always true.
     */
    val ok: Boolean
)

/**
 * Every node.
 */
@Serializable
data class NodeListResult (
    /**
     * Connected ones first, then by name.
     */
    val nodes: List<NodeRow>,

    /**
     * When, in milliseconds since the epoch.
     */
    val ts: Long
)

/**
 * A node, connected or paired or both.
 */
@Serializable
data class NodeRow (
    /**
     * `approved`, `pending-approval`, `pending-reapproval` (what was approved before stays) or
     * `unapproved`.
     */
    val approvalState: String,

    /**
     * When it was approved, in milliseconds since the epoch.
     */
    val approvedAtMs: Long? = null,

    /**
     * Capabilities.
     */
    val caps: List<String>,

    /**
     * `client.id`
     */
    val clientId: String? = null,

    /**
     * `client.mode`
     */
    val clientMode: String? = null,

    /**
     * Commands.
     */
    val commands: List<String>,

    /**
     * Whether it is connected.
     */
    val connected: Boolean,

    /**
     * When it connected, if it is connected.
     */
    val connectedAtMs: Long? = null,

    /**
     * Kind of device.
     */
    val deviceFamily: String? = null,

    /**
     * Its name.
     */
    val displayName: String? = null,

    /**
     * What the machine last said of its load.
     */
    val hostStats: JsonElement? = null,

    /**
     * When it last connected.
     */
    val lastConnectedAtMs: Long? = null,

    /**
     * When it was last seen.
     */
    val lastSeenAtMs: Long? = null,

    /**
     * What it was seen doing.
     */
    val lastSeenReason: String? = null,

    /**
     * Model of the machine.
     */
    val modelIdentifier: String? = null,

    /**
     * Its id.
     */
    val nodeId: String,

    /**
     * Tools that it publishes: none are kept.
     */
    val nodePluginTools: JsonArray,

    /**
     * Whether its device is paired.
     */
    val paired: Boolean,

    /**
     * Its search path.
     */
    val pathEnv: String? = null,

    /**
     * What it asks for; for those who may decide about it.
     */
    val pendingDeclaredCaps: List<String>? = null,

    /**
     * What it asks for; for those who may decide about it.
     */
    val pendingDeclaredCommands: List<String>? = null,

    /**
     * The request that waits; for those who may decide about it.
     */
    val pendingRequestId: String? = null,

    /**
     * What its system lets it do.
     */
    val permissions: Map<String, Boolean>? = null,

    /**
     * Its system.
     */
    val platform: String? = null,

    /**
     * Address it connected from.
     */
    val remoteIp: String? = null,

    /**
     * Whether it keeps sessions: none does.
     */
    val sessionHost: Boolean,

    /**
     * Its version.
     */
    val version: String? = null,

    /**
     * Commands that it asked for and was not given; for those who may decide about it.
     */
    val withheldCommands: List<String>? = null
)

/**
 * Parameters of `node.pair.approve`.
 */
@Serializable
data class NodePairApproveParams (
    /**
     * Those of the commands it asks for that are approved; all of them if absent. Those in
     * withheldCommands may be named
     * as well.
     */
    val commands: List<String>? = null,

    /**
     * The request's id.
     */
    val requestId: String
)

/**
 * It was approved.
 */
@Serializable
data class NodePairApproveResult (
    /**
     * The node.
     */
    val node: PairedNode,

    /**
     * Id of the request.
     */
    val requestId: String
)

/**
 * The node.
 *
 * A node whose surface was approved.
 */
@Serializable
data class PairedNode (
    /**
     * When it was last approved.
     */
    val approvedAtMs: Long,

    /**
     * Capabilities.
     */
    val caps: List<String>,

    /**
     * `client.id`
     */
    val clientId: String? = null,

    /**
     * `client.mode`
     */
    val clientMode: String? = null,

    /**
     * Commands.
     */
    val commands: List<String>,

    /**
     * When it was first approved.
     */
    val createdAtMs: Long,

    /**
     * Kind of device.
     */
    val deviceFamily: String? = null,

    /**
     * Its name.
     */
    val displayName: String? = null,

    /**
     * When it was last seen.
     */
    val lastSeenAtMs: Long? = null,

    /**
     * What it was seen doing.
     */
    val lastSeenReason: String? = null,

    /**
     * Model of the machine.
     */
    val modelIdentifier: String? = null,

    /**
     * The node.
     */
    val nodeId: String,

    /**
     * What its system lets it do.
     */
    val permissions: Map<String, Boolean>? = null,

    /**
     * Its system.
     */
    val platform: String? = null,

    /**
     * Its version.
     */
    val version: String? = null
)

/**
 * Requests and approvals.
 */
@Serializable
data class NodePairListResult (
    /**
     * Last approved first.
     */
    val paired: List<PairedNode>,

    /**
     * Newest first.
     */
    val pending: List<NodePairListRequest>
)

/**
 * A node that waits for approval of its surface.
 */
@Serializable
data class NodePairListRequest (
    /**
     * Capabilities.
     */
    val caps: List<String>,

    /**
     * `client.id`
     */
    val clientId: String? = null,

    /**
     * `client.mode`
     */
    val clientMode: String? = null,

    /**
     * Commands.
     */
    val commands: List<String>,

    /**
     * Kind of device.
     */
    val deviceFamily: String? = null,

    /**
     * Its name.
     */
    val displayName: String? = null,

    /**
     * Model of the machine.
     */
    val modelIdentifier: String? = null,

    /**
     * The node.
     */
    val nodeId: String,

    /**
     * What its system lets it do.
     */
    val permissions: Map<String, Boolean>? = null,

    /**
     * Its system.
     */
    val platform: String? = null,

    /**
     * Id of the request.
     */
    val requestId: String,

    /**
     * Scopes that its approval takes.
     */
    val requiredApproveScopes: List<String>,

    /**
     * Whether its device was paired without a human.
     */
    val silent: Boolean? = null,

    /**
     * When it asked, in milliseconds since the epoch.
     */
    val ts: Long,

    /**
     * Its version.
     */
    val version: String? = null,

    /**
     * Commands that it offers as well, and that were withheld from it before. It does not ask
     * for them: they are approved
     * only if they are named.
     */
    val withheldCommands: List<String>? = null
)

/**
 * A request of a node.
 */
@Serializable
data class NodePairRejectParams (
    /**
     * Its id.
     */
    val requestId: String
)

/**
 * It was rejected.
 */
@Serializable
data class NodePairRejectResult (
    /**
     * The node.
     */
    val nodeId: String,

    /**
     * Id of the request.
     */
    val requestId: String
)

/**
 * A node.
 */
@Serializable
data class NodePairRemoveParams (
    /**
     * Its id.
     */
    val nodeId: String
)

/**
 * It was forgotten.
 */
@Serializable
data class NodePairRemoveResult (
    /**
     * The node.
     */
    val nodeId: String
)

/**
 * A node that waits for approval of its surface.
 */
@Serializable
data class NodePairRequestedEvent (
    /**
     * Capabilities.
     */
    val caps: List<String>,

    /**
     * `client.id`
     */
    val clientId: String? = null,

    /**
     * `client.mode`
     */
    val clientMode: String? = null,

    /**
     * Commands.
     */
    val commands: List<String>,

    /**
     * Kind of device.
     */
    val deviceFamily: String? = null,

    /**
     * Its name.
     */
    val displayName: String? = null,

    /**
     * Model of the machine.
     */
    val modelIdentifier: String? = null,

    /**
     * The node.
     */
    val nodeId: String,

    /**
     * What its system lets it do.
     */
    val permissions: Map<String, Boolean>? = null,

    /**
     * Its system.
     */
    val platform: String? = null,

    /**
     * Id of the request.
     */
    val requestId: String,

    /**
     * Scopes that its approval takes.
     */
    val requiredApproveScopes: List<String>,

    /**
     * Whether its device was paired without a human.
     */
    val silent: Boolean? = null,

    /**
     * When it asked, in milliseconds since the epoch.
     */
    val ts: Long,

    /**
     * Its version.
     */
    val version: String? = null,

    /**
     * Commands that it offers as well, and that were withheld from it before. It does not ask
     * for them: they are approved
     * only if they are named.
     */
    val withheldCommands: List<String>? = null
)

/**
 * Payload of `node.pair.resolved`.
 */
@Serializable
data class NodePairResolvedEvent (
    /**
     * `approved` or `rejected`.
     */
    val decision: String,

    /**
     * The node.
     */
    val nodeId: String,

    /**
     * Id of the request.
     */
    val requestId: String,

    /**
     * When, in milliseconds since the epoch.
     */
    val ts: Long
)

/**
 * What a client asks for: a fresh address of a surface.
 */
@Serializable
data class NodePluginSurfaceRefreshParams (
    /**
     * The address that the client knows. If it is not the one in force, the one in force is the
     * answer.
     */
    val observedUrl: String? = null,

    /**
     * Name of the surface.
     */
    val surface: String
)

/**
 * What a client is told then.
 */
@Serializable
data class NodePluginSurfaceRefreshResult (
    /**
     * How long the address is good at least, in milliseconds since the epoch.
     */
    val expiresAtMs: Long,

    /**
     * Its address, by its name.
     */
    val pluginSurfaceUrls: Map<String, String>,

    /**
     * Name of the surface.
     */
    val surface: String
)

/**
 * The answer to an inventory.
 */
@Serializable
data class NodePluginToolsUpdateResult (
    /**
     * The node.
     */
    val nodeId: String,

    /**
     * Skills that are kept: none.
     */
    val skills: JsonArray? = null,

    /**
     * Tools that are kept: none.
     */
    val tools: JsonArray? = null
)

/**
 * A ticket.
 */
@Serializable
data class NodeQueueCancelParams (
    /**
     * Its name.
     */
    val ticket: String
)

/**
 * A question that was left for a node, and the payload of `node.queue.done`.
 */
@Serializable
data class NodeQueueCancelResult (
    /**
     * The command.
     */
    val command: String,

    /**
     * Why nothing came of it.
     */
    val error: NodeError? = null,

    /**
     * When it is given up, or, when it is over, forgotten.
     */
    val expiresAtMs: Long,

    /**
     * As it was asked with.
     */
    val idempotencyKey: String,

    /**
     * The node.
     */
    val nodeId: String,

    /**
     * What came of it. A long one is in the event only.
     */
    val payload: JsonElement? = null,

    /**
     * When it was left, in milliseconds since the epoch.
     */
    val queuedAtMs: Long,

    /**
     * What became of it.
     */
    val status: Status,

    /**
     * Its name.
     */
    val ticket: String
)

/**
 * A question that was left for a node, and the payload of `node.queue.done`.
 */
@Serializable
data class NodeQueueDoneEvent (
    /**
     * The command.
     */
    val command: String,

    /**
     * Why nothing came of it.
     */
    val error: NodeError? = null,

    /**
     * When it is given up, or, when it is over, forgotten.
     */
    val expiresAtMs: Long,

    /**
     * As it was asked with.
     */
    val idempotencyKey: String,

    /**
     * The node.
     */
    val nodeId: String,

    /**
     * What came of it. A long one is in the event only.
     */
    val payload: JsonElement? = null,

    /**
     * When it was left, in milliseconds since the epoch.
     */
    val queuedAtMs: Long,

    /**
     * What became of it.
     */
    val status: Status,

    /**
     * Its name.
     */
    val ticket: String
)

/**
 * Parameters of `node.queue.list`.
 */
@Serializable
data class NodeQueueListParams (
    /**
     * Of this node only.
     */
    val nodeId: String? = null
)

/**
 * Questions that were left for nodes.
 */
@Serializable
data class NodeQueueListResult (
    /**
     * Questions that connected nodes were asked and have not answered, of all nodes.
     */
    val open: Long,

    /**
     * In the order in which they were left.
     */
    val queued: List<Ticket>,

    /**
     * When, in milliseconds since the epoch.
     */
    val ts: Long,

    /**
     * Callers that wait for a node themselves.
     */
    val waiting: Long
)

/**
 * Parameters of `node.rename`.
 */
@Serializable
data class NodeRenameParams (
    /**
     * Its new name.
     */
    val displayName: String,

    /**
     * The node.
     */
    val nodeId: String
)

/**
 * A node and its name.
 */
@Serializable
data class NodeRenameResult (
    /**
     * Its name.
     */
    val displayName: String,

    /**
     * The node.
     */
    val nodeId: String
)

/**
 * The answer to an inventory.
 */
@Serializable
data class NodeRunnerInventoryUpdateResult (
    /**
     * The node.
     */
    val nodeId: String,

    /**
     * Skills that are kept: none.
     */
    val skills: JsonArray? = null,

    /**
     * Tools that are kept: none.
     */
    val tools: JsonArray? = null
)

/**
 * The answer to an inventory.
 */
@Serializable
data class NodeSkillsUpdateResult (
    /**
     * The node.
     */
    val nodeId: String,

    /**
     * Skills that are kept: none.
     */
    val skills: JsonArray? = null,

    /**
     * Tools that are kept: none.
     */
    val tools: JsonArray? = null
)

/**
 * What a client asks for: a fresh address of a surface.
 */
@Serializable
data class PluginSurfaceRefreshParams (
    /**
     * The address that the client knows. If it is not the one in force, the one in force is the
     * answer.
     */
    val observedUrl: String? = null,

    /**
     * Name of the surface.
     */
    val surface: String
)

/**
 * What a client is told then.
 */
@Serializable
data class PluginSurfaceRefreshResult (
    /**
     * How long the address is good at least, in milliseconds since the epoch.
     */
    val expiresAtMs: Long,

    /**
     * Its address, by its name.
     */
    val pluginSurfaceUrls: Map<String, String>,

    /**
     * Name of the surface.
     */
    val surface: String
)

/**
 * Payload of `host.registry.changed`.
 */
@Serializable
data class PluginsChangedEvent (
    /**
     * How often the registry has changed.
     */
    val generation: Long,

    /**
     * Ids of the plugins that were changed; none at the start.
     */
    val plugins: List<String>? = null
)

/**
 * A plugin's id.
 */
@Serializable
data class PluginsReloadParams (
    /**
     * The id: the name of its table in `config.toml`.
     */
    val id: String
)

/**
 * What became of a plugin that was to be made anew.
 */
@Serializable
data class PluginsReloadResult (
    /**
     * Why not: in the operator's words, without secrets.
     */
    val error: String? = null,

    /**
     * How the plugin is doing now.
     */
    val plugin: PluginState,

    /**
     * Whether a new instance answers now, or none because the configuration wants none.
     */
    val reloaded: Boolean
)

/**
 * How the plugin is doing now.
 *
 * A plugin and how it is doing.
 */
@Serializable
data class PluginState (
    /**
     * Calls since the start.
     */
    val calls: Long,

    /**
     * Why it failed: in the operator's words, without secrets.
     */
    val error: String? = null,

    /**
     * Calls that failed.
     */
    val errors: Long,

    /**
     * Names of its events.
     */
    val events: List<String>,

    /**
     * The port that its HTTP has to itself, while it runs and the configuration gives it one.
     */
    val httpPort: HTTPPort? = null,

    /**
     * Its id.
     */
    val id: String,

    /**
     * Names of its enabled methods.
     */
    val methods: List<String>,

    /**
     * `linked` or `loaded`.
     */
    val origin: String,

    /**
     * Calls that panicked.
     */
    val panics: Long,

    /**
     * `running`, `disabled` (by config) or `failed`.
     */
    val state: String,

    /**
     * What it is for.
     */
    val summary: String? = null,

    /**
     * Its version.
     */
    val version: String
)

/**
 * A port that a plugin's HTTP has to itself.
 */
@Serializable
data class HTTPPort (
    /**
     * Why nobody listens there, if nobody does. The plugin's HTTP is then served nowhere.
     */
    val error: String? = null,

    /**
     * Its number.
     */
    val port: Long
)

/**
 * Parameters of `poll`.
 */
@Serializable
data class PollParams (
    /**
     * The account to send with.
     */
    val accountId: String? = null,

    /**
     * The channel.
     */
    val channel: String? = null,

    /**
     * How long it is open, in hours.
     */
    val durationHours: Long? = null,

    /**
     * Names this poll.
     */
    val idempotencyKey: String,

    /**
     * How many answers one may give.
     */
    val maxSelections: Long? = null,

    /**
     * What can be answered.
     */
    val options: List<String>,

    /**
     * What is asked.
     */
    val question: String,

    /**
     * To whom.
     */
    val to: String
)

/**
 * Result of `send.deliver`, `send` and `poll`.
 */
@Serializable
data class PollResult (
    /**
     * The channel's id.
     */
    val channel: String,

    /**
     * The service's id of the message; of the last one, if it was cut into several.
     */
    val messageId: String,

    /**
     * The key it was sent with.
     */
    val runId: String,

    /**
     * To whom, where `send.deliver` found that by the session.
     */
    val to: String? = null
)

/**
 * Payload of the event `presence`.
 */
@Serializable
data class PresenceEvent (
    /**
     * Everyone who is here, latest first.
     */
    val presence: List<PresenceEntry>
)

/**
 * Result of `question.list`.
 */
@Serializable
data class QuestionListResult (
    /**
     * None.
     */
    val questions: JsonArray
)

/**
 * Parameters of `send`.
 */
@Serializable
data class SendParams (
    /**
     * The account to send with.
     */
    val accountId: String? = null,

    /**
     * The agent whose session is derived from the route (protocol 4).
     */
    val agentId: String? = null,

    /**
     * The channel.
     */
    val channel: String? = null,

    /**
     * Whether a film is shown as a moving picture.
     */
    val gifPlayback: Boolean? = null,

    /**
     * Names this message.
     */
    val idempotencyKey: String,

    /**
     * A file, by address.
     */
    val mediaUrl: String? = null,

    /**
     * Files, by address.
     */
    val mediaUrls: List<String>? = null,

    /**
     * The text; may be left out when there are files (protocol 4).
     */
    val message: String? = null,

    /**
     * The message that it answers (protocol 4).
     */
    val replyToId: String? = null,

    /**
     * The session that notes it.
     */
    val sessionKey: String? = null,

    /**
     * Whether nobody's device shall make a sound (protocol 4).
     */
    val silent: Boolean? = null,

    /**
     * A thread or topic (protocol 4).
     */
    val threadId: String? = null,

    /**
     * To whom, as the channel's people write it.
     */
    val to: String
)

/**
 * Result of `send.deliver`, `send` and `poll`.
 */
@Serializable
data class SendResult (
    /**
     * The channel's id.
     */
    val channel: String,

    /**
     * The service's id of the message; of the last one, if it was cut into several.
     */
    val messageId: String,

    /**
     * The key it was sent with.
     */
    val runId: String,

    /**
     * To whom, where `send.deliver` found that by the session.
     */
    val to: String? = null
)

/**
 * Payload of `session.message`.
 */
@Serializable
data class SessionMessageEvent (
    /**
     * Its agent.
     */
    val agentId: String,

    /**
     * The message.
     */
    val message: JsonObject,

    /**
     * Id of the message.
     */
    val messageId: String,

    /**
     * Its place in the conversation, counted from 1.
     */
    val messageSeq: Long,

    /**
     * The conversation.
     */
    val sessionId: String,

    /**
     * The session.
     */
    val sessionKey: String
)

/**
 * Parameters of `sessions.abort`.
 */
@Serializable
data class SessionsAbortParams (
    /**
     * The agent of a key that names none.
     */
    val agentId: String? = null,

    /**
     * The session, in any spelling.
     */
    val key: String? = null,

    /**
     * One of its runs; all when absent.
     */
    val runId: String? = null
)

/**
 * Result of `sessions.abort`.
 */
@Serializable
data class SessionsAbortResult (
    /**
     * The run that was told to stop, the first of several.
     */
    val abortedRunId: String? = null,

    /**
     * Always true.
     */
    val ok: Boolean,

    /**
     * `aborted` or `no-active-run`.
     */
    val status: String
)

/**
 * Payload of `sessions.changed`. Without a key, any number of sessions changed.
 */
@Serializable
data class SessionsChangedEvent (
    /**
     * Its agent.
     */
    val agentId: String? = null,

    /**
     * What happened last: `create`, `patch`, `message`, `reset`, `compact`, `delete`, or `many`.
     */
    val reason: String,

    /**
     * As `sessions.list` shows it; absent when it is gone.
     */
    val session: JsonObject? = null,

    /**
     * The session.
     */
    val sessionKey: String? = null
)

/**
 * Parameters of `sessions.compact`. From `agentId` on they are of protocol 4.
 */
@Serializable
data class SessionsCompactParams (
    /**
     * The agent of a key that names none.
     */
    val agentId: String? = null,

    /**
     * The session, in any spelling.
     */
    val key: String,

    /**
     * Messages that stay, 400 unless said.
     */
    val maxLines: Long? = null
)

/**
 * Result of `sessions.compact`.
 */
@Serializable
data class SessionsCompactResult (
    /**
     * Where the others are kept.
     */
    val archived: String? = null,

    /**
     * Whether anything was taken away.
     */
    val compacted: Boolean,

    /**
     * Messages that stay.
     */
    val kept: Long? = null,

    /**
     * The session, in its canonical spelling.
     */
    val key: String,

    /**
     * Always true.
     */
    val ok: Boolean,

    /**
     * Why not.
     */
    val reason: String? = null
)

/**
 * Parameters of `sessions.delete`. From `agentId` on they are of protocol 4.
 */
@Serializable
data class SessionsDeleteParams (
    /**
     * The agent of a key that names none.
     */
    val agentId: String? = null,

    /**
     * Only if it was put away before.
     */
    val archivedOnly: Boolean? = null,

    /**
     * Whether its transcript is archived, which it is unless said; else it keeps its name.
     */
    val deleteTranscript: Boolean? = null,

    /**
     * Only if this is still its conversation.
     */
    val expectedSessionId: String? = null,

    /**
     * The session, in any spelling.
     */
    val key: String
)

/**
 * Result of `sessions.delete`.
 */
@Serializable
data class SessionsDeleteResult (
    /**
     * Names under which transcripts are kept.
     */
    val archived: List<String>,

    /**
     * Whether there was one.
     */
    val deleted: Boolean,

    /**
     * The session, in its canonical spelling.
     */
    val key: String,

    /**
     * Always true.
     */
    val ok: Boolean
)

/**
 * Parameters of `sessions.describe`.
 */
@Serializable
data class SessionsDescribeParams (
    /**
     * The agent of a key that names none.
     */
    val agentId: String? = null,

    /**
     * Whether the row has a `derivedTitle`.
     */
    val includeDerivedTitles: Boolean? = null,

    /**
     * Whether the row has a `lastMessagePreview`.
     */
    val includeLastMessage: Boolean? = null,

    /**
     * The session, in any spelling.
     */
    val key: String
)

/**
 * Result of `sessions.describe`.
 */
@Serializable
data class SessionsDescribeResult (
    /**
     * As `sessions.list` shows it; null when there is none.
     */
    val session: JsonObject? = null
)

/**
 * Parameters of `sessions.get`.
 */
@Serializable
data class SessionsGetParams (
    /**
     * The agent of a key that names none.
     */
    val agentId: String? = null,

    /**
     * The session, in any spelling.
     */
    val key: String,

    /**
     * The last so many messages, 200 unless said.
     */
    val limit: Long? = null
)

/**
 * Result of `sessions.get`.
 */
@Serializable
data class SessionsGetResult (
    /**
     * The transcript's end, oldest first.
     */
    val messages: JsonArray
)

/**
 * Parameters of `sessions.list`. From `offset` on they are of protocol 4.
 */
@Serializable
data class SessionsListParams (
    /**
     * Only those used in the last so many minutes.
     */
    val activeMinutes: Long? = null,

    /**
     * Only those of this agent.
     */
    val agentId: String? = null,

    /**
     * Those that were put away, instead of the others.
     */
    val archived: Boolean? = null,

    /**
     * Only those of agents that are configured.
     */
    val configuredAgentsOnly: Boolean? = null,

    /**
     * Whether rows have a `derivedTitle`.
     */
    val includeDerivedTitles: Boolean? = null,

    /**
     * Whether `global` is listed.
     */
    val includeGlobal: Boolean? = null,

    /**
     * Whether rows have a `lastMessagePreview`.
     */
    val includeLastMessage: Boolean? = null,

    /**
     * Whether `unknown` is listed.
     */
    val includeUnknown: Boolean? = null,

    /**
     * Only the one with this label.
     */
    val label: String? = null,

    /**
     * At most so many.
     */
    val limit: Long? = null,

    /**
     * Without the first so many.
     */
    val offset: Long? = null,

    /**
     * Whether one's own come first; all belong to the operator.
     */
    val ownerFirst: Boolean? = null,

    /**
     * Only those with this in their name, label, subject, id or key.
     */
    val search: String? = null,

    /**
     * `createdAt`, or when they were used last.
     */
    val sortBy: String? = null,

    /**
     * Only those that this session started.
     */
    val spawnedBy: String? = null
)

/**
 * Result of `sessions.list`.
 */
@Serializable
data class SessionsListResult (
    /**
     * How many are listed.
     */
    val count: Long,

    /**
     * What a new session starts with.
     */
    val defaults: Defaults,

    /**
     * Whether there is one.
     */
    val hasMore: Boolean,

    /**
     * How many are listed at most.
     */
    val limitApplied: Long,

    /**
     * Where the next page begins.
     */
    val nextOffset: Long? = null,

    /**
     * Whose they are: there is one owner, who is not named.
     */
    val owners: JsonArray,

    /**
     * Where they are kept; to administrators with the way there.
     */
    val path: String,

    /**
     * Those used last first.
     */
    val sessions: JsonArray,

    /**
     * How many there are.
     */
    val totalCount: Long,

    /**
     * When it was asked, in milliseconds since the epoch.
     */
    val ts: Long
)

/**
 * What a new session starts with.
 */
@Serializable
data class Defaults (
    /**
     * How much that model reads.
     */
    val contextTokens: Long? = null,

    /**
     * Its model.
     */
    val model: String? = null,

    /**
     * Who provides its model.
     */
    val modelProvider: String? = null
)

/**
 * Parameters of `sessions.messages.subscribe` and `.unsubscribe`.
 */
@Serializable
data class SessionsMessagesSubscribeParams (
    /**
     * The agent of a key that names none.
     */
    val agentId: String? = null,

    /**
     * Whether approvals of the session are told, too; they go to all who may see them.
     */
    val includeApprovals: Boolean? = null,

    /**
     * The session, in any spelling.
     */
    val key: String
)

/**
 * Result of `sessions.messages.subscribe` and `.unsubscribe`.
 */
@Serializable
data class SessionsMessagesSubscribeResult (
    /**
     * The session, in its canonical spelling.
     */
    val key: String,

    /**
     * Whether the connection hears now.
     */
    val subscribed: Boolean
)

/**
 * Parameters of `sessions.messages.subscribe` and `.unsubscribe`.
 */
@Serializable
data class SessionsMessagesUnsubscribeParams (
    /**
     * The agent of a key that names none.
     */
    val agentId: String? = null,

    /**
     * Whether approvals of the session are told, too; they go to all who may see them.
     */
    val includeApprovals: Boolean? = null,

    /**
     * The session, in any spelling.
     */
    val key: String
)

/**
 * Result of `sessions.messages.subscribe` and `.unsubscribe`.
 */
@Serializable
data class SessionsMessagesUnsubscribeResult (
    /**
     * The session, in its canonical spelling.
     */
    val key: String,

    /**
     * Whether the connection hears now.
     */
    val subscribed: Boolean
)

/**
 * Parameters of `sessions.patch`. From `agentId` on they are of protocol 4.
 */
@Serializable
data class SessionsPatchParams (
    /**
     * The agent of a key that names none.
     */
    val agentId: String? = null,

    /**
     * Whether it is put away.
     */
    val archived: Boolean? = null,

    /**
     * A group of sessions in lists.
     */
    val category: String? = null,

    /**
     * A colour in lists.
     */
    val color: String? = null,

    /**
     * `on`, `off`, `ask` or `full`.
     */
    val elevatedLevel: String? = null,

    /**
     * `off`, `on-miss` or `always`.
     */
    val execAsk: String? = null,

    /**
     * `sandbox`, `gateway` or `node`.
     */
    val execHost: String? = null,

    /**
     * The node on which programs run.
     */
    val execNode: String? = null,

    /**
     * `deny`, `allowlist` or `full`.
     */
    val execSecurity: String? = null,

    /**
     * Whether answers shall come fast: `true`, `false` or a word.
     */
    val fastMode: JsonElement? = null,

    /**
     * When a group is answered.
     */
    val groupActivation: SessionsPatchParamsGroupActivation? = null,

    /**
     * A picture in lists.
     */
    val icon: String? = null,

    /**
     * The session, in any spelling; made when it is absent.
     */
    val key: String,

    /**
     * A name, unique among the agent's sessions.
     */
    val label: String? = null,

    /**
     * `provider/model`, or a model's own id where only one provider has it; `null` is the
     * agent's default.
     */
    val model: String? = null,

    /**
     * Whether it comes first in lists.
     */
    val pinned: Boolean? = null,

    /**
     * `on`, `off` or `stream`.
     */
    val reasoningLevel: String? = null,

    /**
     * What of an answer's cost is shown with it.
     */
    val responseUsage: SessionsPatchParamsResponseUsage? = null,

    /**
     * Whether messages go out.
     */
    val sendPolicy: SessionsPatchParamsSendPolicy? = null,

    /**
     * The session that started this one; it never changes.
     */
    val spawnedBy: String? = null,

    /**
     * `off`, `minimal`, `low`, `medium`, `high` or `xhigh`.
     */
    val thinkingLevel: String? = null,

    /**
     * Whether it is marked as not read.
     */
    val unread: Boolean? = null,

    /**
     * `on`, `off` or `full`.
     */
    val verboseLevel: String? = null
)

@Serializable
enum class SessionsPatchParamsGroupActivation(val value: String) {
    @SerialName("always") Always("always"),
    @SerialName("mention") Mention("mention");
}

@Serializable
enum class SessionsPatchParamsResponseUsage(val value: String) {
    @SerialName("full") Full("full"),
    @SerialName("off") Off("off"),
    @SerialName("on") On("on"),
    @SerialName("tokens") Tokens("tokens");
}

@Serializable
enum class SessionsPatchParamsSendPolicy(val value: String) {
    @SerialName("allow") Allow("allow"),
    @SerialName("deny") Deny("deny");
}

/**
 * Result of `sessions.patch`.
 */
@Serializable
data class SessionsPatchResult (
    /**
     * Its entry.
     */
    val entry: JsonObject,

    /**
     * The session, in its canonical spelling.
     */
    val key: String,

    /**
     * Always true.
     */
    val ok: Boolean,

    /**
     * Where sessions are kept; to administrators with the way there.
     */
    val path: String
)

/**
 * Parameters of `sessions.preview`.
 */
@Serializable
data class SessionsPreviewParams (
    /**
     * Sessions, in any spelling.
     */
    val keys: List<String>,

    /**
     * Messages of each, 12 unless said.
     */
    val limit: Long? = null,

    /**
     * Characters of each message, 240 unless said.
     */
    val maxChars: Long? = null
)

/**
 * Result of `sessions.preview`.
 */
@Serializable
data class SessionsPreviewResult (
    /**
     * In the order in which they were asked for.
     */
    val previews: List<Preview>,

    /**
     * When it was asked, in milliseconds since the epoch.
     */
    val ts: Long
)

/**
 * What was said last in a session.
 */
@Serializable
data class Preview (
    /**
     * Oldest first.
     */
    val items: List<Item>,

    /**
     * The session, as it was asked for.
     */
    val key: String,

    /**
     * `ok`, `empty`, `missing` or `error`.
     */
    val status: String
)

/**
 * A message in short.
 */
@Serializable
data class Item (
    /**
     * `user`, `assistant`, `tool`, `system` or `other`.
     */
    val role: String,

    /**
     * What it says.
     */
    val text: String
)

/**
 * Parameters of `sessions.reset`. From `agentId` on they are of protocol 4.
 */
@Serializable
data class SessionsResetParams (
    /**
     * The agent of a key that names none.
     */
    val agentId: String? = null,

    /**
     * Only if this is still its conversation.
     */
    val expectedSessionId: String? = null,

    /**
     * The session, in any spelling.
     */
    val key: String,

    /**
     * `new` or `reset`; it makes no difference.
     */
    val reason: String? = null
)

/**
 * Result of `sessions.reset`.
 */
@Serializable
data class SessionsResetResult (
    /**
     * Its entry.
     */
    val entry: JsonObject,

    /**
     * The session, in its canonical spelling.
     */
    val key: String,

    /**
     * Always true.
     */
    val ok: Boolean
)

/**
 * Parameters of `sessions.resolve`.
 */
@Serializable
data class SessionsResolveParams (
    /**
     * Only sessions of this agent.
     */
    val agentId: String? = null,

    /**
     * Whether `global` is meant too.
     */
    val includeGlobal: Boolean? = null,

    /**
     * Whether `unknown` is meant too.
     */
    val includeUnknown: Boolean? = null,

    /**
     * A session, in any spelling.
     */
    val key: String? = null,

    /**
     * Its label.
     */
    val label: String? = null,

    /**
     * Its present conversation.
     */
    val sessionId: String? = null,

    /**
     * Only those that this session started.
     */
    val spawnedBy: String? = null
)

/**
 * Result of `sessions.resolve`.
 */
@Serializable
data class SessionsResolveResult (
    /**
     * The session, in its canonical spelling.
     */
    val key: String,

    /**
     * Always true.
     */
    val ok: Boolean
)

/**
 * Result of `sessions.subscribe` and `sessions.unsubscribe`.
 */
@Serializable
data class SessionsSubscribeResult (
    /**
     * Whether the connection hears now.
     */
    val subscribed: Boolean
)

/**
 * Result of `sessions.subscribe` and `sessions.unsubscribe`.
 */
@Serializable
data class SessionsUnsubscribeResult (
    /**
     * Whether the connection hears now.
     */
    val subscribed: Boolean
)

/**
 * Parameters of `set-heartbeats`: open, and checked by hand because clients know the
 * sentence that refuses them.
 */
@Serializable
data class SetHeartbeatsParams (
    /**
     * Whether heartbeats shall come.
     */
    val enabled: JsonElement? = null
)

/**
 * Result of `set-heartbeats`.
 */
@Serializable
data class SetHeartbeatsResult (
    /**
     * Whether heartbeats come now.
     */
    val enabled: Boolean,

    /**
     * Always true.
     */
    val ok: Boolean
)

@Serializable
data class ShutdownEvent (
    /**
     * Why, for people.
     */
    val reason: String,

    /**
     * When the gateway is expected back, in milliseconds; null when it is not.
     */
    val restartExpectedMs: Long? = null
)

/**
 * Programs that skills need.
 */
@Serializable
data class SkillsBinsResult (
    /**
     * Their names.
     */
    val bins: List<String>
)

/**
 * Result of `status`.
 */
@Serializable
data class StatusResult (
    /**
     * A line for each message channel.
     */
    val channelSummary: List<String>,

    /**
     * How many are connected.
     */
    val connections: ConnectionCount,

    /**
     * Heartbeats of the agents.
     */
    val heartbeat: Heartbeats,

    /**
     * What happened and no agent has read yet, oldest first.
     */
    val queuedSystemEvents: List<String>,

    /**
     * Version of the gateway.
     */
    val runtimeVersion: String? = null,

    /**
     * Sessions of all agents.
     */
    val sessions: Sessions,

    /**
     * SHA-256 of the certificate that the gateway shows, if it speaks TLS: what clients pin.
     */
    val tlsFingerprint: String? = null,

    /**
     * How long the gateway has been running.
     */
    val uptimeMs: Long? = null
)

/**
 * How many are connected.
 */
@Serializable
data class ConnectionCount (
    /**
     * Nodes.
     */
    val nodes: Long,

    /**
     * Operators, the one that asks included.
     */
    val operators: Long
)

/**
 * Heartbeats of the agents.
 */
@Serializable
data class Heartbeats (
    /**
     * One row an agent.
     */
    val agents: List<AgentHeartbeat>,

    /**
     * The agent that is meant when none is named.
     */
    val defaultAgentId: String
)

/**
 * Heartbeats of an agent.
 */
@Serializable
data class AgentHeartbeat (
    /**
     * The agent.
     */
    val agentId: String,

    /**
     * Whether they are on.
     */
    val enabled: Boolean,

    /**
     * How often, for people: `30m`, or `disabled`.
     */
    val every: String,

    /**
     * Milliseconds between two; null when they are off.
     */
    val everyMs: Long? = null
)

/**
 * Sessions of all agents.
 *
 * Sessions of all agents; none where no plugin keeps any.
 */
@Serializable
data class Sessions (
    /**
     * The same by agent.
     */
    val byAgent: JsonArray,

    /**
     * How many there are.
     */
    val count: Long,

    /**
     * What a new session starts with.
     */
    val defaults: SessionModel,

    /**
     * Where they are kept.
     */
    val paths: List<String>,

    /**
     * Those used last.
     */
    val recent: JsonArray
)

/**
 * What a new session starts with.
 */
@Serializable
data class SessionModel (
    /**
     * How much that model reads.
     */
    val contextTokens: Long? = null,

    /**
     * Its model.
     */
    val model: String? = null
)

/**
 * Every open connection.
 */
@Serializable
data class SystemConnectionsResult (
    /**
     * Oldest first.
     */
    val connections: List<Connection>
)

/**
 * A connection's record: its `connect` without secrets.
 */
@Serializable
data class Connection (
    /**
     * Capabilities as sent.
     */
    val caps: List<String>? = null,

    /**
     * `client` of its `connect`: id, displayName, version, platform, mode and so on.
     */
    val client: JsonElement?,

    /**
     * Commands as sent; nodes only.
     */
    val commands: List<String>? = null,

    /**
     * Number of the connection, as in calls and targeted events.
     */
    val conn: Long,

    /**
     * When it was accepted, in milliseconds since the epoch.
     */
    val connectedAtMs: Long,

    /**
     * Its id on the wire.
     */
    val connId: String,

    /**
     * The paired device.
     */
    val deviceId: String? = null,

    /**
     * Whether it is local.
     */
    val local: Boolean,

    /**
     * A node's `PATH`.
     */
    val pathEnv: String? = null,

    /**
     * Permissions as sent; nodes only.
     */
    val permissions: JsonElement? = null,

    /**
     * Negotiated protocol version.
     */
    val protocol: Long,

    /**
     * Address, absent for local connections.
     */
    val remoteIp: String? = null,

    /**
     * `operator` or `node`.
     */
    val role: String,

    /**
     * Granted scopes.
     */
    val scopes: List<String>
)

/**
 * Parameters of `system.describe`.
 */
@Serializable
data class SystemDescribeParams (
    /**
     * What it is, for names that are both.
     */
    val kind: Kind? = null,

    /**
     * Its name.
     */
    val name: String
)

/**
 * What a name stands for.
 */
@Serializable
enum class Kind(val value: String) {
    @SerialName("event") Event("event"),
    @SerialName("method") Method("method");
}

/**
 * Result of `system.describe`: the row of the manifest and where it is from.
 */
@Serializable
data class SystemDescribeResult (
    /**
     * `method` or `event`.
     */
    val kind: String,

    /**
     * The plugin that owns it; `host` for the gateway's own.
     */
    val plugin: String
)

/**
 * It is noted.
 */
@Serializable
data class SystemEventResult (
    /**
     * Always true.
     */
    val ok: Boolean
)

/**
 * Parameters of `system.methods`.
 */
@Serializable
data class SystemMethodsParams (
    /**
     * Whether internal ones are listed too; needs operator.admin.
     */
    val internal: Boolean? = null
)

/**
 * Result of `system.methods`.
 */
@Serializable
data class SystemMethodsResult (
    /**
     * Sorted by name.
     */
    val events: List<EventRow>,

    /**
     * Sorted by name.
     */
    val methods: List<MethodRow>
)

/**
 * An event in short.
 */
@Serializable
data class EventRow (
    /**
     * Its name.
     */
    val name: String,

    /**
     * The plugin that owns it; `host` for the gateway's own.
     */
    val plugin: String,

    /**
     * Who may see it.
     */
    val role: Exposure,

    /**
     * Any of these scopes is needed; none when empty.
     */
    val scopes: List<String>,

    /**
     * When it comes.
     */
    val summary: String
)

/**
 * Who may see it.
 *
 * Who may call it.
 */
@Serializable
sealed class Exposure {
    class EnumArrayValue(val value: List<ExposureItem>) : Exposure()
    class EnumValue(val value: ExposureWord)            : Exposure()
}

@Serializable
enum class ExposureItem(val value: String) {
    @SerialName("node") Node("node"),
    @SerialName("operator") Operator("operator");
}

@Serializable
enum class ExposureWord(val value: String) {
    @SerialName("internal") Internal("internal"),
    @SerialName("node") Node("node"),
    @SerialName("operator") Operator("operator");
}

/**
 * A method in short.
 */
@Serializable
data class MethodRow (
    /**
     * Whether it has effects.
     */
    val effects: Boolean,

    /**
     * What a repeated idempotency key does.
     */
    val idempotency: Idempotency,

    /**
     * Its name.
     */
    val name: String,

    /**
     * The plugin that owns it; `host` for the gateway's own.
     */
    val plugin: String,

    /**
     * Whether it answers once or with interim replies.
     */
    val replies: Replies,

    /**
     * Who may call it.
     */
    val role: Exposure,

    /**
     * Any of these scopes is needed; none when empty.
     */
    val scopes: List<String>,

    /**
     * What it does.
     */
    val summary: String
)

/**
 * What a repeated idempotency key does.
 *
 * The method takes no key.
 *
 * The host keeps the answer and gives it again; the plugin never sees a duplicate.
 *
 * The key is handed through; the plugin sees to it.
 */
@Serializable
enum class Idempotency(val value: String) {
    @SerialName("none") None("none"),
    @SerialName("plugin") Plugin("plugin"),
    @SerialName("replay") Replay("replay");
}

/**
 * Whether it answers once or with interim replies.
 *
 * How often a method answers.
 *
 * Once.
 *
 * Any number of interim answers, then one final.
 */
@Serializable
enum class Replies(val value: String) {
    @SerialName("interim") Interim("interim"),
    @SerialName("single") Single("single");
}

/**
 * Result of `system.metrics`.
 */
@Serializable
data class SystemMetricsResult (
    /**
     * Limits that were hit, by their names in `gateway.limits`, sorted.
     */
    val limits: List<LimitCount>,

    /**
     * Methods that were called, sorted by name.
     */
    val methods: List<MethodCount>
)

/**
 * How often a limit was hit.
 */
@Serializable
data class LimitCount (
    /**
     * How often.
     */
    val hits: Long,

    /**
     * The limit.
     */
    val limit: String
)

/**
 * What was counted of a method.
 */
@Serializable
data class MethodCount (
    /**
     * Calls that were asked for.
     */
    val calls: Long,

    /**
     * Calls that were answered with an error.
     */
    val errors: Long,

    /**
     * Its name.
     */
    val method: String,

    /**
     * Microseconds from the begin to the last answer, added up.
     */
    val microseconds: Long,

    /**
     * The plugin that owns it.
     */
    val plugin: String
)

/**
 * Result of `system.plugins`.
 */
@Serializable
data class SystemPluginsResult (
    /**
     * Sorted by id.
     */
    val plugins: List<PluginState>
)

/**
 * Whether somebody talks.
 */
@Serializable
data class TalkModeEvent (
    /**
     * Whether somebody does.
     */
    val enabled: Boolean,

    /**
     * In which phase that is.
     */
    val phase: String? = null,

    /**
     * When it was said, in milliseconds since the epoch.
     */
    val ts: Long
)

/**
 * Parameters of `talk.mode`.
 */
@Serializable
data class TalkModeParams (
    /**
     * Whether somebody talks.
     */
    val enabled: Boolean,

    /**
     * In which phase that is.
     */
    val phase: String? = null
)

/**
 * Whether somebody talks.
 */
@Serializable
data class TalkModeResult (
    /**
     * Whether somebody does.
     */
    val enabled: Boolean,

    /**
     * In which phase that is.
     */
    val phase: String? = null,

    /**
     * When it was said, in milliseconds since the epoch.
     */
    val ts: Long
)

@Serializable
data class TickEvent (
    /**
     * Milliseconds since the epoch.
     */
    val ts: Long
)

/**
 * Words that wake an assistant.
 */
@Serializable
data class VoicewakeChangedEvent (
    /**
     * The words.
     */
    val triggers: List<String>
)

/**
 * Words that wake an assistant.
 */
@Serializable
data class VoicewakeGetResult (
    /**
     * The words.
     */
    val triggers: List<String>
)

/**
 * Where what was said goes to.
 */
@Serializable
data class VoicewakeRoutingChangedEvent (
    /**
     * The rules.
     */
    val config: VoicewakeRoutingChangedRules
)

/**
 * The rules.
 *
 * Rules by which what was said finds its session.
 */
@Serializable
data class VoicewakeRoutingChangedRules (
    /**
     * Where it goes if no rule says otherwise.
     */
    val defaultTarget: Target,

    /**
     * Rules; of two that fit, no two are alike.
     */
    val routes: List<Route>,

    /**
     * When they last changed, in milliseconds since the epoch; 0 is never.
     */
    val updatedAtMs: Long,

    /**
     * Always 1.
     */
    val version: Long
)

/**
 * Where it goes if no rule says otherwise.
 *
 * A place that it goes to.
 *
 * Where what follows goes to.
 *
 * The session that is open.
 *
 * The main session of an agent.
 *
 * One session.
 */
@Serializable
data class Target (
    /**
     * Always `current`.
     */
    val mode: Current? = null,

    /**
     * The agent.
     */
    val agentId: String? = null,

    /**
     * The session.
     */
    val sessionKey: String? = null
)

/**
 * Always `current`.
 */
@Serializable
enum class Current(val value: String) {
    @SerialName("current") Current("current");
}

/**
 * One rule.
 */
@Serializable
data class Route (
    /**
     * Where what follows goes to.
     */
    val target: Target,

    /**
     * The word or words that were said.
     */
    val trigger: String
)

/**
 * Where what was said goes to.
 */
@Serializable
data class VoicewakeRoutingGetResult (
    /**
     * The rules.
     */
    val config: VoicewakeRoutingGetRules
)

/**
 * The rules.
 *
 * Rules by which what was said finds its session.
 */
@Serializable
data class VoicewakeRoutingGetRules (
    /**
     * Where it goes if no rule says otherwise.
     */
    val defaultTarget: Target,

    /**
     * Rules; of two that fit, no two are alike.
     */
    val routes: List<Route>,

    /**
     * When they last changed, in milliseconds since the epoch; 0 is never.
     */
    val updatedAtMs: Long,

    /**
     * Always 1.
     */
    val version: Long
)

/**
 * Parameters of `voicewake.routing.set`: open, and checked by hand for the same reason.
 */
@Serializable
data class VoicewakeRoutingSetParams (
    /**
     * The rules.
     */
    val config: JsonElement? = null
)

/**
 * Where what was said goes to.
 */
@Serializable
data class VoicewakeRoutingSetResult (
    /**
     * The rules.
     */
    val config: VoicewakeRoutingSetRules
)

/**
 * The rules.
 *
 * Rules by which what was said finds its session.
 */
@Serializable
data class VoicewakeRoutingSetRules (
    /**
     * Where it goes if no rule says otherwise.
     */
    val defaultTarget: Target,

    /**
     * Rules; of two that fit, no two are alike.
     */
    val routes: List<Route>,

    /**
     * When they last changed, in milliseconds since the epoch; 0 is never.
     */
    val updatedAtMs: Long,

    /**
     * Always 1.
     */
    val version: Long
)

/**
 * Parameters of `voicewake.set`: open, and checked by hand because clients know the
 * sentence that refuses them.
 */
@Serializable
data class VoicewakeSetParams (
    /**
     * The words.
     */
    val triggers: JsonElement? = null
)

/**
 * Words that wake an assistant.
 */
@Serializable
data class VoicewakeSetResult (
    /**
     * The words.
     */
    val triggers: List<String>
)

/**
 * Parameters of `wake`; the last two are of protocol 4, and there is one main session.
 */
@Serializable
data class WakeParams (
    /**
     * The default agent; no other one can be woken.
     */
    val agentId: String? = null,

    /**
     * When the agent hears of it.
     */
    val mode: WakeMode,

    /**
     * A session of the default agent.
     */
    val sessionKey: String? = null,

    /**
     * What happened.
     */
    val text: String
)

/**
 * When the agent hears of it.
 *
 * When an agent hears of it.
 *
 * At once.
 *
 * With the next heartbeat.
 */
@Serializable
enum class WakeMode(val value: String) {
    @SerialName("next-heartbeat") NextHeartbeat("next-heartbeat"),
    @SerialName("now") Now("now");
}

/**
 * Result of `wake`.
 */
@Serializable
data class WakeResult (
    /**
     * Whether there was anything to say.
     */
    val ok: Boolean
)

/**
 * Parameters of `web.login.start`.
 */
@Serializable
data class WebLoginStartParams (
    /**
     * The account.
     */
    val accountId: String? = null,

    /**
     * Whether to begin anew although it is logged in.
     */
    val force: Boolean? = null,

    /**
     * How long to wait for the picture, in milliseconds.
     */
    val timeoutMs: Long? = null,

    /**
     * Makes no difference.
     */
    val verbose: Boolean? = null
)

/**
 * Result of `web.login.start`.
 */
@Serializable
data class WebLoginStartResult (
    /**
     * What to do next.
     */
    val message: String,

    /**
     * A picture to scan.
     */
    val qrDataUrl: String? = null
)

/**
 * Parameters of `web.login.wait`.
 */
@Serializable
data class WebLoginWaitParams (
    /**
     * The account.
     */
    val accountId: String? = null,

    /**
     * The picture that is shown (protocol 4); makes no difference.
     */
    val currentQrDataUrl: String? = null,

    /**
     * How long to wait, in milliseconds.
     */
    val timeoutMs: Long? = null
)

/**
 * Result of `web.login.wait`.
 */
@Serializable
data class WebLoginWaitResult (
    /**
     * Whether the account is connected.
     */
    val connected: Boolean,

    /**
     * What to do next.
     */
    val message: String
)

typealias ExecApprovalListResult = List<Pending>

typealias HealthResult = Summary

typealias LastHeartbeatResult = HeartbeatEvent?

typealias SystemPresenceResult = List<PresenceEntry>
