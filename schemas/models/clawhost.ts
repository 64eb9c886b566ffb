// Made from clawhost's JSON Schemas by `npm run models` in tests/foreign; changes here are lost.

/**
 * Payload of the event `agent`.
 */
export interface AgentEvent {
    /**
     * The agent.
     */
    agentId: string;
    /**
     * What happened, by stream.
     */
    data: unknown;
    /**
     * Whether it is a run that clients are spared the chat of.
     */
    isHeartbeat?: boolean;
    /**
     * The run.
     */
    runId: string;
    /**
     * Number of the event within the run, from 1.
     */
    seq: number;
    /**
     * The conversation.
     */
    sessionId?: string;
    /**
     * The session as whoever started the run spelled it.
     */
    sessionKey: string;
    /**
     * `lifecycle`, `assistant` or `tool`.
     */
    stream: string;
    /**
     * When, in milliseconds since the epoch.
     */
    ts: number;
}

/**
 * Parameters of `agent.identity.get`.
 */
export interface AgentIdentityGetParams {
    /**
     * The agent.
     */
    agentId?: null | string;
    /**
     * A session of the agent.
     */
    sessionKey?: null | string;
}

/**
 * Result of `agent.identity.get`.
 */
export interface AgentIdentityGetResult {
    /**
     * The agent.
     */
    agentId: string;
    /**
     * A picture's address or a few characters, at most 200.
     */
    avatar: string;
    /**
     * Its name, at most 50 characters.
     */
    name: string;
}

/**
 * Parameters of `agent`.
 */
export interface AgentParams {
    /**
     * The account of that channel.
     */
    accountId?: null | string;
    /**
     * The agent, where the session does not say.
     */
    agentId?: null | string;
    /**
     * `{type?, mimeType?, fileName?, content}` each, the content in base64.
     */
    attachments?: unknown[] | null;
    /**
     * The channel the message is from, or `last`.
     */
    channel?: null | string;
    /**
     * A folder; there is none here (protocol 4).
     */
    cwd?: null | string;
    /**
     * Whether the answer also goes out over a channel: to `replyTo` or `to`, else to where the
     * session last spoke.
     */
    deliver?: boolean | null;
    /**
     * Told to the agent beside its own instructions.
     */
    extraSystemPrompt?: null | string;
    /**
     * Its channel, kept with the session.
     */
    groupChannel?: null | string;
    /**
     * A group.
     */
    groupId?: null | string;
    /**
     * Its space, kept with the session.
     */
    groupSpace?: null | string;
    /**
     * Names the run, and makes it happen once.
     */
    idempotencyKey: string;
    /**
     * A name for the session.
     */
    label?: null | string;
    /**
     * A queue's name; runs of one session go in order in any case.
     */
    lane?: null | string;
    /**
     * What the agent is told.
     */
    message: string;
    /**
     * The model, `provider/model` or with `provider` beside it (protocol 4).
     */
    model?: null | string;
    /**
     * The model's provider (protocol 4).
     */
    provider?: null | string;
    /**
     * The account the answer goes out with.
     */
    replyAccountId?: null | string;
    /**
     * The channel the answer goes to, or `last`.
     */
    replyChannel?: null | string;
    /**
     * Whom the answer goes to instead.
     */
    replyTo?: null | string;
    /**
     * A conversation; the session's present one is used.
     */
    sessionId?: null | string;
    /**
     * The session, in any spelling; the agent's main session when absent.
     */
    sessionKey?: null | string;
    /**
     * The session that began this one.
     */
    spawnedBy?: null | string;
    /**
     * How much it thinks.
     */
    thinking?: null | string;
    /**
     * A thread or topic.
     */
    threadId?: null | string;
    /**
     * Seconds until the run is given up; 0 and absent are the agent's own.
     */
    timeout?: number | null;
    /**
     * Whom an answer would go to.
     */
    to?: null | string;
}

/**
 * What `agent` answers in the end.
 */
export interface AgentResult {
    /**
     * What came of it.
     */
    result?: Answer;
    /**
     * The run.
     */
    runId: string;
    /**
     * `ok`, or `error` when it failed.
     */
    status: string;
    /**
     * `completed` or `aborted`; of a failed run, why.
     */
    summary: string;
}

/**
 * What came of it.
 *
 * What came of a run.
 */
export interface Answer {
    /**
     * About it.
     */
    meta: Meta;
    /**
     * What the agent said.
     */
    payloads: Payload[];
}

/**
 * About it.
 *
 * About a run.
 */
export interface Meta {
    /**
     * Whether somebody stopped it.
     */
    aborted?: boolean;
    /**
     * Who answered.
     */
    agentMeta: AgentMeta;
    /**
     * What came of sending it on, if that was asked for.
     */
    delivery?: Delivery;
    /**
     * How long it took.
     */
    durationMs: number;
}

/**
 * Who answered.
 */
export interface AgentMeta {
    /**
     * The model.
     */
    model?: string;
    /**
     * Who provided the model.
     */
    provider?: string;
    /**
     * The conversation.
     */
    sessionId?: string;
    /**
     * What it cost.
     */
    usage: Usage;
}

/**
 * What it cost.
 *
 * What an answer cost, in tokens.
 */
export interface Usage {
    /**
     * Read from a cache.
     */
    cacheRead?: number;
    /**
     * Written to a cache.
     */
    cacheWrite?: number;
    /**
     * Read, without what came from a cache.
     */
    input?: number;
    /**
     * Written.
     */
    output?: number;
    /**
     * All of them.
     */
    totalTokens?: number;
}

/**
 * What came of sending it on, if that was asked for.
 *
 * What came of it.
 */
export interface Delivery {
    /**
     * The channel.
     */
    channel?: string;
    /**
     * The same for programs: `OUTCOME_UNKNOWN` when nobody knows whether it went out.
     */
    code?: string;
    /**
     * Why it did not go out.
     */
    error?: string;
    /**
     * The channel's id of the message.
     */
    messageId?: string;
    /**
     * Whether it went out.
     */
    ok: boolean;
}

/**
 * Something that an agent said.
 */
export interface Payload {
    /**
     * The text.
     */
    text: string;
}

/**
 * Parameters of `agent.wait`.
 */
export interface AgentWaitParams {
    /**
     * The run.
     */
    runId: string;
    /**
     * Milliseconds to wait; 30,000 when absent, and 0 only looks.
     */
    timeoutMs?: number | null;
}

/**
 * Result of `agent.wait`.
 */
export interface AgentWaitResult {
    /**
     * When it ended.
     */
    endedAt?: number;
    /**
     * Why it failed.
     */
    error?: string;
    /**
     * The run.
     */
    runId: string;
    /**
     * When it began, in milliseconds since the epoch.
     */
    startedAt?: number;
    /**
     * `ok`, `error`, or `timeout` when it has not ended.
     */
    status: string;
    /**
     * Why it was stopped.
     */
    stopReason?: string;
}

/**
 * Result of `agents.list`.
 */
export interface AgentsListResult {
    /**
     * The agents, in the order of the configuration.
     */
    agents: ListedAgent[];
    /**
     * The agent to talk to first.
     */
    defaultId: string;
    /**
     * Short name of the main session.
     */
    mainKey: string;
    /**
     * `per-sender` or `global`.
     */
    scope: string;
}

/**
 * An agent in `agents.list`.
 */
export interface ListedAgent {
    /**
     * Its id.
     */
    id: string;
    /**
     * How it presents itself.
     */
    identity?: Identity;
    /**
     * What it thinks with. Newer web pages let nobody write to an agent without one.
     */
    model: ListedModel;
    /**
     * Its name.
     */
    name?: string;
}

/**
 * How it presents itself.
 *
 * How an agent presents itself.
 */
export interface Identity {
    /**
     * A few characters, or a picture as an `https:`, `http:` or `data:image/` address.
     */
    avatar?: null | string;
    /**
     * A picture as an address.
     */
    avatarUrl?: null | string;
    /**
     * Its emoji.
     */
    emoji?: null | string;
    /**
     * The name it goes by.
     */
    name?: null | string;
    /**
     * What it is like, in a few words.
     */
    theme?: null | string;
}

/**
 * What it thinks with. Newer web pages let nobody write to an agent without one.
 *
 * What an agent in `agents.list` thinks with.
 */
export interface ListedModel {
    /**
     * The model it uses first, as `provider/model`.
     */
    primary: string;
}

/**
 * Parameters of `channels.start`, `channels.stop` and `channels.logout`.
 */
export interface ChannelsLogoutParams {
    /**
     * The account; the channel's default when absent.
     */
    accountId?: null | string;
    /**
     * The channel.
     */
    channel: string;
}

/**
 * Result of `channels.logout`.
 */
export interface ChannelsLogoutResult {
    /**
     * The account.
     */
    accountId: string;
    /**
     * The channel.
     */
    channel: string;
    /**
     * Whether something was kept and is gone now.
     */
    cleared: boolean;
    /**
     * Always true.
     */
    loggedOut: boolean;
}

/**
 * Parameters of `channels.pairing.approve`.
 */
export interface ChannelsPairingApproveParams {
    /**
     * The account; any of the channel when absent.
     */
    accountId?: null | string;
    /**
     * Refused: there are no such owners here.
     */
    bootstrapCommandOwner?: boolean | null;
    /**
     * The channel.
     */
    channel: string;
    /**
     * Whether the sender is told.
     */
    notify?: boolean | null;
    /**
     * The request, or the code that the sender was told.
     */
    requestId: string;
}

/**
 * Result of `channels.pairing.approve`.
 */
export interface ChannelsPairingApproveResult {
    /**
     * `not-requested` or `unavailable`.
     */
    commandOwnerBootstrap: string;
    /**
     * `not-requested`, `sent` or `failed`.
     */
    notification: string;
    /**
     * The request.
     */
    requestId: string;
    /**
     * Who may write now.
     */
    senderId: string;
}

/**
 * Parameters of `channels.pairing.dismiss`.
 */
export interface ChannelsPairingDismissParams {
    /**
     * The account; any of the channel when absent.
     */
    accountId?: null | string;
    /**
     * The channel.
     */
    channel: string;
    /**
     * The request, or the code that the sender was told.
     */
    requestId: string;
}

/**
 * Result of `channels.pairing.dismiss`.
 */
export interface ChannelsPairingDismissResult {
    /**
     * The request.
     */
    requestId: string;
    /**
     * Who was turned away.
     */
    senderId: string;
}

/**
 * Parameters of `channels.pairing.list`.
 */
export interface ChannelsPairingListParams {
    /**
     * Only this account.
     */
    accountId?: null | string;
    /**
     * Only this channel.
     */
    channel?: null | string;
}

/**
 * Result of `channels.pairing.list`.
 */
export interface ChannelsPairingListResult {
    /**
     * Accounts that people can knock at.
     */
    accounts: Account[];
    /**
     * Always true: nobody becomes an owner by being let in.
     */
    commandOwnerConfigured: boolean;
    /**
     * How many may knock, and for how long.
     */
    limits: Limits;
    /**
     * Those who knock, oldest first.
     */
    requests: ChannelsPairingListRequest[];
}

/**
 * An account of a channel.
 */
export interface Account {
    /**
     * The account.
     */
    accountId: string;
    /**
     * The account's name.
     */
    accountLabel?: null | string;
    /**
     * The channel.
     */
    channel: string;
    /**
     * Its name.
     */
    channelLabel: string;
    /**
     * Always true: who is let in can be told.
     */
    notifySupported: boolean;
}

/**
 * How many may knock, and for how long.
 *
 * Limits of knocking.
 */
export interface Limits {
    /**
     * Most who knock at an account.
     */
    pendingPerAccount: number;
    /**
     * Milliseconds until one is forgotten.
     */
    ttlMs: number;
}

/**
 * Somebody who knocks. The code is not shown: they were told it, and who approves by code
 * has heard it from them.
 */
export interface ChannelsPairingListRequest {
    /**
     * The account.
     */
    accountId: string;
    /**
     * The account's name.
     */
    accountLabel?: null | string;
    /**
     * The channel.
     */
    channel: string;
    /**
     * Its name.
     */
    channelLabel: string;
    /**
     * When they first wrote, as `2026-01-31T12:00:00Z`.
     */
    createdAt: string;
    /**
     * When they will be forgotten.
     */
    expiresAt: string;
    /**
     * When they last wrote.
     */
    lastSeenAt: string;
    /**
     * `name` and `handle`, as they call themselves.
     */
    metadata?: { [key: string]: unknown };
    /**
     * Always true: who is let in can be told.
     */
    notifySupported: boolean;
    /**
     * Names the request.
     */
    requestId: string;
    /**
     * The channel's lasting id of them.
     */
    senderId: string;
    /**
     * What such ids are called.
     */
    senderLabel: string;
}

/**
 * Parameters of `channels.senders.list`.
 */
export interface ChannelsSendersListParams {
    /**
     * Only this channel.
     */
    channel?: null | string;
}

/**
 * Result of `channels.senders.list`.
 */
export interface ChannelsSendersListResult {
    /**
     * Those who were let in, by channel and account.
     */
    senders: Sender[];
}

/**
 * Somebody who was let in.
 */
export interface Sender {
    /**
     * The account.
     */
    accountId: string;
    /**
     * When they were let in, as `2026-01-31T12:00:00Z`.
     */
    approvedAt: string;
    /**
     * The channel.
     */
    channel: string;
    /**
     * Their handle then.
     */
    handle?: null | string;
    /**
     * What they called themselves then.
     */
    name?: null | string;
    /**
     * The channel's lasting id of them.
     */
    senderId: string;
}

/**
 * Parameters of `channels.senders.remove`.
 */
export interface ChannelsSendersRemoveParams {
    /**
     * The account; the channel's unnamed one when absent.
     */
    accountId?: null | string;
    /**
     * The channel.
     */
    channel: string;
    /**
     * The channel's lasting id of them.
     */
    senderId: string;
}

/**
 * Result of `channels.senders.remove`.
 */
export interface ChannelsSendersRemoveResult {
    /**
     * Whether they had been let in.
     */
    removed: boolean;
}

/**
 * Parameters of `channels.start`, `channels.stop` and `channels.logout`.
 */
export interface ChannelsStartParams {
    /**
     * The account; the channel's default when absent.
     */
    accountId?: null | string;
    /**
     * The channel.
     */
    channel: string;
}

/**
 * Result of `channels.start`.
 */
export interface ChannelsStartResult {
    /**
     * The account.
     */
    accountId: string;
    /**
     * The channel.
     */
    channel: string;
    /**
     * Always true.
     */
    started: boolean;
}

/**
 * Parameters of `channels.status`.
 */
export interface ChannelsStatusParams {
    /**
     * Only this channel (protocol 4).
     */
    channel?: null | string;
    /**
     * Whether each channel asks its service.
     */
    probe?: boolean | null;
    /**
     * How long that may take, in milliseconds.
     */
    timeoutMs?: number | null;
}

/**
 * Result of `channels.status`.
 */
export interface ChannelsStatusResult {
    /**
     * Accounts by id; each with an `accountId`.
     */
    channelAccounts: { [key: string]: { [key: string]: unknown }[] };
    /**
     * The account used when none is named, by id.
     */
    channelDefaultAccountId: { [key: string]: string };
    /**
     * Longer names by id.
     */
    channelDetailLabels?: { [key: string]: string };
    /**
     * Names by id.
     */
    channelLabels: { [key: string]: string };
    /**
     * The above once more, as a list.
     */
    channelMeta?: ChannelMeta[];
    /**
     * Ids, sorted.
     */
    channelOrder: string[];
    /**
     * Summaries by id; each says at least whether it is `configured`.
     */
    channels: { [key: string]: { [key: string]: unknown } };
    /**
     * Names of symbols of Apple's systems by id.
     */
    channelSystemImages?: { [key: string]: string };
    /**
     * When it was asked, in milliseconds since the epoch.
     */
    ts: number;
}

/**
 * How a channel is named.
 */
export interface ChannelMeta {
    /**
     * Its longer name.
     */
    detailLabel: string;
    /**
     * Its id.
     */
    id: string;
    /**
     * Its name.
     */
    label: string;
    /**
     * Name of a symbol of Apple's systems.
     */
    systemImage?: null | string;
}

/**
 * Parameters of `channels.start`, `channels.stop` and `channels.logout`.
 */
export interface ChannelsStopParams {
    /**
     * The account; the channel's default when absent.
     */
    accountId?: null | string;
    /**
     * The channel.
     */
    channel: string;
}

/**
 * Result of `channels.stop`.
 */
export interface ChannelsStopResult {
    /**
     * The account.
     */
    accountId: string;
    /**
     * The channel.
     */
    channel: string;
    /**
     * Always true.
     */
    stopped: boolean;
}

/**
 * Parameters of `chat.abort`.
 */
export interface ChatAbortParams {
    /**
     * One run of it; all when absent.
     */
    runId?: null | string;
    /**
     * The session.
     */
    sessionKey: string;
}

/**
 * Result of `chat.abort`.
 */
