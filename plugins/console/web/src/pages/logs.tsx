/** The end of the gateway's log, as it grows. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { gateway, isOpen } from '../app';
import { Empty, Field, Problem, Section } from '../ui/bits';
import { fieldsOf, isFields, sentence } from '../gateway/types';
import { memo } from '../ui/memo';

interface Line {
  number: number;
  at: string;
  level: string;
  target: string;
  message: string;
  rest: string;
}

const EVERY = 1_500;
const KEPT = 2_000;
const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR'];

export function Logs() {
  const [level, setLevel] = useState('INFO');
  const [words, setWords] = useState('');
  const [follows, setFollows] = useState(true);
  const { lines, error } = useLog(follows);
  const box = useRef<HTMLDivElement>(null);
  const least = LEVELS.indexOf(level);
  const wanted = words.toLowerCase();
  const shown = lines.filter(
    (line) =>
      (LEVELS.indexOf(line.level) >= least || !LEVELS.includes(line.level)) &&
      (wanted === '' || `${line.target} ${line.message} ${line.rest}`.toLowerCase().includes(wanted)),
  );
  useLayoutEffect(() => {
    if (follows && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [shown.length, shown.at(-1)?.number, follows]);
  return (
    <Section
      title="The gateway's log"
      actions={
        <button type="button" aria-pressed={follows} onClick={() => setFollows(!follows)}>
          {follows ? 'Follows' : 'Stands still'}
        </button>
      }
    >
      <div class="row">
        <Field label="At least">
          {(id) => (
            <select id={id} value={level} onChange={(event) => setLevel(event.currentTarget.value)}>
              {LEVELS.map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          )}
        </Field>
        <Field label="With these words">
          {(id) => (
            <input id={id} type="search" value={words} onInput={(event) => setWords(event.currentTarget.value)} />
          )}
        </Field>
      </div>
      <Problem>{error}</Problem>
      {shown.length === 0 && <Empty>No such line.</Empty>}
      <div class="log" ref={box} role="region" aria-label="Lines of the log" tabIndex={0}>
        {shown.map((line) => (
          <Row key={line.number} line={line} />
        ))}
      </div>
    </Section>
  );
}

const Row = memo(({ line }: { line: Line }) => (
  <div class={`log-line ${line.level.toLowerCase()}`}>
    <span class="quiet">{line.at}</span> <strong>{line.level}</strong> <span class="quiet">{line.target}</span>{' '}
    {line.message} <span class="quiet">{line.rest}</span>
  </div>
));

function useLog(follows: boolean): { lines: Line[]; error: string | undefined } {
  const [lines, setLines] = useState<Line[]>([]);
  const [error, setError] = useState<string>();
  const place = useRef<{ cursor: number | undefined; number: number }>({ cursor: undefined, number: 0 });
  const open = isOpen.value;
  useEffect(() => {
    if (!open || (!follows && place.current.cursor !== undefined)) return;
    let isOver = false;
    let timer: ReturnType<typeof setTimeout>;
    const look = async () => {
      try {
        const { cursor } = place.current;
        const tail = await gateway.call('logs.tail', cursor === undefined ? { limit: 500 } : { cursor, limit: 500 });
        if (isOver) return;
        place.current.cursor = tail.cursor;
        const read = tail.lines.map((text) => parsed(text, ++place.current.number));
        if (read.length > 0 || tail.reset)
          setLines((before) => [...(tail.reset && cursor === undefined ? [] : before), ...read].slice(-KEPT));
        setError(undefined);
      } catch (failure) {
        if (!isOver) setError(sentence(failure));
      }
      if (!isOver && follows) timer = setTimeout(() => void look(), document.hidden ? EVERY * 10 : EVERY);
    };
    void look();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [open, follows]);
  return { lines, error };
}

/** A line is JSON, one object; what is none is shown as it is. */
function parsed(text: string, number: number): Line {
  const line = read(text);
  if (!isFields(line)) return { number, at: '', level: '', target: '', message: text, rest: '' };
  const { timestamp, level, target, message, fields, ...rest } = line;
  const { message: inner, ...more } = fieldsOf(fields);
  const said = message ?? inner ?? '';
  const others = Object.entries({ ...more, ...rest })
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const at = typeof timestamp === 'string' ? new Date(timestamp).toLocaleTimeString(undefined, { hour12: false }) : '';
  return {
    number,
    at,
    level: String(level ?? ''),
    target: String(target ?? ''),
    message: String(said),
    rest: others.join(' '),
  };
}

function read(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
