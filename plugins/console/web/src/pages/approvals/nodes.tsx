/** What nodes offer and nobody has approved yet. */
import { useState } from 'preact/hooks';
import type { NodePairListRequest } from 'schemas/models/clawhost';
import { gateway, holds, may } from '../../app';
import type { Method, Params } from '../../gateway/names';
import { Empty, Facts, Outcome, Problem, Section } from '../../ui/bits';
import { useAction, useAnswer } from '../../ui/ask';
import { ago, platformOf, scopeName } from '../../ui/words';
import { NODE_EVENTS } from '.';

export function NodeRequests() {
  const { data, error, again } = useAnswer('node.pair.list', {}, { on: NODE_EVENTS });
  const action = useAction();
  const decide = <M extends Method>(method: M, params: Params<M>, words: string) =>
    void action.run(async () => {
      await gateway.call(method, params);
      again();
      return words;
    });
  return (
    <Section title="Nodes that offer something">
      <Problem>{error}</Problem>
      <Outcome of={action} />
      {data?.pending.length === 0 && <Empty>None waits.</Empty>}
      {data?.pending.map((request) => (
        <Offer key={request.requestId} request={request} busy={action.busy} decide={decide} />
      ))}
    </Section>
  );
}

interface OfferProps {
  request: NodePairListRequest;
  busy: boolean;
  decide: <M extends Method>(method: M, params: Params<M>, words: string) => void;
}

function Offer({ request, busy, decide }: OfferProps) {
  const [withheld, setWithheld] = useState<ReadonlySet<string>>(new Set());
  const { requestId, commands } = request;
  const name = request.displayName ?? request.nodeId;
  const isAll = withheld.size === 0;
  // What fewer commands take is the gateway's to say.
  const missing = isAll ? request.requiredApproveScopes.filter((scope) => !holds(scope)) : [];
  const toggle = (command: string) => {
    const next = new Set(withheld);
    if (!next.delete(command)) next.add(command);
    setWithheld(next);
  };
  const chosen = commands.filter((command) => !withheld.has(command));
  return (
    <article class="request" aria-label={`${name} offers commands`}>
      <h3>{name}</h3>
      <Facts
        of={[
          ['Platform', platformOf(request)],
          ['Version', request.version],
          ['Abilities', request.caps.join(', ')],
          ['Since', ago(request.ts)],
        ]}
      />
      {commands.length > 0 && (
        <fieldset class="scopes">
          <legend>What it may be asked for. Take away what nobody needs:</legend>
          {commands.map((command) => (
            <label key={command}>
              <input type="checkbox" checked={!withheld.has(command)} onChange={() => toggle(command)} /> {command}
            </label>
          ))}
        </fieldset>
      )}
      {missing.length > 0 && <p class="quiet">To approve it takes {missing.map(scopeName).join(', ')} as well.</p>}
      <div class="row">
        {may('node.pair.approve') && (
          <button
            type="button"
            class="primary"
            disabled={busy || missing.length > 0}
            onClick={() =>
              decide(
                'node.pair.approve',
                isAll ? { requestId } : { requestId, commands: chosen },
                isAll ? `What ${name} offers can be used.` : `Of what ${name} offers, what you left can be used.`,
              )
            }
          >
            {isAll ? 'Let it be used' : 'Let only these be used'}
          </button>
        )}
        {may('node.pair.reject') && (
          <button type="button" disabled={busy} onClick={() => decide('node.pair.reject', { requestId }, 'Turned down.')}>
            Turn down
          </button>
        )}
      </div>
    </article>
  );
}
