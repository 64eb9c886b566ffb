/** Agents, the models they think with, and heartbeats. */
import { useState } from 'preact/hooks';
import { gateway, may } from '../app';
import { Badge, Empty, Facts, Field, Outcome, Problem, Section, Table } from '../ui/bits';
import { useAction, useAnswer } from '../ui/ask';
import { ago, count } from '../ui/words';

export function Agents() {
  const agents = useAnswer('agents.list', {}, { on: ['plugins.changed'] });
  return (
    <>
      {may('agents.list') && (
        <Section title="Agents">
          <Problem>{agents.error}</Problem>
          <Table label="Agents" head={['Agent', 'Name', 'Model']}>
            {agents.data?.agents.map((agent) => (
              <tr key={agent.id}>
                <td>
                  <code>{agent.id}</code> {agent.id === agents.data?.defaultId && <Badge>default</Badge>}
                </td>
                <td>{[agent.identity?.emoji, agent.identity?.name ?? agent.name].filter(Boolean).join(' ')}</td>
                <td>{agent.model.primary}</td>
              </tr>
            ))}
          </Table>
        </Section>
      )}
      {may('models.list') && <Models />}
      {(may('last-heartbeat') || may('wake')) && <Heartbeats />}
    </>
  );
}

function Models() {
  const { data, error } = useAnswer('models.list', {}, { on: ['plugins.changed'] });
  return (
    <Section title="Models">
      <Problem>{error}</Problem>
      {data?.models.length === 0 && <Empty>None is configured.</Empty>}
      <Table label="Models" head={['Model', 'Provider', 'Context', 'Takes']}>
        {data?.models.map((model) => (
          <tr key={`${model.provider}/${model.id}`}>
            <td>
              {model.name} {model.reasoning && <Badge>thinks</Badge>}
            </td>
            <td>{model.provider}</td>
            <td class="number">{model.contextWindow ? count(model.contextWindow) : ''}</td>
            <td>{model.input?.join(', ')}</td>
          </tr>
        ))}
      </Table>
    </Section>
  );
}

function Heartbeats() {
  const { data, error } = useAnswer('last-heartbeat', {}, { on: ['heartbeat'] });
  const action = useAction();
  const [text, setText] = useState('');
  const wake = (event: Event) => {
    event.preventDefault();
    void action.run(async () => {
      await gateway.call('wake', { text, mode: 'now' });
      setText('');
      return 'The agent was woken.';
    });
  };
  const set = (enabled: boolean) =>
    void action.run(async () => {
      await gateway.call('set-heartbeats', { enabled });
      return enabled ? 'Heartbeats come.' : 'No heartbeats come.';
    });
  return (
    <Section title="Heartbeats">
      <Problem>{error}</Problem>
      {data ? (
        <Facts
          of={[
            ['Last', ago(data.ts)],
            ['Outcome', data.status],
            ['Because', data.reason],
            ['Said', data.preview],
            ['To', data.channel],
          ]}
        />
      ) : (
        <Empty>There was none since the gateway was started.</Empty>
      )}
      {may('set-heartbeats') && (
        <div class="row">
          <button type="button" disabled={action.busy} onClick={() => set(true)}>
            Switch on
          </button>
          <button type="button" disabled={action.busy} onClick={() => set(false)}>
            Switch off
          </button>
        </div>
      )}
      {may('wake') && (
        <form onSubmit={wake}>
          <Field label="Wake the agent with these words">
            {(id) => <input id={id} required value={text} onInput={(event) => setText(event.currentTarget.value)} />}
          </Field>
          <button type="submit" disabled={action.busy}>
            Wake
          </button>
        </form>
      )}
      <Outcome of={action} />
    </Section>
  );
}
