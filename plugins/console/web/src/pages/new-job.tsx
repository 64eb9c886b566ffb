/** A new job, as most are: at a time, every so often, or by a cron expression. */
import { useState } from 'preact/hooks';
import { gateway } from '../app';
import type { JobFields, Schedule } from '../gateway/more';
import { Field, Outcome, Section } from '../ui/bits';
import { useAction } from '../ui/ask';

type Kind = Schedule['kind'];

export function NewJob({ again }: { again(): void }) {
  const action = useAction();
  const [name, setName] = useState('');
  const [kind, setKind] = useState<Kind>('every');
  const [minutes, setMinutes] = useState('60');
  const [at, setAt] = useState('');
  const [expression, setExpression] = useState('0 7 * * 1-5');
  const [target, setTarget] = useState('isolated');
  const [text, setText] = useState('');
  const add = (event: Event) => {
    event.preventDefault();
    void action.run(async () => {
      const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
      const schedules: { [kind in Kind]: () => Schedule } = {
        every: () => ({ kind: 'every', everyMs: Math.round(Number(minutes) * 60_000) }),
        at: () => ({ kind: 'at', at: new Date(at).toISOString() }),
        cron: () => ({ kind: 'cron', expr: expression, tz: zone }),
      };
      const payload: JobFields['payload'] =
        target === 'main' ? { kind: 'systemEvent', text } : { kind: 'agentTurn', message: text };
      await gateway.call('cron.add', {
        name,
        enabled: true,
        schedule: schedules[kind](),
        sessionTarget: target,
        wakeMode: 'now',
        payload,
      });
      again();
      [setName, setText].forEach((set) => set(''));
      return `${name} was added.`;
    });
  };
  return (
    <Section title="A new job">
      <form onSubmit={add}>
        <Field label="Name">
          {(id) => <input id={id} required value={name} onInput={(event) => setName(event.currentTarget.value)} />}
        </Field>
        <Field label="When">
          {(id) => (
            <select id={id} value={kind} onChange={(event) => setKind(event.currentTarget.value as Kind)}>
              <option value="every">every so often</option>
              <option value="at">once, at a time</option>
              <option value="cron">by a cron expression</option>
            </select>
          )}
        </Field>
        {kind === 'every' && (
          <Field label="Minutes between two runs">
            {(id) => (
              <input
                id={id}
                type="number"
                min="0.1"
                step="any"
                required
                value={minutes}
                onInput={(event) => setMinutes(event.currentTarget.value)}
              />
            )}
          </Field>
        )}
        {kind === 'at' && (
          <Field label="At">
            {(id) => (
              <input
                id={id}
                type="datetime-local"
                required
                value={at}
                onInput={(event) => setAt(event.currentTarget.value)}
              />
            )}
          </Field>
        )}
        {kind === 'cron' && (
          <Field label="Expression, in this browser's time zone">
            {(id) => (
              <input
                id={id}
                class="mono"
                required
                value={expression}
                onInput={(event) => setExpression(event.currentTarget.value)}
              />
            )}
          </Field>
        )}
        <Field label="What happens">
          {(id) => (
            <select id={id} value={target} onChange={(event) => setTarget(event.currentTarget.value)}>
              <option value="isolated">an agent runs in a session of its own</option>
              <option value="main">a text is left for the main session</option>
            </select>
          )}
        </Field>
        <Field label="Text">
          {(id) => (
            <textarea id={id} rows={3} required value={text} onInput={(event) => setText(event.currentTarget.value)} />
          )}
        </Field>
        <button type="submit" class="primary" disabled={action.busy}>
          Add the job
        </button>
      </form>
      <Outcome of={action} />
    </Section>
  );
}
