import { setTimeout as sleep } from 'node:timers/promises';
import type {
  ApprovalRequest,
  ApprovalRequestStatus,
  ApprovalRequestStatusUse,
} from '../../src/approval/approval-request.generated.ts';
import { takeDecision } from '../../src/approval/deciding.ts';
import { statusPatch } from '../../src/approval/status-patch.ts';
import { giveUpUses } from '../../src/approval/use.ts';
import type { Cluster } from '../cluster/cluster.ts';

const MERGE = 'application/merge-patch+json';

/** People who decide, and the controller's part of it, where a test is about the gateway's. */
export class People {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Oldest first; of every namespace where none is named. */
  async all(namespace?: string): Promise<ApprovalRequest[]> {
    const everywhere = '/apis/sallyport.dev/v1alpha1/approvalrequests';
    const listed = await this.#cluster.admin('GET', namespace === undefined ? everywhere : path(namespace));
    return listed
      .json()
      .items.sort(
        (a: ApprovalRequest, b: ApprovalRequest) => age(a) - age(b) || (a.metadata.name < b.metadata.name ? -1 : 1),
      );
  }

  async get(namespace: string, name: string): Promise<ApprovalRequest> {
    return (await this.#cluster.admin('GET', path(namespace, name))).json();
  }

  /** The one request that waits there. */
  async waiting(namespace: string, count = 1): Promise<ApprovalRequest> {
    const end = Date.now() + 10_000;
    for (;;) {
      const pending = (await this.all(namespace)).filter(({ status }) => (status?.conditions ?? []).length === 0);
      if (pending.length === count) return pending.at(-1)!;
      if (Date.now() > end) throw new Error(`${pending.length} requests wait in ${namespace}, not ${count}`);
      await sleep(25);
    }
  }

  /** The request that waits about something of this name. */
  async waitingFor(namespace: string, name: string): Promise<ApprovalRequest> {
    const end = Date.now() + 15_000;
    for (;;) {
      const found = (await this.all(namespace)).find(
        ({ spec, status }) => (status?.conditions ?? []).length === 0 && (spec.diff ?? spec.summary).includes(name),
      );
      if (found !== undefined) return found;
      if (Date.now() > end) throw new Error(`nobody is asked about ${name}`);
      await sleep(25);
    }
  }

  async approve(namespace: string, name: string, more: object = {}): Promise<ApprovalRequest> {
    return await this.#decide(namespace, name, { type: 'Approved', username: 'bob@shop.example', ...more });
  }

  async deny(namespace: string, name: string, reason: string): Promise<ApprovalRequest> {
    return await this.#decide(namespace, name, { type: 'Denied', username: 'bob@shop.example', reason });
  }

  /** The approver's word alone, as kubectl patches it: the controller has not come by yet. */
  async say(namespace: string, name: string, decision: object): Promise<void> {
    const said = await this.#cluster.admin('PATCH', path(namespace, name, 'status'), { status: { decision } }, MERGE);
    if (said.status !== 200) throw new Error(said.body);
  }

  /** What came of the one use, once it is written. */
  async outcome(namespace: string, name: string): Promise<ApprovalRequestStatusUse> {
    const end = Date.now() + 10_000;
    for (;;) {
      const use = (await this.get(namespace, name)).status?.uses?.[0];
      if (use?.outcome !== undefined) return use;
      if (Date.now() > end) throw new Error(`what came of ${name} is not written`);
      await sleep(25);
    }
  }

  /** What the controller does with uses whose gateway is gone. */
  async giveUp(namespace: string, name: string): Promise<ApprovalRequest> {
    const object = await this.get(namespace, name);
    return await this.#write(object, giveUpUses(object, Date.now() + 3_600_000, 1)!);
  }

  async #decide(namespace: string, name: string, decision: object): Promise<ApprovalRequest> {
    const object = await this.get(namespace, name);
    const waiting = { ...object, status: { ...object.status, decision } } as ApprovalRequest;
    const taken = takeDecision(waiting, Date.now())!;
    if ('refused' in taken) throw new Error(taken.refused.message);
    return await this.#write(object, taken.status);
  }

  async #write(object: ApprovalRequest, status: ApprovalRequestStatus): Promise<ApprovalRequest> {
    const { namespace, name, resourceVersion } = object.metadata;
    const body = { metadata: { resourceVersion }, status: statusPatch(object.status, status) };
    const written = await this.#cluster.admin('PATCH', path(namespace!, name, 'status'), body, MERGE);
    if (written.status !== 200) throw new Error(written.body);
    return written.json();
  }
}

function path(namespace: string, name = '', subresource = ''): string {
  const parts = [`/apis/sallyport.dev/v1alpha1/namespaces/${namespace}/approvalrequests`, name, subresource];
  return parts.filter(Boolean).join('/');
}

function age({ metadata }: ApprovalRequest): number {
  return Date.parse(metadata.creationTimestamp ?? '');
}
