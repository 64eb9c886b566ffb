/** A line over the last minutes, drawn by hand: a few dozen numbers need no library. */
import { useId } from 'preact/hooks';

export interface Line {
  name: string;
  /** The newest last; `null` where nothing is known. */
  points: (number | null)[];
}

const WIDTH = 300;
const HEIGHT = 80;

export function Plot({ title, unit, lines }: { title: string; unit: string; lines: Line[] }) {
  const id = useId();
  const known = lines.flatMap((line) => line.points).filter((point) => point !== null);
  const top = Math.max(...known, 0);
  const scale = nice(top);
  return (
    <figure class="plot">
      <figcaption id={id}>
        <strong>{title}</strong> <span class="quiet">up to {`${shown(scale)} ${unit}`}</span>
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-labelledby={id}>
        <path class="grid" d={`M0 ${HEIGHT - 0.5}H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 0.5H${WIDTH}`} />
        {lines.map((line, at) => (
          <path key={line.name} class={`line line-${at % 6}`} d={path(line.points, scale)} />
        ))}
      </svg>
      <ul class="legend">
        {lines.map((line, at) => (
          <li key={line.name}>
            <span class={`swatch line-${at % 6}`} aria-hidden="true" />
            {line.name}{' '}
            <span class="quiet">
              {shown(line.points.findLast((point) => point !== null) ?? 0)} {unit}
            </span>
          </li>
        ))}
      </ul>
    </figure>
  );
}

function path(points: (number | null)[], scale: number): string {
  const step = WIDTH / Math.max(points.length - 1, 1);
  let drawn = '';
  let pen = 'M';
  points.forEach((point, at) => {
    if (point === null) {
      pen = 'M';
      return;
    }
    drawn += `${pen}${(at * step).toFixed(1)} ${(HEIGHT - (point / scale) * (HEIGHT - 2) - 1).toFixed(1)}`;
    pen = 'L';
  });
  return drawn;
}

/** The next number above that is easily read. */
function nice(top: number): number {
  if (top <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(top));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= top) ?? top;
}

function shown(number: number): string {
  return number >= 100 ? Math.round(number).toLocaleString() : String(Number(number.toPrecision(2)));
}
