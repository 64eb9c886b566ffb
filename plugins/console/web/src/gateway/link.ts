/** One-time links (`#code=…`) and setup codes. No lasting secret is taken from an address. */

/** The token of a one-time link, which is taken out of the address so that no history keeps it. */
export function takeCode(): string | undefined {
  const code = new URLSearchParams(location.hash.slice(1)).get('code');
  if (code === null) return undefined;
  history.replaceState(null, '', location.pathname + location.search);
  return code.trim() || undefined;
}

/** The link by which a device opens this very page with this setup code. */
export function linkOf(setupCode: string): string {
  const token = bootstrapToken(setupCode) ?? setupCode;
  return `${location.origin}${location.pathname}#code=${encodeURIComponent(token)}`;
}

/** A part of an address as it was meant. One that is badly written stays as it is, and whoever is asked for it says so. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What was pasted, if it is a setup code or a link with one: its token. */
export function bootstrapToken(pasted: string): string | undefined {
  const text = pasted.trim();
  const link = /#(?:.*&)?code=([^&\s]+)/.exec(text);
  if (link?.[1]) return decoded(link[1]);
  try {
    const code: unknown = JSON.parse(atob(text.replaceAll('-', '+').replaceAll('_', '/')));
    const token = code !== null && typeof code === 'object' && 'bootstrapToken' in code && code.bootstrapToken;
    return typeof token === 'string' && token !== '' ? token : undefined;
  } catch {
    return undefined;
  }
}
