/** All pages, in the order in which they are offered. */
import type { FunctionComponent } from 'preact';
import type { Method } from '../gateway/names';
import { Agents } from './agents';
import { Approvals, ApprovalsCount } from './approvals';
import { Channels } from './channels';
import { Chat } from './chat';
import { Config } from './config';
import { Cron } from './cron';
import { Logs } from './logs';
import { Methods } from './methods';
import { Nodes } from './nodes';
import { Overview } from './overview';
import { Plugins } from './plugins';

export interface Page {
  id: string;
  title: string;
  /** Methods without any of which it has nothing to show. */
  needs: Method[];
  body: FunctionComponent;
  /** What stands beside its name in the list of pages. */
  count?: FunctionComponent;
}

export const pages: Page[] = [
  { id: 'chat', title: 'Chat', needs: ['chat.history', 'chat.send'], body: Chat },
  { id: 'overview', title: 'Overview', needs: [], body: Overview },
  {
    id: 'approvals',
    title: 'Approvals',
    needs: ['device.pair.list', 'node.pair.list', 'exec.approval.list'],
    body: Approvals,
    count: ApprovalsCount,
  },
  { id: 'nodes', title: 'Nodes', needs: ['node.list'], body: Nodes },
  { id: 'agents', title: 'Agents', needs: ['agents.list', 'models.list'], body: Agents },
  { id: 'channels', title: 'Channels', needs: ['channels.status'], body: Channels },
  { id: 'jobs', title: 'Jobs', needs: ['cron.list'], body: Cron },
  { id: 'plugins', title: 'Plugins', needs: ['system.plugins'], body: Plugins },
  { id: 'methods', title: 'Methods', needs: ['system.methods'], body: Methods },
  { id: 'logs', title: 'Logs', needs: ['logs.tail'], body: Logs },
  { id: 'config', title: 'Configuration', needs: ['config.get'], body: Config },
];
