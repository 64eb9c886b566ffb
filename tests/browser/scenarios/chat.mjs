// Talking to an agent.
import assert from 'node:assert/strict';

const SLOW = '[plugins.echo.config]\nword_ms = 60\n[plugins.chat.config]\ndelta_interval_ms = 50\n';
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

async function inside({ gateway, visitor }) {
  const it = await gateway(SLOW);
  const who = await visitor();
  await who.open((await it.command('dashboard')).url);
  await who.connected();
  const box = who.page.getByRole('textbox', { name: 'Message' });
  return { it, who, box, said: who.page.locator('.said') };
}

export async function chat_streams(tools) {
  const { it, who, box, said } = await inside(tools);
  const words = 'one two three four five six seven eight nine ten eleven twelve';
  await box.fill(words);
  await box.press('Enter');
  // It grows before it is whole.
  const answer = who.page.locator('.said.assistant');
  await answer.getByText('one two').waitFor();
  const early = await answer.last().innerText();
  assert.ok(!early.includes('twelve'), early);
  await answer.getByText(words).waitFor();
  await who.page.locator('[aria-busy=true]').waitFor({ state: 'detached' });
  assert.equal(await said.count(), 2);
  await who.accessible('a conversation');
  await who.shot('answered');

  // A picture comes along, and what somebody says elsewhere is heard here.
  await who.page
    .locator('input[type=file]')
    .setInputFiles({ name: 'dot.png', mimeType: 'image/png', buffer: Buffer.from(PIXEL, 'base64') });
  await who.sees('dot.png');
  await box.fill('look');
  await who.page.getByRole('button', { name: 'Send' }).click();
  await who.page.locator('.said.user img').waitFor();
  await answer.getByText('look').waitFor();
  await it.command('agent', 'from elsewhere', '--session', 'main');
  await answer.getByText('from elsewhere').waitFor();

  // Another conversation, and back; the first one is still there after a reload.
  await who.page.getByRole('button', { name: 'New conversation' }).click();
  await who.sees('Nothing was said yet.');
  await box.fill('`code` and **more** <b>x</b>');
  await box.press('Enter');
  await answer.locator('code').getByText('code').waitFor();
  await answer.locator('strong').getByText('more').waitFor();
  await answer.getByText('<b>x</b>').waitFor();
  await who.page.reload();
  await said.getByText(words).first().waitFor();
  await who.page.locator('.said img').waitFor();
}

export async function abort(tools) {
  const { who, box } = await inside(tools);
  const words = Array.from({ length: 200 }, (_, n) => `w${n}`).join(' ');
  await box.fill(words);
  await box.press('Enter');
  await who.page.locator('.said.assistant').getByText('w1 w2').waitFor();
  await who.page.getByRole('button', { name: 'Stop' }).click();
  await who.page.getByRole('alert').getByText('Stopped.').waitFor();
  const text = await who.page.locator('.said.assistant').allInnerTexts();
  assert.ok(!text.join().includes('w199'), 'it was stopped before its end');
  // The next one is answered.
  await box.fill('again');
  await box.press('Enter');
  await who.page.locator('.said.assistant').getByText('again').waitFor();
}
