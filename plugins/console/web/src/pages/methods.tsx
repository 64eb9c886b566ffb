/** Each method: what it does, who may call it, its schemas, and a form to try it. */
import { useState } from 'preact/hooks';
import type { MethodRow } from 'schemas/models/clawhost';
import { allows, events, gateway, mayAny, methods } from '../app';
import { SchemaForm } from '../form/form';
import type { Schema } from '../form/schema';
import { Badge, Code, Empty, Facts, Field, Outcome, Problem, Section } from '../ui/bits';
import { useAction, useAnswer } from '../ui/ask';
import { href, place } from '../ui/router';
import { Text } from '../ui/text';
import { scopeName } from '../ui/words';

export function Methods() {
  const [words, setWords] = useState('');
  const name = place.value.rest;
  const fits = (row: Pick<MethodRow, 'name' | 'summary' | 'plugin'>) =>
    `${row.name} ${row.plugin} ${row.summary}`.toLowerCase().includes(words.toLowerCase());
  const found = methods.value.filter(fits);
  return (
    <div class="split">
      <Section title="All methods" actions={<span class="quiet">{found.length}</span>}>
        <Field label="Search">
          {(id) => (
            <input id={id} type="search" value={words} onInput={(event) => setWords(event.currentTarget.value)} />
          )}
        </Field>
        <ul class="picks">
          {found.map((row) => (
            <li key={row.name}>
              <a href={href('methods', row.name)} aria-current={row.name === name ? 'true' : undefined}>
                <code>{row.name}</code> {!allows(row) && <Badge>not for you</Badge>}
                <span class="quiet">{row.summary}</span>
              </a>
            </li>
          ))}
        </ul>
        {events.value.length > 0 && (
          <details>
            <summary>{events.value.length} events</summary>
            <ul class="plain">
              {events.value.filter(fits).map((row) => (
                <li key={row.name}>
                  <code>{row.name}</code> <span class="quiet">{row.summary}</span>
                </li>
              ))}
            </ul>
          </details>
        )}
      </Section>
      {name === '' ? <Empty>Choose a method to read about it and to try it.</Empty> : <One key={name} name={name} />}
    </div>
  );
}

function One({ name }: { name: string }) {
  const row = methods.value.find((one) => one.name === name);
  const { data, error } = useAnswer('system.describe', { name, kind: 'method' }, { on: ['plugins.changed'] });
  if (!row) return <Empty>{name} is not served, or not any more.</Empty>;
  return (
    <Section title={name} actions={<span class="quiet">of {row.plugin}</span>}>
      <Problem>{error}</Problem>
      <Text text={row.summary} />
      {data?.description && <Text text={data.description} />}
      <Facts
        of={[
          ['For', audience(row)],
          ['Effects', row.effects ? 'yes' : 'none'],
          ['Idempotency', row.idempotency],
          ['Answers', row.replies === 'interim' ? 'several' : 'one'],
        ]}
      />
      {allows(row) && data && mayAny(name) && <Try row={row} params={data.params} />}
      {!allows(row) && <p class="quiet">Your rights do not reach that far, so it cannot be tried from here.</p>}
      {data?.params && (
        <details>
          <summary>Schema of the parameters</summary>
          <Code of={data.params} label="Schema of the parameters" />
        </details>
      )}
      {data?.result !== undefined && (
        <details>
          <summary>Schema of the result</summary>
          <Code of={data.result} label="Schema of the result" />
        </details>
      )}
    </Section>
  );
}

function Try({ row, params }: { row: MethodRow; params: Schema | undefined }) {
  const action = useAction();
  const [answers, setAnswers] = useState<unknown[]>([]);
  const call = (value: unknown) =>
    action.run(async () => {
      setAnswers([]);
      const since = performance.now();
      const told = (payload: unknown) => setAnswers((before) => [...before, payload]);
      const several = row.replies === 'interim' ? told : undefined;
      told(await gateway.callAny(row.name, value ?? {}, several));
      return `Answered in ${(performance.now() - since).toFixed(1)} ms.`;
    });
  return (
    <>
      <h3>Try it</h3>
      <SchemaForm
        schema={params ?? { type: 'object' }}
        submit={`Call ${row.name}`}
        busy={action.busy}
        onSubmit={(value) => void call(value)}
      />
      <Outcome of={action} />
      {answers.map((answer, at) => (
        <Code key={at} of={answer} label={answers.length > 1 ? `Answer ${at + 1}` : 'Answer'} />
      ))}
    </>
  );
}

function audience({ role, scopes }: MethodRow): string {
  const roles = (Array.isArray(role) ? role : [role]).join(' and ');
  return scopes.length === 0 ? roles : `${roles} with ${scopes.map(scopeName).join(' or ')}`;
}