export interface ChatAbortResult {
    /**
     * Whether anything was stopped.
     */
    aborted: boolean;
    /**
     * Always.
     */
    ok: boolean;
    /**
     * What was stopped.
     */
    runIds: string[];
}

/**
 * Payload of `chat`.
 */
export interface ChatEvent {
    /**
     * The agent.
     */
    agentId?: null | string;
    /**
     * Of a `delta`: what was added since the one before; with `replace`, all of it.
     */
    deltaText?: null | string;
    /**
     * Of an `error`: `refusal`, `timeout`, `rate_limit`, `context_length` or `unknown`.
     */
    errorKind?: null | string;
    /**
     * Why it failed, in a sentence for people.
     */
    errorMessage?: null | string;
    /**
     * The whole answer so far, or in the end.
     */
    message?: Message | null;
    /**
     * Of a `delta`: the answer began anew.
     */
    replace?: boolean | null;
    /**
     * The run.
     */
    runId: string;
    /**
     * Grows within the run, with holes.
     */
    seq: number;
    /**
     * The session, as whoever started the run spelled it.
     */
    sessionKey: string;
    /**
     * `delta`, `final`, `aborted` or `error`.
     */
    state: State;
    /**
     * Why it ended; of an `aborted` one `rpc`, `stop` or `timeout`.
     */
    stopReason?: null | string;
    /**
     * What it cost.
     */
    usage?: unknown;
}

/**
 * One message.
 */
export interface Message {
    /**
     * What is said, in order.
     */
    content?: Part[];
    /**
     * Why an answer failed, in a sentence for people.
     */
    errorMessage?: null | string;
    /**
     * Its id in the transcript; who appends a message twice with one id appends it once.
     */
    id?: null | string;
    /**
     * Of a tool's answer: whether the tool failed.
     */
    isError?: boolean | null;
    /**
     * The model.
     */
    model?: null | string;
    /**
     * Who provided the model.
     */
    provider?: null | string;
    /**
     * Who speaks; see [`role`].
     */
    role: string;
    /**
     * The run it belongs to.
     */
    runId?: null | string;
    /**
     * Why an answer ended: `stop`, `toolUse`, `length`, `aborted`, `error`, `injected`.
     */
    stopReason?: null | string;
    /**
     * When, in milliseconds since the epoch.
     */
    timestamp?: number | null;
    /**
     * Of a tool's answer: the call it answers.
     */
    toolCallId?: null | string;
    /**
     * Of a tool's answer: the tool.
     */
    toolName?: null | string;
    /**
     * Tokens of the answer.
     */
    usage?: Usage | null;
}

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
export interface Part {
    /**
     * The text.
     */
    text?: string;
    type:  PartType;
    /**
     * Its bytes in base64.
     */
    data?: string;
    /**
     * Its kind, `image/png` and the like.
     */
    mimeType?: string;
    /**
     * What its provider wants to be given back with it.
     */
    signature?: null | string;
    /**
     * The thought.
     */
    thinking?: string;
    /**
     * What it is given: an object.
     */
    arguments?: unknown;
    /**
     * Names this call within the conversation.
     */
    id?: string;
    /**
     * The tool.
     */
    name?: string;
}

export type PartType = "text" | "image" | "thinking" | "toolCall" | "other";

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
export type State = "delta" | "final" | "aborted" | "error";

/**
 * Parameters of `chat.history`.
 */
export interface ChatHistoryParams {
    /**
     * Where a client was that wants only what came since (protocol 4).
     */
    cursor?: unknown;
    /**
     * The last so many messages; 200 when absent.
     */
    limit?: number | null;
    /**
     * Largest list of messages, in bytes (protocol 4).
     */
    maxBytes?: number | null;
    /**
     * Without the last so many (protocol 4).
     */
    offset?: number | null;
    /**
     * The session.
     */
    sessionKey: string;
}

/**
 * Result of `chat.history`.
 *
 * Messages.
 *
 * Messages of a session.
 *
 * Nothing is kept of where clients were: they begin anew.
 */
export interface ChatHistoryResult {
    /**
     * Whether there are older ones.
     */
    hasMore?: boolean;
    /**
     * Messages, oldest first.
     */
    messages?: unknown[];
    /**
     * Its present conversation; absent when there is no such session.
     */
    sessionId?: null | string;
    /**
     * The session, as it was asked for.
     */
    sessionKey?: string;
    /**
     * How much the agent thinks, where the session says.
     */
    thinkingLevel?: null | string;
    /**
     * How many there are.
     */
    totalMessages?: number;
    /**
     * Always `reset`.
     */
    kind?: string;
}

/**
 * Messages.
 *
 * Messages of a session.
 */
export interface Page {
    /**
     * Whether there are older ones.
     */
    hasMore: boolean;
    /**
     * Messages, oldest first.
     */
    messages: unknown[];
    /**
     * Its present conversation; absent when there is no such session.
     */
    sessionId?: null | string;
    /**
     * The session, as it was asked for.
     */
    sessionKey: string;
    /**
     * How much the agent thinks, where the session says.
     */
    thinkingLevel?: null | string;
    /**
     * How many there are.
     */
    totalMessages: number;
}

/**
 * Parameters of `chat.inject`.
 */
export interface ChatInjectParams {
    /**
     * Shown before it, in brackets.
     */
    label?: null | string;
    /**
     * What is said in the agent's name.
     */
    message: string;
    /**
     * The session.
     */
    sessionKey: string;
}

/**
 * Result of `chat.inject`.
 */
export interface ChatInjectResult {
    /**
     * The message.
     */
    messageId: string;
    /**
     * Always.
     */
    ok: boolean;
}

/**
 * Result of `chat.metadata`.
 */
export interface ChatMetadataResult {
    /**
     * None.
     */
    commands: unknown[];
    /**
     * Models, as `models.list` has them.
     */
    models: unknown[];
}

/**
 * Parameters of `chat.send`.
 */
export interface ChatSendParams {
    /**
     * `{type?, mimeType?, fileName?, content}` each, the content in base64.
     */
    attachments?: unknown[] | null;
    /**
     * Whether the answer is delivered to a channel.
     */
    deliver?: boolean | null;
    /**
     * Names the run, and makes it happen once.
     */
    idempotencyKey: string;
    /**
     * What is said.
     */
    message: string;
    /**
     * The session, in any spelling; events of the run carry this one.
     */
    sessionKey: string;
    /**
     * How much the agent shall think.
     */
    thinking?: null | string;
    /**
     * Milliseconds until the run is given up; 0 and absent are the agent's own.
     */
    timeoutMs?: number | null;
}

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
export interface ChatSendResult {
    /**
     * The run.
     */
    runId?: string;
    /**
     * `started`, `in_flight`, `ok`, or `error`.
     */
    status?: string;
    /**
     * Why it failed.
     */
    summary?: null | string;
    /**
     * Whether anything was stopped.
     */
    aborted?: boolean;
    /**
     * Always.
     */
    ok?: boolean;
    /**
     * What was stopped.
     */
    runIds?: string[];
}

/**
 * What became of the message.
 *
 * A run, as `chat.send` answers it.
 */
export interface RunState {
    /**
     * The run.
     */
    runId: string;
    /**
     * `started`, `in_flight`, `ok`, or `error`.
     */
    status: string;
    /**
     * Why it failed.
     */
    summary?: null | string;
}

/**
 * It was a word that stops what runs.
 *
 * Result of `chat.abort`.
 */
export interface Stopped {
    /**
     * Whether anything was stopped.
     */
    aborted: boolean;
    /**
     * Always.
     */
    ok: boolean;
    /**
     * What was stopped.
     */
    runIds: string[];
}

/**
 * Parameters of `chat.history`.
 */
export interface ChatStartupParams {
    /**
     * Where a client was that wants only what came since (protocol 4).
     */
    cursor?: unknown;
    /**
     * The last so many messages; 200 when absent.
     */
    limit?: number | null;
    /**
     * Largest list of messages, in bytes (protocol 4).
     */
    maxBytes?: number | null;
    /**
     * Without the last so many (protocol 4).
     */
    offset?: number | null;
    /**
     * The session.
     */
    sessionKey: string;
}

/**
 * Result of `chat.startup`.
 */
export interface ChatStartupResult {
    /**
     * Models of sessions that name none.
     */
    defaults: unknown;
    /**
     * Whether there are older ones.
     */
    hasMore: boolean;
    /**
     * Messages, oldest first.
     */
    messages: unknown[];
    /**
     * What waits to be said: nothing, since what is said is a run at once.
     */
    pendingInputs: PendingInputs;
    /**
     * Its present conversation; absent when there is no such session.
     */
    sessionId?: null | string;
    /**
     * The session's row, as `sessions.list` has it.
     */
    sessionInfo: unknown;
    /**
     * The session, as it was asked for.
     */
    sessionKey: string;
    /**
     * How much the agent thinks, where the session says.
     */
    thinkingLevel?: null | string;
    /**
     * How many there are.
     */
    totalMessages: number;
}

/**
 * What waits to be said: nothing, since what is said is a run at once.
 *
 * Inputs that wait.
 */
export interface PendingInputs {
    /**
     * None.
     */
    items: unknown[];
    /**
     * 0.
     */
    total: number;
}

/**
 * Result of `commands.list`.
 */
export interface CommandsListResult {
    /**
     * None.
     */
    commands: unknown[];
}

/**
 * Result of `config.get`.
 */
export interface ConfigGetResult {
    /**
     * What is in force, defaults applied, secrets replaced.
     */
    config: unknown;
    /**
     * Whether it exists.
     */
    exists: boolean;
    /**
     * SHA-256 of the file in hex.
     */
    hash: string;
    /**
     * What is wrong with it.
     */
    issues: ConfigIssue[];
    /**
     * Always empty; clients expect the list.
     */
    legacyIssues: ConfigIssue[];
    /**
     * What it says, secrets replaced.
     */
    parsed: unknown;
    /**
     * The file: its path for admins, its name for others.
     */
    path: string;
    /**
     * Its text, secrets replaced; `null` without a file.
     */
    raw?: null | string;
    /**
     * Whether the gateway would start with it.
     */
    valid: boolean;
    /**
     * Always empty; clients expect the list.
     */
    warnings: ConfigIssue[];
}

/**
 * One thing that is wrong with a configuration.
 */
export interface ConfigIssue {
    /**
     * What is wrong and what would be right.
     */
    message: string;
    /**
     * Dotted path of the key.
     */
    path: string;
}

/**
 * Result of `config.schema`.
 */
export interface ConfigSchemaResult {
    /**
     * When the schema came to be, as ISO 8601.
     */
    generatedAt: string;
    /**
     * JSON Schema of `config.toml`.
     */
    schema: unknown;
    /**
     * How a form may show each key, by its dotted path; `*` stands for any name, `[]` for an
     * item.
     */
    uiHints: { [key: string]: Hint };
    /**
     * Version of the gateway.
     */
    version: string;
}

/**
 * How a form may show a key.
 */
export interface Hint {
    /**
     * Few need it.
     */
    advanced?: boolean | null;
    /**
     * The heading it stands under.
     */
    group?: null | string;
    /**
     * What it does.
     */
    help?: null | string;
    /**
     * Its name for people.
     */
    label?: null | string;
    /**
     * Its place among its neighbours.
     */
    order?: number | null;
    /**
     * What is typed must not be shown.
     */
    sensitive?: boolean | null;
}

export interface ConnectChallengeEvent {
    /**
     * What a device signs.
     */
    nonce: string;
    /**
     * Milliseconds since the epoch.
     */
    ts: number;
}

/**
 * Parameters of `connect`.
 */
export interface ConnectParams {
    /**
     * Credentials.
     */
    auth?: Credentials;
    /**
     * Capabilities; they widen what is sent and are never an authorization.
     */
    caps?: string[];
    /**
     * What program connects.
     */
    client: ClientInfo;
    /**
     * Commands a node can be asked to run.
     */
    commands?: string[];
    /**
     * Protocol 4: accepted and passed over.
     */
    computerUse?: unknown;
    /**
     * The device that signs this connection.
     */
    device?: DeviceProof;
    /**
     * The user's locale.
     */
    locale?: string;
    /**
     * Highest protocol version the client speaks.
     */
    maxProtocol: number;
    /**
     * Lowest protocol version the client speaks.
     */
    minProtocol: number;
    /**
     * Protocol 4: accepted and passed over.
     */
    modelCatalog?: unknown;
    /**
     * A node's `PATH`.
     */
    pathEnv?: string;
    /**
     * Permissions a node holds on its system.
     */
    permissions?: { [key: string]: boolean };
    /**
     * `operator` (the default) or `node`.
     */
    role?: string;
    /**
     * Scopes asked for: an upper bound of what is granted.
     */
    scopes?: string[];
    /**
     * The client's user agent.
     */
    userAgent?: string;
    /**
     * Protocol 4: accepted and passed over.
     */
    workerRuns?: unknown;
}

/**
 * Credentials.
 *
 * Credentials. Never printed: the [`Debug`] form names only what is present.
 */
export interface Credentials {
    /**
     * Protocol 4: in-process helpers only.
     */
    agentRuntimeIdentityToken?: string;
    /**
     * Protocol 4: in-process helpers only.
     */
    approvalRuntimeToken?: string;
    /**
     * Protocol 4: a setup code's token.
     */
    bootstrapToken?: string;
    /**
     * Protocol 4: a device token.
     */
    deviceToken?: string;
    /**
     * The shared password.
     */
    password?: string;
    /**
     * The shared token, or a device token.
     */
    token?: string;
}

/**
 * What program connects.
 */
export interface ClientInfo {
    /**
     * Protocol 4: build of the page.
     */
    buildId?: string;
    /**
     * Kind of device.
     */
    deviceFamily?: string;
    /**
     * A name for people.
     */
    displayName?: string;
    id:           ClientInfoID;
    /**
     * Tells two instances of one program apart.
     */
    instanceId?: string;
    /**
     * One of [`protocol::CLIENT_MODES`].
     */
    mode: ClientInfoMode;
    /**
     * Model of the device.
     */
    modelIdentifier?: string;
    /**
     * The system it runs on, in the client's own words.
     */
    platform: string;
    /**
     * Protocol 4: the user's time zone.
     */
    timeZone?: string;
    /**
     * The program's version.
     */
    version: string;
}

export type ClientInfoID = "webchat-ui" | "webchat" | "cli" | "gateway-client" | "node-host" | "test" | "fingerprint" | "openclaw-tui" | "clawdbot-control-ui" | "clawdbot-macos" | "clawdbot-ios" | "clawdbot-android" | "clawdbot-probe" | "clawdbot-linux" | "clawdbot-watchos" | "clawdbot-worker" | "clawdbot-browser-copilot" | "moltbot-control-ui" | "moltbot-macos" | "moltbot-ios" | "moltbot-android" | "moltbot-probe" | "moltbot-linux" | "moltbot-watchos" | "moltbot-worker" | "moltbot-browser-copilot" | "openclaw-control-ui" | "openclaw-macos" | "openclaw-ios" | "openclaw-android" | "openclaw-probe" | "openclaw-linux" | "openclaw-watchos" | "openclaw-worker" | "openclaw-browser-copilot";

/**
 * One of [`protocol::CLIENT_MODES`].
 */
export type ClientInfoMode = "webchat" | "cli" | "ui" | "backend" | "node" | "probe" | "test" | "worker";

/**
 * The device that signs this connection.
 *
 * A device and its signature over the text of [`crate::device`].
 */
export interface DeviceProof {
    /**
     * Lower-case hex SHA-256 of the raw public key.
     */
    id: string;
    /**
     * The nonce of this socket's challenge.
     */
    nonce?: string;
    /**
     * Ed25519 public key: 32 bytes as base64url or base64, or a PEM SPKI text.
     */
    publicKey: string;
    /**
     * 64 bytes as base64url or base64.
     */
    signature: string;
    /**
     * When it was signed, in milliseconds since the epoch.
     */
    signedAt: number;
}

/**
 * Payload of the event `cron`.
 */
export interface CronEvent {
    /**
     * `added`, `updated`, `removed`, `started` or `finished`.
     */
    action: string;
    /**
     * How long it took.
     */
    durationMs?: number | null;
    /**
     * Why it failed or was passed over.
     */
    error?: null | string;
    /**
     * The job.
     */
    jobId: string;
    /**
     * When the job is due next.
     */
    nextRunAtMs?: number | null;
    /**
     * When the run began.
     */
    runAtMs?: number | null;
    /**
     * How it ended.
     */
    status?: RunStatus | null;
    /**
     * What came of it.
     */
    summary?: null | string;
}

/**
 * Well.
 *
 * It failed.
 *
 * It was passed over.
 *
 * How a run ended.
 */
export type RunStatus = "ok" | "error" | "skipped";

/**
 * Which job: `id` or `jobId`.
 */
export interface CronGetParams {
    /**
     * The job.
     */
    id?: null | string;
    /**
     * The same.
     */
    jobId?: null | string;
}

/**
 * Parameters of `cron.list`; all but the first are of protocol 4.
 */
