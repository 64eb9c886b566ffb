/** Devices that ask to be let in, and those that were. Nobody has to give all that was asked for. */
import { useState } from 'preact/hooks';
import type { PairedDevice, PendingDevice } from 'schemas/models/clawhost';
import { gateway, may } from '../../app';
import type { Method, Params } from '../../gateway/names';
import { Badge, Empty, Facts, Outcome, Problem, Section, Table, Twice } from '../../ui/bits';
import { useAction, useAnswer, type Action } from '../../ui/ask';
import { ago, platformOf, scopeName, short } from '../../ui/words';
import { DEVICE_EVENTS } from '.';

export function Devices() {
  const { data, error, again } = useAnswer('device.pair.list', {}, { on: [...DEVICE_EVENTS, 'presence'] });
  const action = useAction();
  return (
    <>
      <Section title="Devices that ask to come in">
        <Problem>{error}</Problem>
        <Outcome of={action} />
        {data?.pending.length === 0 && <Empty>None waits.</Empty>}
        {data?.pending.map((request) => (
          <Request key={request.requestId} request={request} action={action} again={again} />
        ))}
      </Section>
      <Section title="Paired devices">
        <PairedDevices of={data?.paired ?? []} action={action} again={again} />
      </Section>
    </>
  );
}

interface Doing {
  action: Action;
  again(): void;
}

function Request({ request, action, again }: Doing & { request: PendingDevice }) {
  const { requestId } = request;
  const asked = request.scopes ?? [];
  const [given, setGiven] = useState(new Set(asked));
  const name = request.displayName ?? request.clientId ?? 'A device';
  const isAll = given.size === asked.length;
  const decide = <M extends Method>(method: M, params: Params<M>, words: string) =>
    action.run(async () => {
      await gateway.call(method, params);
      again();
      return words;
    });
  const approve = () =>
    decide(
      'device.pair.approve',
      // Without a word about scopes it gets what it asked for, also in a role that has none.
      isAll ? { requestId } : { requestId, scopes: asked.filter((scope) => given.has(scope)) },
      `${name} was let in${isAll ? '' : ' with less than it asked for'}.`,
    );
  const toggle = (scope: string) => {
    const next = new Set(given);
    if (!next.delete(scope)) next.add(scope);
    setGiven(next);
  };
  return (
    <article class="request" aria-label={`${name} asks to come in`}>
      <h3>
        {name} {request.isRepair && <Badge kind="warn">known, asks for more or has changed</Badge>}
      </h3>
      <Facts
        of={[
          ['Asks as', request.role],
          ['From', request.remoteIp ?? 'this machine, or not told'],
          ['Platform', platformOf(request)],
          ['Program', request.clientId],
          ['Device', <code title={request.deviceId}>{short(request.deviceId)}</code>],
          ['Request', <code>{requestId}</code>],
          ['Since', ago(request.ts)],
        ]}
      />
      {asked.length > 0 && (
        <fieldset class="scopes">
          <legend>What it may do. Take away what it need not:</legend>
          {asked.map((scope) => (
            <label key={scope}>
              <input type="checkbox" checked={given.has(scope)} onChange={() => toggle(scope)} /> {scopeName(scope)}
            </label>
          ))}
        </fieldset>
      )}
      <div class="row">
        {may('device.pair.approve') && (
          <button type="button" class="primary" disabled={action.busy} onClick={() => void approve()}>
            {isAll ? 'Let it in' : 'Let it in with these rights'}
          </button>
        )}
        {may('device.pair.reject') && (
          <button
            type="button"
            disabled={action.busy}
            onClick={() => void decide('device.pair.reject', { requestId }, `${name} was turned away.`)}
          >
            Turn it away
          </button>
        )}
      </div>
    </article>
  );
}

function PairedDevices({ of, action, again }: Doing & { of: PairedDevice[] }) {
  const call = <M extends Method>(method: M, params: Params<M>, words: string) =>
    action.run(async () => {
      await gateway.call(method, params);
      again();
      return words;
    });
  return (
    <Table label="Paired devices" head={['Device', 'Rights', 'From', 'Let in', 'Last seen', '']}>
      {of.map((device) => {
        const name = device.label ?? device.displayName ?? device.clientId ?? short(device.deviceId);
        return (
          <tr key={device.deviceId}>
            <td>
              <strong>{name}</strong>
              <div class="quiet">
                <code title={device.deviceId}>{short(device.deviceId)}</code> {platformOf(device)}
              </div>
            </td>
            <td>
              {device.roles?.join(', ')} {device.scopes?.map(scopeName).join(', ')}
            </td>
            <td>{device.remoteIp ?? 'this machine'}</td>
            <td>
              {ago(device.approvedAtMs)} {device.approvedVia && <span class="quiet">{device.approvedVia}</span>}
            </td>
            <td>{ago(device.lastSeenAtMs)}</td>
            <td>
              <div class="row">
                {may('device.pair.rename') && (
                  <Rename
                    name={name}
                    run={(label) => void call('device.pair.rename', { deviceId: device.deviceId, label }, 'Renamed.')}
                  />
                )}
                {may('device.pair.remove') && (
                  <Twice
                    label="Remove"
                    sure={`Yes, remove ${name}`}
                    disabled={action.busy}
                    run={() => void call('device.pair.remove', { deviceId: device.deviceId }, `${name} is out.`)}
                  />
                )}
              </div>
            </td>
          </tr>
        );
      })}
    </Table>
  );
}

function Rename({ name, run }: { name: string; run(label: string): void }) {
  const [label, setLabel] = useState<string>();
  if (label === undefined) {
    return (
      <button type="button" onClick={() => setLabel(name)}>
        Rename
      </button>
    );
  }
  return (
    <form
      class="row"
      onSubmit={(event) => {
        event.preventDefault();
        run(label);
        setLabel(undefined);
      }}
    >
      <input
        aria-label={`Name of ${name}`}
        maxLength={64}
        required
        value={label}
        onInput={(event) => setLabel(event.currentTarget.value)}
      />
      <button type="submit">Save</button>
    </form>
  );
}
