// A browser for a scenario: what it complains of is a failure, and so is a request to anybody but the gateway.
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const PATIENCE = 20_000;
const SHOTS = process.env.CONSOLE_SCREENSHOTS;
const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export async function launch() {
  // As root there is no sandbox; the pages here are our own.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({ executablePath: process.env.CHROMIUM, args });
}

export class Visitor {
  static async in(browser, scenario, options = {}) {
    const visitor = new Visitor();
    visitor.scenario = scenario;
    visitor.context = await browser.newContext({ viewport: { width: 1200, height: 850 }, ...options });
    visitor.context.setDefaultTimeout(PATIENCE);
    visitor.page = await visitor.context.newPage();
    visitor.complaints = [];
    // What a scenario does on purpose.
    visitor.forgiven = [];
    visitor.page.on('pageerror', (error) => visitor.complaints.push(`thrown: ${error}`));
    visitor.page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) visitor.complaints.push(message.text());
    });
    visitor.page.on('request', (request) => {
      const { hostname, protocol } = new URL(request.url());
      const isHere = hostname === '127.0.0.1' || protocol === 'data:' || protocol === 'blob:';
      if (!isHere) visitor.complaints.push(`a request to ${request.url()}`);
    });
    return visitor;
  }

  async open(address) {
    await this.page.goto(address);
  }

  async signIn(address, secret) {
    await this.open(address);
    await this.page.getByLabel('Link, setup code, token or password').fill(secret);
    await this.page.getByRole('button', { name: 'Connect' }).click();
  }

  async connected() {
    await this.page.locator('.connection[data-state=open]').waitFor();
  }

  async go(title) {
    const link = this.page.getByRole('navigation').getByRole('link', { name: new RegExp(`^${title}`) });
    const menu = this.page.locator('nav .menu');
    if (await menu.isVisible()) await menu.click();
    await link.click();
    await this.heading(title);
  }

  async heading(title) {
    await this.page.getByRole('heading', { level: 1, name: title }).waitFor();
  }

  async sees(text) {
    await this.page.getByText(text).first().waitFor();
  }

  async pages() {
    return this.page
      .getByRole('navigation')
      .getByRole('link')
      .allInnerTexts()
      .then((texts) => texts.map((text) => text.split('\n')[0].trim()));
  }

  async shot(name) {
    if (!SHOTS) return;
    await mkdir(SHOTS, { recursive: true });
    await this.page.screenshot({ path: join(SHOTS, `${this.scenario}-${name}.png`), fullPage: false });
  }

  // Nothing that axe calls serious or critical. The script comes by the debugger, past the page's policy.
  async accessible(name) {
    await this.page.evaluate(AXE);
    const found = await this.page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
    const bad = found.violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    const told = bad.map(
      ({ id, help, nodes }) =>
        `${id}: ${help}\n  ${nodes.map((node) => node.html + '\n  ' + node.failureSummary).join('\n  ')}`,
    );
    assert.deepEqual(told, [], `${name} is not accessible`);
  }

  async fits(name) {
    const over = await this.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(over <= 0, `${name} is ${over} pixels wider than the screen`);
  }

  async leave() {
    const bad = this.complaints.filter((text) => !this.forgiven.some((pattern) => pattern.test(text)));
    await this.context.close();
    assert.deepEqual(bad, [], 'the browser complains');
  }
}

// Waits for something that is not on a page.
export async function until(what, look) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < end, `${what} never was`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