export interface CronListParams {
    /**
     * Those of an agent.
     */
    agentId?: null | string;
    /**
     * With what a list shows on top.
     */
    compact?: boolean | null;
    /**
     * `all`, `enabled` or `disabled`.
     */
    enabled?: null | string;
    /**
     * Nothing is shown of where answers would go.
     */
    includeDeliveryPreviews?: boolean | null;
    /**
     * Whether disabled ones are listed.
     */
    includeDisabled?: boolean | null;
    /**
     * At most so many.
     */
    limit?: number | null;
    /**
     * Without the first so many.
     */
    offset?: number | null;
    /**
     * Those with this in their name, description or id.
     */
    query?: null | string;
    /**
     * `nextRunAtMs`, `updatedAtMs` or `name`.
     */
    sortBy?: null | string;
    /**
     * `asc` or `desc`.
     */
    sortDir?: null | string;
}

/**
 * Which job: `id` or `jobId`.
 */
export interface CronRemoveParams {
    /**
     * The job.
     */
    id?: null | string;
    /**
     * The same.
     */
    jobId?: null | string;
}

/**
 * What became of a job that was to go.
 */
export interface CronRemoveResult {
    /**
     * Always true.
     */
    ok: boolean;
    /**
     * Whether there was such a job.
     */
    removed: boolean;
}

/**
 * Parameters of `cron.run`.
 */
export interface CronRunParams {
    /**
     * The job.
     */
    id?: null | string;
    /**
     * The same.
     */
    jobId?: null | string;
    /**
     * Whether it runs only if it is due; clients of 3 mean `due` when they say nothing, those
     * of 4 `force`.
     */
    mode?: RunMode | null;
}

/**
 * If it is due.
 *
 * In any case.
 *
 * When a job that somebody names runs.
 */
export type RunMode = "due" | "force";

/**
 * Parameters of `cron.runs`; those from `scope` on are of protocol 4.
 */
export interface CronRunsParams {
    /**
     * The job.
     */
    id?: null | string;
    /**
     * The same.
     */
    jobId?: null | string;
    /**
     * At most so many.
     */
    limit?: number | null;
    /**
     * Without the first so many.
     */
    offset?: number | null;
    /**
     * Those with this in the job's name, the summary or the error.
     */
    query?: null | string;
    /**
     * One run.
     */
    runId?: null | string;
    /**
     * `job` or `all`.
     */
    scope?: null | string;
    /**
     * `desc` (the latest first) or `asc`.
     */
    sortDir?: null | string;
    /**
     * `ok`, `error`, `skipped` or `all`.
     */
    status?: null | string;
    /**
     * Any of these.
     */
    statuses?: string[] | null;
}

/**
 * How jobs do.
 */
export interface CronStatusResult {
    /**
     * Whether they run by themselves.
     */
    enabled: boolean;
    /**
     * How many there are.
     */
    jobs: number;
    /**
     * When the next one is due.
     */
    nextWakeAtMs?: number | null;
    /**
     * The same place, for clients of protocol 4.
     */
    sqlitePath?: null | string;
    /**
     * `sqlite`, for clients of protocol 4.
     */
    storage?: null | string;
    /**
     * Where they are kept, from the state folder on.
     */
    storePath: string;
    /**
     * Whether other things than time start jobs: they do not.
     */
    triggersEnabled?: boolean | null;
}

/**
 * Parameters of `device.pair.approve`.
 */
export interface DevicePairApproveParams {
    /**
     * Id of the request.
     */
    requestId: string;
    /**
     * Fewer scopes than asked for; absent grants what was asked.
     */
    scopes?: string[] | null;
}

/**
 * A device that was approved.
 */
export interface DevicePairApproveResult {
    /**
     * The device.
     */
    device: PairedDevice;
    /**
     * Id of the request.
     */
    requestId: string;
}

/**
 * The device.
 *
 * A paired device.
 */
export interface PairedDevice {
    /**
     * When it was last approved.
     */
    approvedAtMs: number;
    /**
     * `silent` (a device of this machine), `owner` (an operator decided) or `bootstrap` (it
     * showed a setup code).
     */
    approvedVia?: null | string;
    /**
     * `client.id`
     */
    clientId?: null | string;
    /**
     * `client.mode`
     */
    clientMode?: null | string;
    /**
     * When it was first approved.
     */
    createdAtMs: number;
    /**
     * Kind of device.
     */
    deviceFamily?: null | string;
    /**
     * Id of the device.
     */
    deviceId: string;
    /**
     * Its name.
     */
    displayName?: null | string;
    /**
     * A label given by an operator.
     */
    label?: null | string;
    /**
     * When it last connected.
     */
    lastSeenAtMs?: number | null;
    /**
     * Its system.
     */
    platform?: null | string;
    /**
     * Its public key, base64url.
     */
    publicKey: string;
    /**
     * Address it last connected from.
     */
    remoteIp?: null | string;
    /**
     * Role it last connected with.
     */
    role?: null | string;
    /**
     * Approved roles.
     */
    roles?: string[] | null;
    /**
     * Approved scopes.
     */
    scopes?: string[] | null;
    /**
     * Its tokens, without the tokens themselves, sorted by role.
     */
    tokens?: TokenSummary[] | null;
}

/**
 * A token's record.
 */
export interface TokenSummary {
    /**
     * When it was first minted.
     */
    createdAtMs: number;
    /**
     * When it was last used.
     */
    lastUsedAtMs?: number | null;
    /**
     * When it was revoked.
     */
    revokedAtMs?: number | null;
    /**
     * The role it is for.
     */
    role: string;
    /**
     * When it was replaced.
     */
    rotatedAtMs?: number | null;
    /**
     * Its scopes, sorted.
     */
    scopes: string[];
}

/**
 * Pending requests and paired devices.
 */
export interface DevicePairListResult {
    /**
     * Last approved first.
     */
    paired: PairedDevice[];
    /**
     * Newest first.
     */
    pending: PendingDevice[];
}

/**
 * A device that waits for approval.
 */
export interface PendingDevice {
    /**
     * `client.id`
     */
    clientId?: null | string;
    /**
     * `client.mode`
     */
    clientMode?: null | string;
    /**
     * Kind of device.
     */
    deviceFamily?: null | string;
    /**
     * Id of the device.
     */
    deviceId: string;
    /**
     * Its name.
     */
    displayName?: null | string;
    /**
     * Whether the device was paired before.
     */
    isRepair?: boolean | null;
    /**
     * Its system.
     */
    platform?: null | string;
    /**
     * Its public key, base64url.
     */
    publicKey: string;
    /**
     * Address, absent for local connections.
     */
    remoteIp?: null | string;
    /**
     * Id of the request.
     */
    requestId: string;
    /**
     * Role asked for.
     */
    role?: null | string;
    /**
     * Roles asked for.
     */
    roles?: string[] | null;
    /**
     * Scopes asked for.
     */
    scopes?: string[] | null;
    /**
     * Whether it may be approved without a human.
     */
    silent?: boolean | null;
    /**
     * When it asked, in milliseconds since the epoch.
     */
    ts: number;
}

/**
 * Parameters of `device.pair.reject`.
 */
export interface DevicePairRejectParams {
    /**
     * Id of the request.
     */
    requestId: string;
}

/**
 * A device that was rejected.
 */
export interface DevicePairRejectResult {
    /**
     * The device.
     */
    deviceId: string;
    /**
     * Id of the request.
     */
    requestId: string;
}

/**
 * Parameters of `device.pair.remove`.
 */
export interface DevicePairRemoveParams {
    /**
     * The device.
     */
    deviceId: string;
}

/**
 * A device.
 */
export interface DevicePairRemoveResult {
    /**
     * Its id.
     */
    deviceId: string;
}

/**
 * Parameters of `device.pair.rename`.
 */
export interface DevicePairRenameParams {
    /**
     * The device.
     */
    deviceId: string;
    /**
     * Its new label.
     */
    label: string;
}

/**
 * A device and its label.
 */
export interface DevicePairRenameResult {
    /**
     * Its id.
     */
    deviceId: string;
    /**
     * At most 64 characters.
     */
    label: string;
}

/**
 * A device that waits for approval.
 */
export interface DevicePairRequestedEvent {
    /**
     * `client.id`
     */
    clientId?: null | string;
    /**
     * `client.mode`
     */
    clientMode?: null | string;
    /**
     * Kind of device.
     */
    deviceFamily?: null | string;
    /**
     * Id of the device.
     */
    deviceId: string;
    /**
     * Its name.
     */
    displayName?: null | string;
    /**
     * Whether the device was paired before.
     */
    isRepair?: boolean | null;
    /**
     * Its system.
     */
    platform?: null | string;
    /**
     * Its public key, base64url.
     */
    publicKey: string;
    /**
     * Address, absent for local connections.
     */
    remoteIp?: null | string;
    /**
     * Id of the request.
     */
    requestId: string;
    /**
     * Role asked for.
     */
    role?: null | string;
    /**
     * Roles asked for.
     */
    roles?: string[] | null;
    /**
     * Scopes asked for.
     */
    scopes?: string[] | null;
    /**
     * Whether it may be approved without a human.
     */
    silent?: boolean | null;
    /**
     * When it asked, in milliseconds since the epoch.
     */
    ts: number;
}

/**
 * Payload of `host.pairing.resolved`.
 */
export interface DevicePairResolvedEvent {
    /**
     * `approved` or `rejected`.
     */
    decision: string;
    /**
     * The device.
     */
    deviceId: string;
    /**
     * Id of the request.
     */
    requestId: string;
    /**
     * When, in milliseconds since the epoch.
     */
    ts: number;
}

/**
 * Parameters of `device.pair.setupCode`.
 */
export interface DevicePairSetupCodeParams {
    /**
     * A name for the device.
     */
    label?: null | string;
    /**
     * `operator` (the default) or `node`.
     */
    role?: null | string;
    /**
     * What an operator may do at most; absent is to read and to write.
     */
    scopes?: string[] | null;
    /**
     * Where the device reaches the gateway: `ws://HOST:PORT` or `wss://HOST:PORT`.
     */
    url?: null | string;
}

/**
 * A setup code.
 */
export interface DevicePairSetupCodeResult {
    /**
     * When it is worth nothing any more, in milliseconds since the epoch.
     */
    expiresAtMs: number;
    /**
     * The role it is for.
     */
    role: string;
    /**
     * What it grants at most.
     */
    scopes: string[];
    /**
     * What the device is given: base64url of JSON with `url`, `bootstrapToken` and perhaps
     * `tlsSha256`.
     */
    setupCode: string;
    /**
     * SHA-256 of the certificate that the device trusts by it: `sha256:` and 64 hexadecimal
     * digits.
     */
    tlsFingerprint?: null | string;
    /**
     * Where it leads.
     */
    url: string;
}

/**
 * Parameters of `device.token.revoke`.
 */
export interface DeviceTokenRevokeParams {
    /**
     * The device.
     */
    deviceId: string;
    /**
     * The role the token is for.
     */
    role: string;
}

/**
 * A revoked token.
 */
export interface DeviceTokenRevokeResult {
    /**
     * The device.
     */
    deviceId: string;
    /**
     * When, in milliseconds since the epoch.
     */
    revokedAtMs: number;
    /**
     * The role.
     */
    role: string;
}

/**
 * Parameters of `device.token.rotate`.
 */
export interface DeviceTokenRotateParams {
    /**
     * The device.
     */
    deviceId: string;
    /**
     * The role the token is for.
     */
    role: string;
    /**
     * Scopes of the new token; absent keeps those of the old one.
     */
    scopes?: string[] | null;
}

/**
 * A replaced token.
 */
export interface DeviceTokenRotateResult {
    /**
     * The device.
     */
    deviceId: string;
    /**
     * The role.
     */
    role: string;
    /**
     * When, in milliseconds since the epoch.
     */
    rotatedAtMs: number;
    /**
     * Scopes of the new token.
     */
    scopes: string[];
    /**
     * The new token, only when the device itself asked.
     */
    token?: null | string;
    /**
     * `in-band` or `withheld-cross-device`.
     */
    tokenDelivery: string;
}

/**
 * Why a request failed. It is data, not a `std::error::Error`: what goes on the wire is
 * chosen, never converted by
 * accident. Optional fields are left out, never `null`: clients drop a frame with
 * `"error":null` in it.
 */
export interface ErrorShape {
    /**
     * One of [`code`], or a code a plugin documents.
     */
    code: string;
    /**
     * Facts for programs; usually an object with a `code` of its own.
     */
    details?: unknown;
    /**
     * A sentence for people. Clients search some of these texts, so they are part of the
     * contract.
     */
    message: string;
    /**
     * Whether the same request may succeed later.
     */
    retryable?: boolean | null;
    /**
     * When to try again, in milliseconds from now.
     */
    retryAfterMs?: number | null;
}

/**
 * Which request.
 */
export interface ExecApprovalGetParams {
    /**
     * Its id.
     */
    id: string;
}

/**
 * A request that waits, as whoever decides looks at it.
 */
export interface ExecApprovalGetResult {
    /**
     * The agent that wants it.
     */
    agentId?: null | string;
    /**
     * What may be decided.
     */
    allowedDecisions: Decision[];
    /**
     * A shorter form of it.
     */
    commandPreview?: null | string;
    /**
     * The command as it is shown.
     */
    commandText: string;
    /**
     * When it is too late to decide, in milliseconds since the epoch.
     */
    expiresAtMs: number;
    /**
     * Where it would run.
     */
    host?: null | string;
    /**
     * Its id.
     */
    id: string;
    /**
     * The node that would run it.
     */
    nodeId?: null | string;
}

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
export type Decision = "allow-once" | "allow-always" | "deny";

/**
 * A request as operators see it: payload of `exec.approval.requested`.
 */
export interface Pending {
    /**
     * When it was asked, in milliseconds since the epoch.
     */
    createdAtMs: number;
    /**
     * When it is too late to decide.
     */
    expiresAtMs: number;
    /**
     * Its id.
     */
    id: string;
    /**
     * What is asked.
     */
    request: ExecApprovalListRequest;
}

/**
 * What is asked.
 */
export interface ExecApprovalListRequest {
    /**
     * The agent that wants it.
     */
    agentId?: null | string;
    /**
     * When operators are asked there.
     */
    ask?: null | string;
    /**
     * The command as it is shown. Characters that would deceive whoever reads it are written
     * out, as `\u{202e}`.
     */
    command: string;
    /**
     * The command's words.
     */
    commandArgv?: string[] | null;
    /**
     * The folder it would run in.
     */
    cwd?: null | string;
    /**
     * Where it would run.
     */
    host?: null | string;
    /**
     * The node that would run it.
     */
    nodeId?: null | string;
    /**
     * The program that would run.
     */
    resolvedPath?: null | string;
    /**
     * The security mode in force.
     */
    security?: null | string;
    /**
     * The session that wants it.
     */
    sessionKey?: null | string;
    /**
     * What exactly a node would run.
     */
    systemRunPlan?: Plan | null;
}

/**
 * What exactly a node would run.
 */
export interface Plan {
    /**
     * The agent.
     */
    agentId?: null | string;
    /**
     * The command's words.
     */
    argv: string[];
    /**
     * A shorter form of it.
     */
    commandPreview?: null | string;
    /**
     * The command as it is shown.
     */
    commandText?: null | string;
    /**
     * The folder.
     */
    cwd?: null | string;
    /**
     * The session.
     */
    sessionKey?: null | string;
}

/**
 * Parameters of `exec.approval.request`.
 */
export interface ExecApprovalRequestParams {
    /**
     * The agent that wants it.
     */
    agentId?: null | string;
    /**
     * When operators are asked there.
     */
    ask?: null | string;
    /**
     * The command as it is shown; with `systemRunPlan` or `commandArgv` it may be absent.
     */
    command?: null | string;
    /**
     * The command's words.
     */
    commandArgv?: string[] | null;
    /**
     * The folder it would run in.
     */
    cwd?: null | string;
    /**
     * Where it would run, such as `gateway` or `node`.
     */
    host?: null | string;
    /**
     * Id of the request; made up if absent.
     */
    id?: null | string;
    /**
     * The node that would run it.
     */
    nodeId?: null | string;
    /**
     * The program that would run.
     */
    resolvedPath?: null | string;
    /**
     * The security mode in force.
     */
    security?: null | string;
    /**
     * The session that wants it.
     */
    sessionKey?: null | string;
    /**
     * What exactly a node would run.
     */
    systemRunPlan?: Plan | null;
    /**
     * Milliseconds until it is too late to decide; 120,000 unless configured.
     */
    timeoutMs?: number | null;
    /**
     * Whether to answer first that it was accepted.
     */
    twoPhase?: boolean | null;
}

/**
 * What was decided.
 */
export interface ExecApprovalRequestResult {
    /**
     * When it was asked, in milliseconds since the epoch.
     */
    createdAtMs: number;
    /**
     * The decision; null when nobody decided in time.
     */
    decision?: Decision | null;
    /**
     * When it was too late to decide.
     */
    expiresAtMs: number;
    /**
     * Id of the request.
     */
    id: string;
}

/**
 * A request as operators see it: payload of `exec.approval.requested`.
 */
