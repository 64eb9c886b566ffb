/** What is seen by who is not in yet: a field for what lets in, or the request that waits for somebody's yes. */
import { useEffect, useRef } from 'preact/hooks';
import { gateway } from '../app';
import type { State } from '../gateway/gateway';
import { Copy, Facts, Field, Problem } from '../ui/bits';
import { short } from '../ui/words';

export function Connect({ obstacle }: { obstacle: string | undefined }) {
  const state = gateway.state.value;
  if (obstacle !== undefined) {
    return (
      <div class="card narrow">
        <h1>This page cannot connect</h1>
        <p role="alert">{obstacle}</p>
      </div>
    );
  }
  if (state.name === 'pairing') return <Pairing state={state} />;
  if (state.name === 'signed-out') return <SignIn state={state} />;
  return (
    <div class="card narrow">
      <h1>{state.name === 'waiting' ? 'The gateway does not answer' : 'Connecting'}</h1>
      {state.name === 'waiting' && (
        <>
          <p>{state.why}. It is tried again by itself.</p>
          <p class="quiet">
            If it stays like this, look whether <code>clawhost</code> runs, and whether its log says that this page's
            address ({location.origin}) was turned away.
          </p>
        </>
      )}
    </div>
  );
}

function SignIn({ state }: { state: State & { name: 'signed-out' } }) {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const submit = (event: Event) => {
    event.preventDefault();
    const typed = field.current?.value.trim();
    if (typed) gateway.signIn(typed);
  };
  // Without anything to come in by nobody did anything wrong.
  const isFirst = state.detail.endsWith('_MISSING');
  return (
    <div class="card narrow">
      <h1>Sign in</h1>
      {!isFirst && <Problem>{state.why}</Problem>}
      <p>
        On the machine of the gateway, <code>clawhost dashboard</code> prints a link that lets this browser in, once.
        Open it, or paste it here.
      </p>
      <form onSubmit={submit}>
        <Field label="Link, setup code, token or password" hint="The gateway's token is shown by clawhost token show.">
          {(id) => (
            <input
              id={id}
              ref={field}
              type="password"
              autocomplete="off"
              spellcheck={false}
              required
              aria-describedby="kept"
            />
          )}
        </Field>
        <p id="kept" class="quiet">
          It is not kept. This browser is given a token of its own, which is good for it alone and ends when the device
          is removed.
        </p>
        <button type="submit" class="primary">
          Connect
        </button>
      </form>
    </div>
  );
}

function Pairing({ state }: { state: State & { name: 'pairing' } }) {
  const command = `clawhost devices approve ${state.requestId}`;
  return (
    <div class="card narrow" aria-live="polite">
      <h1>Somebody has to let this browser in</h1>
      <p>{state.sentence}.</p>
      <p>
        An operator who is in already sees the request under Approvals. On the machine of the gateway, this does it:
      </p>
      <p class="command">
        <code>{command}</code> <Copy text={command} />
      </p>
      <Facts
        of={[
          ['Request', <code>{state.requestId}</code>],
          ['This browser', <code title={state.deviceId}>{short(state.deviceId)}</code>],
        ]}
      />
      <p class="quiet">This page goes on by itself as soon as that is done.</p>
      <button type="button" onClick={() => void gateway.signOut()}>
        Do not wait
      </button>
    </div>
  );
}
