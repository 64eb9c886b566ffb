// Every page, on every screen.
import assert from 'node:assert/strict';

const ALL = [
  'Chat',
  'Overview',
  'Approvals',
  'Nodes',
  'Agents',
  'Channels',
  'Jobs',
  'Plugins',
  'Methods',
  'Logs',
  'Configuration',
];
const CONFIG = '# Of the lab.\n[gateway.log]\nlevel = "info"\n';

async function show({ gateway, visitor }, options) {
  const it = await gateway(CONFIG);
  const who = await visitor(options);
  await who.open((await it.command('dashboard')).url);
  await who.connected();
  assert.deepEqual(await titles(who), ALL);
  for (const title of ALL) {
    await who.go(title);
    // Something of it has come.
    await who.page.waitForTimeout(700);
    await who.fits(title);
    await who.accessible(title);
    await who.shot(title.toLowerCase());
  }
  return { it, who };
}

// On a phone they are behind a button.
async function titles(who) {
  const menu = who.page.locator('nav .menu');
  if (await menu.isVisible()) await menu.click();
  await who.page.getByRole('link', { name: 'Configuration' }).waitFor();
  const found = await who.pages();
  if (await menu.isVisible()) await menu.click();
  return found;
}

export async function light(tools) {
  const { who } = await show(tools, { colorScheme: 'light' });
  await who.go('Overview');
  await who.page.locator('.plot').first().waitFor();
  await who.page.getByRole('button', { name: 'Theme: system' }).click();
  await who.page.getByRole('button', { name: 'Theme: light' }).click();
  await who.accessible('the dark theme by choice');
  await who.shot('plots-dark');
}

export async function dark(tools) {
  await show(tools, { colorScheme: 'dark', reducedMotion: 'reduce' });
}

export async function phone(tools) {
  await show(tools, { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
}

// By keyboard alone.
export async function keyboard({ gateway, visitor }) {
  const it = await gateway();
  const who = await visitor();
  await who.open((await it.command('dashboard')).url);
  await who.connected();
  await who.page.getByRole('textbox', { name: 'Message' }).waitFor();
  await who.page.keyboard.press('Tab');
  assert.equal(await focused(who), 'Skip to the content');
  await who.page.keyboard.press('Enter');
  assert.equal(await who.page.evaluate(() => document.activeElement?.id), 'main');
  await who.page.getByRole('link', { name: 'Overview' }).focus();
  await who.page.keyboard.press('Enter');
  await who.heading('Overview');
  assert.equal(await focused(who), 'Overview', 'who comes to a page is told where they are');
}

function focused(who) {
  return who.page.evaluate(() => document.activeElement?.textContent?.trim());
}
