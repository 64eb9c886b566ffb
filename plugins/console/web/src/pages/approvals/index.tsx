/** What waits for somebody's yes: devices, what nodes offer, programs that agents want to run. */
import { may } from '../../app';
import { useAnswer } from '../../ui/ask';
import { Devices, type DeviceList } from './devices';
import { Invite } from './invite';
import { NodeRequests, type NodePairing } from './nodes';
import { Programs, type ProgramRequest } from './programs';

export const DEVICE_EVENTS = ['device.pair.requested', 'device.pair.resolved'];
export const NODE_EVENTS = ['node.pair.requested', 'node.pair.resolved'];
export const PROGRAM_EVENTS = ['exec.approval.requested', 'exec.approval.resolved'];

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
  const devices = useAnswer<DeviceList>('device.pair.list', {}, { on: DEVICE_EVENTS });
  const nodes = useAnswer<NodePairing>('node.pair.list', {}, { on: NODE_EVENTS });
  const programs = useAnswer<ProgramRequest[]>('exec.approval.list', {}, { on: PROGRAM_EVENTS, every: 30_000 });
  const waiting =
    (devices.data?.pending.length ?? 0) + (nodes.data?.pending.length ?? 0) + (programs.data?.length ?? 0);
  return waiting === 0 ? null : (
    <span class="count" role="status">
      {waiting} <span class="hidden">waiting</span>
    </span>
  );
}
