/** Message channels: how they are doing, and who outside may write. */
import type { ChannelsPairingListRequest } from 'schemas/models/clawhost';
import { gateway, may } from '../app';
import type { Fields } from '../gateway/types';
import { Badge, Code, Empty, Outcome, Problem, Section, Table, Twice } from '../ui/bits';
import { useAction, useAnswer, type Action } from '../ui/ask';
import { ago } from '../ui/words';

export function Channels() {
  const { data, error, again } = useAnswer('channels.status', {}, { on: ['health', 'plugins.changed'], every: 15_000 });
  const action = useAction();
  return (
    <>
      <Problem>{error}</Problem>
      <Outcome of={action} />
      {data?.channelOrder.length === 0 && (
        <Section title="None yet">
          <Empty>
            A channel is a way to people outside. <code>config.toml</code> says how to switch on Telegram and Signal.
          </Empty>
        </Section>
      )}
      {data?.channelOrder.map((id) => (
        <Channel
          key={id}
          id={id}
          label={data.channelLabels[id] ?? id}
          accounts={data.channelAccounts[id] ?? []}
          summary={data.channels[id] ?? {}}
          action={action}
          again={again}
        />
      ))}
      {may('channels.pairing.list') && <Knocks />}
      {may('channels.senders.list') && <Senders />}
    </>
  );
}

type Doing = 'channels.start' | 'channels.stop' | 'channels.logout';
type Decision = 'channels.pairing.approve' | 'channels.pairing.dismiss';

interface ChannelProps {
  id: string;
  label: string;
  summary: Fields;
  accounts: Fields[];
  action: Action;
  again(): void;
}

function Channel({ id, label, summary, accounts, action, again }: ChannelProps) {
  const call = (method: Doing, accountId: unknown, words: string) =>
    void action.run(async () => {
      await gateway.call(method, { channel: id, ...(typeof accountId === 'string' && { accountId }) });
      again();
      return words;
    });
  const isRunning = accounts.some((account) => account.running === true);
  return (
    <Section
      title={label}
      actions={
        <Badge kind={isRunning ? 'good' : 'plain'}>
          {isRunning ? 'running' : summary.configured ? 'configured' : 'not configured'}
        </Badge>
      }
    >
      {typeof summary.lastError === 'string' && <Problem>{summary.lastError}</Problem>}
      {accounts.length > 0 && (
        <Table label={`Accounts of ${label}`} head={['Account', 'State', 'Last message in', 'Last message out', '']}>
          {accounts.map((account) => (
            <tr key={String(account.accountId)}>
              <td>{String(account.name ?? account.accountId)}</td>
              <td>
                {['running', 'connected', 'linked'].filter((flag) => account[flag] === true).join(', ') ||
                  'not running'}
                {typeof account.lastError === 'string' && <div class="problem">{account.lastError}</div>}
              </td>
              <td>{time(account.lastInboundAt)}</td>
              <td>{time(account.lastOutboundAt)}</td>
              <td>
                <div class="row">
                  {may('channels.start') && account.running === false && (
                    <button
                      type="button"
                      disabled={action.busy}
                      onClick={() => call('channels.start', account.accountId, 'Started.')}
                    >
                      Start
                    </button>
                  )}
                  {may('channels.stop') && account.running === true && (
                    <Twice
                      label="Stop"
                      sure={`Yes, stop ${label}`}
                      disabled={action.busy}
                      run={() => call('channels.stop', account.accountId, 'Stopped.')}
                    />
                  )}
                  {may('channels.logout') && account.linked === true && (
                    <Twice
                      label="Log out"
                      sure={`Yes, log out of ${label}`}
                      disabled={action.busy}
                      run={() => call('channels.logout', account.accountId, 'Logged out.')}
                    />
                  )}
                </div>
              </td>
            </tr>
          ))}
        </Table>
      )}
      <details>
        <summary>All that it says</summary>
        <Code of={{ summary, accounts }} label={`All that ${label} says`} />
      </details>
    </Section>
  );
}

function Knocks() {
  const { data, error, again } = useAnswer('channels.pairing.list', {}, { every: 10_000 });
  const action = useAction();
  const decide = (method: Decision, knock: ChannelsPairingListRequest, words: string) =>
    void action.run(async () => {
      const { channel, accountId, requestId } = knock;
      await gateway.call(method, { channel, accountId, requestId });
      again();
      return words;
    });
  return (
    <Section title="People who want to write">
      <Problem>{error}</Problem>
      <Outcome of={action} />
      {data?.requests.length === 0 && <Empty>Nobody waits.</Empty>}
      {data && data.requests.length > 0 && (
        <Table label="People who want to write" head={['Who', 'Channel', 'Since', '']}>
          {data.requests.map((knock) => (
            <tr key={knock.requestId}>
              <td>
                {[knock.metadata?.name, knock.senderId].filter(Boolean).join(' · ')}{' '}
                <span class="quiet">{knock.senderLabel}</span>
              </td>
              <td>{knock.channelLabel}</td>
              <td>{time(knock.createdAt)}</td>
              <td>
                <div class="row">
                  {may('channels.pairing.approve') && (
                    <button
                      type="button"
                      class="primary"
                      disabled={action.busy}
                      onClick={() => decide('channels.pairing.approve', knock, 'Let in.')}
                    >
                      Let in
                    </button>
                  )}
                  {may('channels.pairing.dismiss') && (
                    <button
                      type="button"
                      disabled={action.busy}
                      onClick={() => decide('channels.pairing.dismiss', knock, 'Turned away.')}
                    >
                      Turn away
                    </button>
                  )}
                </div>
              </td>
            </tr>
          ))}
        </Table>
      )}
    </Section>
  );
}

function Senders() {
  const { data, error, again } = useAnswer('channels.senders.list', {}, { every: 30_000 });
  const action = useAction();
  if (data?.senders.length === 0) return null;
  return (
    <Section title="People who may write">
      <Problem>{error}</Problem>
      <Outcome of={action} />
      <Table label="People who may write" head={['Who', 'Channel', 'Since', '']}>
        {data?.senders.map((sender) => (
          <tr key={`${sender.channel} ${sender.accountId} ${sender.senderId}`}>
            <td>{[sender.name, sender.handle, sender.senderId].filter(Boolean).join(' · ')}</td>
            <td>{sender.channel}</td>
            <td>{time(sender.approvedAt)}</td>
            <td>
              {may('channels.senders.remove') && (
                <Twice
                  label="Forget"
                  sure={`Yes, forget ${sender.name ?? sender.senderId}`}
                  run={() =>
                    void action.run(async () => {
                      const { channel, accountId, senderId } = sender;
                      await gateway.call('channels.senders.remove', { channel, accountId, senderId });
                      again();
                      return 'Forgotten.';
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

/** A time as plugins write it: milliseconds, or a date as text. */
function time(at: unknown): string {
  if (typeof at === 'number') return ago(at);
  const ms = typeof at === 'string' ? Date.parse(at) : NaN;
  return Number.isNaN(ms) ? '' : ago(ms);
}
