// A way to the gateway through which one comes from afar, slowly, or not at all for a while.
import { request, createServer } from 'node:http';
import { connect } from 'node:net';
import { once } from 'node:events';
import { Transform } from 'node:stream';

export class Proxy {
  static async to(gateway, { delay = 0, bytesPerSecond = Infinity } = {}) {
    const proxy = new Proxy();
    proxy.sockets = new Set();
    proxy.slow = () => slowed(delay, bytesPerSecond);
    proxy.server = createServer((asked, answer) => {
      const way = request(
        { port: gateway.port, method: asked.method, path: asked.url, headers: from_afar(asked) },
        (got) => {
          answer.writeHead(got.statusCode, got.headers);
          got.pipe(proxy.slow()).pipe(answer);
        },
      );
      way.on('error', () => answer.destroy());
      asked.pipe(way);
    });
    proxy.server.on('upgrade', (asked, socket, head) => proxy.upgrade(gateway, asked, socket, head));
    proxy.server.on('connection', (socket) => {
      proxy.sockets.add(socket);
      socket.on('close', () => proxy.sockets.delete(socket));
    });
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    proxy.address = `http://127.0.0.1:${proxy.server.address().port}`;
    return proxy;
  }

  upgrade(gateway, asked, socket, head) {
    const way = connect(gateway.port, '127.0.0.1');
    const lines = Object.entries(from_afar(asked)).map(([name, value]) => `${name}: ${value}\r\n`);
    way.write(`GET ${asked.url} HTTP/1.1\r\n${lines.join('')}\r\n`);
    way.write(head);
    socket.pipe(this.slow()).pipe(way);
    way.pipe(this.slow()).pipe(this.losing()).pipe(socket);
    for (const [one, other] of [
      [way, socket],
      [socket, way],
    ]) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  }

  // Loses the next message to the page in which this is written.
  lose(text) {
    this.lost = text;
  }

  // Messages of a server are not masked, so their frames can be told apart and read.
  losing() {
    let rest = Buffer.alloc(0);
    let isUpgraded = false;
    const proxy = this;
    return new Transform({
      transform(chunk, _, done) {
        rest = Buffer.concat([rest, chunk]);
        if (!isUpgraded) {
          const end = rest.indexOf('\r\n\r\n');
          if (end < 0) return done();
          this.push(rest.subarray(0, end + 4));
          rest = rest.subarray(end + 4);
          isUpgraded = true;
        }
        for (let size = frameSize(rest); size !== undefined && rest.length >= size; size = frameSize(rest)) {
          const frame = rest.subarray(0, size);
          rest = rest.subarray(size);
          if (proxy.lost !== undefined && frame.includes(proxy.lost)) proxy.lost = undefined;
          else this.push(frame);
        }
        done();
      },
    });
  }

  // Ends every connection, as a network does that goes away.
  cut() {
    for (const socket of this.sockets) socket.destroy();
  }

  async close() {
    this.server.close();
    this.cut();
  }
}

function from_afar(asked) {
  return { ...asked.headers, 'x-forwarded-for': '203.0.113.9' };
}

function slowed(delay, bytesPerSecond) {
  return new Transform({
    transform(chunk, _, done) {
      const wait = delay + (bytesPerSecond === Infinity ? 0 : (chunk.length / bytesPerSecond) * 1000);
      if (wait === 0) done(null, chunk);
      else setTimeout(() => done(null, chunk), wait);
    },
  });
}

// Of the whole frame that begins here, if enough of it is there to tell.
function frameSize(bytes) {
  if (bytes.length < 2) return undefined;
  const short = bytes[1] & 0x7f;
  if (short < 126) return 2 + short;
  if (short === 126) return bytes.length < 4 ? undefined : 4 + bytes.readUInt16BE(2);
  return bytes.length < 10 ? undefined : 10 + Number(bytes.readBigUInt64BE(2));
}
