// Drives the npm package `openclaw-node`, a third party's client, with nothing but address and token, and prints what it
// saw as one line of JSON. `CLIENT_PACKAGE` names the release: 0.1 speaks protocol 3, 0.14 speaks protocol 4.

import { once } from "node:events";
import { join } from "node:path";
import { WebSocket } from "ws";

// The package expects the WebSocket that node has by itself from version 22 on.
globalThis.WebSocket ??= WebSocket;

const { OpenClawClient } = await import(process.env.CLIENT_PACKAGE);
const { CLIENT_URL: url, CLIENT_TOKEN: token, CLIENT_HOME: home } = process.env;
const report = { errors: [], ticks: [], gaps: [] };

const client = new OpenClawClient({
  url,
  token,
  deviceIdentityPath: join(home, "device-identity.json"),
  reconnectIntervalMs: 100,
});
client.on("error", (error) => report.errors.push(error.message));
let seq = 0;
client.on("connected", () => (seq = 0));
client.on("event", (event) => {
  if (event.seq !== undefined) {
    if (event.seq !== seq + 1) report.gaps.push([seq, event.seq]);
    seq = event.seq;
  }
  if (event.event === "tick") {
    report.ticks.push(event.payload);
    client.emit("ticked");
  }
});

const summary = ({ protocol, server, features, auth, policy }) => ({
  protocol,
  version: server.version,
  connId: server.connId,
  methods: features.methods,
  events: features.events,
  role: auth?.role,
  scopes: auth?.scopes,
  hasDeviceToken: typeof auth?.deviceToken === "string",
  tickIntervalMs: policy.tickIntervalMs,
});

report.first = summary(await client.connect());
report.healthHelper = await client.health();
report.health = (await client.request("health", { probe: false })).payload;
report.status = (await client.request("status")).payload;
report.unknown = await client.request("no.such.method").then(
  () => "answered",
  (error) => error.message,
);
while (report.ticks.length < 2) await once(client, "ticked");

const gone = once(client, "disconnected");
await client.disconnect();
await gone;
report.connectedAfterDisconnect = client.isConnected;

report.second = summary(await client.connect());
report.healthAgain = (await client.request("health")).payload.ok;

// Its own reconnect: the socket goes without a word, as a network drops it.
const back = once(client, "connected");
client.ws.terminate ? client.ws.terminate() : client.ws.close();
report.third = summary((await back)[0]);
report.healthAfterReconnect = (await client.request("health")).payload.ok;
await client.disconnect();

console.log(JSON.stringify(report));
