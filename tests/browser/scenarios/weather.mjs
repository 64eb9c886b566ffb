// When the gateway or the network goes away.
import assert from 'node:assert/strict';
import { Proxy } from '../proxy.mjs';

const LOST = [/WebSocket connection to .* failed/, /net::ERR_/];

export async function restart({ gateway, visitor }) {
  const it = await gateway();
  const who = await visitor();
  await who.open((await it.command('dashboard')).url);
  await who.connected();
  who.forgiven = LOST;
  const box = who.page.getByRole('textbox', { name: 'Message' });
  await box.fill('before');
  await box.press('Enter');
  await who.page.locator('.said.assistant').getByText('before').waitFor();
  await box.fill('half a sentence');
  await it.stop();
  await who.sees('Not connected');
  await who.shot('away');
  await it.start();
  await who.page
    .getByRole('button', { name: 'Try now' })
    .click({ timeout: 2000 })
    .catch(() => undefined);
  await who.connected();
  await who.sees('came back 1×');
  // Nothing of what was said or written is lost.
  assert.equal(await box.inputValue(), 'half a sentence');
  await who.page.locator('.said.assistant').getByText('before').waitFor();
  await box.press('Enter');
  await who.page.locator('.said.assistant').getByText('half a sentence').waitFor();
}

// Slow, and cut in the middle of an answer.
export async function slow_network({ gateway, visitor }) {
  const it = await gateway('[plugins.echo.config]\nword_ms = 40\n[gateway.limits]\ntick_interval_ms = 1000\n');
  const slow = await Proxy.to(it, { delay: 150, bytesPerSecond: 60_000 });
  const who = await visitor();
  const { url } = await it.command('dashboard', '--reach', slow.address);
  await who.open(url);
  await who.connected();
  who.forgiven = LOST;
  const words = Array.from({ length: 40 }, (_, n) => `w${n}`).join(' ');
  const box = who.page.getByRole('textbox', { name: 'Message' });
  await box.fill(words);
  await box.press('Enter');
  const answer = who.page.locator('.said.assistant');
  await answer.getByText('w1 w2').waitFor();
  slow.cut();
  await who.sees(/came back 1×/);
  await answer.getByText(words).waitFor();
  await who.page.locator('[aria-busy=true]').waitFor({ state: 'detached' });
  assert.equal(await who.page.locator('.said').count(), 2);
  for (const title of ['Overview', 'Methods', 'Configuration']) await who.go(title);
  await slow.close();
}

// An event that never comes is noticed by the next one, and what is shown is read again.
export async function lost_event({ gateway, visitor }) {
  const it = await gateway();
  const way = await Proxy.to(it);
  const who = await visitor();
  await who.open((await it.command('dashboard', '--reach', way.address)).url);
  await who.connected();
  const box = who.page.getByRole('textbox', { name: 'Message' });
  await box.fill('first');
  await box.press('Enter');
  const answer = who.page.locator('.said.assistant');
  await answer.getByText('first').waitFor();
  way.lose('"state":"final"');
  await it.command('agent', 'second', '--session', 'main');
  await it.command('agent', 'third', '--session', 'main');
  await who.sees('An event was lost; what is shown was read again');
  for (const text of ['first', 'second', 'third']) await answer.getByText(text).waitFor();
  await who.page.locator('[aria-busy=true]').waitFor({ state: 'detached' });
  await way.close();
}

// What was heard stays for as long as the history cannot be read.
export async function unread_history({ gateway, visitor }) {
  const it = await gateway();
  const who = await visitor();
  let isUnread = false;
  await who.page.routeWebSocket(/^ws:/, (socket) => {
    const way = socket.connectToServer();
    socket.onMessage((text) => {
      const { id, method } = JSON.parse(text);
      if (!isUnread || method !== 'chat.history') return way.send(text);
      const error = { code: 'UNAVAILABLE', message: 'the disk is away' };
      socket.send(JSON.stringify({ type: 'res', id, ok: false, error }));
    });
  });
  await who.open((await it.command('dashboard')).url);
  await who.connected();
  await who.sees('Nothing was said yet.');
  isUnread = true;
  const box = who.page.getByRole('textbox', { name: 'Message' });
  const [said, alert] = [who.page.locator('.said'), who.page.getByRole('alert')];
  for (const [at, text] of ['first', 'second'].entries()) {
    await box.fill(text);
    await box.press('Enter');
    await who.page.locator('.said.assistant').getByText(text).waitFor();
    await alert.getByText('The conversation could not be read: the disk is away.').waitFor();
    await who.page.locator('[aria-busy=true]').waitFor({ state: 'detached' });
    assert.equal(await said.count(), 2 * (at + 1), 'what was said is still there');
  }
  assert.ok(await who.page.getByRole('button', { name: 'Stop' }).isDisabled());
  await who.shot('unread');
  isUnread = false;
  await who.page.getByRole('button', { name: 'Read it again' }).click();
  await alert.waitFor({ state: 'detached' });
  assert.deepEqual(
    (await said.allInnerTexts()).map((text) => text.split('\n').at(-1)),
    ['first', 'first', 'second', 'second'],
  );
}
