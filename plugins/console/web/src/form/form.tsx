/** A form made from a schema. Whatever it has no field for is written as JSON, and so can be all of it. */
import { useState } from 'preact/hooks';
import type { Json } from '../gateway/types';
import { Problem } from '../ui/bits';
import { pretty } from '../ui/words';
import { Value } from './fields';
import { initial, kindOf, resolved, type Schema } from './schema';

interface Props {
  schema: Schema;
  submit: string;
  busy: boolean;
  onSubmit(value: Json | undefined): void;
}

export function SchemaForm({ schema, submit, busy, onSubmit }: Props) {
  const shape = resolved(schema, schema);
  const hasFields = kindOf(shape) === 'object';
  const [value, setValue] = useState<Json | undefined>(() => initial(shape, schema) ?? {});
  const [text, setText] = useState<string | undefined>(hasFields ? undefined : '{}');
  const [problem, setProblem] = useState<string>();

  const send = (event: Event) => {
    event.preventDefault();
    if (text === undefined) {
      onSubmit(value);
      return;
    }
    try {
      onSubmit(text.trim() === '' ? {} : (JSON.parse(text) as Json));
      setProblem(undefined);
    } catch (error) {
      setProblem(`This is not JSON: ${(error as Error).message}`);
    }
  };
  const turn = () => {
    if (text === undefined) {
      setText(pretty(value));
      return;
    }
    try {
      setValue(JSON.parse(text) as Json);
      setText(undefined);
      setProblem(undefined);
    } catch (error) {
      setProblem(`This is not JSON: ${(error as Error).message}`);
    }
  };

  return (
    <form class="schema-form" onSubmit={send}>
      {text === undefined ? (
        <Value schema={shape} root={schema} value={value} onChange={setValue} name="" required />
      ) : (
        <label class="field">
          Parameters as JSON
          <textarea
            class="mono"
            rows={8}
            spellcheck={false}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
      )}
      <Problem>{problem}</Problem>
      <div class="row">
        <button type="submit" class="primary" disabled={busy}>
          {submit}
        </button>
        {hasFields && (
          <button type="button" onClick={turn}>
            {text === undefined ? 'Write JSON instead' : 'Use fields'}
          </button>
        )}
      </div>
    </form>
  );
}
