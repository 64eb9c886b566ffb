/**
 * The page's side of the protocol: one connection that is kept open, by whatever lets it in, and comes back when it is
 * lost. Everything on the page that asks or hears something does so here.
 */
import { signal } from '@preact/signals';
import type { ConnectChallengeEvent, HelloOk } from 'schemas/models/clawhost';
import { identity } from './identity';
import { bootstrapToken } from './link';
import type { EventName, Heard, Method, Params, Result } from './names';
import { WANTED, connectParams, type Credentials } from './proof';
import { Socket, type End } from './socket';
import * as store from './store';
import { Disconnected, GatewayError, sentence } from './types';

/** How the connection is doing. */
export type State =
  | { name: 'connecting'; again: boolean }
  | { name: 'open' }
  /** Somebody has to approve this browser. */
  | { name: 'pairing'; requestId: string; reason: string; deviceId: string; sentence: string }
  /** It was lost, and is tried again by itself. */
  | { name: 'waiting'; why: string; until: number }
  /** It needs something to be let in by. */
  | { name: 'signed-out'; why: string; detail: string };

/** What was kept of the last time. */
interface Kept {
  token: string;
  scopes: string[];
}

export interface Called {
  method: string;
  ms: number;
  ok: boolean;
}

type Hearer = (payload: unknown, event: string) => void;

const DEVICE = 'device';
const FIRST_PAUSE = 800;
const LONGEST_PAUSE = 15_000;
/** Milliseconds between two looks whether somebody has approved this browser. */
const KNOCK = 2_500;

export class Gateway {
  readonly state = signal<State>({ name: 'connecting', again: false });
  readonly hello = signal<HelloOk | undefined>(undefined);
  /** Events that were lost since the page was opened, and how often it came back. */
  readonly lost = signal(0);
  readonly reconnects = signal(0);

  private socket: Socket | undefined;
  private readonly hearers = new Map<string, Set<Hearer>>();
  private readonly callHearers = new Set<(called: Called) => void>();
  private secret: string | undefined;
  private code: string | undefined;
  private kept: Kept | undefined;
  /** Whether only the approval is asked for: what was wanted waits for it already, and asking again would ask anew. */
  private knocking: string | undefined;
  private scopesTried = 0;
  private failures = 0;
  private wake: () => void = () => {};

  constructor(private readonly url: string) {
    window.addEventListener('online', () => this.retry());
  }

  /** Keeps a connection open from here on. `code` is that of a one-time link. */
  async start(code: string | undefined): Promise<void> {
    this.code = code;
    this.kept = await store.read<Kept>(DEVICE).catch(() => undefined);
    for (;;) await this.pause(await this.once());
  }

  /** Comes in by what somebody typed: the gateway's token or password, a setup code, or a link. */
  signIn(typed: string): void {
    this.code = bootstrapToken(typed);
    this.secret = this.code === undefined ? typed.trim() : undefined;
    this.knocking = undefined;
    this.retry();
  }

  /** Forgets what lets this browser in. Its key stays, by which the gateway knows it again. */
  async signOut(): Promise<void> {
    this.secret = this.code = this.kept = this.knocking = undefined;
    await store.forget(DEVICE);
    this.socket?.close();
    this.retry();
  }

  /** Tries again now instead of later. */
  retry(): void {
    this.failures = 0;
    this.wake();
  }

  /** Calls a method that the models know. They are believed: nobody looks at the answer. */
  call<M extends Method>(method: M, params: Params<M>): Promise<Result<M>> {
    return this.callAny(method, params) as Promise<Result<M>>;
  }

  /**
   * Calls a method that is known by its name alone, somebody else's say. With `interim` it waits for the last answer and
   * tells of those before it.
   */
  async callAny(method: string, params: unknown, interim?: (payload: unknown) => void): Promise<unknown> {
    if (!this.socket || this.state.value.name !== 'open') throw new Disconnected();
    const since = performance.now();
    const told = (ok: boolean) => {
      const called = { method, ms: performance.now() - since, ok };
      for (const hear of this.callHearers) hear(called);
    };
    try {
      const answer = await this.socket.call(method, params, interim);
      told(true);
      return answer;
    } catch (error) {
      told(false);
      throw error;
    }
  }

  /** Hears an event; what comes with it is what the models say. */
  on<E extends EventName>(event: E, hear: (payload: Heard[E], event: string) => void): () => void {
    const set = this.hearers.get(event) ?? new Set();
    const hearer = hear as Hearer;
    this.hearers.set(event, set.add(hearer));
    return () => set.delete(hearer);
  }

  onCall(hear: (called: Called) => void): () => void {
    this.callHearers.add(hear);
    return () => this.callHearers.delete(hear);
  }

