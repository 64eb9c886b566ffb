// The least a gateway in node could cost: `ws`, the frame parsed, a fixed payload answered. It is to node what `bare` is to
// Rust, and answers the same: see tests/src/bin/bare.rs.
//
//     node server.mjs [--port N] [--hello-bytes N] [--welcome-bytes N] [--health-bytes N] [--presence-bytes N]
//
// It prints one line with its address and ends when standard input does.

import { createPublicKey, verify } from 'node:crypto'
import { parseArgs } from 'node:util'
import { WebSocketServer } from 'ws'

const number = { type: 'string', default: '0' }
const names = ['port', 'hello-bytes', 'welcome-bytes', 'health-bytes', 'presence-bytes']
const { values } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, number])) })

const HEALTH = JSON.stringify({
  ok: true, ts: 1737264000000, durationMs: 2, channels: {}, channelOrder: [], channelLabels: {}, heartbeatSeconds: 1800,
  defaultAgentId: 'main',
  agents: [{
    agentId: 'main', name: 'Main', isDefault: true,
    heartbeat: {
      enabled: true, every: '30m', everyMs: 1800000,
      prompt: 'Look at what is open and say what matters; answer HEARTBEAT_OK when nothing does.', target: 'last',
      ackMaxChars: 300,
    },
    sessions: { path: 'sessions/main.json', count: 0, recent: [] },
  }],
  sessions: { path: 'sessions/main.json', count: 0, recent: [] },
  plugins: [{ id: 'health', state: 'running' }, { id: 'presence', state: 'running' }],
})
const PRESENCE = JSON.stringify([
  {
    host: 'bare', ip: '127.0.0.1', version: '0', platform: 'linux', deviceFamily: 'Linux', mode: 'gateway', reason: 'self',
    text: 'Gateway: bare', ts: 1737264000000,
  },
  {
    host: 'load', ip: '127.0.0.1', version: '0', platform: 'linux', mode: 'backend', reason: 'connect', text: 'Node: load',
    ts: 1737264000000, roles: ['operator'], scopes: ['operator.admin'], instanceId: 'load',
  },
])
const HELLO = {
  type: 'hello-ok', protocol: 3, server: { version: '0', connId: '3f1c2b7e-9f60-4a55-8d0a-5b6c7d8e9f01' },
  features: { methods: ['bench.broadcast', 'health'], events: ['bench', 'connect.challenge', 'tick'] },
  snapshot: {
    presence: [{ host: 'bare', mode: 'gateway', reason: 'self', text: 'Gateway: bare', ts: 1737264000000 }],
    health: {}, stateVersion: { presence: 1, health: 1 }, uptimeMs: 1,
    sessionDefaults: {
      defaultAgentId: 'main', mainKey: 'main', mainSessionKey: 'agent:main:main', scope: 'per-sender',
    },
  },
  policy: { maxPayload: 524288, maxBufferedBytes: 1572864, tickIntervalMs: 30000 },
}

const ok = (id, payload) => `{"type":"res","id":${JSON.stringify(id)},"ok":true,"payload":${payload}}`

/** A text of so many characters, made by a function that takes what fills it; the shortest one if it needs more. */
const filled = (bytes, text) => text('x'.repeat(Math.max(0, bytes - text('').length)))

const hello = helloOf(Number(values['hello-bytes']))
const welcome = Number(values['welcome-bytes']) > 0 && filled(Number(values['welcome-bytes']), (filling) =>
  JSON.stringify({ type: 'event', event: 'health', payload: { filling } }))
const health = payloadOf(Number(values['health-bytes']), HEALTH)
const presence = payloadOf(Number(values['presence-bytes']), PRESENCE)

/** A payload of so many bytes, since nobody looks into it, or the given one. */
function payloadOf(bytes, own) {
  return bytes > 0 ? filled(bytes, (filling) => JSON.stringify({ filling })) : own
}

