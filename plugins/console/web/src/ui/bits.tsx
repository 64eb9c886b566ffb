/** Small pieces that all pages are made of. */
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import type { Action } from './ask';
import { pretty } from './words';

type Children = { children?: ComponentChildren };

export function Section({ title, actions, children }: Children & { title: string; actions?: ComponentChildren }) {
  const id = useId();
  return (
    <section class="card" aria-labelledby={id}>
      <header class="card-head">
        <h2 id={id}>{title}</h2>
        {actions}
      </header>
      {children}
    </section>
  );
}

export function Problem({ children }: Children) {
  return children ? (
    <p class="problem" role="alert">
      {children}
    </p>
  ) : null;
}

/** What became of an action. */
export function Outcome({ of }: { of: Action }) {
  return (
    <>
      <Problem>{of.error}</Problem>
      <p class="done" role="status">
        {of.done}
      </p>
    </>
  );
}

export function Badge({ kind = 'plain', children }: Children & { kind?: 'plain' | 'good' | 'bad' | 'warn' }) {
  return <span class={`badge ${kind}`}>{children}</span>;
}

export function Empty({ children }: Children) {
  return <p class="empty">{children}</p>;
}

/** A table that scrolls by itself where it is too wide, also by keyboard. */
export function Table({ label, head, children }: Children & { label: string; head: string[] }) {
  return (
    <div class="scroll" role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {head.map((name) => (
              <th scope="col" key={name}>
                {name || <span class="hidden">Actions</span>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

export function Facts({ of }: { of: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {of
        .filter(([, value]) => value !== undefined && value !== null && value !== '')
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

export function Code({ of, label }: { of: unknown; label: string }) {
  return (
    <pre class="code" tabIndex={0} role="region" aria-label={label}>
      {typeof of === 'string' ? of : pretty(of)}
    </pre>
  );
}

export function Field({
  label,
  hint,
  children,
}: {
  label: string;
  hint?: string;
  children: (id: string) => JSX.Element;
}) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children(id)}
      {hint && <p class="hint">{hint}</p>}
    </div>
  );
}

/** A button for what cannot be taken back: it asks once more in its own place. */
export function Twice({
  label,
  sure,
  run,
  disabled,
}: {
  label: string;
  sure: string;
  run: () => void;
  disabled?: boolean;
}) {
  const [asked, setAsked] = useState(false);
  const ref = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (asked) ref.current?.focus();
  }, [asked]);
  if (!asked) {
    return (
      <button type="button" disabled={disabled} onClick={() => setAsked(true)}>
        {label}
      </button>
    );
  }
  const answer = (yes: boolean) => () => {
    setAsked(false);
    if (yes) run();
  };
  return (
    <span class="twice" role="group" aria-label={sure}>
      <button type="button" class="danger" ref={ref} onClick={answer(true)}>
        {sure}
      </button>
      <button type="button" onClick={answer(false)}>
        No
      </button>
    </span>
  );
}

export function Copy({ text, label = 'Copy' }: { text: string; label?: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  return (
    <button type="button" onClick={() => void copy().catch(() => setCopied(false))}>
      {copied ? 'Copied' : label}
    </button>
  );
}