  /** One connection from its beginning to its end. Gives back how long to wait for the next one. */
  private async once(): Promise<number> {
    const [credentials, scopes] = this.plan();
    if (this.state.value.name !== 'pairing') {
      this.state.value = { name: 'connecting', again: this.hello.value !== undefined };
    }
    try {
      const own = await identity();
      const prove = (challenge: ConnectChallengeEvent) => connectParams(own, challenge, credentials, scopes);
      const ear = {
        event: (name: string, payload: unknown) => this.tell(name, payload),
        gap: (lost: number) => {
          this.lost.value += lost;
          this.tell('gap', lost);
        },
      };
      const [socket, hello] = await Socket.open(this.url, prove, ear);
      await this.keep(hello, scopes);
      if (this.knocking !== undefined) {
        // It is approved. With what, the next connection finds out.
        this.knocking = undefined;
        socket.close();
        return 0;
      }
      return this.lostTo(await this.live(socket, hello));
    } catch (error) {
      return error instanceof GatewayError ? await this.refused(error) : this.failed(sentence(error));
    }
  }

  private plan(): [Credentials, string[]] {
    const scopes = this.knocking === undefined ? WANTED : [];
    if (this.code !== undefined) return [{ bootstrapToken: this.code }, scopes];
    if (this.secret !== undefined) return [{ secret: this.secret }, scopes];
    if (this.kept) return [{ deviceToken: this.kept.token }, this.kept.scopes];
    return [{}, scopes];
  }

  private async live(socket: Socket, hello: HelloOk): Promise<End> {
    this.socket = socket;
    if (this.hello.value) this.reconnects.value += 1;
    this.hello.value = hello;
    this.failures = this.scopesTried = 0;
    this.state.value = { name: 'open' };
    this.tell('open', hello);
    const end = await socket.ended;
    this.socket = undefined;
    return end;
  }

  /** Remembers what the gateway handed over, so that next time it needs nothing else. */
  private async keep(hello: HelloOk, asked: string[]): Promise<void> {
    this.code = undefined;
    if (hello.auth?.deviceToken === undefined) return;
    const { deviceToken, scopes } = hello.auth;
    this.kept = { token: deviceToken, scopes: asked.length === 0 ? WANTED : scopes };
    this.secret = undefined;
    await store.write(DEVICE, this.kept).catch(() => undefined);
  }

  private lostTo({ code, reason }: End): number {
    if (this.state.value.name !== 'open') return 0;
    return this.failed(reason || (code === 1012 ? 'the gateway restarts' : 'the connection was lost'));
  }

  private failed(why: string): number {
    const pause = Math.min(FIRST_PAUSE * 1.7 ** this.failures, LONGEST_PAUSE) * (0.8 + 0.4 * Math.random());
    this.failures += 1;
    this.state.value = { name: 'waiting', why, until: Date.now() + pause };
    return pause;
  }

  /** What the gateway's refusal means for the next try. */
  private async refused(error: GatewayError): Promise<number> {
    const { details } = error;
    switch (error.detail) {
      case 'PAIRING_REQUIRED':
        return this.mustBeApproved(error);
      case 'AUTH_SCOPE_MISMATCH': {
        // It was approved for less than it asked for, or is not any more.
        const approved: unknown = details.approvedScopes;
        this.scopesTried += 1;
        if (!this.kept || this.scopesTried > 2) return this.signedOut(error);
        const isTold = this.scopesTried === 1 && Array.isArray(approved);
        const scopes = isTold ? WANTED.filter((scope) => approved.includes(scope)) : ['operator.read'];
        this.kept = { ...this.kept, scopes };
        return 0;
      }
      case 'AUTH_DEVICE_TOKEN_MISMATCH':
        this.kept = undefined;
        await store.forget(DEVICE).catch(() => undefined);
        return this.signedOut(error);
      case 'AUTH_BOOTSTRAP_TOKEN_INVALID':
        this.code = undefined;
        // A link that was used is no reason to be left outside.
        return this.kept ? 0 : this.signedOut(error);
      case 'AUTH_RATE_LIMITED':
      case 'PROTOCOL_MISMATCH':
        return this.signedOut(error);
    }
    if (error.detail.startsWith('AUTH_') || error.detail.includes('DEVICE_IDENTITY')) return this.signedOut(error);
    const pause = this.failed(error.message);
    return Math.max(pause, error.retryAfterMs ?? 0);
  }

  private mustBeApproved(error: GatewayError): number {
    const text = (name: string) => {
      const value = error.details[name];
      return typeof value === 'string' ? value : '';
    };
    const [requestId, reason] = [text('requestId'), text('reason')];
    if (this.knocking !== undefined && this.knocking !== requestId) {
      this.knocking = undefined;
      return this.signedOut(error, 'The request was refused, or nobody answered it in time.');
    }
    // Who is paired already and asks for more would be let in with less by asking for nothing.
    if (reason !== 'scope-upgrade') this.knocking = requestId;
    this.state.value = { name: 'pairing', requestId, reason, deviceId: text('deviceId'), sentence: error.message };
    return KNOCK;
  }

  private signedOut(error: GatewayError, why = error.message): number {
    this.secret = this.code = undefined;
    this.state.value = { name: 'signed-out', why, detail: error.detail };
    return Infinity;
  }

  private tell(event: string, payload: unknown): void {
    for (const name of [event, '*']) {
      for (const hear of this.hearers.get(name) ?? []) hear(payload, event);
    }
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === Infinity ? undefined : setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
