/** Shapes of the wire that this page reads, as far as it reads them. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A JSON object whose fields are looked at one by one. */
export type Fields = { [key: string]: unknown };

export interface ErrorShape {
  code: string;
  message: string;
  details?: Fields;
  retryable?: boolean;
  retryAfterMs?: number;
}

export type Frame =
  | { type: 'event'; event: string; payload?: unknown; seq?: number; stateVersion?: unknown }
  | { type: 'res'; id: string; ok: boolean; payload?: unknown; error?: ErrorShape };

export interface PresenceEntry {
  host?: string;
  ip?: string;
  version?: string;
  platform?: string;
  deviceFamily?: string;
  mode?: string;
  reason?: string;
  text?: string;
  ts: number;
  deviceId?: string;
  instanceId?: string;
  roles?: string[];
  scopes?: string[];
  lastInputSeconds?: number;
}

export interface SessionDefaults {
  defaultAgentId: string;
  mainKey: string;
  mainSessionKey: string;
}

export interface Hello {
  protocol: number;
  server: { version: string; connId: string };
  features: { methods: string[]; events: string[] };
  snapshot: {
    presence: PresenceEntry[];
    health: Fields;
    uptimeMs: number;
    sessionDefaults?: SessionDefaults;
    configPath?: string;
    stateDir?: string;
  };
  pluginSurfaceUrls?: { [name: string]: string };
  auth: { role: string; scopes: string[]; deviceToken?: string };
  policy: { maxPayload: number; maxBufferedBytes: number; tickIntervalMs: number };
}

export type Role = string | string[];

/** A row of `system.methods`. */
export interface MethodRow {
  name: string;
  plugin: string;
  summary: string;
  role: Role;
  scopes: string[];
  effects: boolean;
  idempotency: 'none' | 'replay' | 'plugin';
  replies: 'single' | 'interim';
}

export interface EventRow {
  name: string;
  plugin: string;
  summary: string;
  role: Role;
  scopes: string[];
}

/** An error that the gateway answered a request with. */
export class GatewayError extends Error {
  readonly code: string;
  readonly details: Fields;
  readonly retryAfterMs: number | undefined;

  constructor(shape: ErrorShape) {
    super(shape.message);
    this.name = 'GatewayError';
    this.code = shape.code;
    this.details = shape.details ?? {};
    this.retryAfterMs = shape.retryAfterMs;
  }

  /** The finer code, by which clients tell errors of one kind apart. */
  get detail(): string {
    return typeof this.details.code === 'string' ? this.details.code : '';
  }
}

/** The connection went before the answer came: nobody here knows what became of the request. */
export class Disconnected extends Error {
  constructor() {
    super('the connection ended before the answer came');
    this.name = 'Disconnected';
  }
}

/** A sentence for people about whatever was thrown. */
export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
