/** Hooks by which pages ask the gateway. */
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { gateway, isOpen, may } from '../app';
import type { EventName, Method, Params, Result } from '../gateway/names';
import { sentence } from '../gateway/types';

export interface Asked<T> {
  /** The last good answer; it stays while a newer one is awaited, and while the connection is away. */
  data: T | undefined;
  error: string | undefined;
  again(): void;
}

interface When {
  /** Events after which the answer may be another one. */
  on?: EventName[];
  /** Milliseconds between two looks. */
  every?: number;
}

/**
 * The answer of a method that only reads, which is asked again when something changed. Nothing if it may not be asked.
 */
export function useAnswer<M extends Method>(
  method: M,
  params: Params<M>,
  { on = [], every }: When = {},
): Asked<Result<M>> {
  const [data, setData] = useState<Result<M>>();
  const [error, setError] = useState<string>();
  // The same object for as long as it says the same.
  const wanted = useMemo(() => params, [JSON.stringify(params)]);
  const ready = isOpen.value && may(method);
  const turn = useRef(0);

  const again = useCallback(() => {
    if (!ready) return;
    const mine = ++turn.current;
    const is = () => mine === turn.current;
    gateway.call(method, wanted).then(
      (answer) => {
        if (!is()) return;
        setData(answer);
        setError(undefined);
      },
      (failure: unknown) => is() && isOpen.value && setError(sentence(failure)),
    );
  }, [method, wanted, ready]);

  useEffect(() => {
    again();
    const events: EventName[] = [...on, 'gap'];
    const ends = events.map((event) => gateway.on(event, again));
    const timer = every === undefined ? undefined : setInterval(() => document.hidden || again(), every);
    return () => {
      turn.current++;
      clearInterval(timer);
      for (const end of ends) end();
    };
  }, [again, on.join(), every]);

  return { data, error, again };
}

export interface Action {
  busy: boolean;
  error: string | undefined;
  /** What was done, for people. */
  done: string | undefined;
  run(work: () => Promise<string | void>): Promise<void>;
}

/** Something that is done at a press of a button: one at a time, and what became of it is said. */
export function useAction(): Action {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  const [done, setDone] = useState<string>();
  const run = async (work: () => Promise<string | void>) => {
    setBusy(true);
    setError(undefined);
    setDone(undefined);
    try {
      const words = await work();
      if (words) setDone(words);
    } catch (failure) {
      setError(sentence(failure));
    } finally {
      setBusy(false);
    }
  };
  return { busy, error, done, run };
}

/** The present, again and again. */
export function useNow(every: number): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}
