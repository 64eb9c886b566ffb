/**
 * What this page knows of methods beyond the models, because their schemas leave it open. Each is held against the model:
 * where a schema comes to say something else, this does not compile, and what stands here is to go.
 */
import type {
  ChatHistoryResult,
  ClientInfo,
  ConfigSchemaResult,
  Connection,
  Message,
  Methods,
  Part,
  RunStatus,
  SessionsListResult,
  SystemDescribeResult,
  WakeMode,
} from 'schemas/models/clawhost';
import type { Schema } from '../form/schema';

export type MoreAsked = Held<
  'params',
  {
    'cron.add': JobFields;
    'cron.update': { id: string; patch: Partial<JobFields> };
  }
>;

export type MoreTold = Held<
  'result',
  {
    'chat.history': With<ChatHistoryResult, { messages?: TranscriptMessage[] }>;
    'config.schema': With<ConfigSchemaResult, { schema: Schema }>;
    'cron.list': { jobs: Job[] };
    'cron.runs': { entries: JobRun[] };
    'sessions.list': With<SessionsListResult, { sessions: SessionRow[] }>;
    'system.connections': { connections: With<Connection, { client: Partial<ClientInfo> }>[] };
    'system.describe': With<SystemDescribeResult, Description>;
  }
>;

/** Entries by method, none of which contradicts the model. */
type Held<Side extends 'params' | 'result', Entries extends Fitting<Side, keyof Entries>> = Entries;
type Fitting<Side extends 'params' | 'result', Names extends PropertyKey> = {
  [M in Names]: M extends keyof Methods ? Methods[M][Side] : never;
};

/** The same with fields of which more is known. */
type With<T, More> = Omit<T, keyof More> & More;

/** A message as it is kept, whoever wrote it: its content may be a text where the models have a list. */
export type TranscriptMessage = With<Message, { content?: string | Part[] }>;

/** A row of `sessions.list`: fields of the session's entry, which is open, and what is made of its transcript. */
export type SessionRow = {
  key: string;
  updatedAt?: number | null;
  label?: string | null;
  displayName?: string;
  derivedTitle?: string;
  lastMessagePreview?: string;
};

/** When a job runs, as clients of protocol 4 write and read it. Both protocols share the schemas, so these are open. */
export type Schedule =
  | { kind: 'at'; at: string }
  | { kind: 'every'; everyMs: number }
  | { kind: 'cron'; expr: string; tz?: string };

export interface JobFields {
  name: string;
  enabled: boolean;
  schedule: Schedule;
  sessionTarget: string;
  wakeMode: WakeMode;
  payload: { kind: 'systemEvent'; text: string } | { kind: 'agentTurn'; message: string };
}

export interface Job extends JobFields {
  id: string;
  state?: { nextRunAtMs?: number; lastRunAtMs?: number; lastStatus?: RunStatus; lastError?: string };
}

export interface JobRun {
  ts: number;
  runId?: string;
  status?: RunStatus;
  error?: string;
  summary?: string;
  durationMs?: number;
}

/** What `system.describe` tells of a method: its row in the manifest, anybody's perhaps. */
export interface Description {
  description?: string;
  params?: Schema;
  result?: unknown;
}
