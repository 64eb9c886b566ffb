// Looking after a gateway.
import assert from 'node:assert/strict';
import { Proxy } from '../proxy.mjs';
import { until } from '../page.mjs';

async function admin({ gateway, visitor }, config) {
  const it = await gateway(config);
  const who = await visitor();
  await who.open((await it.command('dashboard')).url);
  await who.connected();
  return { it, who };
}

// A second device knocks, and is given less than it asks for.
export async function approve_less(tools) {
  const { it, who } = await admin(tools, '[gateway]\ntrusted_proxies = ["127.0.0.1"]\n');
  const afar = await Proxy.to(it);
  const other = await tools.visitor();
  await other.signIn(afar.address, await it.token());
  await other.heading('Somebody has to let this browser in');
  // It is seen from every page.
  await who.page.getByRole('navigation').locator('.count').waitFor();
  await who.go('Approvals');
  const request = who.page.getByRole('article', { name: /asks to come in/ });
  await request.getByText('203.0.113.9').waitFor();
  await who.accessible('a device that asks to come in');
  await who.shot('request');
  for (const scope of ['admin', 'pairing', 'approvals', 'questions']) {
    await request.getByRole('checkbox', { name: scope, exact: true }).uncheck();
  }
  await request.getByRole('button', { name: 'Let it in with these rights' }).click();
  await who.sees('with less than it asked for');
  await other.connected();
  assert.match(await other.page.locator('.connection').innerText(), /as read, write/);
  assert.ok(!(await other.pages()).includes('Approvals'));
  await other.page.getByRole('textbox', { name: 'Message' }).fill('hello');
  await other.page.keyboard.press('Enter');
  await other.page.locator('.said.assistant').getByText('hello').waitFor();
  const { paired, pending } = await it.command('devices', 'list');
  const narrow = paired.find((device) => device.remoteIp === '203.0.113.9');
  assert.deepEqual([narrow.scopes, pending], [['operator.read', 'operator.write'], []]);
  await afar.close();
}

// A method by the form that is made of its schema.
export async function try_a_method(tools) {
  const { it, who } = await admin(tools);
  const method = 'device.pair.setupCode';
  await who.go('Methods');
  await who.page.getByLabel('Search').fill(method);
  await who.page.getByRole('link', { name: new RegExp(method) }).click();
  await who.page.getByRole('heading', { level: 2, name: method }).waitFor();
  await who.page.getByLabel('label').fill('by form');
  await who.page.getByLabel('url').fill('ws://gateway.example:1');
  await who.page.getByRole('button', { name: 'Add scopes' }).click();
  await who.page.getByRole('textbox', { name: /^scopes 1/ }).fill('operator.read');
  await who.accessible('a form');
  await who.shot('form');
  const call = who.page.getByRole('button', { name: `Call ${method}` });
  await call.click();
  const answer = who.page.getByRole('region', { name: 'Answer' });
  await answer.getByText('ws://gateway.example:1').waitFor();
  const { scopes, setupCode } = JSON.parse(await answer.innerText());
  assert.deepEqual(scopes, ['operator.read']);
  assert.equal(
    (await it.command('health', '--setup-code', setupCode).catch((error) => error)).code,
    1,
    'it leads elsewhere',
  );
  // As JSON, and what the gateway says to what is wrong.
  await who.page.getByRole('button', { name: 'Write JSON instead' }).click();
  const text = who.page.getByLabel('Parameters as JSON');
  assert.deepEqual(JSON.parse(await text.inputValue()).scopes, ['operator.read']);
  await text.fill('{"role": 5}');
  await call.click();
  await who.page.getByRole('alert').getByText(`invalid ${method} params`).waitFor();
  await text.fill('{');
  await call.click();
  await who.page.getByRole('alert').getByText('This is not JSON').waitFor();
  // What only reads needs nothing at all.
  await who.page.getByLabel('Search').fill('last-heartbeat');
  await who.page.getByRole('link', { name: /last-heartbeat/ }).click();
  await who.page.getByRole('button', { name: 'Call last-heartbeat' }).click();
  await answer.getByText('null').waitFor();
}

