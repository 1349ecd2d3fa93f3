import type { ProcessRecord } from './process-record.ts';

/** What a cluster's node has left on the machine, beside its processes. */
export interface NodeState {
  holder: ProcessRecord;
}

export async function removeNode(_state: NodeState): Promise<void> {
  throw new Error('nodes come next');
}
