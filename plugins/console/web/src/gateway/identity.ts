/**
 * The key by which the gateway knows this browser. Its private half cannot be read, not even by this page: the browser
 * keeps it and signs with it.
 */
import * as store from './store';

const KEY = 'identity';

export interface Identity {
  /** SHA-256 of the public key, in hexadecimal. */
  id: string;
  /** The raw public key, in base64url. */
  publicKey: string;
  sign(text: string): Promise<string>;
}

/** What is kept: keys can be stored as they are, without being exported. */
interface Kept {
  pair: CryptoKeyPair;
}

/** Why this browser cannot have a key, in a sentence; nothing if it can. */
export function obstacle(): string | undefined {
  if (!window.isSecureContext || !crypto.subtle) {
    return (
      'Browsers give pages a key only where nobody can change them on the way. Open this page by https, or on the ' +
      'machine itself (http://127.0.0.1 or http://localhost), or through a tunnel that ends there.'
    );
  }
  return undefined;
}

export async function identity(): Promise<Identity> {
  const kept = (await store.read<Kept>(KEY)) ?? (await store.writeOnce<Kept>(KEY, { pair: await make() }));
  const raw = new Uint8Array(await crypto.subtle.exportKey('raw', kept.pair.publicKey));
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', raw));
  return {
    id: Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join(''),
    publicKey: base64url(raw),
    async sign(text) {
      const bytes = new TextEncoder().encode(text);
      return base64url(new Uint8Array(await crypto.subtle.sign('Ed25519', kept.pair.privateKey, bytes)));
    },
  };
}

async function make(): Promise<CryptoKeyPair> {
  try {
    return (await crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify'])) as CryptoKeyPair;
  } catch {
    throw new Error('This browser is too old: it has no Ed25519 keys.');
  }
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '');
}
