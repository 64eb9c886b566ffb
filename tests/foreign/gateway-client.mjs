// Drives `@openclaw/gateway-client`, the reference's own client of protocol 4, holds what it gets against the schemas of
// `@openclaw/gateway-protocol`, and prints what it saw as one line of JSON. It needs node 22.

import { createHash, createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { GatewayClient } from "@openclaw/gateway-client";
import { EventFrameSchema, HelloOkSchema, PresenceEntrySchema } from "@openclaw/gateway-protocol/schema";
import Value from "typebox/value";

const { CLIENT_URL: url, CLIENT_TOKEN: token } = process.env;
const report = { errors: [], gaps: [], faults: [], hellos: [], ticks: 0, closes: [] };

const fits = (what, schema, value) => {
  for (const { instancePath, message } of Value.Errors(schema, value)) report.faults.push(`${what}${instancePath}: ${message}`);
};

const pem = (key, type) => key.export({ type, format: "pem" }).toString();
const raw = (publicKeyPem) => createPublicKey(publicKeyPem).export({ type: "spki", format: "der" }).subarray(-32);
const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const publicKeyPem = pem(publicKey, "spki");
const deviceIdentity = {
  deviceId: createHash("sha256").update(raw(publicKeyPem)).digest("hex"),
  publicKeyPem,
  privateKeyPem: pem(privateKey, "pkcs8"),
};
let stored = null;
const hostDeps = {
  signDevicePayload: (key, payload) => sign(null, Buffer.from(payload), key).toString("base64url"),
  publicKeyRawBase64UrlFromPem: (key) => raw(key).toString("base64url"),
  loadDeviceAuthToken: () => stored,
  storeDeviceAuthToken: ({ token, scopes }) => (stored = { token, scopes }),
  clearDeviceAuthToken: () => (stored = null),
};

// A client that connects, and what it is to be asked for next.
const begin = (options) => {
  const waiting = [];
  const heard = { tick: [] };
  const client = new GatewayClient({
    url,
    clientName: "gateway-client",
    mode: "backend",
    role: "operator",
    scopes: ["operator.read", "operator.write"],
    deviceIdentity,
    hostDeps,
    ...options,
    onHelloOk: (hello) => {
      fits("hello-ok", HelloOkSchema, hello);
      for (const row of hello.snapshot.presence) fits("presence", PresenceEntrySchema, row);
      const { protocol, server, auth, features } = hello;
      report.hellos.push({ protocol, connId: server.connId, role: auth.role, scopes: auth.scopes, methods: features.methods });
      waiting.shift()?.resolve(hello);
    },
    onConnectError: (error) => {
      // Whoever waits for it is told; the one that says it was stopped nobody waits for.
      const asked = waiting.shift();
      if (asked) asked.reject(error);
      else if (error.message !== "gateway client stopped") report.errors.push(error.message);
    },
    onEvent: (event) => {
      fits(`event ${event.event}`, EventFrameSchema, event);
      if (event.event === "tick") heard.tick.shift()?.(event);
    },
    onGap: (gap) => report.gaps.push(gap),
    onClose: (code, reason) => report.closes.push([code, reason]),
  });
  const hello = () => new Promise((resolve, reject) => waiting.push({ resolve, reject }));
  const tick = () => new Promise((resolve) => heard.tick.push(resolve));
  return { client, hello, tick };
};

const first = begin({ token });
let connected = first.hello();
first.client.start();
await connected;
report.health = await first.client.request("health", { probe: false, unknownYet: true });
report.status = await first.client.request("status", { includeChannelSummary: false, includeCliProjection: true });
for (const row of await first.client.request("system-presence", {})) fits("system-presence", PresenceEntrySchema, row);
report.unknown = await first.client.request("no.such.method", {}).then(
  () => "answered",
  (error) => error.message,
);
for (; report.ticks < 2; report.ticks++) await first.tick();

// The network drops the socket without a word; the client comes back by itself.
connected = first.hello();
first.client.ws.terminate();
await connected;
report.healthAfterReconnect = (await first.client.request("health", {})).ok;
await first.client.stopAndWait();

// From now on with nothing but the token that its device was given.
report.hasDeviceToken = typeof stored?.token === "string";
const second = begin({});
connected = second.hello();
second.client.start();
await connected;
report.healthByDeviceToken = (await second.client.request("health", {})).ok;
await second.client.stopAndWait();

const wrong = begin({ token: "not-the-token", deviceIdentity: null });
connected = wrong.hello();
wrong.client.start();
report.wrongToken = await connected.then(
  () => "connected",
  (error) => error.message,
);
await wrong.client.stopAndWait();

console.log(JSON.stringify(report));
