/** What is said next, with pictures beside it. */
import { useRef, useState } from 'preact/hooks';
import { hello, isOpen, may } from '../../app';
import { Problem } from '../../ui/bits';
import { abort, draft, outgoing, runs, same, send, session, type Attachment } from './model';

/** Largest picture, in bytes: what the gateway takes unless its configuration says otherwise. */
const LARGEST = 5_000_000;

export function Composer() {
  const text = draft.value;
  const [files, setFiles] = useState<Attachment[]>([]);
  const [problem, setProblem] = useState<string>();
  const box = useRef<HTMLTextAreaElement>(null);
  const busy =
    runs.value.some(({ isWhole }) => !isWhole) ||
    outgoing.value.some((one) => one.state === 'sent' && same(one.session, session.value));
  const ready = isOpen.value && (text.trim() !== '' || files.length > 0);

  const submit = () => {
    if (!ready) return;
    void send(text.trim(), files);
    draft.value = '';
    setFiles([]);
    setProblem(undefined);
    box.current?.focus();
  };
  const add = async (list: Iterable<File>) => {
    try {
      const read = await Promise.all(Array.from(list, attachment));
      setFiles((before) => [...before, ...read]);
      setProblem(undefined);
    } catch (error) {
      setProblem((error as Error).message);
    }
  };
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault();
        void add(event.dataTransfer?.files ?? []);
      }}
    >
      <Problem>{problem}</Problem>
      {files.length > 0 && (
        <ul class="files" aria-label="Attachments">
          {files.map((file, at) => (
            <li key={at}>
              {file.fileName}{' '}
              <button
                type="button"
                aria-label={`Remove ${file.fileName}`}
                onClick={() => setFiles(files.filter((_, n) => n !== at))}
              >
                ×
              </button>
            </li>
          ))}
        </ul>
      )}
      <label class="hidden" for="message">
        Message
      </label>
      <textarea
        id="message"
        ref={box}
        rows={3}
        value={text}
        placeholder="Message (Enter sends, Shift+Enter begins a line)"
        onInput={(event) => (draft.value = event.currentTarget.value)}
        onPaste={(event) => {
          const pasted = event.clipboardData?.files;
          if (pasted && pasted.length > 0) {
            event.preventDefault();
            void add(pasted);
          }
        }}
        onKeyDown={(event) => {
          if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          submit();
        }}
      />
      <div class="composer-row">
        <button type="submit" class="primary" disabled={!ready}>
          Send
        </button>
        {may('chat.abort') && (
          <button type="button" disabled={!busy || !isOpen.value} onClick={() => void abort()}>
            Stop
          </button>
        )}
        <label class="file">
          Attach a picture
          <input
            type="file"
            accept="image/*"
            multiple
            onChange={(event) => {
              void add(event.currentTarget.files ?? []);
              event.currentTarget.value = '';
            }}
          />
        </label>
        {!isOpen.value && <span class="quiet">Not connected; what you write stays here.</span>}
      </div>
    </form>
  );
}

async function attachment(file: File): Promise<Attachment> {
  if (!file.type.startsWith('image/')) throw new Error(`${file.name} is no picture; agents are shown pictures only.`);
  // In base64 it is a third larger, and the rest of the message needs room too.
  const most = Math.min(LARGEST, ((hello.value?.policy.maxPayload ?? Infinity) * 3) / 4 - 20_000);
  if (file.size > most) throw new Error(`${file.name} is larger than ${Math.floor(most / 1000).toLocaleString()} kB.`);
  const url = await new Promise<string>((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error ?? new Error(`${file.name} cannot be read`));
    reader.readAsDataURL(file);
  });
  return { fileName: file.name, mimeType: file.type, content: url.slice(url.indexOf(',') + 1) };
}