export interface ExecApprovalRequestedEvent {
    /**
     * When it was asked, in milliseconds since the epoch.
     */
    createdAtMs: number;
    /**
     * When it is too late to decide.
     */
    expiresAtMs: number;
    /**
     * Its id.
     */
    id: string;
    /**
     * What is asked.
     */
    request: ExecApprovalRequestedRequest;
}

/**
 * What is asked.
 */
export interface ExecApprovalRequestedRequest {
    /**
     * The agent that wants it.
     */
    agentId?: null | string;
    /**
     * When operators are asked there.
     */
    ask?: null | string;
    /**
     * The command as it is shown. Characters that would deceive whoever reads it are written
     * out, as `\u{202e}`.
     */
    command: string;
    /**
     * The command's words.
     */
    commandArgv?: string[] | null;
    /**
     * The folder it would run in.
     */
    cwd?: null | string;
    /**
     * Where it would run.
     */
    host?: null | string;
    /**
     * The node that would run it.
     */
    nodeId?: null | string;
    /**
     * The program that would run.
     */
    resolvedPath?: null | string;
    /**
     * The security mode in force.
     */
    security?: null | string;
    /**
     * The session that wants it.
     */
    sessionKey?: null | string;
    /**
     * What exactly a node would run.
     */
    systemRunPlan?: Plan | null;
}

/**
 * Parameters of `exec.approval.resolve`.
 */
export interface ExecApprovalResolveParams {
    /**
     * `allow-once`, `allow-always` or `deny`.
     */
    decision: string;
    /**
     * Id of the request.
     */
    id: string;
}

/**
 * It is done.
 */
export interface ExecApprovalResolveResult {
    /**
     * Always true.
     */
    ok: boolean;
}

/**
 * Payload of `exec.approval.resolved`.
 */
export interface ExecApprovalResolvedEvent {
    /**
     * The decision.
     */
    decision: Decision;
    /**
     * Id of the request.
     */
    id: string;
    /**
     * Who decided.
     */
    resolvedBy?: null | string;
    /**
     * When, in milliseconds since the epoch.
     */
    ts: number;
}

/**
 * Which request.
 */
export interface ExecApprovalWaitDecisionParams {
    /**
     * Its id.
     */
    id: string;
}

/**
 * What was decided.
 */
export interface ExecApprovalWaitDecisionResult {
    /**
     * When it was asked, in milliseconds since the epoch.
     */
    createdAtMs: number;
    /**
     * The decision; null when nobody decided in time.
     */
    decision?: Decision | null;
    /**
     * When it was too late to decide.
     */
    expiresAtMs: number;
    /**
     * Id of the request.
     */
    id: string;
}

/**
 * The file as clients see it.
 */
export interface ExecApprovalsGetResult {
    /**
     * Whether it is.
     */
    exists: boolean;
    /**
     * What it says, without the socket's token.
     */
    file: ApprovalsFile;
    /**
     * SHA-256 of its text, in hex.
     */
    hash: string;
    /**
     * Where it is.
     */
    path: string;
}

/**
 * What it says, without the socket's token.
 *
 * What the file says.
 *
 * The file.
 */
export interface ApprovalsFile {
    /**
     * For one agent, by its id.
     */
    agents?: { [key: string]: AgentRules } | null;
    /**
     * For every agent.
     */
    defaults?: ExecApprovalsSetRules | null;
    /**
     * Where a program asks the user.
     */
    socket?: Socket | null;
    /**
     * Always 1.
     */
    version: number;
}

/**
 * An agent's rules.
 */
export interface AgentRules {
    /**
     * Programs that may run.
     */
    allowlist?: Allowed[] | null;
    /**
     * `off`, `on-miss` or `always`: when operators are asked.
     */
    ask?: null | string;
    /**
     * What holds when nobody can be asked.
     */
    askFallback?: null | string;
    /**
     * Whether programs of skills may run.
     */
    autoAllowSkills?: boolean | null;
    /**
     * `deny`, `allowlist` or `full`.
     */
    security?: null | string;
}

/**
 * A program that may run. What is said beyond this is kept: it may bound what is allowed,
 * and leaving it out would allow
 * more.
 */
export interface Allowed {
    /**
     * Which programs.
     */
    pattern: string;
}

/**
 * What holds unless an agent has rules of its own.
 */
export interface ExecApprovalsSetRules {
    /**
     * `off`, `on-miss` or `always`: when operators are asked.
     */
    ask?: null | string;
    /**
     * What holds when nobody can be asked.
     */
    askFallback?: null | string;
    /**
     * Whether programs of skills may run.
     */
    autoAllowSkills?: boolean | null;
    /**
     * `deny`, `allowlist` or `full`.
     */
    security?: null | string;
}

/**
 * A program that asks the user.
 */
export interface Socket {
    /**
     * Its path.
     */
    path?: null | string;
    /**
     * What lets in there; written, and never read out.
     */
    token?: null | string;
}

/**
 * What holds unless an agent has rules of its own.
 */
export interface ExecApprovalsGetRules {
    /**
     * `off`, `on-miss` or `always`: when operators are asked.
     */
    ask?: null | string;
    /**
     * What holds when nobody can be asked.
     */
    askFallback?: null | string;
    /**
     * Whether programs of skills may run.
     */
    autoAllowSkills?: boolean | null;
    /**
     * `deny`, `allowlist` or `full`.
     */
    security?: null | string;
}

/**
 * Parameters of `exec.approvals.node.get`.
 */
export interface ExecApprovalsNodeGetParams {
    /**
     * The node.
     */
    nodeId: string;
}

/**
 * Parameters of `exec.approvals.node.set`.
 */
export interface ExecApprovalsNodeSetParams {
    /**
     * Hash of the file that it replaces.
     */
    baseHash?: null | string;
    /**
     * The file, as the node understands it.
     */
    file: { [key: string]: unknown };
    /**
     * The node.
     */
    nodeId: string;
}

/**
 * Parameters of `exec.approvals.set`.
 */
export interface ExecApprovalsSetParams {
    /**
     * Hash of the file that it replaces.
     */
    baseHash?: null | string;
    /**
     * The file.
     */
    file: ApprovalsFile;
}

/**
 * The file as clients see it.
 */
export interface ExecApprovalsSetResult {
    /**
     * Whether it is.
     */
    exists: boolean;
    /**
     * What it says, without the socket's token.
     */
    file: ApprovalsFile;
    /**
     * SHA-256 of its text, in hex.
     */
    hash: string;
    /**
     * Where it is.
     */
    path: string;
}

/**
 * How the gateway is doing. Clients take `ok` alone for "healthy".
 */
export interface HealthEvent {
    /**
     * The agents.
     */
    agents: AgentHealth[];
    /**
     * Names of the channels by id.
     */
    channelLabels: { [key: string]: string };
    /**
     * Ids of the channels in the order to show them in.
     */
    channelOrder: string[];
    /**
     * Channels by id: `accountId`, `configured`, `linked`, `probe`, `lastError` and whatever
     * else they tell.
     */
    channels: { [key: string]: { [key: string]: unknown } };
    /**
     * The agent that is meant when none is named.
     */
    defaultAgentId: string;
    /**
     * How long finding it took.
     */
    durationMs: number;
    /**
     * Seconds between two heartbeats of the default agent; 0 without.
     */
    heartbeatSeconds: number;
    /**
     * Always true: a gateway that is not well does not answer.
     */
    ok: boolean;
    /**
     * How plugins are doing.
     */
    plugins: PluginsHealth;
    /**
     * Sessions of the default agent.
     */
    sessions: SessionsHealth;
    /**
     * When this was found, in milliseconds since the epoch.
     */
    ts: number;
}

/**
 * How an agent is doing.
 */
export interface AgentHealth {
    /**
     * Its id.
     */
    agentId: string;
    /**
     * Its heartbeats.
     */
    heartbeat: Heartbeat;
    /**
     * Whether it is the one that is meant when none is named.
     */
    isDefault: boolean;
    /**
     * Its name.
     */
    name?: null | string;
    /**
     * Its sessions.
     */
    sessions: SessionsHealth;
}

/**
 * Its heartbeats.
 *
 * How heartbeats go; the answer of `heartbeat.settings`.
 */
export interface Heartbeat {
    /**
     * An answer of "all is well" with at most so many further characters is not passed on.
     */
    ackMaxChars: number;
    /**
     * Whether they are on.
     */
    enabled: boolean;
    /**
     * How often, for people: `30m`, or `disabled`.
     */
    every: string;
    /**
     * Milliseconds between two; null when they are off.
     */
    everyMs?: number | null;
    /**
     * What the agent is asked.
     */
    prompt: string;
    /**
     * Where an answer goes.
     */
    target: string;
}

/**
 * Its sessions.
 *
 * Sessions in short.
 *
 * Sessions of the default agent.
 */
export interface SessionsHealth {
    /**
     * How many there are.
     */
    count: number;
    /**
     * Where they are kept, without the way there; empty when no plugin keeps any.
     */
    path: string;
    /**
     * Those used last.
     */
    recent: RecentSession[];
}

/**
 * A session that was used lately.
 */
export interface RecentSession {
    /**
     * How long ago that is, in milliseconds.
     */
    age?: number | null;
    /**
     * Its key.
     */
    key: string;
    /**
     * When it was last used, in milliseconds since the epoch.
     */
    updatedAt?: number | null;
}

/**
 * How plugins are doing.
 *
 * Plugins in short, closed as the schema of protocol 4 has it.
 */
export interface PluginsHealth {
    /**
     * Those that could not run or were stopped, and those whose HTTP is not served, and why.
     */
    errors: FailedPlugin[];
    /**
     * Ids of those that run.
     */
    loaded: string[];
}

/**
 * A plugin that does not run although it should, or not as it should.
 */
export interface FailedPlugin {
    /**
     * Whether it runs: then nobody listens on the port that its HTTP has to itself.
     */
    activated: boolean;
    /**
     * Why, without paths; the log has all of it.
     */
    error: string;
    /**
     * Its id.
     */
    id: string;
    /**
     * `linked` or `loaded`.
     */
    origin: string;
}

/**
 * Parameters of `health`: open.
 */
export interface HealthParams {
    /**
     * `true`: channels contact their services.
     */
    probe?: unknown;
}

/**
 * How the gateway is doing. Clients take `ok` alone for "healthy".
 */
export interface Summary {
    /**
     * The agents.
     */
    agents: AgentHealth[];
    /**
     * Names of the channels by id.
     */
    channelLabels: { [key: string]: string };
    /**
     * Ids of the channels in the order to show them in.
     */
    channelOrder: string[];
    /**
     * Channels by id: `accountId`, `configured`, `linked`, `probe`, `lastError` and whatever
     * else they tell.
     */
    channels: { [key: string]: { [key: string]: unknown } };
    /**
     * The agent that is meant when none is named.
     */
    defaultAgentId: string;
    /**
     * How long finding it took.
     */
    durationMs: number;
    /**
     * Seconds between two heartbeats of the default agent; 0 without.
     */
    heartbeatSeconds: number;
    /**
     * Always true: a gateway that is not well does not answer.
     */
    ok: boolean;
    /**
     * How plugins are doing.
     */
    plugins: PluginsHealth;
    /**
     * Sessions of the default agent.
     */
    sessions: SessionsHealth;
    /**
     * When this was found, in milliseconds since the epoch.
     */
    ts: number;
}

/**
 * What a heartbeat brought: payload of the event `heartbeat`.
 */
export interface HeartbeatEvent {
    /**
     * The channel that the answer went through.
     */
    channel?: null | string;
    /**
     * How long it took.
     */
    durationMs?: number | null;
    /**
     * Whether the answer had media.
     */
    hasMedia?: boolean | null;
    /**
     * What an indicator shows: `ok`, `alert` or `error`.
     */
    indicatorType?: Indicator | null;
    /**
     * The beginning of the answer.
     */
    preview?: null | string;
    /**
     * Why it was skipped or failed.
     */
    reason?: null | string;
    /**
     * Whether nobody was told.
     */
    silent?: boolean | null;
    /**
     * What came of it.
     */
    status: HeartbeatStatus;
    /**
     * Who got the answer.
     */
    to?: null | string;
    /**
     * When, in milliseconds since the epoch.
     */
    ts: number;
}

/**
 * All is well.
 *
 * Something needs attention.
 *
 * The heartbeat failed.
 *
 * What an indicator shows.
 */
export type Indicator = "ok" | "alert" | "error";

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
export type HeartbeatStatus = "sent" | "ok-empty" | "ok-token" | "skipped" | "failed";

/**
 * The payload of the answer to an accepted `connect`.
 */
export interface HelloOk {
    /**
     * What was granted. Protocol 3 sends it only together with a device token.
     */
    auth?: Granted;
    /**
     * Protocol 3: base of the canvas addresses.
     */
    canvasHostUrl?: string;
    /**
     * What can be asked and heard.
     */
    features: Features;
    /**
     * Protocol 4: addresses of what plugins show, by name.
     */
    pluginSurfaceUrls?: { [key: string]: string };
    /**
     * Limits in force.
     */
    policy: Policy;
    /**
     * The negotiated protocol version.
     */
    protocol: number;
    /**
     * The gateway.
     */
    server: Server;
    /**
     * State at the moment of joining.
     */
    snapshot: Snapshot;
    /**
     * Always `hello-ok`.
     */
    type: HelloOkType;
}

/**
 * What was granted. Protocol 3 sends it only together with a device token.
 *
 * What was granted to this connection.
 */
export interface Granted {
    /**
     * Token to present next time in place of the shared secret.
     */
    deviceToken?: string;
    /**
     * When the token was minted, in milliseconds since the epoch.
     */
    issuedAtMs?: number;
    /**
     * Role in force.
     */
    role: string;
    /**
     * Scopes of the token (protocol 3) or of the connection (protocol 4), sorted.
     */
    scopes: string[];
}

/**
 * What can be asked and heard.
 *
 * The sorted content of the registry.
 */
export interface Features {
    /**
     * Events that sockets may hear.
     */
    events: string[];
    /**
     * Methods that sockets may call.
     */
    methods: string[];
}

/**
 * Limits in force.
 *
 * Limits in force for this connection.
 */
export interface Policy {
    /**
     * Outbound backlog, in bytes, above which a connection is a slow consumer.
     */
    maxBufferedBytes: number;
    /**
     * Largest message the gateway reads, in bytes.
     */
    maxPayload: number;
    /**
     * Milliseconds between two `tick` events.
     */
    tickIntervalMs: number;
}

/**
 * The gateway.
 */
export interface Server {
    /**
     * Protocol 3: commit the gateway was built from.
     */
    commit?: string;
    /**
     * Id of this connection.
     */
    connId: string;
    /**
     * Protocol 3: name of the machine.
     */
    host?: string;
    /**
     * The gateway's version.
     */
    version: string;
}

/**
 * State at the moment of joining.
 */
export interface Snapshot {
    /**
     * Path of the configuration file; for admins.
     */
    configPath?: string;
    /**
     * The last health summary, `{}` before the first.
     */
    health: { [key: string]: unknown };
    /**
     * Presence entries; see [`crate::PresenceEntry`].
     */
    presence: PresenceEntry[];
    /**
     * What user interfaces derive their session key from.
     */
    sessionDefaults?: SessionDefaults;
    /**
     * Path of the state directory; for admins.
     */
    stateDir?: string;
    /**
     * Versions of both.
     */
    stateVersion: StateVersion;
    /**
     * How long the gateway has been running.
     */
    uptimeMs: number;
}

/**
 * Who is here. All fields but `ts` are optional; absent ones are left out.
 */
export interface PresenceEntry {
    /**
     * Kind of device.
     */
    deviceFamily?: string;
    /**
     * The paired device.
     */
    deviceId?: string;
    /**
     * Name of the machine or program.
     */
    host?: string;
    /**
     * Tells two instances of one program apart.
     */
    instanceId?: string;
    /**
     * Where it connects from; absent for local connections.
     */
    ip?: string;
    /**
     * Seconds since the user last touched the machine.
     */
    lastInputSeconds?: number;
    /**
     * The client's mode, or `gateway` for the gateway's own row.
     */
    mode?: string;
    /**
     * Model of the device.
     */
    modelIdentifier?: string;
    /**
     * The system it runs on.
     */
    platform?: string;
    /**
     * Why the row was last written: `self`, `connect`, `disconnect`, or a client's word.
     */
    reason?: string;
    /**
     * Roles of the device's connections.
     */
    roles?: string[];
    /**
     * Scopes of the device's connections.
     */
    scopes?: string[];
    /**
     * Free words.
     */
    tags?: string[];
    /**
     * One line for people.
     */
    text?: string;
    /**
     * When the row was last written, in milliseconds since the epoch.
     */
    ts: number;
    /**
     * Version of the program.
     */
    version?: string;
}

/**
 * What user interfaces derive their session key from.
 */
export interface SessionDefaults {
    /**
     * The default agent.
     */
    defaultAgentId: string;
    /**
     * Short name of the main session.
     */
    mainKey: string;
    /**
     * Full key of the main session.
     */
    mainSessionKey: string;
    /**
     * `per-sender` or `global`.
     */
    scope?: string;
}

