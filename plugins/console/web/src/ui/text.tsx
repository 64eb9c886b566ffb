/** What somebody wrote: paragraphs, code, emphasis and links. Everything becomes elements and text, never markup. */
import type { ComponentChildren } from 'preact';
import { memo } from './memo';

export const Text = memo(({ text }: { text: string }) => {
  // Every second piece lies between fences; one that is still being written has no end yet.
  const pieces = text.split(/^```(.*)$/m);
  const blocks: ComponentChildren[] = [];
  for (let at = 0; at < pieces.length; at += 4) {
    const words = pieces[at]?.trim();
    if (words) blocks.push(<p key={at}>{inline(words)}</p>);
    const code = pieces[at + 2];
    if (code !== undefined) {
      blocks.push(
        <pre key={`code-${at}`} class="code" tabIndex={0} role="region" aria-label={pieces[at + 1] || 'Code'}>
          {code.replace(/^\n|\n$/g, '')}
        </pre>,
      );
    }
  }
  return <>{blocks}</>;
});

const INLINE = /(`[^`\n]+`|\*\*[^*\n]+\*\*|https?:\/\/[^\s<>"')\]]+)/;

function inline(text: string): ComponentChildren[] {
  return text.split(INLINE).map((piece, at) => {
    if (at % 2 === 0) return piece;
    if (piece.startsWith('`')) return <code key={at}>{piece.slice(1, -1)}</code>;
    if (piece.startsWith('**')) return <strong key={at}>{piece.slice(2, -2)}</strong>;
    return (
      <a key={at} href={piece} target="_blank" rel="noopener noreferrer">
        {piece}
      </a>
    );
  });
}
