// Runs one scenario: `node run.mjs NAME`. CLAWHOST_BIN, CHROMIUM and SCENARIO_HOME say with what, and where;
// CONSOLE_SCREENSHOTS is the folder for pictures, SCENARIO_CONFIG the table of somebody else's plugin.
import { Gateway } from './gateway.mjs';
import { Visitor, launch } from './page.mjs';
import * as chat from './scenarios/chat.mjs';
import * as entry from './scenarios/entry.mjs';
import * as operate from './scenarios/operate.mjs';
import * as show from './scenarios/show.mjs';
import * as weather from './scenarios/weather.mjs';

const scenarios = { ...chat, ...entry, ...operate, ...show, ...weather };
const name = process.argv[2];
const scenario = scenarios[name];
if (!scenario) {
  console.error(`there is no scenario ${name}, but ${Object.keys(scenarios).join(', ')}`);
  process.exit(2);
}

const browser = await launch();
const gateways = [];
const visitors = [];
let isFailed = false;
try {
  await scenario({
    gateway: async (config) => {
      const gateway = await Gateway.in(`${process.env.SCENARIO_HOME}/${gateways.length}`, config);
      gateways.push(gateway);
      return gateway;
    },
    visitor: async (options) => {
      const visitor = await Visitor.in(browser, name, options);
      visitors.push(visitor);
      return visitor;
    },
  });
  for (const visitor of visitors) await visitor.leave();
} catch (error) {
  isFailed = true;
  console.error(error);
  for (const [at, visitor] of visitors.entries()) {
    console.error(`visitor ${at}:`, visitor.complaints);
    await visitor.shot(`failed-${at}`).catch(() => undefined);
  }
  for (const gateway of gateways) console.error(gateway.said.split('\n').slice(-30).join('\n'));
} finally {
  await browser.close();
  for (const gateway of gateways) await gateway.stop();
}
process.exit(isFailed ? 1 : 0);
