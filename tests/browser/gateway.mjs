// A gateway of a scenario's own: in a home folder, on a port that it keeps when it is started again.
import { execFile, spawn } from 'node:child_process';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

const PROGRAM = process.env.CLAWHOST_BIN;
const OF_THE_MACHINE = /^(CLAWHOST|OPENCLAW|CLAWDBOT)_|^RUST_LOG$/;

export class Gateway {
  constructor(home) {
    this.home = home;
    this.said = '';
    const own = Object.entries(process.env).filter(([name]) => !OF_THE_MACHINE.test(name));
    this.environment = { ...Object.fromEntries(own), HOME: home };
  }

  static async in(home, config = '') {
    await mkdir(home, { recursive: true });
    const gateway = new Gateway(home);
    await gateway.configure(config);
    gateway.port = await freePort();
    await gateway.start();
    return gateway;
  }

  get address() {
    return `http://127.0.0.1:${this.port}`;
  }

  // In one step, since the gateway reads the file when it changes.
  async configure(text) {
    await writeFile(join(this.home, 'config.new'), text);
    await rename(join(this.home, 'config.new'), join(this.home, 'config.toml'));
  }

  async start() {
    const child = spawn(PROGRAM, ['run', '--port', String(this.port)], { cwd: this.home, env: this.environment });
    this.child = child;
    child.stdout.resume();
    await new Promise((resolve, reject) => {
      let line = '';
      child.stderr.on('data', (bytes) => {
        this.said += bytes;
        line += bytes;
        if (line.includes('listening on ws')) resolve();
      });
      child.on('exit', (code) => reject(new Error(`the gateway ended with ${code}:\n${this.said}`)));
    });
  }

  async stop() {
    const { child } = this;
    if (!child || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  }

  async token() {
    return (await readFile(join(this.home, '.clawhost/token'), 'utf8')).trim();
  }

  // What a command of the command line prints as JSON.
  async command(...words) {
    const options = { cwd: this.home, env: this.environment };
    const { stdout } = await promisify(execFile)(PROGRAM, [...words, '--json'], options);
    return JSON.parse(stdout);
  }

  // A program that goes on beside it.
  beside(...words) {
    const child = spawn(PROGRAM, words, { cwd: this.home, env: this.environment, stdio: 'ignore' });
    return { end: () => child.kill('SIGTERM') };
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
