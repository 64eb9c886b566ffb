/** What is enabled, from where, and how it is doing. */
import { gateway, may } from '../app';
import { Badge, Outcome, Problem, Section, Table, Twice } from '../ui/bits';
import { useAction, useAnswer } from '../ui/ask';
import { href } from '../ui/router';
import { count } from '../ui/words';

export function Plugins() {
  const { data, error, again } = useAnswer('system.plugins', {}, { on: ['plugins.changed'], every: 5_000 });
  const action = useAction();
  const reload = (id: string) =>
    action.run(async () => {
      const answer = await gateway.call('plugins.reload', { id });
      again();
      if (answer.error) throw new Error(answer.error);
      return `${id} was made anew.`;
    });
  return (
    <Section title="What is linked in or loaded" actions={data && <span class="quiet">{data.plugins.length}</span>}>
      <Problem>{error}</Problem>
      <Outcome of={action} />
      <Table
        label="Plugins"
        head={['Plugin', 'State', 'Origin', 'Version', 'Calls', 'Errors', 'Panics', 'Methods', '']}
      >
        {data?.plugins.map((plugin) => (
          <tr key={plugin.id}>
            <td>
              <strong>{plugin.id}</strong>
              {plugin.summary && <div class="quiet">{plugin.summary}</div>}
              {plugin.error && <div class="problem">{plugin.error}</div>}
            </td>
            <td>
              <Badge kind={kind(plugin.state)}>{plugin.state}</Badge>
            </td>
            <td>{plugin.origin}</td>
            <td>{plugin.version}</td>
            <td class="number">{count(plugin.calls)}</td>
            <td class="number">{count(plugin.errors)}</td>
            <td class="number">{count(plugin.panics)}</td>
            <td>
              <Methods of={plugin.methods} />
            </td>
            <td>
              {may('plugins.reload') && plugin.state === 'running' && (
                <Twice
                  label="Reload"
                  sure={`Yes, reload ${plugin.id}`}
                  disabled={action.busy}
                  run={() => void reload(plugin.id)}
                />
              )}
            </td>
          </tr>
        ))}
      </Table>
    </Section>
  );
}

function Methods({ of }: { of: string[] }) {
  if (of.length === 0) return null;
  return (
    <details>
      <summary>{of.length}</summary>
      <ul class="plain">
        {of.map((name) => (
          <li key={name}>{may('system.describe') ? <a href={href('methods', name)}>{name}</a> : name}</li>
        ))}
      </ul>
    </details>
  );
}

function kind(state: string): 'good' | 'bad' | 'plain' {
  if (state === 'running') return 'good';
  return state === 'disabled' ? 'plain' : 'bad';
}
