/** Overview: who is here, how it is doing, what happens, how fast, and which limits were hit. */
import type { HealthResult } from 'schemas/models/clawhost';
import { gateway, hello, may } from '../../app';
import { Badge, Empty, Facts, Problem, Section, Table, Twice } from '../../ui/bits';
import { useAction, useAnswer, useNow } from '../../ui/ask';
import { ago, count, platformOf, scopeName, span } from '../../ui/words';
import { Events } from './events';
import { Limits, Rates } from './rates';

export function Overview() {
  return (
    <>
      <Health />
      <Presence />
      {may('system.connections') && <Connections />}
      <Rates />
      {may('system.metrics') && <Limits />}
      <Events />
    </>
  );
}

function Health() {
  const asked = useAnswer('health', {}, { on: ['health', 'plugins.changed'] });
  const status = useAnswer('status', {}, { on: ['presence'], every: 10_000 });
  // In the snapshot it has no fields until a plugin has looked, and the models leave it open.
  const health: Partial<HealthResult> | undefined = asked.data ?? hello.value?.snapshot.health;
  const failed = health?.plugins?.errors ?? [];
  return (
    <Section
      title="Health"
      actions={health && <Badge kind={health.ok ? 'good' : 'bad'}>{health.ok ? 'well' : 'not well'}</Badge>}
    >
      <Problem>{asked.error ?? status.error}</Problem>
      <Facts
        of={[
          ['Version', hello.value?.server.version],
          ['Up for', status.data?.uptimeMs ? span(status.data.uptimeMs) : undefined],
          ['Operators', status.data?.connections.operators],
          ['Nodes', status.data?.connections.nodes],
          ['Plugins', health?.plugins?.loaded?.length],
          ['Agents', health?.agents?.length],
          ['Sessions', health?.sessions?.count],
          ['Looked at', health?.ts ? ago(health.ts) : undefined],
          ['Certificate', status.data?.tlsFingerprint && <code>{status.data.tlsFingerprint}</code>],
        ]}
      />
      {failed.map((plugin) => (
        <p class="problem" key={plugin.id}>
          Plugin {plugin.id} does not run: {plugin.error}
        </p>
      ))}
    </Section>
  );
}

function Presence() {
  const now = useNow(10_000);
  const { data, error } = useAnswer('system-presence', {}, { on: ['presence'] });
  const here = data ?? hello.value?.snapshot.presence ?? [];
  return (
    <Section title="Who is here" actions={<span class="quiet">{count(here.length)}</span>}>
      <Problem>{error}</Problem>
      {here.length === 0 ? (
        <Empty>Nobody, or you may not see it.</Empty>
      ) : (
        <Table label="Who is here" head={['Who', 'As', 'From', 'Version', 'Since']}>
          {here.map((entry, at) => (
            <tr key={entry.deviceId ?? entry.instanceId ?? at}>
              <td>{entry.host ?? entry.text ?? 'somebody'}</td>
              <td>{[...(entry.roles ?? []), entry.mode].filter(Boolean).join(', ')}</td>
              <td>{[entry.ip, platformOf(entry)].filter(Boolean).join(' · ')}</td>
              <td>{entry.version}</td>
              <td>{ago(entry.ts, now)}</td>
            </tr>
          ))}
        </Table>
      )}
    </Section>
  );
}

function Connections() {
  const { data, error, again } = useAnswer('system.connections', {}, { on: ['presence'] });
  const action = useAction();
  const own = hello.value?.server.connId;
  return (
    <Section title="Connections">
      <Problem>{error ?? action.error}</Problem>
      <Table label="Connections" head={['Program', 'Role and rights', 'From', 'Protocol', 'Since', '']}>
        {data?.connections.map(({ deviceId, ...row }) => (
          <tr key={row.connId}>
            <td>
              {row.client.displayName ?? row.client.id} {row.connId === own && <Badge>this page</Badge>}
            </td>
            <td>
              {row.role} {row.scopes.map(scopeName).join(', ')}
            </td>
            <td>{row.local ? 'this machine' : (row.remoteIp ?? 'elsewhere')}</td>
            <td>{row.protocol}</td>
            <td>{ago(row.connectedAtMs)}</td>
            <td>
              {deviceId && row.connId !== own && may('device.pair.remove') && (
                <Twice
                  label="Remove device"
                  sure="Yes, remove it"
                  disabled={action.busy}
                  run={() =>
                    void action.run(async () => {
                      await gateway.call('device.pair.remove', { deviceId });
                      again();
                    })
                  }
                />
              )}
            </td>
          </tr>
        ))}
      </Table>
    </Section>
  );
}
