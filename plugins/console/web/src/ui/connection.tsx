/** How the connection is doing, in the bar, for eyes and ears. */
import { gateway, hello, holds, scopes } from '../app';
import { useNow } from './ask';
import { scopeName, span } from './words';

export function Connection() {
  const state = gateway.state.value;
  return (
    <div class="connection" data-state={state.name}>
      <span class={`lamp ${state.name}`} aria-hidden="true" />
      <span role="status">{words()}</span>
      {state.name === 'waiting' && <Until at={state.until} why={state.why} />}
      {gateway.lost.value > 0 && (
        <span class="gap" role="status">
          {gateway.lost.value === 1 ? 'An event was lost' : `${gateway.lost.value} events were lost`}; what is shown was
          read again
        </span>
      )}
      {gateway.reconnects.value > 0 && <span class="quiet wide-only">came back {gateway.reconnects.value}×</span>}
    </div>
  );
}

function words(): string {
  const state = gateway.state.value;
  switch (state.name) {
    case 'open': {
      // An admin may do everything else as well.
      const rights = holds('operator.admin') ? 'admin' : scopes.value.map(scopeName).join(', ');
      return `Connected to ${hello.value?.server.version ?? 'a gateway'}${rights && ` as ${rights}`}`;
    }
    case 'connecting':
      return state.again ? 'Connecting again' : 'Connecting';
    case 'pairing':
      return 'Waiting to be approved';
    case 'waiting':
      return 'Not connected';
    case 'signed-out':
      return 'Not signed in';
  }
}

function Until({ at, why }: { at: number; why: string }) {
  const now = useNow(500);
  return (
    <>
      <span class="quiet wide-only">
        {why}; next try in {span(Math.max(0, at - now) + 999)}
      </span>
      <button type="button" class="quiet-button" onClick={() => gateway.retry()}>
        Try now
      </button>
    </>
  );
}
