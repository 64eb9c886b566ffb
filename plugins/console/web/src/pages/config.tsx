/** The configuration as it is in force, with its secrets replaced, and what is wrong with the file. */
import { useState } from 'preact/hooks';
import { may } from '../app';
import type { Schema } from '../form/schema';
import { resolved } from '../form/schema';
import { Badge, Code, Empty, Facts, Field, Problem, Section, Table } from '../ui/bits';
import { useAnswer } from '../ui/ask';

export function Config() {
  const { data, error, again } = useAnswer('config.get', {}, { on: ['plugins.changed'], every: 30_000 });
  return (
    <>
      <Section
        title="The file"
        actions={
          <>
            {data && <Badge kind={data.valid ? 'good' : 'bad'}>{data.valid ? 'valid' : 'not valid'}</Badge>}
            <button type="button" onClick={again}>
              Check again
            </button>
          </>
        }
      >
        <Problem>{error}</Problem>
        {data && !data.exists && <Empty>There is none; every key has its default.</Empty>}
        {data?.exists && (
          <Facts
            of={[
              ['File', <code>{data.path}</code>],
              ['Hash', <code>{data.hash.slice(0, 16)}</code>],
            ]}
          />
        )}
        {data && data.issues.length > 0 && (
          <Table label="What is wrong" head={['Key', 'What is wrong']}>
            {data.issues.map((issue) => (
              <tr key={`${issue.path} ${issue.message}`}>
                <td>
                  <code>{issue.path}</code>
                </td>
                <td>{issue.message}</td>
              </tr>
            ))}
          </Table>
        )}
        {data?.raw && <Code of={data.raw} label="The file, secrets replaced" />}
      </Section>
      {data && <InForce config={data.config} />}
      {may('config.schema') && <Keys />}
    </>
  );
}

function InForce({ config }: { config: unknown }) {
  return (
    <Section title="What is in force">
      <details>
        <summary>With all defaults</summary>
        <Code of={config} label="The configuration in force" />
      </details>
    </Section>
  );
}

/** Every key there is, and what it is for. */
function Keys() {
  const { data, error } = useAnswer('config.schema', {}, { on: ['plugins.changed'] });
  const [words, setWords] = useState('');
  const keys = data && words.length > 1 ? listed(data.schema, data.schema, '', 0) : [];
  const found = keys
    .filter(([key, about]) => `${key} ${about}`.toLowerCase().includes(words.toLowerCase()))
    .slice(0, 100);
  return (
    <Section title="Look up a key">
      <Problem>{error}</Problem>
      <Field label="Words of its name or meaning">
        {(id) => <input id={id} type="search" value={words} onInput={(event) => setWords(event.currentTarget.value)} />}
      </Field>
      {words.length > 1 && found.length === 0 && <Empty>No such key.</Empty>}
      <dl class="keys">
        {found.map(([key, about]) => (
          <div key={key}>
            <dt>
              <code>{key}</code>
            </dt>
            <dd>{about}</dd>
          </div>
        ))}
      </dl>
    </Section>
  );
}

function listed(schema: Schema, root: Schema, before: string, depth: number): [string, string][] {
  if (depth > 8) return [];
  return Object.entries(resolved(schema, root).properties ?? {}).flatMap(([name, of]) => {
    const it = resolved(of, root);
    const key = before === '' ? name : `${before}.${name}`;
    return [[key, it.description ?? ''] as [string, string], ...listed(it, root, key, depth + 1)];
  });
}
