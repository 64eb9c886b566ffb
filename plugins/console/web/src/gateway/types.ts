/** Shapes of the wire that belong to no method and no event, and what goes wrong on it. */
import type { ErrorShape } from 'schemas/models/clawhost';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A JSON object whose fields are looked at one by one. */
export type Fields = { [key: string]: unknown };

/** What the gateway sends, as far as it is read here: the models have what is in frames, and not the frames. */
export type Frame =
  | { type: 'event'; event: string; payload?: unknown; seq?: number | null }
  | { type: 'res'; id: string; ok: boolean; payload?: unknown; error?: ErrorShape | null };

export function isFields(value: unknown): value is Fields {
  return value !== null && typeof value === 'object';
}

/** The fields of a value; anything but an object has none. */
export function fieldsOf(value: unknown): Fields {
  return isFields(value) ? value : {};
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
    this.details = fieldsOf(shape.details);
    this.retryAfterMs = shape.retryAfterMs ?? undefined;
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
