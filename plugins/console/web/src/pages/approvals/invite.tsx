/** A link by which one other device comes in, once. */
import { useState } from 'preact/hooks';
import type { DevicePairSetupCodeResult } from 'schemas/models/clawhost';
import { gateway, holds, scopes } from '../../app';
import { linkOf } from '../../gateway/link';
import { WANTED } from '../../gateway/proof';
import { Copy, Field, Outcome, Section } from '../../ui/bits';
import { useAction, useNow } from '../../ui/ask';
import { scopeName, span } from '../../ui/words';

export function Invite() {
  const action = useAction();
  const [label, setLabel] = useState('');
  const [chosen, setChosen] = useState(new Set(['operator.read', 'operator.write'].filter(holds)));
  const [made, setMade] = useState<DevicePairSetupCodeResult>();
  const offered = [...new Set([...WANTED, ...scopes.value])].filter(holds);
  const make = (event: Event) => {
    event.preventDefault();
    void action.run(async () => {
      const url = new URL('.', location.href).href.replace(/^http/, 'ws');
      const params = { scopes: [...chosen], url, ...(label.trim() && { label: label.trim() }) };
      setMade(await gateway.call('device.pair.setupCode', params));
    });
  };
  const toggle = (scope: string) => {
    const next = new Set(chosen);
    if (!next.delete(scope)) next.add(scope);
    setChosen(next);
  };
  return (
    <Section title="Let another device in by a link">
      <form onSubmit={make}>
        <Field label="Its name">
          {(id) => (
            <input id={id} maxLength={64} value={label} onInput={(event) => setLabel(event.currentTarget.value)} />
          )}
        </Field>
        <fieldset class="scopes">
          <legend>What it may do</legend>
          {offered.map((scope) => (
            <label key={scope}>
              <input type="checkbox" checked={chosen.has(scope)} onChange={() => toggle(scope)} /> {scopeName(scope)}
            </label>
          ))}
        </fieldset>
        <button type="submit" disabled={action.busy || chosen.size === 0}>
          Make a link
        </button>
      </form>
      <Outcome of={action} />
      {made && <Link made={made} />}
    </Section>
  );
}

function Link({ made }: { made: DevicePairSetupCodeResult }) {
  const left = made.expiresAtMs - useNow(1000);
  if (left <= 0) return <p>The link has ended.</p>;
  const link = linkOf(made.setupCode);
  return (
    <>
      <p class="command">
        <code class="link">{link}</code> <Copy text={link} />
      </p>
      <p class="quiet">
        For one browser, once, within {span(left)}. Whoever has it comes in: show it to nobody else. Programs take the
        setup code instead: <Copy text={made.setupCode} label="Copy the setup code" />
      </p>
    </>
  );
}
