/** Events as they come, with filters. Those of this page's whole life are kept, up to a number. */
import { signal } from '@preact/signals';
import { useState } from 'preact/hooks';
import { gateway } from '../../app';
import { Empty, Field, Section } from '../../ui/bits';
import { clock, pretty } from '../../ui/words';

interface Heard {
  at: number;
  number: number;
  name: string;
  payload: unknown;
}

const KEPT = 500;
const SHOWN = 100;
/** Not events of the gateway, but what this page tells itself. */
const OWN = new Set(['open', 'gap']);

const heard = signal<Heard[]>([]);
let number = 0;

gateway.on('*', (payload, name) => {
  if (name === 'tick') return;
  const text = OWN.has(name) ? (name === 'gap' ? '(events lost)' : '(connected)') : name;
  const shown = name === 'open' ? null : payload;
  heard.value = [{ at: Date.now(), number: ++number, name: text, payload: shown }, ...heard.value].slice(0, KEPT);
});

export function Events() {
  const [name, setName] = useState('');
  const [words, setWords] = useState('');
  const [held, setHeld] = useState<Heard[]>();
  const all = held ?? heard.value;
  const names = [...new Set(all.map((one) => one.name))].sort();
  const fits = (one: Heard) =>
    (name === '' || one.name === name) &&
    (words === '' ||
      JSON.stringify(one.payload ?? '')
        .toLowerCase()
        .includes(words.toLowerCase()));
  const shown = all.filter(fits).slice(0, SHOWN);
  return (
    <Section
      title="Events"
      actions={
        <button type="button" aria-pressed={held !== undefined} onClick={() => setHeld(held ? undefined : heard.value)}>
          {held ? 'Go on' : 'Hold'}
        </button>
      }
    >
      <div class="row">
        <Field label="Event">
          {(id) => (
            <select id={id} value={name} onChange={(event) => setName(event.currentTarget.value)}>
              <option value="">all</option>
              {names.map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          )}
        </Field>
        <Field label="With these words in it">
          {(id) => <input id={id} value={words} onInput={(event) => setWords(event.currentTarget.value)} />}
        </Field>
      </div>
      {shown.length === 0 && <Empty>None came yet. Ticks are not shown.</Empty>}
      <ul class="events">
        {shown.map((one) => (
          <li key={one.number}>
            <details>
              <summary>
                <time dateTime={new Date(one.at).toISOString()}>{clock(one.at)}</time> <strong>{one.name}</strong>{' '}
                <span class="quiet">{JSON.stringify(one.payload ?? '').slice(0, 160)}</span>
              </summary>
              <pre class="code" tabIndex={0} role="region" aria-label={`Payload of ${one.name}`}>
                {pretty(one.payload)}
              </pre>
            </details>
          </li>
        ))}
      </ul>
    </Section>
  );
}