/**
 * Versions of both.
 *
 * Versions of the parts of the snapshot.
 */
export interface StateVersion {
    /**
     * Raised with every refresh of the health summary.
     */
    health: number;
    /**
     * Raised with every change of the presence list.
     */
    presence: number;
}

export type HelloOkType = "hello-ok";

/**
 * Parameters of `logs.tail`.
 */
export interface LogsTailParams {
    /**
     * The cursor of the last answer.
     */
    cursor?: number | null;
    /**
     * How many lines at most; 500 when absent.
     */
    limit?: number | null;
    /**
     * How many bytes of the file at most; 250,000 when absent.
     */
    maxBytes?: number | null;
}

/**
 * Result of `logs.tail`.
 */
export interface LogsTailResult {
    /**
     * What to pass next time.
     */
    cursor: number;
    /**
     * The log file: its path for admins, its name for others, empty if none is written.
     */
    file: string;
    /**
     * The lines, oldest first.
     */
    lines: string[];
    /**
     * The lines do not follow on those of the last look.
     */
    reset: boolean;
    /**
     * Size of the file in bytes.
     */
    size: number;
    /**
     * Lines between the last look and these were left out.
     */
    truncated: boolean;
}

/**
 * Parameters of `models.list`. Protocol 3 has none; those of protocol 4 narrow the list for
 * one session, which makes no
 * difference here.
 */
export interface ModelsListParams {
    /**
     * The agent to choose for.
     */
    agentId?: null | string;
    /**
     * Whether to look again; every look is fresh.
     */
    refresh?: boolean | null;
    /**
     * The session to choose for.
     */
    sessionKey?: null | string;
    /**
     * `configured`, `all` and the like.
     */
    view?: null | string;
}

/**
 * Result of `models.list`.
 */
export interface ModelsListResult {
    /**
     * The models.
     */
    models: Model[];
}

/**
 * A model that can be chosen.
 */
export interface Model {
    /**
     * How many tokens it reads.
     */
    contextWindow?: number | null;
    /**
     * Its id at the provider.
     */
    id: string;
    /**
     * What it reads.
     */
    input?: Input[] | null;
    /**
     * Its name for people.
     */
    name: string;
    /**
     * Who provides it.
     */
    provider: string;
    /**
     * Whether it reasons before it answers.
     */
    reasoning?: boolean | null;
}

/**
 * What a model reads.
 *
 * Text.
 *
 * Images.
 */
export type Input = "text" | "image";

/**
 * Result of `node.canvas.capability.refresh`.
 */
export interface NodeCanvasCapabilityRefreshResult {
    /**
     * The part of the address that lets in.
     */
    canvasCapability: string;
    /**
     * How long it is good at least, in milliseconds since the epoch.
     */
    canvasCapabilityExpiresAtMs: number;
    /**
     * The address, that part included.
     */
    canvasHostUrl: string;
}

/**
 * A node.
 */
export interface NodeDescribeParams {
    /**
     * Its id.
     */
    nodeId: string;
}

/**
 * One node.
 */
export interface NodeDescribeResult {
    /**
     * `approved`, `pending-approval`, `pending-reapproval` (what was approved before stays) or
     * `unapproved`.
     */
    approvalState: string;
    /**
     * When it was approved, in milliseconds since the epoch.
     */
    approvedAtMs?: number | null;
    /**
     * Capabilities.
     */
    caps: string[];
    /**
     * `client.id`
     */
    clientId?: null | string;
    /**
     * `client.mode`
     */
    clientMode?: null | string;
    /**
     * Commands.
     */
    commands: string[];
    /**
     * Whether it is connected.
     */
    connected: boolean;
    /**
     * When it connected, if it is connected.
     */
    connectedAtMs?: number | null;
    /**
     * Kind of device.
     */
    deviceFamily?: null | string;
    /**
     * Its name.
     */
    displayName?: null | string;
    /**
     * What the machine last said of its load.
     */
    hostStats?: unknown;
    /**
     * When it last connected.
     */
    lastConnectedAtMs?: number | null;
    /**
     * When it was last seen.
     */
    lastSeenAtMs?: number | null;
    /**
     * What it was seen doing.
     */
    lastSeenReason?: null | string;
    /**
     * Model of the machine.
     */
    modelIdentifier?: null | string;
    /**
     * Its id.
     */
    nodeId: string;
    /**
     * Tools that it publishes: none are kept.
     */
    nodePluginTools: unknown[];
    /**
     * Whether its device is paired.
     */
    paired: boolean;
    /**
     * Its search path.
     */
    pathEnv?: null | string;
    /**
     * What it asks for; for those who may decide about it.
     */
    pendingDeclaredCaps?: string[] | null;
    /**
     * What it asks for; for those who may decide about it.
     */
    pendingDeclaredCommands?: string[] | null;
    /**
     * The request that waits; for those who may decide about it.
     */
    pendingRequestId?: null | string;
    /**
     * What its system lets it do.
     */
    permissions?: { [key: string]: boolean };
    /**
     * Its system.
     */
    platform?: null | string;
    /**
     * Address it connected from.
     */
    remoteIp?: null | string;
    /**
     * Whether it keeps sessions: none does.
     */
    sessionHost: boolean;
    /**
     * When, in milliseconds since the epoch.
     */
    ts: number;
    /**
     * Its version.
     */
    version?: null | string;
    /**
     * Commands that it asked for and was not given; for those who may decide about it.
     */
    withheldCommands?: string[] | null;
}

/**
 * Parameters of `node.event`.
 */
export interface NodeEventParams {
    /**
     * Its name.
     */
    event: string;
    /**
     * Its content.
     */
    payload?: unknown;
    /**
     * Its content as JSON text.
     */
    payloadJSON?: null | string;
}

/**
 * It was heard.
 */
export interface NodeEventResult {
    /**
     * Nothing came of it: it was unknown, late, said before, or not this node's to say.
     */
    ignored?: boolean;
    /**
     * Always true.
     */
    ok: boolean;
}

/**
 * Payload of `node.invoke.cancel`.
 */
export interface NodeInvokeCancelEvent {
    /**
     * Id of the question.
     */
    invokeId: string;
    /**
     * The node.
     */
    nodeId: string;
}

/**
 * Parameters of `node.invoke`.
 */
export interface NodeInvokeParams {
    /**
     * The command.
     */
    command: string;
    /**
     * Passed on to the node, which may use it to tell a repeated question.
     */
    idempotencyKey: string;
    /**
     * The node.
     */
    nodeId: string;
    /**
     * Its parameters, as the command has them.
     */
    params?: unknown;
    /**
     * What to do when the node is away and the configuration lets the command wait for it. Who
     * says nothing is told at
     * once that it is not connected, unless queue_unasked is set.
     */
    queue?: Queueing | null;
    /**
     * The session on whose behalf it is asked; passed over.
     */
    sessionKey?: null | string;
    /**
     * Milliseconds until the node must have answered; 30,000 if absent.
     */
    timeoutMs?: number | null;
    /**
     * Where the session's turn came from; passed over.
     */
    turnSourceAccountId?: null | string;
    /**
     * Where the session's turn came from; passed over.
     */
    turnSourceChannel?: null | string;
    /**
     * Where the session's turn came from; passed over.
     */
    turnSourceThreadId?: unknown;
    /**
     * Where the session's turn came from; passed over.
     */
    turnSourceTo?: null | string;
}

/**
 * Whoever asks waits, up to timeoutMs, and nothing of it is left behind then.
 *
 * The question is kept until the node comes or its time is up; whoever asks has a ticket at
 * once.
 *
 * How a question waits for a node that is away.
 */
export type Queueing = "wait" | "ticket";

/**
 * Parameters of `node.invoke.progress`.
 */
export interface NodeInvokeProgressParams {
    /**
     * A piece of what comes of the command.
     */
    chunk: string;
    /**
     * Id of the question.
     */
    invokeId: string;
    /**
     * The node.
     */
    nodeId: string;
    /**
     * Its number.
     */
    seq: number;
}

/**
 * It was heard.
 */
export interface NodeInvokeProgressResult {
    /**
     * Nothing came of it: it was unknown, late, said before, or not this node's to say.
     */
    ignored?: boolean;
    /**
     * Always true.
     */
    ok: boolean;
}

/**
 * Payload of `node.invoke.request`.
 */
export interface NodeInvokeRequestEvent {
    /**
     * The command.
     */
    command: string;
    /**
     * Id of the question.
     */
    id: string;
    /**
     * As it was asked with.
     */
    idempotencyKey: string;
    /**
     * The node.
     */
    nodeId: string;
    /**
     * Its parameters as JSON text.
     */
    paramsJSON?: null | string;
    /**
     * Milliseconds that are left.
     */
    timeoutMs: number;
}

/**
 * What a node answered.
 */
export interface NodeInvokeResult {
    /**
     * The command.
     */
    command: string;
    /**
     * The node.
     */
    nodeId: string;
    /**
     * Always true.
     */
    ok: boolean;
    /**
     * What came of it.
     */
    payload?: unknown;
    /**
     * The same as text, if the node sent text.
     */
    payloadJSON?: null | string;
    /**
     * The question as it was left for the node, for those who asked for a ticket; nothing came
     * of it yet.
     */
    queued?: Ticket | null;
}

/**
 * A question that was left for a node, and the payload of `node.queue.done`.
 */
export interface Ticket {
    /**
     * The command.
     */
    command: string;
    /**
     * Why nothing came of it.
     */
    error?: NodeError | null;
    /**
     * When it is given up, or, when it is over, forgotten.
     */
    expiresAtMs: number;
    /**
     * As it was asked with.
     */
    idempotencyKey: string;
    /**
     * The node.
     */
    nodeId: string;
    /**
     * What came of it. A long one is in the event only.
     */
    payload?: unknown;
    /**
     * When it was left, in milliseconds since the epoch.
     */
    queuedAtMs: number;
    /**
     * What became of it.
     */
    status: Status;
    /**
     * Its name.
     */
    ticket: string;
}

/**
 * Why a command failed. What else a node says of it is passed over.
 */
export interface NodeError {
    /**
     * The node's code.
     */
    code?: null | string;
    /**
     * A sentence.
     */
    message?: null | string;
}

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
export type Status = "queued" | "sent" | "done" | "failed" | "unknown" | "expired" | "cancelled";

/**
 * Parameters of `node.invoke.result`, with the nulls and the objects in the place of text
 * that nodes really send.
 */
export interface NodeInvokeResultParams {
    /**
     * Why it failed.
     */
    error?: NodeError | null;
    /**
     * Id of the question.
     */
    id: string;
    /**
     * The node.
     */
    nodeId: string;
    /**
     * Whether the command succeeded: true or false. What is neither is refused, and ends the
     * question all the same.
     */
    ok?: boolean;
    /**
     * What came of it.
     */
    payload?: unknown;
    /**
     * The same as JSON text. What is not text counts as `payload`, unless that is there.
     */
    payloadJSON?: unknown;
}

/**
 * It was heard.
 */
export interface NodeInvokeResultResult {
    /**
     * Nothing came of it: it was unknown, late, said before, or not this node's to say.
     */
    ignored?: boolean;
    /**
     * Always true.
     */
    ok: boolean;
}

/**
 * Every node.
 */
export interface NodeListResult {
    /**
     * Connected ones first, then by name.
     */
    nodes: NodeRow[];
    /**
     * When, in milliseconds since the epoch.
     */
    ts: number;
}

/**
 * A node, connected or paired or both.
 */
export interface NodeRow {
    /**
     * `approved`, `pending-approval`, `pending-reapproval` (what was approved before stays) or
     * `unapproved`.
     */
    approvalState: string;
    /**
     * When it was approved, in milliseconds since the epoch.
     */
    approvedAtMs?: number | null;
    /**
     * Capabilities.
     */
    caps: string[];
    /**
     * `client.id`
     */
    clientId?: null | string;
    /**
     * `client.mode`
     */
    clientMode?: null | string;
    /**
     * Commands.
     */
    commands: string[];
    /**
     * Whether it is connected.
     */
    connected: boolean;
    /**
     * When it connected, if it is connected.
     */
    connectedAtMs?: number | null;
    /**
     * Kind of device.
     */
    deviceFamily?: null | string;
    /**
     * Its name.
     */
    displayName?: null | string;
    /**
     * What the machine last said of its load.
     */
    hostStats?: unknown;
    /**
     * When it last connected.
     */
    lastConnectedAtMs?: number | null;
    /**
     * When it was last seen.
     */
    lastSeenAtMs?: number | null;
    /**
     * What it was seen doing.
     */
    lastSeenReason?: null | string;
    /**
     * Model of the machine.
     */
    modelIdentifier?: null | string;
    /**
     * Its id.
     */
    nodeId: string;
    /**
     * Tools that it publishes: none are kept.
     */
    nodePluginTools: unknown[];
    /**
     * Whether its device is paired.
     */
    paired: boolean;
    /**
     * Its search path.
     */
    pathEnv?: null | string;
    /**
     * What it asks for; for those who may decide about it.
     */
    pendingDeclaredCaps?: string[] | null;
    /**
     * What it asks for; for those who may decide about it.
     */
    pendingDeclaredCommands?: string[] | null;
    /**
     * The request that waits; for those who may decide about it.
     */
    pendingRequestId?: null | string;
    /**
     * What its system lets it do.
     */
    permissions?: { [key: string]: boolean };
    /**
     * Its system.
     */
    platform?: null | string;
    /**
     * Address it connected from.
     */
    remoteIp?: null | string;
    /**
     * Whether it keeps sessions: none does.
     */
    sessionHost: boolean;
    /**
     * Its version.
     */
    version?: null | string;
    /**
     * Commands that it asked for and was not given; for those who may decide about it.
     */
    withheldCommands?: string[] | null;
}

/**
 * Parameters of `node.pair.approve`.
 */
export interface NodePairApproveParams {
    /**
     * Those of the commands it asks for that are approved; all of them if absent. Those in
     * withheldCommands may be named
     * as well.
     */
    commands?: string[] | null;
    /**
     * The request's id.
     */
    requestId: string;
}

/**
 * It was approved.
 */
export interface NodePairApproveResult {
    /**
     * The node.
     */
    node: PairedNode;
    /**
     * Id of the request.
     */
    requestId: string;
}

/**
 * The node.
 *
 * A node whose surface was approved.
 */
export interface PairedNode {
    /**
     * When it was last approved.
     */
    approvedAtMs: number;
    /**
     * Capabilities.
     */
    caps: string[];
    /**
     * `client.id`
     */
    clientId?: null | string;
    /**
     * `client.mode`
     */
    clientMode?: null | string;
    /**
     * Commands.
     */
    commands: string[];
    /**
     * When it was first approved.
     */
    createdAtMs: number;
    /**
     * Kind of device.
     */
    deviceFamily?: null | string;
    /**
     * Its name.
     */
    displayName?: null | string;
    /**
     * When it was last seen.
     */
    lastSeenAtMs?: number | null;
    /**
     * What it was seen doing.
     */
    lastSeenReason?: null | string;
    /**
     * Model of the machine.
     */
    modelIdentifier?: null | string;
    /**
     * The node.
     */
    nodeId: string;
    /**
     * What its system lets it do.
     */
    permissions?: { [key: string]: boolean };
    /**
     * Its system.
     */
    platform?: null | string;
    /**
     * Its version.
     */
    version?: null | string;
}

/**
 * Requests and approvals.
 */
export interface NodePairListResult {
    /**
     * Last approved first.
     */
    paired: PairedNode[];
    /**
     * Newest first.
     */
    pending: NodePairListRequest[];
}

/**
 * A node that waits for approval of its surface.
 */
export interface NodePairListRequest {
    /**
     * Capabilities.
     */
    caps: string[];
    /**
     * `client.id`
     */
    clientId?: null | string;
    /**
     * `client.mode`
     */
    clientMode?: null | string;
    /**
     * Commands.
     */
    commands: string[];
    /**
     * Kind of device.
     */
    deviceFamily?: null | string;
    /**
     * Its name.
     */
    displayName?: null | string;
    /**
     * Model of the machine.
     */
    modelIdentifier?: null | string;
    /**
     * The node.
     */
    nodeId: string;
    /**
     * What its system lets it do.
     */
    permissions?: { [key: string]: boolean };
    /**
     * Its system.
     */
    platform?: null | string;
    /**
     * Id of the request.
     */
    requestId: string;
    /**
     * Scopes that its approval takes.
     */
    requiredApproveScopes: string[];
    /**
     * Whether its device was paired without a human.
     */
    silent?: boolean | null;
    /**
     * When it asked, in milliseconds since the epoch.
     */
    ts: number;
    /**
     * Its version.
     */
    version?: null | string;
    /**
     * Commands that it offers as well, and that were withheld from it before. It does not ask
     * for them: they are approved
     * only if they are named.
     */
    withheldCommands?: string[];
}

/**
 * A request of a node.
 */
export interface NodePairRejectParams {
    /**
     * Its id.
     */
    requestId: string;
}

