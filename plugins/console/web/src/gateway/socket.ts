/** One connection: the challenge, `connect`, then requests and events until it ends. It comes back no more. */
import type { ConnectChallengeEvent, ConnectParams, HelloOk } from 'schemas/models/clawhost';
import { Disconnected, GatewayError, type Frame } from './types';

/** How a connection ended. */
export interface End {
  code: number;
  reason: string;
}

/** What whoever opened it hears of it. */
export interface Ear {
  event(name: string, payload: unknown): void;
  /** So many events were lost on the way. */
  gap(lost: number): void;
}

type Prove = (challenge: ConnectChallengeEvent) => Promise<ConnectParams>;

interface Waiting {
  resolve(payload: unknown): void;
  reject(error: unknown): void;
  /** Hears of answers before the last one, and with it waits for that. */
  interim: ((payload: unknown) => void) | undefined;
}

/** How long the gateway has to greet, in milliseconds. */
const GREETING = 15_000;
const TICK_TIMEOUT = 4000;

export class Socket {
  /** Resolved when it has ended, for whatever reason. */
  readonly ended: Promise<End>;
  private readonly waiting = new Map<string, Waiting>();
  private lastFrame = Date.now();
  private lastSeq = 0;
  private nextId = 1;
  private watch: ReturnType<typeof setInterval> | undefined;

  private constructor(
    private readonly socket: WebSocket,
    private readonly ear: Ear,
  ) {
    this.ended = new Promise((resolve) => {
      socket.addEventListener('close', ({ code, reason }) => {
        clearInterval(this.watch);
        for (const { reject } of this.waiting.values()) reject(new Disconnected());
        this.waiting.clear();
        resolve({ code, reason });
      });
    });
  }

  /** Connects. `prove` makes the parameters of `connect` for the gateway's challenge. */
  static async open(url: string, prove: Prove, ear: Ear): Promise<[Socket, HelloOk]> {
    const socket = new WebSocket(url);
    const opened = new Socket(socket, ear);
    const timer = setTimeout(() => socket.close(TICK_TIMEOUT, 'no greeting'), GREETING);
    try {
      const challenge = await opened.challenge();
      const hello = (await opened.call('connect', await prove(challenge))) as HelloOk;
      opened.watchTicks(hello.policy.tickIntervalMs || 30_000);
      return [opened, hello];
    } catch (error) {
      socket.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Asks, and gives back the answer. With `interim` the last of several answers counts, and it hears of the others. */
  call(method: string, params: unknown, interim?: (payload: unknown) => void): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.socket.readyState !== WebSocket.OPEN) {
        reject(new Disconnected());
        return;
      }
      const id = String(this.nextId++);
      this.waiting.set(id, { resolve, reject, interim });
      this.socket.send(JSON.stringify({ type: 'req', id, method, params }));
    });
  }

  close(): void {
    this.socket.close(1000);
  }

  /** The gateway speaks first. From then on frames are heard. */
  private challenge(): Promise<ConnectChallengeEvent> {
    return new Promise((resolve, reject) => {
      this.socket.addEventListener('close', () => reject(new Disconnected()));
      this.socket.addEventListener('message', ({ data }) => {
        this.lastFrame = Date.now();
        const frame = parsed(data);
        if (frame?.type === 'event' && frame.event === 'connect.challenge') {
          resolve(frame.payload as ConnectChallengeEvent);
        } else if (frame) this.hear(frame);
      });
    });
  }

  private hear(frame: Frame): void {
    if (frame.type === 'res') {
      this.answer(frame);
      return;
    }
    if (typeof frame.seq === 'number') {
      const lost = frame.seq - this.lastSeq - 1;
      this.lastSeq = frame.seq;
      if (lost > 0) this.ear.gap(lost);
    }
    this.ear.event(frame.event, frame.payload);
  }

  private answer(frame: Frame & { type: 'res' }): void {
    const waiting = this.waiting.get(frame.id);
    if (!waiting) return;
    if (waiting.interim && frame.ok && isInterim(frame.payload)) {
      waiting.interim(frame.payload);
      return;
    }
    this.waiting.delete(frame.id);
    if (frame.ok) waiting.resolve(frame.payload);
    else waiting.reject(new GatewayError(frame.error ?? { code: 'UNAVAILABLE', message: 'no reason was given' }));
  }

  /**
   * A connection on which nothing comes any more is dead, whatever the browser believes. Ticks are rarer than large
   * answers on a slow line are long, so whoever waits for an answer has more patience.
   */
  private watchTicks(interval: number): void {
    this.watch = setInterval(
      () => {
        const patience = interval * (this.waiting.size > 0 ? 4 : 2);
        if (Date.now() - this.lastFrame > patience) this.socket.close(TICK_TIMEOUT, 'tick timeout');
      },
      Math.max(interval / 4, 250),
    );
  }
}

function isInterim(payload: unknown): boolean {
  return payload !== null && typeof payload === 'object' && 'status' in payload && payload.status === 'accepted';
}

function parsed(data: unknown): Frame | undefined {
  if (typeof data !== 'string') return undefined;
  try {
    return JSON.parse(data) as Frame;
  } catch {
    return undefined;
  }
}
