/**
 * Requests a second and their latency, by method. Where the gateway tells its own counters these are everybody's,
 * and else those of this page.
 */
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { SystemMetricsResult } from 'schemas/models/clawhost';
import { gateway, isOpen, may } from '../../app';
import { Empty, Section, Table } from '../../ui/bits';
import { Plot, type Line } from '../../ui/plot';
import { count } from '../../ui/words';

interface Sum {
  calls: number;
  errors: number;
  ms: number;
}

type Sums = Map<string, Sum>;

const EVERY = 2_000;
const POINTS = 60;
const LINES = 6;

/** What was done between two looks, the newest last. */
const steps = signal<{ seconds: number; by: Sums }[]>([]);
const metrics = signal<SystemMetricsResult | undefined>(undefined);

let before: { at: number; sums: Sums } | undefined;
let own: Sums = new Map();

gateway.onCall(({ method, ms, ok }) => add(own, method, { calls: 1, errors: ok ? 0 : 1, ms }));
gateway.on('open', () => {
  before = undefined;
});

/** Looks as long as somebody looks at it. */
function useRates(): void {
  useEffect(() => {
    const timer = setInterval(() => void look(), EVERY);
    void look();
    return () => clearInterval(timer);
  }, []);
}

async function look(): Promise<void> {
  if (!isOpen.value) return;
  const at = performance.now();
  if (!may('system.metrics')) {
    step(at, own, new Map());
    return;
  }
  try {
    metrics.value = await gateway.call('system.metrics', {});
    const sums: Sums = new Map();
    for (const row of metrics.value.methods) {
      add(sums, row.method, { calls: row.calls, errors: row.errors, ms: row.microseconds / 1000 });
    }
    step(at, sums, before?.sums ?? sums);
  } catch {
    before = undefined;
  }
}

function step(at: number, sums: Sums, since: Sums): void {
  const by: Sums = new Map();
  for (const [method, sum] of sums) {
    const old = since.get(method) ?? { calls: 0, errors: 0, ms: 0 };
    const done = { calls: sum.calls - old.calls, errors: sum.errors - old.errors, ms: sum.ms - old.ms };
    if (done.calls > 0) by.set(method, done);
  }
  if (before) steps.value = [...steps.value, { seconds: (at - before.at) / 1000, by }].slice(-POINTS);
  before = { at, sums };
  own = new Map();
}

function add(sums: Sums, method: string, more: Sum): void {
  const sum = sums.get(method) ?? { calls: 0, errors: 0, ms: 0 };
  sums.set(method, { calls: sum.calls + more.calls, errors: sum.errors + more.errors, ms: sum.ms + more.ms });
}

export function Rates() {
  useRates();
  const totals: Sums = new Map();
  for (const { by } of steps.value) for (const [method, sum] of by) add(totals, method, sum);
  const busiest = [...totals].sort(([, a], [, b]) => b.calls - a.calls).slice(0, LINES);
  const lines = (of: (sum: Sum | undefined, seconds: number) => number | null): Line[] =>
    busiest.map(([name]) => ({
      name,
      points: padded(steps.value.map(({ seconds, by }) => of(by.get(name), seconds))),
    }));
  return (
    <Section
      title="Requests"
      actions={<span class="quiet">{may('system.metrics') ? 'of everybody' : 'of this page'}, last two minutes</span>}
    >
      {busiest.length === 0 ? (
        <Empty>Nothing was asked yet.</Empty>
      ) : (
        <div class="plots">
          <Plot title="Rate" unit="/s" lines={lines((sum, seconds) => (sum?.calls ?? 0) / seconds)} />
          <Plot title="Mean latency" unit="ms" lines={lines((sum) => (sum ? sum.ms / sum.calls : null))} />
          <Plot title="Errors" unit="/s" lines={lines((sum, seconds) => (sum?.errors ?? 0) / seconds)} />
        </div>
      )}
    </Section>
  );
}

function padded(points: (number | null)[]): (number | null)[] {
  return [...Array<null>(Math.max(0, POINTS - points.length)).fill(null), ...points];
}

export function Limits() {
  const hit = (metrics.value?.limits ?? []).filter((row) => row.hits > 0);
  return (
    <Section title="Limits">
      {hit.length === 0 ? (
        <Empty>None was hit since the gateway was started.</Empty>
      ) : (
        <Table label="Limits that were hit" head={['gateway.limits.…', 'Times']}>
          {hit.map((row) => (
            <tr key={row.limit}>
              <td>
                <code>{row.limit}</code>
              </td>
              <td>{count(row.hits)}</td>
            </tr>
          ))}
        </Table>
      )}
    </Section>
  );
}
