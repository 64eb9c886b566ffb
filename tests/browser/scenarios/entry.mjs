// How one comes in.
import assert from 'node:assert/strict';
import { Proxy } from '../proxy.mjs';
import { until } from '../page.mjs';

// A fresh gateway, and somebody who has its token.
export async function first_visit({ gateway, visitor }) {
  const it = await gateway();
  const [who, token] = [await visitor(), await it.token()];
  await who.open(it.address);
  await who.heading('Sign in');
  await who.accessible('the first visit');
  await who.shot('sign-in');
  await who.signIn(it.address, 'not the token');
  await who.page.getByRole('alert').getByText('token mismatch').waitFor();
  await who.signIn(it.address, token);
  await who.connected();
  await who.heading('Chat');
  await who.shot('chat');
  // It comes back by a token of its own: nothing that lasts was kept of what was typed.
  const kept = await who.page.evaluate(() =>
    JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]),
  );
  assert.ok(!kept.includes(token), kept);
  await who.page.reload();
  await who.connected();
  const devices = await it.command('devices', 'list');
  assert.equal(devices.paired.filter((device) => device.clientId === 'openclaw-control-ui').length, 1);
  // Nobody reads its key, not even the page.
  const extractable = await who.page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const opened = indexedDB.open('clawhost');
        opened.onerror = () => reject(opened.error);
        opened.onsuccess = () => {
          const got = opened.result.transaction('kept').objectStore('kept').get('identity');
          got.onsuccess = () => resolve(got.result.pair.privateKey.extractable);
        };
      }),
  );
  assert.equal(extractable, false);
}

// By the link that the command line prints: good once, and with no lasting secret in it.
export async function one_time_link({ gateway, visitor }) {
  const it = await gateway();
  const { url } = await it.command('dashboard');
  assert.ok(url.startsWith(`${it.address}/#code=`) && !url.includes(await it.token()), url);
  const who = await visitor();
  await who.open(url);
  await who.connected();
  await who.sees('admin');
  assert.ok(!who.page.url().includes('code='), who.page.url());
  await who.page.reload();
  await who.connected();

  const other = await visitor();
  await other.open(url);
  await other.heading('Sign in');
  await other.page.getByRole('alert').getByText('setup code invalid').waitFor();
  // One that was damaged on its way is told apart from a password, and stops nothing.
  await other.signIn(it.address, `${it.address}/#code=%E0%A4%A`);
  await other.page.getByRole('alert').getByText('setup code invalid').waitFor();
  // The next one is pasted, into the page that is open already.
  const next = await it.command('dashboard', '--scopes', 'operator.read');
  await other.signIn(it.address, next.url);
  await other.connected();
  assert.ok(!(await other.pages()).includes('Approvals'));

  // Removed, it is out at once.
  const devices = await it.command('devices', 'list');
  const reader = devices.paired.find((device) => JSON.stringify(device.scopes) === '["operator.read"]');
  await it.command('devices', 'remove', reader.deviceId);
  await other.heading('Sign in');
}

// From afar it waits for somebody's yes, which may be less than it asked for.
export async function pairing({ gateway, visitor }) {
  const it = await gateway();
  const afar = await Proxy.to(it);
  const who = await visitor();
  await who.signIn(afar.address, await it.token());
  await who.heading('Somebody has to let this browser in');
  await who.accessible('waiting to be approved');
  await who.shot('waiting');
  const waiting = await until('a request', async () => (await it.command('devices', 'list')).pending[0]);
  await who.sees(`clawhost devices approve ${waiting.requestId}`);
  await it.command('devices', 'approve', waiting.requestId, '--scopes', 'operator.read');
  await who.connected();
  await who.heading('Chat');
  await who.sees('Your rights let you read here, and not write.');
  const pages = await who.pages();
  assert.ok(pages.includes('Plugins') && !pages.includes('Approvals'), pages);
  // It does not knock again for what it was not given.
  assert.deepEqual((await it.command('devices', 'list')).pending, []);
  await who.page.reload();
  await who.connected();
  assert.deepEqual((await it.command('devices', 'list')).pending, []);
  await afar.close();
}

// Whoever is turned away is told so, and does not go on knocking.
export async function turned_away({ gateway, visitor }) {
  const it = await gateway();
  const afar = await Proxy.to(it);
  const who = await visitor();
  await who.signIn(afar.address, await it.token());
  const waiting = await until('a request', async () => (await it.command('devices', 'list')).pending[0]);
  await it.command('devices', 'reject', waiting.requestId);
  await who.heading('Sign in');
  await who.page.getByRole('alert').getByText('refused').waitFor();
  await afar.close();
}