/**
 * It was rejected.
 */
export interface NodePairRejectResult {
    /**
     * The node.
     */
    nodeId: string;
    /**
     * Id of the request.
     */
    requestId: string;
}

/**
 * A node.
 */
export interface NodePairRemoveParams {
    /**
     * Its id.
     */
    nodeId: string;
}

/**
 * It was forgotten.
 */
export interface NodePairRemoveResult {
    /**
     * The node.
     */
    nodeId: string;
}

/**
 * A node that waits for approval of its surface.
 */
export interface NodePairRequestedEvent {
    /**
     * Capabilities.
     */
    caps: string[];
    /**
     * `client.id`
     */
    clientId?: null | string;
    /**
     * `client.mode`
     */
    clientMode?: null | string;
    /**
     * Commands.
     */
    commands: string[];
    /**
     * Kind of device.
     */
    deviceFamily?: null | string;
    /**
     * Its name.
     */
    displayName?: null | string;
    /**
     * Model of the machine.
     */
    modelIdentifier?: null | string;
    /**
     * The node.
     */
    nodeId: string;
    /**
     * What its system lets it do.
     */
    permissions?: { [key: string]: boolean };
    /**
     * Its system.
     */
    platform?: null | string;
    /**
     * Id of the request.
     */
    requestId: string;
    /**
     * Scopes that its approval takes.
     */
    requiredApproveScopes: string[];
    /**
     * Whether its device was paired without a human.
     */
    silent?: boolean | null;
    /**
     * When it asked, in milliseconds since the epoch.
     */
    ts: number;
    /**
     * Its version.
     */
    version?: null | string;
    /**
     * Commands that it offers as well, and that were withheld from it before. It does not ask
     * for them: they are approved
     * only if they are named.
     */
    withheldCommands?: string[];
}

/**
 * Payload of `node.pair.resolved`.
 */
export interface NodePairResolvedEvent {
    /**
     * `approved` or `rejected`.
     */
    decision: string;
    /**
     * The node.
     */
    nodeId: string;
    /**
     * Id of the request.
     */
    requestId: string;
    /**
     * When, in milliseconds since the epoch.
     */
    ts: number;
}

/**
 * What a client asks for: a fresh address of a surface.
 */
export interface NodePluginSurfaceRefreshParams {
    /**
     * The address that the client knows. If it is not the one in force, the one in force is the
     * answer.
     */
    observedUrl?: null | string;
    /**
     * Name of the surface.
     */
    surface: string;
}

/**
 * What a client is told then.
 */
export interface NodePluginSurfaceRefreshResult {
    /**
     * How long the address is good at least, in milliseconds since the epoch.
     */
    expiresAtMs: number;
    /**
     * Its address, by its name.
     */
    pluginSurfaceUrls: { [key: string]: string };
    /**
     * Name of the surface.
     */
    surface: string;
}

/**
 * The answer to an inventory.
 */
export interface NodePluginToolsUpdateResult {
    /**
     * The node.
     */
    nodeId: string;
    /**
     * Skills that are kept: none.
     */
    skills?: unknown[] | null;
    /**
     * Tools that are kept: none.
     */
    tools?: unknown[] | null;
}

/**
 * A ticket.
 */
export interface NodeQueueCancelParams {
    /**
     * Its name.
     */
    ticket: string;
}

/**
 * A question that was left for a node, and the payload of `node.queue.done`.
 */
export interface NodeQueueCancelResult {
    /**
     * The command.
     */
    command: string;
    /**
     * Why nothing came of it.
     */
    error?: NodeError | null;
    /**
     * When it is given up, or, when it is over, forgotten.
     */
    expiresAtMs: number;
    /**
     * As it was asked with.
     */
    idempotencyKey: string;
    /**
     * The node.
     */
    nodeId: string;
    /**
     * What came of it. A long one is in the event only.
     */
    payload?: unknown;
    /**
     * When it was left, in milliseconds since the epoch.
     */
    queuedAtMs: number;
    /**
     * What became of it.
     */
    status: Status;
    /**
     * Its name.
     */
    ticket: string;
}

/**
 * A question that was left for a node, and the payload of `node.queue.done`.
 */
export interface NodeQueueDoneEvent {
    /**
     * The command.
     */
    command: string;
    /**
     * Why nothing came of it.
     */
    error?: NodeError | null;
    /**
     * When it is given up, or, when it is over, forgotten.
     */
    expiresAtMs: number;
    /**
     * As it was asked with.
     */
    idempotencyKey: string;
    /**
     * The node.
     */
    nodeId: string;
    /**
     * What came of it. A long one is in the event only.
     */
    payload?: unknown;
    /**
     * When it was left, in milliseconds since the epoch.
     */
    queuedAtMs: number;
    /**
     * What became of it.
     */
    status: Status;
    /**
     * Its name.
     */
    ticket: string;
}

/**
 * Parameters of `node.queue.list`.
 */
export interface NodeQueueListParams {
    /**
     * Of this node only.
     */
    nodeId?: null | string;
}

/**
 * Questions that were left for nodes.
 */
export interface NodeQueueListResult {
    /**
     * Questions that connected nodes were asked and have not answered, of all nodes.
     */
    open: number;
    /**
     * In the order in which they were left.
     */
    queued: Ticket[];
    /**
     * When, in milliseconds since the epoch.
     */
    ts: number;
    /**
     * Callers that wait for a node themselves.
     */
    waiting: number;
}

/**
 * Parameters of `node.rename`.
 */
export interface NodeRenameParams {
    /**
     * Its new name.
     */
    displayName: string;
    /**
     * The node.
     */
    nodeId: string;
}

/**
 * A node and its name.
 */
export interface NodeRenameResult {
    /**
     * Its name.
     */
    displayName: string;
    /**
     * The node.
     */
    nodeId: string;
}

/**
 * The answer to an inventory.
 */
export interface NodeRunnerInventoryUpdateResult {
    /**
     * The node.
     */
    nodeId: string;
    /**
     * Skills that are kept: none.
     */
    skills?: unknown[] | null;
    /**
     * Tools that are kept: none.
     */
    tools?: unknown[] | null;
}

/**
 * The answer to an inventory.
 */
export interface NodeSkillsUpdateResult {
    /**
     * The node.
     */
    nodeId: string;
    /**
     * Skills that are kept: none.
     */
    skills?: unknown[] | null;
    /**
     * Tools that are kept: none.
     */
    tools?: unknown[] | null;
}

/**
 * What a client asks for: a fresh address of a surface.
 */
export interface PluginSurfaceRefreshParams {
    /**
     * The address that the client knows. If it is not the one in force, the one in force is the
     * answer.
     */
    observedUrl?: null | string;
    /**
     * Name of the surface.
     */
    surface: string;
}

/**
 * What a client is told then.
 */
export interface PluginSurfaceRefreshResult {
    /**
     * How long the address is good at least, in milliseconds since the epoch.
     */
    expiresAtMs: number;
    /**
     * Its address, by its name.
     */
    pluginSurfaceUrls: { [key: string]: string };
    /**
     * Name of the surface.
     */
    surface: string;
}

/**
 * Payload of `host.registry.changed`.
 */
export interface PluginsChangedEvent {
    /**
     * How often the registry has changed.
     */
    generation: number;
    /**
     * Ids of the plugins that were changed; none at the start.
     */
    plugins?: string[];
}

/**
 * A plugin's id.
 */
export interface PluginsReloadParams {
    /**
     * The id: the name of its table in `config.toml`.
     */
    id: string;
}

/**
 * What became of a plugin that was to be made anew.
 */
export interface PluginsReloadResult {
    /**
     * Why not: in the operator's words, without secrets.
     */
    error?: null | string;
    /**
     * How the plugin is doing now.
     */
    plugin: PluginState;
    /**
     * Whether a new instance answers now, or none because the configuration wants none.
     */
    reloaded: boolean;
}

/**
 * How the plugin is doing now.
 *
 * A plugin and how it is doing.
 */
export interface PluginState {
    /**
     * Calls since the start.
     */
    calls: number;
    /**
     * Why it failed: in the operator's words, without secrets.
     */
    error?: null | string;
    /**
     * Calls that failed.
     */
    errors: number;
    /**
     * Names of its events.
     */
    events: string[];
    /**
     * The port that its HTTP has to itself, while it runs and the configuration gives it one.
     */
    httpPort?: HTTPPort | null;
    /**
     * Its id.
     */
    id: string;
    /**
     * Names of its enabled methods.
     */
    methods: string[];
    /**
     * `linked` or `loaded`.
     */
    origin: string;
    /**
     * Calls that panicked.
     */
    panics: number;
    /**
     * `running`, `disabled` (by config) or `failed`.
     */
    state: string;
    /**
     * What it is for.
     */
    summary?: string;
    /**
     * Its version.
     */
    version: string;
}

/**
 * A port that a plugin's HTTP has to itself.
 */
export interface HTTPPort {
    /**
     * Why nobody listens there, if nobody does. The plugin's HTTP is then served nowhere.
     */
    error?: null | string;
    /**
     * Its number.
     */
    port: number;
}

/**
 * Parameters of `poll`.
 */
export interface PollParams {
    /**
     * The account to send with.
     */
    accountId?: null | string;
    /**
     * The channel.
     */
    channel?: null | string;
    /**
     * How long it is open, in hours.
     */
    durationHours?: number | null;
    /**
     * Names this poll.
     */
    idempotencyKey: string;
    /**
     * How many answers one may give.
     */
    maxSelections?: number | null;
    /**
     * What can be answered.
     */
    options: string[];
    /**
     * What is asked.
     */
    question: string;
    /**
     * To whom.
     */
    to: string;
}

/**
 * Result of `send.deliver`, `send` and `poll`.
 */
export interface PollResult {
    /**
     * The channel's id.
     */
    channel: string;
    /**
     * The service's id of the message; of the last one, if it was cut into several.
     */
    messageId: string;
    /**
     * The key it was sent with.
     */
    runId: string;
    /**
     * To whom, where `send.deliver` found that by the session.
     */
    to?: null | string;
}

/**
 * Payload of the event `presence`.
 */
export interface PresenceEvent {
    /**
     * Everyone who is here, latest first.
     */
    presence: PresenceEntry[];
}

/**
 * Result of `question.list`.
 */
export interface QuestionListResult {
    /**
     * None.
     */
    questions: unknown[];
}

/**
 * Parameters of `send`.
 */
export interface SendParams {
    /**
     * The account to send with.
     */
    accountId?: null | string;
    /**
     * The agent whose session is derived from the route (protocol 4).
     */
    agentId?: null | string;
    /**
     * The channel.
     */
    channel?: null | string;
    /**
     * Whether a film is shown as a moving picture.
     */
    gifPlayback?: boolean | null;
    /**
     * Names this message.
     */
    idempotencyKey: string;
    /**
     * A file, by address.
     */
    mediaUrl?: null | string;
    /**
     * Files, by address.
     */
    mediaUrls?: string[] | null;
    /**
     * The text; may be left out when there are files (protocol 4).
     */
    message?: null | string;
    /**
     * The message that it answers (protocol 4).
     */
    replyToId?: null | string;
    /**
     * The session that notes it.
     */
    sessionKey?: null | string;
    /**
     * Whether nobody's device shall make a sound (protocol 4).
     */
    silent?: boolean | null;
    /**
     * A thread or topic (protocol 4).
     */
    threadId?: null | string;
    /**
     * To whom, as the channel's people write it.
     */
    to: string;
}

/**
 * Result of `send.deliver`, `send` and `poll`.
 */
export interface SendResult {
    /**
     * The channel's id.
     */
    channel: string;
    /**
     * The service's id of the message; of the last one, if it was cut into several.
     */
    messageId: string;
    /**
     * The key it was sent with.
     */
    runId: string;
    /**
     * To whom, where `send.deliver` found that by the session.
     */
    to?: null | string;
}

/**
 * Payload of `session.message`.
 */
export interface SessionMessageEvent {
    /**
     * Its agent.
     */
    agentId: string;
    /**
     * The message.
     */
    message: { [key: string]: unknown };
    /**
     * Id of the message.
     */
    messageId: string;
    /**
     * Its place in the conversation, counted from 1.
     */
    messageSeq: number;
    /**
     * The conversation.
     */
    sessionId: string;
    /**
     * The session.
     */
    sessionKey: string;
}

/**
 * Parameters of `sessions.abort`.
 */
export interface SessionsAbortParams {
    /**
     * The agent of a key that names none.
     */
    agentId?: null | string;
    /**
     * The session, in any spelling.
     */
    key?: null | string;
    /**
     * One of its runs; all when absent.
     */
    runId?: null | string;
}

/**
 * Result of `sessions.abort`.
 */
export interface SessionsAbortResult {
    /**
     * The run that was told to stop, the first of several.
     */
    abortedRunId?: null | string;
    /**
     * Always true.
     */
    ok: boolean;
    /**
     * `aborted` or `no-active-run`.
     */
    status: string;
}

/**
 * Payload of `sessions.changed`. Without a key, any number of sessions changed.
 */
export interface SessionsChangedEvent {
    /**
     * Its agent.
     */
    agentId?: null | string;
    /**
     * What happened last: `create`, `patch`, `message`, `reset`, `compact`, `delete`, or `many`.
     */
    reason: string;
    /**
     * As `sessions.list` shows it; absent when it is gone.
     */
    session?: { [key: string]: unknown } | null;
    /**
     * The session.
     */
    sessionKey?: null | string;
}

/**
 * Parameters of `sessions.compact`. From `agentId` on they are of protocol 4.
 */
export interface SessionsCompactParams {
    /**
     * The agent of a key that names none.
     */
    agentId?: null | string;
    /**
     * The session, in any spelling.
     */
    key: string;
    /**
     * Messages that stay, 400 unless said.
     */
    maxLines?: number | null;
}

/**
 * Result of `sessions.compact`.
 */
export interface SessionsCompactResult {
    /**
     * Where the others are kept.
     */
    archived?: null | string;
    /**
     * Whether anything was taken away.
     */
    compacted: boolean;
    /**
     * Messages that stay.
     */
    kept?: number | null;
    /**
     * The session, in its canonical spelling.
     */
    key: string;
    /**
     * Always true.
     */
    ok: boolean;
    /**
     * Why not.
     */
    reason?: null | string;
}

/**
 * Parameters of `sessions.delete`. From `agentId` on they are of protocol 4.
 */
export interface SessionsDeleteParams {
    /**
     * The agent of a key that names none.
     */
    agentId?: null | string;
    /**
     * Only if it was put away before.
     */
    archivedOnly?: boolean | null;
    /**
     * Whether its transcript is archived, which it is unless said; else it keeps its name.
     */
    deleteTranscript?: boolean | null;
    /**
     * Only if this is still its conversation.
     */
    expectedSessionId?: null | string;
    /**
     * The session, in any spelling.
     */
    key: string;
}

/**
 * Result of `sessions.delete`.
 */
export interface SessionsDeleteResult {
    /**
     * Names under which transcripts are kept.
     */
    archived: string[];
    /**
     * Whether there was one.
     */
    deleted: boolean;
    /**
     * The session, in its canonical spelling.
     */
    key: string;
    /**
     * Always true.
     */
    ok: boolean;
}

/**
 * Parameters of `sessions.describe`.
 */
export interface SessionsDescribeParams {
    /**
     * The agent of a key that names none.
     */
    agentId?: null | string;
    /**
     * Whether the row has a `derivedTitle`.
     */
    includeDerivedTitles?: boolean | null;
    /**
     * Whether the row has a `lastMessagePreview`.
     */
    includeLastMessage?: boolean | null;
    /**
     * The session, in any spelling.
     */
    key: string;
}

/**
 * Result of `sessions.describe`.
 */
export interface SessionsDescribeResult {
    /**
     * As `sessions.list` shows it; null when there is none.
     */
    session?: { [key: string]: unknown } | null;
}

/**
 * Parameters of `sessions.get`.
 */
export interface SessionsGetParams {
    /**
     * The agent of a key that names none.
     */
    agentId?: null | string;
    /**
     * The session, in any spelling.
     */
    key: string;
    /**
     * The last so many messages, 200 unless said.
     */
    limit?: number | null;
}

/**
 * Result of `sessions.get`.
 */
export interface SessionsGetResult {
    /**
     * The transcript's end, oldest first.
     */
    messages: { [key: string]: unknown }[];
}

/**
 * Parameters of `sessions.list`. From `offset` on they are of protocol 4.
 */
