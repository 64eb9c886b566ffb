/** Programs that somebody wants to run, an agent say, and that an operator decides about. */
import type { Decision } from 'schemas/models/clawhost';
import { gateway, may } from '../../app';
import { Empty, Facts, Outcome, Problem, Section } from '../../ui/bits';
import { useAction, useAnswer, useNow } from '../../ui/ask';
import { span } from '../../ui/words';
import { PROGRAM_EVENTS } from '.';

export function Programs() {
  const now = useNow(1000);
  const { data, error, again } = useAnswer('exec.approval.list', {}, { on: PROGRAM_EVENTS, every: 15_000 });
  const action = useAction();
  const waiting = (data ?? []).filter((one) => one.expiresAtMs > now);
  const decide = (id: string, decision: Decision, words: string) =>
    void action.run(async () => {
      await gateway.call('exec.approval.resolve', { id, decision });
      again();
      return words;
    });
  return (
    <Section title="Programs that want to run">
      <Problem>{error}</Problem>
      <Outcome of={action} />
      {waiting.length === 0 && <Empty>None waits.</Empty>}
      {waiting.map(({ id, expiresAtMs, request }) => (
        <article class="request" key={id} aria-label={`A program wants to run: ${request.command}`}>
          <pre class="code" tabIndex={0} role="region" aria-label="The command">
            {request.command}
          </pre>
          <Facts
            of={[
              ['Program', request.resolvedPath],
              ['In', request.cwd],
              ['On', request.nodeId ?? request.host],
              ['Agent', request.agentId],
              ['Session', request.sessionKey],
              ['Ends in', span(expiresAtMs - now)],
              ['Request', <code>{id}</code>],
            ]}
          />
          {may('exec.approval.resolve') && (
            <div class="row">
              <button
                type="button"
                class="primary"
                disabled={action.busy}
                onClick={() => decide(id, 'allow-once', 'It may run, once.')}
              >
                Allow once
              </button>
              <button
                type="button"
                disabled={action.busy}
                onClick={() => decide(id, 'allow-always', 'It may run from now on.')}
              >
                Allow always
              </button>
              <button
                type="button"
                class="danger"
                disabled={action.busy}
                onClick={() => decide(id, 'deny', 'It may not run.')}
              >
                Deny
              </button>
            </div>
          )}
        </article>
      ))}
    </Section>
  );
}
