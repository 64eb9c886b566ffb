/** Machines that lend something: what they offer, and a form to ask them for it. */
import { useState } from 'preact/hooks';
import type { NodeRow } from 'schemas/models/clawhost';
import { gateway, may } from '../app';
import type { EventName } from '../gateway/names';
import { fieldsOf } from '../gateway/types';
import { Badge, Code, Empty, Facts, Field, Outcome, Problem, Section, Twice } from '../ui/bits';
import { useAction, useAnswer } from '../ui/ask';
import { href } from '../ui/router';
import { ago, platformOf, short } from '../ui/words';

const ON: EventName[] = ['presence', 'node.pair.requested', 'node.pair.resolved'];

export function Nodes() {
  const { data, error, again } = useAnswer('node.list', {}, { on: ON });
  return (
    <>
      <Problem>{error}</Problem>
      {data?.nodes.length === 0 && (
        <Section title="None yet">
          <Empty>
            A phone's app becomes one when it is paired, and a machine by <code>clawhost node run</code>.
          </Empty>
        </Section>
      )}
      {data?.nodes.map((node) => (
        <One key={node.nodeId} node={node} again={again} />
      ))}
    </>
  );
}

function One({ node, again }: { node: NodeRow; again(): void }) {
  const action = useAction();
  const name = node.displayName ?? short(node.nodeId);
  return (
    <Section
      title={name}
      actions={<Badge kind={node.connected ? 'good' : 'plain'}>{node.connected ? 'connected' : 'away'}</Badge>}
    >
      <Facts
        of={[
          ['Platform', platformOf(node)],
          ['Version', node.version],
          ['From', node.remoteIp],
          ['Approval', node.approvalState],
          ['Connected', node.connected ? ago(node.connectedAtMs) : undefined],
          ['Last seen', node.connected ? undefined : ago(node.lastSeenAtMs)],
          ['Abilities', node.caps.join(', ')],
          ['Node', <code title={node.nodeId}>{short(node.nodeId)}</code>],
        ]}
      />
      {node.pendingRequestId && (
        <p>
          It offers more than was approved: <a href={href('approvals')}>look at it</a>.
        </p>
      )}
      {node.hostStats !== undefined && node.hostStats !== null && (
        <details>
          <summary>How the machine is doing</summary>
          <Code of={node.hostStats} label={`How ${name} is doing`} />
        </details>
      )}
      {may('node.invoke') && node.commands.length > 0 && <Invoke node={node} name={name} />}
      {may('node.pair.remove') && node.paired && (
        <Twice
          label="Take back what was approved"
          sure={`Yes, take it back from ${name}`}
          run={() =>
            void action.run(async () => {
              await gateway.call('node.pair.remove', { nodeId: node.nodeId });
              again();
            })
          }
        />
      )}
      <Outcome of={action} />
    </Section>
  );
}

/** What is usually asked, so that nobody begins with an empty field. */
const USUAL: { [command: string]: object } = {
  'camera.snap': { maxWidth: 640 },
  'canvas.eval': { javaScript: 'document.title' },
  'canvas.navigate': { url: 'https://example.org' },
  'canvas.present': { url: '/' },
  'canvas.snapshot': { format: 'png', maxWidth: 800 },
  'screen.record': { durationMs: 3000 },
  'system.notify': { title: 'clawhost', body: 'Hello.' },
  'system.run': { command: ['uname', '-a'] },
  'system.which': { bins: ['sh', 'git'] },
};

function Invoke({ node, name }: { node: NodeRow; name: string }) {
  const [command, setCommand] = useState(node.commands[0] ?? '');
  const [text, setText] = useState(usual(command));
  const [answer, setAnswer] = useState<unknown>();
  const action = useAction();
  const invoke = (event: Event) => {
    event.preventDefault();
    void action.run(async () => {
      setAnswer(undefined);
      const params: unknown = text.trim() === '' ? {} : JSON.parse(text);
      const asked = { nodeId: node.nodeId, command, params, idempotencyKey: crypto.randomUUID() };
      const invoked = await gateway.call('node.invoke', asked);
      setAnswer(invoked.payload ?? (invoked.payloadJSON ? JSON.parse(invoked.payloadJSON) : {}));
      return `${name} has answered.`;
    });
  };
  return (
    <form onSubmit={invoke}>
      <h3>Ask it</h3>
      <Field label="Command">
        {(id) => (
          <select
            id={id}
            value={command}
            onChange={(event) => {
              setCommand(event.currentTarget.value);
              setText(usual(event.currentTarget.value));
            }}
          >
            {node.commands.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        )}
      </Field>
      <Field label="Parameters as JSON">
        {(id) => (
          <textarea
            id={id}
            class="mono"
            rows={4}
            spellcheck={false}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        )}
      </Field>
      <button type="submit" class="primary" disabled={action.busy || !node.connected}>
        Ask {name}
      </button>
      <Outcome of={action} />
      {answer !== undefined && <Answer of={answer} command={command} />}
    </form>
  );
}

function usual(command: string): string {
  return JSON.stringify(USUAL[command] ?? {}, null, 2);
}

const PICTURES: { [format: string]: string } = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  webp: 'image/webp',
};

/** What came back; a picture as a picture. */
function Answer({ of, command }: { of: unknown; command: string }) {
  const { base64, ...rest } = fieldsOf(of);
  const kind = PICTURES[String(rest.format ?? '').toLowerCase()];
  if (typeof base64 !== 'string' || !kind) return <Code of={of} label={`Answer of ${command}`} />;
  return (
    <figure>
      <img class="picture" src={`data:${kind};base64,${base64}`} alt={`What ${command} shows`} />
      <figcaption>
        <Code of={rest} label={`About the picture of ${command}`} />
      </figcaption>
    </figure>
  );
}