export interface SessionsListParams {
    /**
     * Only those used in the last so many minutes.
     */
    activeMinutes?: number | null;
    /**
     * Only those of this agent.
     */
    agentId?: null | string;
    /**
     * Those that were put away, instead of the others.
     */
    archived?: boolean | null;
    /**
     * Only those of agents that are configured.
     */
    configuredAgentsOnly?: boolean | null;
    /**
     * Whether rows have a `derivedTitle`.
     */
    includeDerivedTitles?: boolean | null;
    /**
     * Whether `global` is listed.
     */
    includeGlobal?: boolean | null;
    /**
     * Whether rows have a `lastMessagePreview`.
     */
    includeLastMessage?: boolean | null;
    /**
     * Whether `unknown` is listed.
     */
    includeUnknown?: boolean | null;
    /**
     * Only the one with this label.
     */
    label?: null | string;
    /**
     * At most so many.
     */
    limit?: number | null;
    /**
     * Without the first so many.
     */
    offset?: number | null;
    /**
     * Whether one's own come first; all belong to the operator.
     */
    ownerFirst?: boolean | null;
    /**
     * Only those with this in their name, label, subject, id or key.
     */
    search?: null | string;
    /**
     * `createdAt`, or when they were used last.
     */
    sortBy?: null | string;
    /**
     * Only those that this session started.
     */
    spawnedBy?: null | string;
}

/**
 * Result of `sessions.list`.
 */
export interface SessionsListResult {
    /**
     * How many are listed.
     */
    count: number;
    /**
     * What a new session starts with.
     */
    defaults: Defaults;
    /**
     * Whether there is one.
     */
    hasMore: boolean;
    /**
     * How many are listed at most.
     */
    limitApplied: number;
    /**
     * Where the next page begins.
     */
    nextOffset?: number | null;
    /**
     * Whose they are: there is one owner, who is not named.
     */
    owners: unknown[];
    /**
     * Where they are kept; to administrators with the way there.
     */
    path: string;
    /**
     * Those used last first.
     */
    sessions: { [key: string]: unknown }[];
    /**
     * How many there are.
     */
    totalCount: number;
    /**
     * When it was asked, in milliseconds since the epoch.
     */
    ts: number;
}

/**
 * What a new session starts with.
 */
export interface Defaults {
    /**
     * How much that model reads.
     */
    contextTokens?: number | null;
    /**
     * Its model.
     */
    model?: null | string;
    /**
     * Who provides its model.
     */
    modelProvider?: null | string;
}

/**
 * Parameters of `sessions.messages.subscribe` and `.unsubscribe`.
 */
export interface SessionsMessagesSubscribeParams {
    /**
     * The agent of a key that names none.
     */
    agentId?: null | string;
    /**
     * Whether approvals of the session are told, too; they go to all who may see them.
     */
    includeApprovals?: boolean | null;
    /**
     * The session, in any spelling.
     */
    key: string;
}

/**
 * Result of `sessions.messages.subscribe` and `.unsubscribe`.
 */
export interface SessionsMessagesSubscribeResult {
    /**
     * The session, in its canonical spelling.
     */
    key: string;
    /**
     * Whether the connection hears now.
     */
    subscribed: boolean;
}

/**
 * Parameters of `sessions.messages.subscribe` and `.unsubscribe`.
 */
export interface SessionsMessagesUnsubscribeParams {
    /**
     * The agent of a key that names none.
     */
    agentId?: null | string;
    /**
     * Whether approvals of the session are told, too; they go to all who may see them.
     */
    includeApprovals?: boolean | null;
    /**
     * The session, in any spelling.
     */
    key: string;
}

/**
 * Result of `sessions.messages.subscribe` and `.unsubscribe`.
 */
export interface SessionsMessagesUnsubscribeResult {
    /**
     * The session, in its canonical spelling.
     */
    key: string;
    /**
     * Whether the connection hears now.
     */
    subscribed: boolean;
}

/**
 * Parameters of `sessions.patch`. From `agentId` on they are of protocol 4.
 */
export interface SessionsPatchParams {
    /**
     * The agent of a key that names none.
     */
    agentId?: null | string;
    /**
     * Whether it is put away.
     */
    archived?: boolean | null;
    /**
     * A group of sessions in lists.
     */
    category?: null | string;
    /**
     * A colour in lists.
     */
    color?: null | string;
    /**
     * `on`, `off`, `ask` or `full`.
     */
    elevatedLevel?: null | string;
    /**
     * `off`, `on-miss` or `always`.
     */
    execAsk?: null | string;
    /**
     * `sandbox`, `gateway` or `node`.
     */
    execHost?: null | string;
    /**
     * The node on which programs run.
     */
    execNode?: null | string;
    /**
     * `deny`, `allowlist` or `full`.
     */
    execSecurity?: null | string;
    /**
     * Whether answers shall come fast: `true`, `false` or a word.
     */
    fastMode?: unknown;
    /**
     * When a group is answered.
     */
    groupActivation?: SessionsPatchParamsGroupActivation | null;
    /**
     * A picture in lists.
     */
    icon?: null | string;
    /**
     * The session, in any spelling; made when it is absent.
     */
    key: string;
    /**
     * A name, unique among the agent's sessions.
     */
    label?: null | string;
    /**
     * `provider/model`, or a model's own id where only one provider has it; `null` is the
     * agent's default.
     */
    model?: null | string;
    /**
     * Whether it comes first in lists.
     */
    pinned?: boolean | null;
    /**
     * `on`, `off` or `stream`.
     */
    reasoningLevel?: null | string;
    /**
     * What of an answer's cost is shown with it.
     */
    responseUsage?: SessionsPatchParamsResponseUsage | null;
    /**
     * Whether messages go out.
     */
    sendPolicy?: SessionsPatchParamsSendPolicy | null;
    /**
     * The session that started this one; it never changes.
     */
    spawnedBy?: null | string;
    /**
     * `off`, `minimal`, `low`, `medium`, `high` or `xhigh`.
     */
    thinkingLevel?: null | string;
    /**
     * Whether it is marked as not read.
     */
    unread?: boolean | null;
    /**
     * `on`, `off` or `full`.
     */
    verboseLevel?: null | string;
}

export type SessionsPatchParamsGroupActivation = "mention" | "always";

export type SessionsPatchParamsResponseUsage = "off" | "tokens" | "full" | "on";

export type SessionsPatchParamsSendPolicy = "allow" | "deny";

/**
 * Result of `sessions.patch`.
 */
export interface SessionsPatchResult {
    /**
     * Its entry.
     */
    entry: { [key: string]: unknown };
    /**
     * The session, in its canonical spelling.
     */
    key: string;
    /**
     * Always true.
     */
    ok: boolean;
    /**
     * Where sessions are kept; to administrators with the way there.
     */
    path: string;
}

/**
 * Parameters of `sessions.preview`.
 */
export interface SessionsPreviewParams {
    /**
     * Sessions, in any spelling.
     */
    keys: string[];
    /**
     * Messages of each, 12 unless said.
     */
    limit?: number | null;
    /**
     * Characters of each message, 240 unless said.
     */
    maxChars?: number | null;
}

/**
 * Result of `sessions.preview`.
 */
export interface SessionsPreviewResult {
    /**
     * In the order in which they were asked for.
     */
    previews: Preview[];
    /**
     * When it was asked, in milliseconds since the epoch.
     */
    ts: number;
}

/**
 * What was said last in a session.
 */
export interface Preview {
    /**
     * Oldest first.
     */
    items: Item[];
    /**
     * The session, as it was asked for.
     */
    key: string;
    /**
     * `ok`, `empty`, `missing` or `error`.
     */
    status: string;
}

/**
 * A message in short.
 */
export interface Item {
    /**
     * `user`, `assistant`, `tool`, `system` or `other`.
     */
    role: string;
    /**
     * What it says.
     */
    text: string;
}

/**
 * Parameters of `sessions.reset`. From `agentId` on they are of protocol 4.
 */
export interface SessionsResetParams {
    /**
     * The agent of a key that names none.
     */
    agentId?: null | string;
    /**
     * Only if this is still its conversation.
     */
    expectedSessionId?: null | string;
    /**
     * The session, in any spelling.
     */
    key: string;
    /**
     * `new` or `reset`; it makes no difference.
     */
    reason?: null | string;
}

/**
 * Result of `sessions.reset`.
 */
export interface SessionsResetResult {
    /**
     * Its entry.
     */
    entry: { [key: string]: unknown };
    /**
     * The session, in its canonical spelling.
     */
    key: string;
    /**
     * Always true.
     */
    ok: boolean;
}

/**
 * Parameters of `sessions.resolve`.
 */
export interface SessionsResolveParams {
    /**
     * Only sessions of this agent.
     */
    agentId?: null | string;
    /**
     * Whether `global` is meant too.
     */
    includeGlobal?: boolean | null;
    /**
     * Whether `unknown` is meant too.
     */
    includeUnknown?: boolean | null;
    /**
     * A session, in any spelling.
     */
    key?: null | string;
    /**
     * Its label.
     */
    label?: null | string;
    /**
     * Its present conversation.
     */
    sessionId?: null | string;
    /**
     * Only those that this session started.
     */
    spawnedBy?: null | string;
}

/**
 * Result of `sessions.resolve`.
 */
export interface SessionsResolveResult {
    /**
     * The session, in its canonical spelling.
     */
    key: string;
    /**
     * Always true.
     */
    ok: boolean;
}

/**
 * Result of `sessions.subscribe` and `sessions.unsubscribe`.
 */
export interface SessionsSubscribeResult {
    /**
     * Whether the connection hears now.
     */
    subscribed: boolean;
}

/**
 * Result of `sessions.subscribe` and `sessions.unsubscribe`.
 */
export interface SessionsUnsubscribeResult {
    /**
     * Whether the connection hears now.
     */
    subscribed: boolean;
}

/**
 * Parameters of `set-heartbeats`: open, and checked by hand because clients know the
 * sentence that refuses them.
 */
export interface SetHeartbeatsParams {
    /**
     * Whether heartbeats shall come.
     */
    enabled?: unknown;
}

/**
 * Result of `set-heartbeats`.
 */
export interface SetHeartbeatsResult {
    /**
     * Whether heartbeats come now.
     */
    enabled: boolean;
    /**
     * Always true.
     */
    ok: boolean;
}

export interface ShutdownEvent {
    /**
     * Why, for people.
     */
    reason: string;
    /**
     * When the gateway is expected back, in milliseconds; null when it is not.
     */
    restartExpectedMs?: number | null;
}

/**
 * Programs that skills need.
 */
export interface SkillsBinsResult {
    /**
     * Their names.
     */
    bins: string[];
}

/**
 * Result of `status`.
 */
export interface StatusResult {
    /**
     * A line for each message channel.
     */
    channelSummary: string[];
    /**
     * How many are connected.
     */
    connections: ConnectionCount;
    /**
     * Heartbeats of the agents.
     */
    heartbeat: Heartbeats;
    /**
     * What happened and no agent has read yet, oldest first.
     */
    queuedSystemEvents: string[];
    /**
     * Version of the gateway.
     */
    runtimeVersion?: null | string;
    /**
     * Sessions of all agents.
     */
    sessions: Sessions;
    /**
     * SHA-256 of the certificate that the gateway shows, if it speaks TLS: what clients pin.
     */
    tlsFingerprint?: null | string;
    /**
     * How long the gateway has been running.
     */
    uptimeMs?: number | null;
}

/**
 * How many are connected.
 */
export interface ConnectionCount {
    /**
     * Nodes.
     */
    nodes: number;
    /**
     * Operators, the one that asks included.
     */
    operators: number;
}

/**
 * Heartbeats of the agents.
 */
export interface Heartbeats {
    /**
     * One row an agent.
     */
    agents: AgentHeartbeat[];
    /**
     * The agent that is meant when none is named.
     */
    defaultAgentId: string;
}

/**
 * Heartbeats of an agent.
 */
export interface AgentHeartbeat {
    /**
     * The agent.
     */
    agentId: string;
    /**
     * Whether they are on.
     */
    enabled: boolean;
    /**
     * How often, for people: `30m`, or `disabled`.
     */
    every: string;
    /**
     * Milliseconds between two; null when they are off.
     */
    everyMs?: number | null;
}

/**
 * Sessions of all agents.
 *
 * Sessions of all agents; none where no plugin keeps any.
 */
export interface Sessions {
    /**
     * The same by agent.
     */
    byAgent: { [key: string]: unknown }[];
    /**
     * How many there are.
     */
    count: number;
    /**
     * What a new session starts with.
     */
    defaults: SessionModel;
    /**
     * Where they are kept.
     */
    paths: string[];
    /**
     * Those used last.
     */
    recent: { [key: string]: unknown }[];
}

/**
 * What a new session starts with.
 */
export interface SessionModel {
    /**
     * How much that model reads.
     */
    contextTokens?: number | null;
    /**
     * Its model.
     */
    model?: null | string;
}

/**
 * Every open connection.
 */
export interface SystemConnectionsResult {
    /**
     * Oldest first.
     */
    connections: Connection[];
}

/**
 * A connection's record: its `connect` without secrets.
 */
export interface Connection {
    /**
     * Capabilities as sent.
     */
    caps?: string[];
    /**
     * `client` of its `connect`: id, displayName, version, platform, mode and so on.
     */
    client: unknown;
    /**
     * Commands as sent; nodes only.
     */
    commands?: string[];
    /**
     * Number of the connection, as in calls and targeted events.
     */
    conn: number;
    /**
     * When it was accepted, in milliseconds since the epoch.
     */
    connectedAtMs: number;
    /**
     * Its id on the wire.
     */
    connId: string;
    /**
     * The paired device.
     */
    deviceId?: null | string;
    /**
     * Whether it is local.
     */
    local: boolean;
    /**
     * A node's `PATH`.
     */
    pathEnv?: null | string;
    /**
     * Permissions as sent; nodes only.
     */
    permissions?: unknown;
    /**
     * Negotiated protocol version.
     */
    protocol: number;
    /**
     * Address, absent for local connections.
     */
    remoteIp?: null | string;
    /**
     * `operator` or `node`.
     */
    role: string;
    /**
     * Granted scopes.
     */
    scopes: string[];
}

/**
 * Parameters of `system.describe`.
 */
export interface SystemDescribeParams {
    /**
     * What it is, for names that are both.
     */
    kind?: Kind | null;
    /**
     * Its name.
     */
    name: string;
}

/**
 * What a name stands for.
 */
export type Kind = "method" | "event";

/**
 * Result of `system.describe`: the row of the manifest and where it is from.
 */
export interface SystemDescribeResult {
    /**
     * `method` or `event`.
     */
    kind: string;
    /**
     * The plugin that owns it; `host` for the gateway's own.
     */
    plugin: string;
}

/**
 * It is noted.
 */
export interface SystemEventResult {
    /**
     * Always true.
     */
    ok: boolean;
}

/**
 * Parameters of `system.methods`.
 */
export interface SystemMethodsParams {
    /**
     * Whether internal ones are listed too; needs operator.admin.
     */
    internal?: boolean | null;
}

/**
 * Result of `system.methods`.
 */
export interface SystemMethodsResult {
    /**
     * Sorted by name.
     */
    events: EventRow[];
    /**
     * Sorted by name.
     */
    methods: MethodRow[];
}

/**
 * An event in short.
 */
export interface EventRow {
    /**
     * Its name.
     */
    name: string;
    /**
     * The plugin that owns it; `host` for the gateway's own.
     */
    plugin: string;
    /**
     * Who may see it.
     */
    role: ExposureItem[] | ExposureWord;
    /**
     * Any of these scopes is needed; none when empty.
     */
    scopes: string[];
    /**
     * When it comes.
     */
    summary: string;
}

export type ExposureItem = "operator" | "node";

export type ExposureWord = "operator" | "node" | "internal";

/**
 * A method in short.
 */
export interface MethodRow {
    /**
     * Whether it has effects.
     */
    effects: boolean;
    /**
     * What a repeated idempotency key does.
     */
    idempotency: Idempotency;
    /**
     * Its name.
     */
    name: string;
    /**
     * The plugin that owns it; `host` for the gateway's own.
     */
    plugin: string;
    /**
     * Whether it answers once or with interim replies.
     */
    replies: Replies;
    /**
     * Who may call it.
     */
    role: ExposureItem[] | ExposureWord;
    /**
     * Any of these scopes is needed; none when empty.
     */
    scopes: string[];
    /**
     * What it does.
     */
    summary: string;
}

/**
 * What a repeated idempotency key does.
 *
 * The method takes no key.
 *
 * The host keeps the answer and gives it again; the plugin never sees a duplicate.
 *
 * The key is handed through; the plugin sees to it.
 */
export type Idempotency = "none" | "replay" | "plugin";

/**
 * Whether it answers once or with interim replies.
 *
 * How often a method answers.
 *
 * Once.
 *
 * Any number of interim answers, then one final.
 */
export type Replies = "single" | "interim";

/**
 * Result of `system.metrics`.
 */
export interface SystemMetricsResult {
    /**
     * Limits that were hit, by their names in `gateway.limits`, sorted.
     */
    limits: LimitCount[];
    /**
     * Methods that were called, sorted by name.
     */
    methods: MethodCount[];
}

/**
 * How often a limit was hit.
 */
export interface LimitCount {
    /**
     * How often.
     */
    hits: number;
    /**
     * The limit.
     */
    limit: string;
}

/**
 * What was counted of a method.
 */
