/** How things are said. */

export function ago(ms: number | null | undefined, now = Date.now()): string {
  if (!ms) return 'never';
  const past = now - ms;
  if (past < -1000) return `in ${span(-past)}`;
  return past < 5000 ? 'just now' : `${span(past)} ago`;
}

export function span(ms: number): string {
  const units: [number, string][] = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'min'],
    [1000, 's'],
  ];
  for (const [size, unit] of units) {
    if (ms >= size) return `${Math.floor(ms / size)} ${unit}`;
  }
  return `${Math.max(0, Math.round(ms))} ms`;
}

export function clock(ms: number): string {
  return new Date(ms).toLocaleTimeString(undefined, { hour12: false });
}

export function count(number: number): string {
  return number.toLocaleString();
}

export function short(id: string): string {
  return id.length > 14 ? `${id.slice(0, 8)}…` : id;
}

export function pretty(value: unknown): string {
  return JSON.stringify(value, null, 2) ?? '';
}

/** A scope without what they all begin with. */
export function scopeName(scope: string): string {
  return scope.replace(/^operator\./, '');
}

export function platformOf(of: { platform?: string | null; deviceFamily?: string | null }): string {
  return [of.deviceFamily, of.platform].filter(Boolean).join(', ');
}
