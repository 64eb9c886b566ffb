/** The conversations there are. */
import { useState } from 'preact/hooks';
import { gateway, hello, may } from '../../app';
import type { SessionRow } from '../../gateway/more';
import { Problem, Twice } from '../../ui/bits';
import { useAction, useAnswer } from '../../ui/ask';
import { ago } from '../../ui/words';
import { choose, load, same, session } from './model';

const LIST = { limit: 200, includeDerivedTitles: true, includeLastMessage: true };

export function Sessions() {
  const { data, error } = useAnswer('sessions.list', LIST, { on: ['sessions.changed', 'open'] });
  const [isOpen, setOpen] = useState(false);
  const rows = [...(data?.sessions ?? [])].sort((a, b) => (b.updatedAt ?? 0) - (a.updatedAt ?? 0));
  const current = rows.find((row) => same(row.key, session.value));
  const pick = (key: string) => {
    choose(key);
    setOpen(false);
  };
  return (
    <aside class="sessions" aria-label="Conversations">
      <div class="sessions-head">
        <button
          type="button"
          class="menu"
          aria-expanded={isOpen}
          aria-controls="sessions"
          onClick={() => setOpen(!isOpen)}
        >
          {current ? title(current) : name(session.value)} <span aria-hidden="true">▾</span>
        </button>
        <button type="button" onClick={() => pick(fresh())}>
          New conversation
        </button>
      </div>
      <Problem>{error}</Problem>
      <ul id="sessions" class={isOpen ? 'is-open' : ''}>
        {!current && (
          <li>
            <button type="button" aria-current="true">
              <span>{name(session.value)}</span>
            </button>
          </li>
        )}
        {rows.map((row) => (
          <li key={row.key}>
            <button type="button" aria-current={row === current ? 'true' : undefined} onClick={() => pick(row.key)}>
              <span class="session-title">{title(row)}</span>
              <span class="quiet">{ago(row.updatedAt)}</span>
              {row.lastMessagePreview && <span class="session-last">{row.lastMessagePreview}</span>}
            </button>
          </li>
        ))}
      </ul>
      {current && <Manage row={current} />}
    </aside>
  );
}

function Manage({ row }: { row: SessionRow }) {
  const action = useAction();
  const call = (method: 'sessions.reset' | 'sessions.delete', done: string) =>
    action.run(async () => {
      await gateway.call(method, { key: row.key });
      await load();
      return done;
    });
  const [reset, remove] = [may('sessions.reset'), may('sessions.delete') && !isMain(row.key)];
  if (!reset && !remove) return null;
  return (
    <div class="session-actions">
      {reset && (
        <Twice label="Begin anew" sure="Yes, begin anew" run={() => void call('sessions.reset', 'It begins anew.')} />
      )}
      {remove && (
        <Twice
          label="Delete"
          sure="Yes, delete it"
          run={() => void call('sessions.delete', '').then(() => choose(mainKey()))}
        />
      )}
      <Problem>{action.error}</Problem>
    </div>
  );
}

function title(row: SessionRow): string {
  if (row.label) return row.label;
  if (isMain(row.key)) return 'Main';
  return row.derivedTitle || row.displayName || name(row.key);
}

/** A key without the agent before it. */
function name(key: string): string {
  return isMain(key) ? 'Main' : key.replace(/^agent:[^:]*:/, '');
}

function isMain(key: string): boolean {
  return same(key, mainKey());
}

function mainKey(): string {
  return hello.value?.snapshot.sessionDefaults?.mainSessionKey ?? 'main';
}

function fresh(): string {
  const agent = hello.value?.snapshot.sessionDefaults?.defaultAgentId ?? 'main';
  return `agent:${agent}:page-${crypto.randomUUID().slice(0, 8)}`;
}
