/** `connect`: who this page says it is, and the signature that proves it. */
import type { ClientInfo, ConnectChallengeEvent, ConnectParams } from 'schemas/models/clawhost';
import type { Identity } from './identity';

/** What a page may ask for. What it is granted is for the gateway's operator to say. */
export const WANTED = [
  'operator.admin',
  'operator.approvals',
  'operator.pairing',
  'operator.questions',
  'operator.read',
  'operator.write',
];

/** By what it comes in. */
export interface Credentials {
  /** The gateway's token or password: kept for as long as the page is open, and nowhere. */
  secret?: string;
  /** Out of a one-time link or a setup code. */
  bootstrapToken?: string;
  deviceToken?: string;
}

const ROLE = 'operator';

const client: ClientInfo = {
  id: 'openclaw-control-ui',
  mode: 'webchat',
  displayName: `${browser()} on ${navigator.platform || 'an unknown system'}`,
  version: '1.0.0',
  platform: navigator.platform || 'web',
  instanceId: crypto.randomUUID?.() ?? String(Math.random()),
  timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
};

/** The parameters of `connect`, signed for this challenge. */
export async function connectParams(
  identity: Identity,
  challenge: ConnectChallengeEvent,
  credentials: Credentials,
  scopes: string[],
): Promise<ConnectParams> {
  const { secret, bootstrapToken, deviceToken } = credentials;
  // In the order in which the signature takes the first that is there.
  const signed = secret ?? deviceToken ?? bootstrapToken ?? '';
  const platform = client.platform.trim().replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  const payload = [
    'v3',
    identity.id,
    client.id,
    client.mode,
    ROLE,
    scopes.join(','),
    challenge.ts,
    signed,
    challenge.nonce,
    platform,
    '',
  ].join('|');
  const auth = {
    // Which of the two the gateway's secret is, the gateway knows.
    ...(secret !== undefined && { token: secret, password: secret }),
    ...(deviceToken !== undefined && { deviceToken }),
    ...(bootstrapToken !== undefined && { bootstrapToken }),
  };
  return {
    minProtocol: 4,
    maxProtocol: 4,
    client,
    role: ROLE,
    scopes,
    caps: ['tool-events'],
    locale: navigator.language,
    userAgent: navigator.userAgent.slice(0, 200),
    device: {
      id: identity.id,
      publicKey: identity.publicKey,
      signature: await identity.sign(payload),
      signedAt: challenge.ts,
      nonce: challenge.nonce,
    },
    ...(Object.keys(auth).length > 0 && { auth }),
  };
}

function browser(): string {
  const known: [RegExp, string][] = [
    [/Firefox\//, 'Firefox'],
    [/Edg\//, 'Edge'],
    [/Chrome\//, 'Chrome'],
    [/Safari\//, 'Safari'],
  ];
  return known.find(([pattern]) => pattern.test(navigator.userAgent))?.[1] ?? 'Browser';
}
