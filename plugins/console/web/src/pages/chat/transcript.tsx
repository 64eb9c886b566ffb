/** What was said. New answers are told to screen readers when they are whole, not word by word. */
import { useLayoutEffect, useRef } from 'preact/hooks';
import type { Part } from 'schemas/models/clawhost';
import { hello } from '../../app';
import type { TranscriptMessage } from '../../gateway/more';
import { Badge, Problem } from '../../ui/bits';
import { Text } from '../../ui/text';
import { clock, pretty } from '../../ui/words';
import {
  deliver,
  drop,
  hasMore,
  history,
  load,
  loadMore,
  outgoing,
  runs,
  same,
  session,
  spoken,
  trouble,
  unread,
  type Outgoing,
} from './model';

export function Transcript() {
  const box = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  const waiting = outgoing.value.filter((one) => same(one.session, session.value));
  const size = history.value.length + waiting.length + runs.value.reduce((sum, run) => sum + run.text.length + 1, 0);
  useLayoutEffect(() => {
    if (box.current && isAtEnd.current) box.current.scrollTop = box.current.scrollHeight;
  }, [size, session.value]);
  const scrolled = () => {
    const at = box.current;
    if (at) isAtEnd.current = at.scrollHeight - at.scrollTop - at.clientHeight < 40;
  };
  const isEmpty = size === 0;
  return (
    <>
      <div class="transcript" ref={box} onScroll={scrolled} role="region" aria-label="Conversation" tabIndex={0}>
        {hasMore.value && (
          <button type="button" onClick={loadMore}>
            Earlier messages
          </button>
        )}
        {isEmpty && <p class="empty">Nothing was said yet.</p>}
        <ol>
          {history.value.map((message, at) => (
            <Said key={message.id ?? at} message={message} />
          ))}
          {waiting.map((one) => (
            <Leaving key={one.key} one={one} />
          ))}
          {runs.value.map((run) => (
            <li key={run.id} class="said assistant" aria-busy={!run.isWhole}>
              <Who name={agent()} />
              <Text text={run.text || '…'} />
            </li>
          ))}
        </ol>
        <Problem>{trouble.value}</Problem>
        {unread.value && (
          <Problem>
            The conversation could not be read: {unread.value}.{' '}
            <button type="button" onClick={() => void load()}>
              Read it again
            </button>
          </Problem>
        )}
      </div>
      <p class="hidden" role="log" aria-live="polite">
        {spoken.value}
      </p>
    </>
  );
}

function Said({ message }: { message: TranscriptMessage }) {
  const { role, content, timestamp } = message;
  const parts: Part[] = typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? []);
  const isTool = role === 'toolResult' || role === 'tool';
  return (
    <li class={`said ${isTool ? 'tool' : role}`}>
      <Who
        name={role === 'user' ? 'You' : isTool ? (message.toolName ?? 'Tool') : agent()}
        at={timestamp}
        model={message.model}
      />
      {isTool ? (
        <details>
          <summary>{message.isError ? 'failed' : 'answered'}</summary>
          {parts.map((part, at) => (
            <Shown key={at} part={part} plain />
          ))}
        </details>
      ) : (
        parts.map((part, at) => <Shown key={at} part={part} />)
      )}
      {message.errorMessage && <Problem>{message.errorMessage}</Problem>}
    </li>
  );
}

function Shown({ part, plain }: { part: Part; plain?: boolean }) {
  switch (part.type) {
    case 'text':
      return plain ? (
        <pre class="code" tabIndex={0} role="region" aria-label="Answer of a tool">
          {part.text}
        </pre>
      ) : (
        <Text text={part.text ?? ''} />
      );
    case 'image':
      return <img src={`data:${part.mimeType};base64,${part.data}`} alt="An attached picture" />;
    case 'thinking':
      return (
        <details>
          <summary>Thoughts</summary>
          <Text text={part.thinking ?? ''} />
        </details>
      );
    case 'toolCall':
      return (
        <details>
          <summary>
            Uses <code>{part.name}</code>
          </summary>
          <pre class="code" tabIndex={0} role="region" aria-label="What the tool was asked">
            {pretty(part.arguments)}
          </pre>
        </details>
      );
    default:
      return null;
  }
}

function Leaving({ one }: { one: Outgoing }) {
  return (
    <li class="said user" aria-busy={one.state === 'sending'}>
      <Who name="You" />
      <Text text={one.text} />
      {one.attachments.map((file) => (
        <img key={file.fileName} src={`data:${file.mimeType};base64,${file.content}`} alt={file.fileName} />
      ))}
      {one.state === 'sending' && <Badge>sending</Badge>}
      {(one.state === 'unsure' || one.state === 'failed') && (
        <p class="problem" role="alert">
          {one.state === 'unsure' ? 'It may have arrived or not' : 'It was not taken'}: {one.error}.{' '}
          <button type="button" onClick={() => void deliver(one.key)}>
            Send again
          </button>{' '}
          <button type="button" onClick={() => drop(one.key)}>
            Drop it
          </button>
        </p>
      )}
    </li>
  );
}

function Who({ name, at, model }: { name: string; at?: number | null; model?: string | null }) {
  return (
    <p class="who">
      <strong>{name}</strong> {at ? <time dateTime={new Date(at).toISOString()}>{clock(at)}</time> : null}{' '}
      {model && <span class="quiet">{model}</span>}
    </p>
  );
}

function agent(): string {
  const key = /^agent:([^:]+):/.exec(session.value)?.[1];
  return key ?? hello.value?.snapshot.sessionDefaults?.defaultAgentId ?? 'Agent';
}
