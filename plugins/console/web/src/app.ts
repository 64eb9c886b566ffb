/** What all pages share: the connection, and what may be done by it. */
import { computed, signal } from '@preact/signals';
import type { EventRow, MethodRow } from 'schemas/models/clawhost';
import { Gateway } from './gateway/gateway';
import type { Method } from './gateway/names';

/** The gateway that serves this page, through whatever brought the page here. */
export const gateway = new Gateway(new URL('.', location.href).href.replace(/^http/, 'ws'));

export const isOpen = computed(() => gateway.state.value.name === 'open');
export const hello = computed(() => gateway.hello.value);
export const scopes = computed(() => hello.value?.auth?.scopes ?? []);

/** What the gateway serves now, with who may use it: `system.methods`. Empty where that is not served or allowed. */
export const methods = signal<MethodRow[]>([]);
export const events = signal<EventRow[]>([]);
/** Whether the above has been asked for. */
export const isListed = signal(false);

const names = computed(() => {
  const listed = methods.value.map((row) => row.name);
  return new Set(listed.length > 0 ? listed : (hello.value?.features.methods ?? []));
});
const rows = computed(() => new Map(methods.value.map((row) => [row.name, row])));

/** Whether the gateway serves a method. */
export function serves(method: string): boolean {
  return names.value.has(method);
}

/** Whether this client may call a method. What it may not is not offered. */
export function may(method: Method): boolean {
  return mayAny(method);
}

/** The same of a method that is known by its name alone. */
export function mayAny(method: string): boolean {
  if (!isListed.value || !serves(method)) return false;
  const row = rows.value.get(method);
  return !row || allows(row);
}

/** Whether a row of `system.methods` is for this client. */
export function allows(row: Pick<MethodRow, 'role' | 'scopes'>): boolean {
  const roles = Array.isArray(row.role) ? row.role : [row.role];
  if (!roles.includes('operator')) return false;
  return row.scopes.length === 0 || row.scopes.some(holds);
}

/** Whether a scope is held, by itself or by one that covers it. */
export function holds(scope: string): boolean {
  const held = scopes.value;
  if (held.includes('operator.admin') || held.includes(scope)) return true;
  return held.includes('operator.write') && (scope === 'operator.read' || scope === 'operator.talk');
}

async function list(): Promise<void> {
  try {
    const listing = await gateway.call('system.methods', {});
    [methods.value, events.value] = [listing.methods, listing.events];
  } catch {
    // Names are enough: what is not allowed says so when it is asked.
    [methods.value, events.value] = [[], []];
  }
  isListed.value = true;
}

// What was listed before the connection was lost holds until it is listed anew, so that nothing on the page goes away for
// a moment.
gateway.on('open', () => void list());
// Plugins come and go while the page is open.
gateway.on('plugins.changed', () => void list());
