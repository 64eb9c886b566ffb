/** Jobs: when they run, how they went, and a form for a new one. */
import { useState } from 'preact/hooks';
import { gateway, may } from '../app';
import type { Schedule } from '../gateway/more';
import type { Method, Params } from '../gateway/names';
import { Badge, Empty, Facts, Outcome, Problem, Section, Table, Twice } from '../ui/bits';
import { useAction, useAnswer } from '../ui/ask';
import { ago, span } from '../ui/words';
import { NewJob } from './new-job';

export function Cron() {
  const list = useAnswer('cron.list', { includeDisabled: true, limit: 200, offset: 0 }, { on: ['cron'] });
  const status = useAnswer('cron.status', {}, { on: ['cron'] });
  const action = useAction();
  const [shown, setShown] = useState<string>();
  const call = <M extends Method>(method: M, params: Params<M>, words: string) =>
    void action.run(async () => {
      await gateway.call(method, params);
      list.again();
      return words;
    });
  return (
    <>
      <Section title="Jobs" actions={status.data && !status.data.enabled && <Badge kind="warn">switched off</Badge>}>
        <Problem>{list.error ?? status.error}</Problem>
        <Outcome of={action} />
        {status.data?.nextWakeAtMs && <Facts of={[['Next', ago(status.data.nextWakeAtMs)]]} />}
        {list.data?.jobs.length === 0 && <Empty>There is none.</Empty>}
        {list.data && list.data.jobs.length > 0 && (
          <Table label="Jobs" head={['Job', 'When', 'What', 'Last', 'Next', '']}>
            {list.data.jobs.map((job) => (
              <tr key={job.id}>
                <td>
                  <strong>{job.name || job.id}</strong> {!job.enabled && <Badge>off</Badge>}
                </td>
                <td>{when(job.schedule)}</td>
                <td>{job.payload.kind === 'agentTurn' ? job.payload.message : job.payload.text}</td>
                <td>
                  {job.state?.lastRunAtMs ? ago(job.state.lastRunAtMs) : 'never'} {job.state?.lastStatus}
                  {job.state?.lastError && <div class="problem">{job.state.lastError}</div>}
                </td>
                <td>{job.enabled && job.state?.nextRunAtMs ? ago(job.state.nextRunAtMs) : ''}</td>
                <td>
                  <div class="row">
                    {may('cron.run') && (
                      <button
                        type="button"
                        disabled={action.busy}
                        onClick={() => call('cron.run', { id: job.id }, `${job.name} runs.`)}
                      >
                        Run now
                      </button>
                    )}
                    {may('cron.update') && (
                      <button
                        type="button"
                        disabled={action.busy}
                        onClick={() =>
                          call('cron.update', { id: job.id, patch: { enabled: !job.enabled } }, 'Changed.')
                        }
                      >
                        {job.enabled ? 'Switch off' : 'Switch on'}
                      </button>
                    )}
                    {may('cron.runs') && (
                      <button
                        type="button"
                        aria-expanded={shown === job.id}
                        onClick={() => setShown(shown === job.id ? undefined : job.id)}
                      >
                        Runs
                      </button>
                    )}
                    {may('cron.remove') && (
                      <Twice
                        label="Remove"
                        sure={`Yes, remove ${job.name}`}
                        disabled={action.busy}
                        run={() => call('cron.remove', { id: job.id }, 'Removed.')}
                      />
                    )}
                  </div>
                </td>
              </tr>
            ))}
          </Table>
        )}
      </Section>
      {shown !== undefined && may('cron.runs') && <Runs key={shown} id={shown} />}
      {may('cron.add') && <NewJob again={list.again} />}
    </>
  );
}

function Runs({ id }: { id: string }) {
  const { data, error } = useAnswer('cron.runs', { id, limit: 50 }, { on: ['cron'] });
  const runs = data?.entries ?? [];
  return (
    <Section title="Its runs">
      <Problem>{error}</Problem>
      {data && runs.length === 0 && <Empty>It has not run yet.</Empty>}
      {runs.length > 0 && (
        <Table label="Runs" head={['When', 'Outcome', 'Took', 'Said']}>
          {runs.map((run, at) => (
            <tr key={run.runId ?? at}>
              <td>{ago(run.ts)}</td>
              <td>
                <Badge kind={run.status === 'ok' ? 'good' : run.status === 'error' ? 'bad' : 'plain'}>
                  {run.status ?? 'unknown'}
                </Badge>
              </td>
              <td>{run.durationMs === undefined ? '' : span(run.durationMs)}</td>
              <td>{run.error ?? run.summary}</td>
            </tr>
          ))}
        </Table>
      )}
    </Section>
  );
}

function when(schedule: Schedule): string {
  switch (schedule.kind) {
    case 'at':
      return `at ${new Date(schedule.at).toLocaleString()}`;
    case 'every':
      return `every ${span(schedule.everyMs)}`;
    case 'cron':
      return [schedule.expr, schedule.tz].filter(Boolean).join(' ');
  }
}
