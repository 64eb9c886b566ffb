/** What waits for somebody's yes: devices, what nodes offer, programs that agents want to run. */
import { may } from '../../app';
import type { EventName } from '../../gateway/names';
import { useAnswer } from '../../ui/ask';
import { Devices } from './devices';
import { Invite } from './invite';
import { NodeRequests } from './nodes';
import { Programs } from './programs';

export const DEVICE_EVENTS: EventName[] = ['device.pair.requested', 'device.pair.resolved'];
export const NODE_EVENTS: EventName[] = ['node.pair.requested', 'node.pair.resolved'];
export const PROGRAM_EVENTS: EventName[] = ['exec.approval.requested', 'exec.approval.resolved'];

export function Approvals() {
  return (
    <>
      {may('exec.approval.list') && <Programs />}
      {may('device.pair.list') && <Devices />}
      {may('node.pair.list') && <NodeRequests />}
      {may('device.pair.setupCode') && <Invite />}
    </>
  );
}

/** How many wait, for whoever looks at another page. */
export function ApprovalsCount() {
  const devices = useAnswer('device.pair.list', {}, { on: DEVICE_EVENTS });
  const nodes = useAnswer('node.pair.list', {}, { on: NODE_EVENTS });
  const programs = useAnswer('exec.approval.list', {}, { on: PROGRAM_EVENTS, every: 30_000 });
  const waiting =
    (devices.data?.pending.length ?? 0) + (nodes.data?.pending.length ?? 0) + (programs.data?.length ?? 0);
  return waiting === 0 ? null : (
    <span class="count" role="status">
      {waiting} <span class="hidden">waiting</span>
    </span>
  );
}
