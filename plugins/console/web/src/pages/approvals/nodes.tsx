/** What nodes offer and nobody has approved yet. */
import { gateway, holds, may } from '../../app';
import { Empty, Facts, Outcome, Problem, Section } from '../../ui/bits';
import { useAction, useAnswer } from '../../ui/ask';
import { ago, platformOf, scopeName } from '../../ui/words';
import { NODE_EVENTS } from '.';

interface NodeRequest {
  requestId: string;
  nodeId: string;
  displayName?: string;
  platform?: string;
  deviceFamily?: string;
  version?: string;
  caps: string[];
  commands: string[];
  requiredApproveScopes: string[];
  ts: number;
}

export interface NodePairing {
  pending: NodeRequest[];
}

export function NodeRequests() {
  const { data, error, again } = useAnswer<NodePairing>('node.pair.list', {}, { on: NODE_EVENTS });
  const action = useAction();
  const decide = (method: string, request: NodeRequest, words: string) =>
    void action.run(async () => {
      await gateway.call(method, { requestId: request.requestId });
      again();
      return words;
    });
  return (
    <Section title="Nodes that offer something">
      <Problem>{error}</Problem>
      <Outcome of={action} />
      {data?.pending.length === 0 && <Empty>None waits.</Empty>}
      {data?.pending.map((request) => {
        const name = request.displayName ?? request.nodeId;
        const missing = request.requiredApproveScopes.filter((scope) => !holds(scope));
        return (
          <article class="request" key={request.requestId} aria-label={`${name} offers commands`}>
            <h3>{name}</h3>
            <Facts
              of={[
                ['Platform', platformOf(request)],
                ['Version', request.version],
                ['Abilities', request.caps.join(', ')],
                ['Commands', request.commands.join(', ')],
                ['Since', ago(request.ts)],
              ]}
            />
            {missing.length > 0 && (
              <p class="quiet">To approve it takes {missing.map(scopeName).join(', ')} as well.</p>
            )}
            <div class="row">
              {may('node.pair.approve') && (
                <button
                  type="button"
                  class="primary"
                  disabled={action.busy || missing.length > 0}
                  onClick={() => decide('node.pair.approve', request, `What ${name} offers can be used.`)}
                >
                  Let it be used
                </button>
              )}
              {may('node.pair.reject') && (
                <button
                  type="button"
                  disabled={action.busy}
                  onClick={() => decide('node.pair.reject', request, 'Turned down.')}
                >
                  Turn down
                </button>
              )}
            </div>
          </article>
        );
      })}
    </Section>
  );
}