// Somebody else's plugin: added while the page is open, and its method called from a form.
export async function a_strangers_method(tools) {
  const { it, who } = await admin(tools);
  await who.go('Methods');
  await who.page.getByLabel('Search').fill('loaded.');
  await it.configure(process.env.SCENARIO_CONFIG);
  await who.page.getByRole('link', { name: /loaded\.ask/ }).click();
  await who.page.getByRole('heading', { level: 2, name: 'loaded.ask' }).waitFor();
  await who.page.getByRole('textbox', { name: /^method/ }).fill('system-presence');
  await who.shot('strangers');
  await who.page.getByRole('button', { name: 'Call loaded.ask' }).click();
  const answer = who.page.getByRole('region', { name: 'Answer' });
  await answer.getByText('"mode": "gateway"').waitFor();
  await who.page.getByRole('textbox', { name: /^method/ }).fill('status');
  await who.page.getByRole('button', { name: 'Call loaded.ask' }).click();
  await who.page.getByRole('alert').first().waitFor();
  await who.go('Plugins');
  const row = who.page.getByRole('row', { name: /^loaded / });
  await row.getByText('1.2.3').waitFor();
  await row.getByText('running').waitFor();
  await who.accessible('plugins, one of them a stranger');
}

export async function a_plugin_is_disabled(tools) {
  const { it, who } = await admin(tools);
  await who.go('Logs');
  await who.page.locator('.log-line').first().waitFor();
  await it.configure('[plugins.logs]\nenabled = false\n');
  await who.sees('Nothing of this page can be used here');
  assert.ok(!(await who.pages()).includes('Logs'));
  await who.go('Plugins');
  const row = who.page.getByRole('row', { name: /^logs / });
  await row.getByText('disabled').waitFor();
  await it.configure('');
  await who.page.getByRole('navigation').getByRole('link', { name: 'Logs' }).waitFor();
  await row.getByText('running').waitFor();
}

// What is linked in besides: whatever is missing, the rest of the page is there.
export async function few_plugins(tools) {
  const off = ['agent', 'agents', 'approvals', 'channels', 'chat', 'config', 'cron', 'health', 'heartbeat', 'logs'];
  const also = ['models', 'node', 'presence', 'send', 'sessions', 'status', 'system', 'voice'];
  const it = await tools.gateway([...off, ...also].map((id) => `[plugins.${id}]\nenabled = false\n`).join(''));
  const who = await tools.visitor();
  await who.signIn(it.address, await it.token());
  await who.connected();
  await who.heading('Overview');
  assert.deepEqual(await who.pages(), ['Overview', 'Approvals']);
  await who.go('Approvals');
  await who.sees('None waits.');
}

// A program wants to run, and a node offers something.
export async function decide(tools) {
  const { it, who } = await admin(tools);
  await who.go('Approvals');
  const asked = it.command(
    'call',
    'exec.approval.request',
    '--params',
    JSON.stringify({ command: 'rm -r old', host: 'gateway' }),
  );
  const request = who.page.getByRole('article', { name: /A program wants to run: rm -r/ });
  await request.waitFor();
  await who.accessible('a program that wants to run');
  await request.getByRole('button', { name: 'Deny' }).click();
  assert.equal((await asked).decision, 'deny');
  await request.waitFor({ state: 'detached' });

  const node = it.beside('node', 'run', '--name', 'garage', '--no-canvas');
  const offer = who.page.getByRole('article', { name: 'garage offers commands' });
  // Not all of it.
  await offer.getByRole('checkbox', { name: 'system.run', exact: true }).uncheck();
  await offer.getByRole('button', { name: 'Let only these be used' }).click();
  await who.go('Nodes');
  await who.page.getByRole('heading', { level: 2, name: 'garage' }).waitFor();
  await who.page.getByLabel('Command').selectOption('system.which');
  await who.page.getByRole('button', { name: 'Ask garage' }).click();
  await who.page.getByRole('region', { name: 'Answer of system.which' }).getByText('/sh').waitFor();
  await who.accessible('a node');
  await who.shot('node');
  node.end();
  await until('the node to be away', async () => !(await it.command('nodes', 'list')).nodes[0].connected);
  await who.sees('away');
}

// A job from its beginning to its end.
export async function a_job(tools) {
  const { who } = await admin(tools);
  await who.go('Jobs');
  await who.sees('There is none.');
  await who.page.getByLabel('Name').fill('tea');
  await who.page.getByLabel('Text').fill('The tea is ready.');
  await who.page.getByRole('button', { name: 'Add the job' }).click();
  const row = who.page.getByRole('row', { name: /^tea/ });
  await row.getByRole('button', { name: 'Run now' }).click();
  await row.getByText(/ok$/).waitFor();
  await row.getByRole('button', { name: 'Runs' }).click();
  await who.page.getByRole('region', { name: 'Runs' }).getByText('ok', { exact: true }).waitFor();
  await row.getByRole('button', { name: 'Remove' }).click();
  await row.getByRole('button', { name: 'Yes, remove tea' }).click();
  await who.sees('There is none.');
}
