/** The conversation that is shown: what was said, what is being said, and what is on its way out. */
import { computed, signal } from '@preact/signals';
import type { ChatEvent } from 'schemas/models/clawhost';
import { gateway, hello, isOpen, may } from '../../app';
import type { TranscriptMessage } from '../../gateway/more';
import { Disconnected, sentence } from '../../gateway/types';

/** A picture on its way; what may be attached is open in the models. */
export interface Attachment {
  fileName: string;
  mimeType: string;
  /** In base64. */
  content: string;
}

/** What this page sent and the history does not show yet. Its key is the run's id. */
export interface Outgoing {
  key: string;
  session: string;
  text: string;
  attachments: Attachment[];
  state: 'sending' | 'sent' | 'answered' | 'unsure' | 'failed';
  error?: string;
}

/** An answer as it was heard. */
export interface Run {
  id: string;
  text: string;
  /** Whether it has ended: then it is shown until the history has it. */
  isWhole: boolean;
}

const LIMIT = 100;

/** The session that was chosen; until then the main one. */
export const chosen = signal<string | undefined>(undefined);
export const session = computed(() => chosen.value ?? hello.value?.snapshot.sessionDefaults?.mainSessionKey ?? 'main');
export const history = signal<TranscriptMessage[]>([]);
export const hasMore = signal(false);
export const outgoing = signal<Outgoing[]>([]);
/** Runs of this session whose answers grow, or are not read in the history yet. */
export const runs = signal<Run[]>([]);
/** What is about to be said: it stays while one looks at another page. */
export const draft = signal('');
/** What went wrong last, until something else is said. */
export const trouble = signal<string | undefined>(undefined);
/** Why the history could not be read the last time. */
export const unread = signal<string | undefined>(undefined);
/** What ended last, for those who listen. */
export const spoken = signal('');

let limit = LIMIT;
let turn = 0;

export async function load(): Promise<void> {
  if (!isOpen.value || !may('chat.history')) return;
  const mine = ++turn;
  const key = session.value;
  // What ends while the answer is on its way may be missing in it.
  const ended = new Set([
    ...runs.value.filter(({ isWhole }) => isWhole).map(({ id }) => id),
    ...outgoing.value.filter(({ state }) => state === 'answered').map((one) => one.key),
  ]);
  try {
    const page = await gateway.call('chat.history', { sessionKey: key, limit });
    if (mine !== turn) return;
    history.value = page.messages ?? [];
    hasMore.value = page.hasMore === true;
    unread.value = undefined;
    const known = new Set([...ended, ...history.value.map((message) => message.runId)]);
    runs.value = runs.value.filter(({ id }) => !ended.has(id));
    outgoing.value = outgoing.value.filter((one) => !(same(one.session, key) && known.has(one.key)));
  } catch (error) {
    if (mine === turn && !(error instanceof Disconnected)) unread.value = sentence(error);
  }
}

export function loadMore(): void {
  limit = Math.min(limit * 3, 1000);
  void load();
}

export function choose(key: string): void {
  chosen.value = key;
  limit = LIMIT;
  history.value = [];
  runs.value = [];
  trouble.value = undefined;
  unread.value = undefined;
  void load();
}

export async function send(text: string, attachments: Attachment[]): Promise<void> {
  trouble.value = undefined;
  const key = crypto.randomUUID();
  outgoing.value = [...outgoing.value, { key, session: session.value, text, attachments, state: 'sending' }];
  await deliver(key);
}

/** Sends it, or sends it again: by its key the gateway knows whether it has it already. */
export async function deliver(key: string): Promise<void> {
  const one = outgoing.value.find((other) => other.key === key);
  if (!one) return;
  change(key, { state: 'sending', error: undefined });
  const { session: sessionKey, text: message, attachments } = one;
  try {
    const params = { sessionKey, message, idempotencyKey: key, ...(attachments.length > 0 && { attachments }) };
    const answer = await gateway.call('chat.send', params);
    if (answer.status === 'started' || answer.status === 'in_flight') {
      settle(key, { state: 'sent' });
      return;
    }
    // It stopped something, or was answered at once.
    drop(key);
    await load();
  } catch (error) {
    const state = error instanceof Disconnected ? 'unsure' : 'failed';
    settle(key, { state, error: sentence(error) });
  }
}

export function drop(key: string): void {
  outgoing.value = outgoing.value.filter((one) => one.key !== key);
}

export async function abort(): Promise<void> {
  try {
    await gateway.call('chat.abort', { sessionKey: session.value });
  } catch (error) {
    trouble.value = sentence(error);
  }
}

/** What the sending came to, unless its answer was heard before. */
function settle(key: string, to: Partial<Outgoing>): void {
  if (outgoing.value.some((one) => one.key === key && one.state === 'sending')) change(key, to);
}

function change(key: string, to: Partial<Outgoing>): void {
  outgoing.value = outgoing.value.map((one) => (one.key === key ? { ...one, ...to } : one));
}

/** Whether two keys mean one session: whoever began a run may have spelled it in short. */
export function same(one: string, other: string): boolean {
  return canonical(one) === canonical(other);
}

function canonical(key: string): string {
  const defaults = hello.value?.snapshot.sessionDefaults;
  if (key === 'main' || key === defaults?.mainKey) return defaults?.mainSessionKey ?? key;
  return key.startsWith('agent:') ? key : `agent:${defaults?.defaultAgentId ?? 'main'}:${key}`;
}

export function textOf(message: TranscriptMessage | null | undefined): string {
  const content = message?.content;
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => (part.type === 'text' ? part.text : '')).join('');
}

function hear(event: ChatEvent): void {
  if (!same(event.sessionKey, session.value)) return;
  const run = runs.value.find(({ id }) => id === event.runId);
  const others = runs.value.filter(({ id }) => id !== event.runId);
  if (event.state === 'delta') {
    const whole = event.message ? textOf(event.message) : undefined;
    const text = whole ?? (event.replace ? '' : (run?.text ?? '')) + (event.deltaText ?? '');
    runs.value = [...others, { id: event.runId, text, isWhole: false }];
    return;
  }
  if (event.state === 'error') trouble.value = event.errorMessage ?? 'The agent failed.';
  if (event.state === 'aborted') trouble.value = 'Stopped.';
  const text = textOf(event.message) || run?.text || '';
  spoken.value = text;
  // Shown as it came until the history was read, which may fail.
  runs.value = text === '' ? others : [...others, { id: event.runId, text, isWhole: true }];
  change(event.runId, { state: 'answered' });
  void load();
}

/** Forgets what grows: whatever still goes on says its whole text again. */
function forgetGrowing(): void {
  runs.value = runs.value.filter(({ isWhole }) => isWhole);
}

gateway.on('chat', hear);
// The end of a run may be among what was lost: what has ended is in the history.
gateway.on('gap', () => {
  forgetGrowing();
  void load();
});
// What may not have arrived is sent again: by its key it counts once.
gateway.on('open', () => {
  forgetGrowing();
  for (const one of outgoing.value.filter(({ state }) => state === 'unsure')) void deliver(one.key);
});