export interface MethodCount {
    /**
     * Calls that were asked for.
     */
    calls: number;
    /**
     * Calls that were answered with an error.
     */
    errors: number;
    /**
     * Its name.
     */
    method: string;
    /**
     * Microseconds from the begin to the last answer, added up.
     */
    microseconds: number;
    /**
     * The plugin that owns it.
     */
    plugin: string;
}

/**
 * Result of `system.plugins`.
 */
export interface SystemPluginsResult {
    /**
     * Sorted by id.
     */
    plugins: PluginState[];
}

/**
 * Whether somebody talks.
 */
export interface TalkModeEvent {
    /**
     * Whether somebody does.
     */
    enabled: boolean;
    /**
     * In which phase that is.
     */
    phase?: null | string;
    /**
     * When it was said, in milliseconds since the epoch.
     */
    ts: number;
}

/**
 * Parameters of `talk.mode`.
 */
export interface TalkModeParams {
    /**
     * Whether somebody talks.
     */
    enabled: boolean;
    /**
     * In which phase that is.
     */
    phase?: null | string;
}

/**
 * Whether somebody talks.
 */
export interface TalkModeResult {
    /**
     * Whether somebody does.
     */
    enabled: boolean;
    /**
     * In which phase that is.
     */
    phase?: null | string;
    /**
     * When it was said, in milliseconds since the epoch.
     */
    ts: number;
}

export interface TickEvent {
    /**
     * Milliseconds since the epoch.
     */
    ts: number;
}

/**
 * Words that wake an assistant.
 */
export interface VoicewakeChangedEvent {
    /**
     * The words.
     */
    triggers: string[];
}

/**
 * Words that wake an assistant.
 */
export interface VoicewakeGetResult {
    /**
     * The words.
     */
    triggers: string[];
}

/**
 * Where what was said goes to.
 */
export interface VoicewakeRoutingChangedEvent {
    /**
     * The rules.
     */
    config: VoicewakeRoutingChangedRules;
}

/**
 * The rules.
 *
 * Rules by which what was said finds its session.
 */
export interface VoicewakeRoutingChangedRules {
    /**
     * Where it goes if no rule says otherwise.
     */
    defaultTarget: Target;
    /**
     * Rules; of two that fit, no two are alike.
     */
    routes: Route[];
    /**
     * When they last changed, in milliseconds since the epoch; 0 is never.
     */
    updatedAtMs: number;
    /**
     * Always 1.
     */
    version: number;
}

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
export interface Target {
    /**
     * Always `current`.
     */
    mode?: Current;
    /**
     * The agent.
     */
    agentId?: string;
    /**
     * The session.
     */
    sessionKey?: string;
}

/**
 * Always `current`.
 */
export type Current = "current";

/**
 * One rule.
 */
export interface Route {
    /**
     * Where what follows goes to.
     */
    target: Target;
    /**
     * The word or words that were said.
     */
    trigger: string;
}

/**
 * Where what was said goes to.
 */
export interface VoicewakeRoutingGetResult {
    /**
     * The rules.
     */
    config: VoicewakeRoutingGetRules;
}

/**
 * The rules.
 *
 * Rules by which what was said finds its session.
 */
export interface VoicewakeRoutingGetRules {
    /**
     * Where it goes if no rule says otherwise.
     */
    defaultTarget: Target;
    /**
     * Rules; of two that fit, no two are alike.
     */
    routes: Route[];
    /**
     * When they last changed, in milliseconds since the epoch; 0 is never.
     */
    updatedAtMs: number;
    /**
     * Always 1.
     */
    version: number;
}

/**
 * Parameters of `voicewake.routing.set`: open, and checked by hand for the same reason.
 */
export interface VoicewakeRoutingSetParams {
    /**
     * The rules.
     */
    config?: unknown;
}

/**
 * Where what was said goes to.
 */
export interface VoicewakeRoutingSetResult {
    /**
     * The rules.
     */
    config: VoicewakeRoutingSetRules;
}

/**
 * The rules.
 *
 * Rules by which what was said finds its session.
 */
export interface VoicewakeRoutingSetRules {
    /**
     * Where it goes if no rule says otherwise.
     */
    defaultTarget: Target;
    /**
     * Rules; of two that fit, no two are alike.
     */
    routes: Route[];
    /**
     * When they last changed, in milliseconds since the epoch; 0 is never.
     */
    updatedAtMs: number;
    /**
     * Always 1.
     */
    version: number;
}

/**
 * Parameters of `voicewake.set`: open, and checked by hand because clients know the
 * sentence that refuses them.
 */
export interface VoicewakeSetParams {
    /**
     * The words.
     */
    triggers?: unknown;
}

/**
 * Words that wake an assistant.
 */
export interface VoicewakeSetResult {
    /**
     * The words.
     */
    triggers: string[];
}

/**
 * Parameters of `wake`; the last two are of protocol 4, and there is one main session.
 */
export interface WakeParams {
    /**
     * The default agent; no other one can be woken.
     */
    agentId?: null | string;
    /**
     * When the agent hears of it.
     */
    mode: WakeMode;
    /**
     * A session of the default agent.
     */
    sessionKey?: null | string;
    /**
     * What happened.
     */
    text: string;
}

/**
 * When the agent hears of it.
 *
 * When an agent hears of it.
 *
 * At once.
 *
 * With the next heartbeat.
 */
export type WakeMode = "now" | "next-heartbeat";

/**
 * Result of `wake`.
 */
export interface WakeResult {
    /**
     * Whether there was anything to say.
     */
    ok: boolean;
}

/**
 * Parameters of `web.login.start`.
 */
export interface WebLoginStartParams {
    /**
     * The account.
     */
    accountId?: null | string;
    /**
     * Whether to begin anew although it is logged in.
     */
    force?: boolean | null;
    /**
     * How long to wait for the picture, in milliseconds.
     */
    timeoutMs?: number | null;
    /**
     * Makes no difference.
     */
    verbose?: boolean | null;
}

/**
 * Result of `web.login.start`.
 */
export interface WebLoginStartResult {
    /**
     * What to do next.
     */
    message: string;
    /**
     * A picture to scan.
     */
    qrDataUrl?: null | string;
}

/**
 * Parameters of `web.login.wait`.
 */
export interface WebLoginWaitParams {
    /**
     * The account.
     */
    accountId?: null | string;
    /**
     * The picture that is shown (protocol 4); makes no difference.
     */
    currentQrDataUrl?: null | string;
    /**
     * How long to wait, in milliseconds.
     */
    timeoutMs?: number | null;
}

/**
 * Result of `web.login.wait`.
 */
export interface WebLoginWaitResult {
    /**
     * Whether the account is connected.
     */
    connected: boolean;
    /**
     * What to do next.
     */
    message: string;
}

export type ExecApprovalListResult = Pending[];

export type HealthResult = Summary;

export type LastHeartbeatResult = HeartbeatEvent | null;

export type SystemPresenceResult = PresenceEntry[];

/**
 * What each method takes and gives.
 */
export interface Methods {
    "agent": { params: AgentParams; result: AgentResult };
    "agent.identity.get": { params: AgentIdentityGetParams; result: AgentIdentityGetResult };
    "agent.wait": { params: AgentWaitParams; result: AgentWaitResult };
    "agents.list": { params: Record<string, never>; result: AgentsListResult };
    "channels.logout": { params: ChannelsLogoutParams; result: ChannelsLogoutResult };
    "channels.pairing.approve": { params: ChannelsPairingApproveParams; result: ChannelsPairingApproveResult };
    "channels.pairing.dismiss": { params: ChannelsPairingDismissParams; result: ChannelsPairingDismissResult };
    "channels.pairing.list": { params: ChannelsPairingListParams; result: ChannelsPairingListResult };
    "channels.senders.list": { params: ChannelsSendersListParams; result: ChannelsSendersListResult };
    "channels.senders.remove": { params: ChannelsSendersRemoveParams; result: ChannelsSendersRemoveResult };
    "channels.start": { params: ChannelsStartParams; result: ChannelsStartResult };
    "channels.status": { params: ChannelsStatusParams; result: ChannelsStatusResult };
    "channels.stop": { params: ChannelsStopParams; result: ChannelsStopResult };
    "chat.abort": { params: ChatAbortParams; result: ChatAbortResult };
    "chat.history": { params: ChatHistoryParams; result: ChatHistoryResult };
    "chat.inject": { params: ChatInjectParams; result: ChatInjectResult };
    "chat.metadata": { params: unknown; result: ChatMetadataResult };
    "chat.send": { params: ChatSendParams; result: ChatSendResult };
    "chat.startup": { params: ChatStartupParams; result: ChatStartupResult };
    "commands.list": { params: unknown; result: CommandsListResult };
    "config.get": { params: Record<string, never>; result: ConfigGetResult };
    "config.schema": { params: Record<string, never>; result: ConfigSchemaResult };
    "cron.add": { params: unknown; result: unknown };
    "cron.get": { params: CronGetParams; result: unknown };
    "cron.list": { params: CronListParams; result: unknown };
    "cron.remove": { params: CronRemoveParams; result: CronRemoveResult };
    "cron.run": { params: CronRunParams; result: unknown };
    "cron.runs": { params: CronRunsParams; result: unknown };
    "cron.status": { params: Record<string, never>; result: CronStatusResult };
    "cron.update": { params: unknown; result: unknown };
    "device.pair.approve": { params: DevicePairApproveParams; result: DevicePairApproveResult };
    "device.pair.list": { params: Record<string, never>; result: DevicePairListResult };
    "device.pair.reject": { params: DevicePairRejectParams; result: DevicePairRejectResult };
    "device.pair.remove": { params: DevicePairRemoveParams; result: DevicePairRemoveResult };
    "device.pair.rename": { params: DevicePairRenameParams; result: DevicePairRenameResult };
    "device.pair.setupCode": { params: DevicePairSetupCodeParams; result: DevicePairSetupCodeResult };
    "device.token.revoke": { params: DeviceTokenRevokeParams; result: DeviceTokenRevokeResult };
    "device.token.rotate": { params: DeviceTokenRotateParams; result: DeviceTokenRotateResult };
    "exec.approval.get": { params: ExecApprovalGetParams; result: ExecApprovalGetResult };
    "exec.approval.list": { params: Record<string, never>; result: ExecApprovalListResult };
    "exec.approval.request": { params: ExecApprovalRequestParams; result: ExecApprovalRequestResult };
    "exec.approval.resolve": { params: ExecApprovalResolveParams; result: ExecApprovalResolveResult };
    "exec.approval.waitDecision": { params: ExecApprovalWaitDecisionParams; result: ExecApprovalWaitDecisionResult };
    "exec.approvals.get": { params: Record<string, never>; result: ExecApprovalsGetResult };
    "exec.approvals.node.get": { params: ExecApprovalsNodeGetParams; result: unknown };
    "exec.approvals.node.set": { params: ExecApprovalsNodeSetParams; result: unknown };
    "exec.approvals.set": { params: ExecApprovalsSetParams; result: ExecApprovalsSetResult };
    "health": { params: HealthParams; result: HealthResult };
    "last-heartbeat": { params: unknown; result: LastHeartbeatResult };
    "logs.tail": { params: LogsTailParams; result: LogsTailResult };
    "models.list": { params: ModelsListParams; result: ModelsListResult };
    "node.canvas.capability.refresh": { params: Record<string, never>; result: NodeCanvasCapabilityRefreshResult };
    "node.describe": { params: NodeDescribeParams; result: NodeDescribeResult };
    "node.event": { params: NodeEventParams; result: NodeEventResult };
    "node.invoke": { params: NodeInvokeParams; result: NodeInvokeResult };
    "node.invoke.progress": { params: NodeInvokeProgressParams; result: NodeInvokeProgressResult };
    "node.invoke.result": { params: NodeInvokeResultParams; result: NodeInvokeResultResult };
    "node.list": { params: Record<string, never>; result: NodeListResult };
    "node.pair.approve": { params: NodePairApproveParams; result: NodePairApproveResult };
    "node.pair.list": { params: Record<string, never>; result: NodePairListResult };
    "node.pair.reject": { params: NodePairRejectParams; result: NodePairRejectResult };
    "node.pair.remove": { params: NodePairRemoveParams; result: NodePairRemoveResult };
    "node.pluginSurface.refresh": { params: NodePluginSurfaceRefreshParams; result: NodePluginSurfaceRefreshResult };
    "node.pluginTools.update": { params: unknown; result: NodePluginToolsUpdateResult };
    "node.queue.cancel": { params: NodeQueueCancelParams; result: NodeQueueCancelResult };
    "node.queue.list": { params: NodeQueueListParams; result: NodeQueueListResult };
    "node.rename": { params: NodeRenameParams; result: NodeRenameResult };
    "node.runnerInventory.update": { params: unknown; result: NodeRunnerInventoryUpdateResult };
    "node.skills.update": { params: unknown; result: NodeSkillsUpdateResult };
    "plugin.surface.refresh": { params: PluginSurfaceRefreshParams; result: PluginSurfaceRefreshResult };
    "plugins.reload": { params: PluginsReloadParams; result: PluginsReloadResult };
    "poll": { params: PollParams; result: PollResult };
    "question.list": { params: unknown; result: QuestionListResult };
    "send": { params: SendParams; result: SendResult };
    "sessions.abort": { params: SessionsAbortParams; result: SessionsAbortResult };
    "sessions.compact": { params: SessionsCompactParams; result: SessionsCompactResult };
    "sessions.delete": { params: SessionsDeleteParams; result: SessionsDeleteResult };
    "sessions.describe": { params: SessionsDescribeParams; result: SessionsDescribeResult };
    "sessions.get": { params: SessionsGetParams; result: SessionsGetResult };
    "sessions.list": { params: SessionsListParams; result: SessionsListResult };
    "sessions.messages.subscribe": { params: SessionsMessagesSubscribeParams; result: SessionsMessagesSubscribeResult };
    "sessions.messages.unsubscribe": { params: SessionsMessagesUnsubscribeParams; result: SessionsMessagesUnsubscribeResult };
    "sessions.patch": { params: SessionsPatchParams; result: SessionsPatchResult };
    "sessions.preview": { params: SessionsPreviewParams; result: SessionsPreviewResult };
    "sessions.reset": { params: SessionsResetParams; result: SessionsResetResult };
    "sessions.resolve": { params: SessionsResolveParams; result: SessionsResolveResult };
    "sessions.subscribe": { params: Record<string, never>; result: SessionsSubscribeResult };
    "sessions.unsubscribe": { params: Record<string, never>; result: SessionsUnsubscribeResult };
    "set-heartbeats": { params: SetHeartbeatsParams; result: SetHeartbeatsResult };
    "skills.bins": { params: unknown; result: SkillsBinsResult };
    "status": { params: unknown; result: StatusResult };
    "system-event": { params: unknown; result: SystemEventResult };
    "system-presence": { params: unknown; result: SystemPresenceResult };
    "system.connections": { params: Record<string, never>; result: SystemConnectionsResult };
    "system.describe": { params: SystemDescribeParams; result: SystemDescribeResult };
    "system.methods": { params: SystemMethodsParams; result: SystemMethodsResult };
    "system.metrics": { params: Record<string, never>; result: SystemMetricsResult };
    "system.plugins": { params: Record<string, never>; result: SystemPluginsResult };
    "talk.mode": { params: TalkModeParams; result: TalkModeResult };
    "voicewake.get": { params: unknown; result: VoicewakeGetResult };
    "voicewake.routing.get": { params: unknown; result: VoicewakeRoutingGetResult };
    "voicewake.routing.set": { params: VoicewakeRoutingSetParams; result: VoicewakeRoutingSetResult };
    "voicewake.set": { params: VoicewakeSetParams; result: VoicewakeSetResult };
    "wake": { params: WakeParams; result: WakeResult };
    "web.login.start": { params: WebLoginStartParams; result: WebLoginStartResult };
    "web.login.wait": { params: WebLoginWaitParams; result: WebLoginWaitResult };
}

/**
 * What comes with each event.
 */
export interface Events {
    "agent": AgentEvent;
    "chat": ChatEvent;
    "connect.challenge": ConnectChallengeEvent;
    "cron": CronEvent;
    "device.pair.requested": DevicePairRequestedEvent;
    "device.pair.resolved": DevicePairResolvedEvent;
    "exec.approval.requested": ExecApprovalRequestedEvent;
    "exec.approval.resolved": ExecApprovalResolvedEvent;
    "health": HealthEvent;
    "heartbeat": HeartbeatEvent;
    "node.invoke.cancel": NodeInvokeCancelEvent;
    "node.invoke.request": NodeInvokeRequestEvent;
    "node.pair.requested": NodePairRequestedEvent;
    "node.pair.resolved": NodePairResolvedEvent;
    "node.queue.done": NodeQueueDoneEvent;
    "plugins.changed": PluginsChangedEvent;
    "presence": PresenceEvent;
    "session.message": SessionMessageEvent;
    "sessions.changed": SessionsChangedEvent;
    "shutdown": ShutdownEvent;
    "talk.mode": TalkModeEvent;
    "tick": TickEvent;
    "voicewake.changed": VoicewakeChangedEvent;
    "voicewake.routing.changed": VoicewakeRoutingChangedEvent;
}
