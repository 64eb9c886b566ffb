/** Chat: which conversation, what was said in it, and what to say next. */
import { useEffect } from 'preact/hooks';
import { gateway, isListed, isOpen, may } from '../../app';
import { Composer } from './composer';
import { load, session } from './model';
import { Sessions } from './sessions';
import { Transcript } from './transcript';

export function Chat() {
  const ready = isOpen.value && isListed.value;
  useEffect(() => {
    if (!ready) return;
    void load();
    // The list of sessions is told of changes only where it was asked for, once a connection.
    if (may('sessions.subscribe')) void gateway.call('sessions.subscribe', {}).catch(() => undefined);
  }, [ready, session.value]);

  return (
    <div class="chat">
      {may('sessions.list') && <Sessions />}
      <div class="talk">
        <Transcript />
        {may('chat.send') ? <Composer /> : <p class="empty">Your rights let you read here, and not write.</p>}
      </div>
    </div>
  );
}