function helloOf(bytes) {
  const text = (filling) => JSON.stringify({ ...HELLO, filling })
  const envelope = ok('connect', '').length
  return bytes > envelope ? filled(bytes - envelope, text) : JSON.stringify(HELLO)
}

let connections = 0
let broadcasts = 0
const joined = new Set()
const relay = { node: null, nodeId: '', asked: new Map(), last: 0 }

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(values.port), perMessageDeflate: false })
server.on('listening', () => console.log(`ready on ws://127.0.0.1:${server.address().port}`))
server.on('connection', (socket) => {
  const nonce = `${Date.now()}-${connections++}`
  let isIn = false
  socket.on('error', () => socket.terminate())
  socket.on('close', () => {
    joined.delete(socket)
    if (relay.node === socket) relay.node = null
  })
  socket.on('message', (data) => {
    const request = parsed(data)
    if (!isIn) {
      const answer = request && connect(request, nonce, socket)
      if (!answer) return socket.close()
      isIn = true
      joined.add(socket)
      socket.send(answer)
      if (welcome) socket.send(welcome)
      return
    }
    const answer = request && answered(request, socket)
    if (answer) socket.send(answer)
  })
  socket.send(JSON.stringify({ type: 'event', event: 'connect.challenge', payload: { nonce, ts: Date.now() } }))
})

function parsed(data) {
  try {
    const frame = JSON.parse(data.toString())
    return frame.type === 'req' && typeof frame.id === 'string' ? frame : null
  } catch {
    return null
  }
}

/** The answer to `connect`; nothing when it is not one or its device does not prove itself. */
function connect({ id, method, params }, nonce, socket) {
  if (method !== 'connect') return null
  const { device, role = 'operator' } = params
  if (device && !proves(device, params, role, nonce)) return null
  if (role === 'node' && device) Object.assign(relay, { node: socket, nodeId: device.id })
  return ok(id, hello)
}

function proves(device, params, role, nonce) {
  const { client, scopes = [], auth } = params
  const token = auth?.token ?? ''
  const text = ['v2', device.id, client.id, client.mode, role, scopes.join(','), device.signedAt, token, nonce].join('|')
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: device.publicKey }, format: 'jwk' })
  return verify(null, Buffer.from(text), key, Buffer.from(device.signature, 'base64url'))
}

function answered({ id, method, params }, socket) {
  switch (method) {
    case 'health':
      return ok(id, health)
    case 'system-presence':
      return ok(id, presence)
    case 'node.invoke': {
      const { nodeId, command, timeoutMs, idempotencyKey } = params
      const number = String(++relay.last)
      relay.asked.set(number, [socket, id])
      const payload = {
        id: number, nodeId, command, paramsJSON: JSON.stringify(params.params), timeoutMs, idempotencyKey,
      }
      relay.node?.send(JSON.stringify({ type: 'event', event: 'node.invoke.request', payload }))
      return null
    }
    case 'node.invoke.result': {
      const asked = relay.asked.get(params.id)
      relay.asked.delete(params.id)
      if (!asked) return ok(id, '{"ok":false}')
      const { nodeId, payloadJSON } = params
      asked[0].send(ok(asked[1], JSON.stringify({ ok: true, nodeId, payload: JSON.parse(payloadJSON), payloadJSON })))
      return ok(id, '{"ok":true}')
    }
    case 'node.pair.list':
      return ok(id, JSON.stringify({ pending: [], paired: [{ nodeId: relay.nodeId }] }))
    case 'bench.broadcast': {
      const payload = { filling: 'x'.repeat(Math.min(params.bytes ?? 0, 1 << 20)) }
      const frame = JSON.stringify({ type: 'event', event: 'bench', payload, seq: ++broadcasts })
      for (const one of joined) one.send(frame)
      return ok(id, '{"ok":true}')
    }
    default:
      return JSON.stringify({
        type: 'res', id, ok: false, error: { code: 'INVALID_REQUEST', message: 'unknown method' },
      })
  }
}

process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
