/** Overview: who is here, how it is doing, what happens, how fast, and which limits were hit. */
import { gateway, hello, may } from '../../app';
import type { Fields, PresenceEntry } from '../../gateway/types';
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

interface HealthSummary {
  ok?: boolean;
  ts?: number;
  plugins?: { loaded?: string[]; errors?: { id: string; error: string }[] };
  agents?: Fields[];
  sessions?: { count?: number };
}

interface Status {
  uptimeMs?: number;
  runtimeVersion?: string;
  connections?: { operators: number; nodes: number };
  tlsFingerprint?: string;
}

function Health() {
  const asked = useAnswer<HealthSummary>('health', {}, { on: ['health', 'plugins.changed'] });
  const status = useAnswer<Status>('status', {}, { on: ['presence'], every: 10_000 });
  const health = asked.data ?? (hello.value?.snapshot.health as HealthSummary | undefined);
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
          ['Operators', status.data?.connections?.operators],
          ['Nodes', status.data?.connections?.nodes],
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
  const { data, error } = useAnswer<PresenceEntry[]>('system-presence', {}, { on: ['presence'] });
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

interface ConnectionRow {
  connId: string;
  client: { id?: string; displayName?: string; platform?: string; version?: string };
  deviceId?: string;
  role: string;
  scopes: string[];
  protocol: number;
  local: boolean;
  remoteIp?: string;
  connectedAtMs: number;
}

function Connections() {
  const { data, error, again } = useAnswer<{ connections: ConnectionRow[] }>(
    'system.connections',
    {},
    { on: ['presence'] },
  );
  const action = useAction();
  const own = hello.value?.server.connId;
  return (
    <Section title="Connections">
      <Problem>{error ?? action.error}</Problem>
      <Table label="Connections" head={['Program', 'Role and rights', 'From', 'Protocol', 'Since', '']}>
        {data?.connections.map((row) => (
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
              {row.deviceId && row.connId !== own && may('device.pair.remove') && (
                <Twice
                  label="Remove device"
                  sure="Yes, remove it"
                  disabled={action.busy}
                  run={() =>
                    void action.run(async () => {
                      await gateway.call('device.pair.remove', { deviceId: row.deviceId });
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
