/** One field a value, by the kind of its schema. */
import { useId, useState } from 'preact/hooks';
import type { Json } from '../gateway/types';
import { pretty } from '../ui/words';
import { initial, kindOf, named, resolved, type Schema } from './schema';

interface Props {
  schema: Schema;
  root: Schema;
  name: string;
  /** `undefined` is absent. */
  value: Json | undefined;
  required: boolean;
  onChange(value: Json | undefined): void;
}

export function Value(props: Props) {
  const schema = resolved(props.schema, props.root);
  const kind = kindOf(schema);
  if (kind === 'object') return <Group {...props} schema={schema} />;
  if (kind === 'list') return <List {...props} schema={schema} />;
  return <Simple {...props} schema={schema} />;
}

function Simple({ schema, name, value, required, onChange }: Props) {
  const id = useId();
  const hint = useId();
  const common = { id, 'aria-describedby': schema.description ? hint : undefined };
  return (
    <div class="field">
      <label for={id}>
        {name || 'Value'} {required && <span class="quiet">(needed)</span>}
      </label>
      <Input common={common} schema={schema} value={value} required={required} onChange={onChange} />
      {schema.description && (
        <p class="hint" id={hint}>
          {schema.description}
        </p>
      )}
    </div>
  );
}

interface InputProps {
  common: { id: string; 'aria-describedby': string | undefined };
  schema: Schema;
  value: Json | undefined;
  required: boolean;
  onChange(value: Json | undefined): void;
}

function Input({ common, schema, value, required, onChange }: InputProps) {
  switch (kindOf(schema)) {
    case 'choice': {
      const values = named(schema);
      const at = values.findIndex((one) => one === value);
      return (
        <select
          {...common}
          value={String(at)}
          onChange={(event) => onChange(values[Number(event.currentTarget.value)])}
        >
          {!required && <option value="-1">not said</option>}
          {values.map((one, index) => (
            <option key={index} value={String(index)}>
              {String(one)}
            </option>
          ))}
        </select>
      );
    }
    case 'boolean': {
      const said: { [word: string]: boolean | undefined } = { yes: true, no: false };
      const word = value === undefined ? '' : value ? 'yes' : 'no';
      return (
        <select {...common} value={word} onChange={(event) => onChange(said[event.currentTarget.value])}>
          {!required && <option value="">not said</option>}
          <option>yes</option>
          <option>no</option>
        </select>
      );
    }
    case 'integer':
    case 'number':
      return (
        <input
          {...common}
          type="number"
          step={kindOf(schema) === 'integer' ? 1 : 'any'}
          min={schema.minimum}
          max={schema.maximum}
          required={required}
          value={typeof value === 'number' ? value : ''}
          onInput={(event) =>
            onChange(event.currentTarget.value === '' ? undefined : Number(event.currentTarget.value))
          }
        />
      );
    case 'string':
      return (
        <input
          {...common}
          spellcheck={false}
          required={required && (schema.minLength ?? 0) > 0}
          value={typeof value === 'string' ? value : ''}
          onInput={(event) => {
            const text = event.currentTarget.value;
            onChange(text === '' && !required ? undefined : text);
          }}
        />
      );
    default:
      return <Raw common={common} value={value} onChange={onChange} />;
  }
}

/** A value as JSON. What is no JSON yet is not handed on, and said. */
function Raw({ common, value, onChange }: Pick<InputProps, 'common' | 'value' | 'onChange'>) {
  const [text, setText] = useState(value === undefined ? '' : pretty(value));
  const [isWrong, setWrong] = useState(false);
  return (
    <textarea
      {...common}
      class="mono"
      rows={3}
      spellcheck={false}
      placeholder="JSON"
      aria-invalid={isWrong}
      value={text}
      onInput={(event) => {
        const typed = event.currentTarget.value;
        setText(typed);
        try {
          onChange(typed.trim() === '' ? undefined : (JSON.parse(typed) as Json));
          setWrong(false);
          event.currentTarget.setCustomValidity('');
        } catch {
          setWrong(true);
          event.currentTarget.setCustomValidity('This is not JSON.');
        }
      }}
    />
  );
}

function Group({ schema, root, name, value, required, onChange }: Props) {
  const fields = value !== null && typeof value === 'object' && !Array.isArray(value) ? value : undefined;
  if (name !== '' && !required && fields === undefined) {
    return (
      <p class="field">
        {name}{' '}
        <button type="button" onClick={() => onChange(initial(schema, root))}>
          Add {name}
        </button>
      </p>
    );
  }
  const needed = new Set(schema.required);
  const change = (field: string, to: Json | undefined) => {
    const next = { ...fields };
    if (to === undefined) delete next[field];
    else next[field] = to;
    onChange(next);
  };
  const body = Object.entries(schema.properties ?? {})
    .sort(([a], [b]) => Number(needed.has(b)) - Number(needed.has(a)))
    .map(([field, of]) => (
      <Value
        key={field}
        schema={of}
        root={root}
        name={field}
        value={fields?.[field]}
        required={needed.has(field)}
        onChange={(to) => change(field, to)}
      />
    ));
  if (name === '') return <>{body}</>;
  return (
    <fieldset>
      <legend>{name}</legend>
      {body}
      {!required && (
        <button type="button" onClick={() => onChange(undefined)}>
          Leave out {name}
        </button>
      )}
    </fieldset>
  );
}

function List({ schema, root, name, value, required, onChange }: Props) {
  const items = Array.isArray(value) ? value : [];
  const of = resolved(schema.items, root);
  const set = (next: Json[]) => onChange(next.length === 0 && !required ? undefined : next);
  return (
    <fieldset>
      <legend>{name}</legend>
      {schema.description && <p class="hint">{schema.description}</p>}
      {items.map((item, at) => (
        <div class="row" key={at}>
          <Value
            schema={of}
            root={root}
            name={`${name} ${at + 1}`}
            value={item}
            required
            onChange={(to) => set(items.map((one, n) => (n === at ? (to ?? null) : one)))}
          />
          <button
            type="button"
            aria-label={`Remove ${name} ${at + 1}`}
            onClick={() => set(items.filter((_, n) => n !== at))}
          >
            Remove
          </button>
        </div>
      ))}
      <button type="button" onClick={() => set([...items, initial(of, root) ?? null])}>
        Add {name}
      </button>
    </fieldset>
  );
}
