import { request } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import type { ApprovalRequest } from '../../src/approval/approval-request.generated.ts';
import { specOf } from '../approval/bench.ts';
import type { Bed } from './bed.ts';
import { cpuInClosedLoop, PARALLEL } from './closed-loop.ts';
import type { Endpoint } from './endpoint.ts';
import { part } from './part.ts';
import { GROUP, many } from './policies.ts';
import { ProcessUsage } from './process-usage.ts';
import { median, medianRatio, quantile } from './quantile.ts';
import type { Section } from './section.ts';
import { number, percent } from './words.ts';

interface Size {
  /** Requests that are held and then approved, one after the other. */
  readonly held: number;
  readonly rounds: number;
  /** Of small GETs, each of so many requests. */
  readonly portions: number;
  readonly requests: number;
  readonly warmRequests: number;
  /** Approval requests that wait while small GETs are measured. */
  readonly pending: number;
}

const MERGE = 'application/merge-patch+json';
const POLICY = 'bench-approvals';

/** What waiting for people costs: those who wait, and those who need nobody. */
export const approvals = part<Size>(
  'approvals',
  {
    full: { held: 300, rounds: 6, portions: 9, requests: 500, warmRequests: 4_000, pending: 1_000 },
    quick: { held: 20, rounds: 1, portions: 1, requests: 300, warmRequests: 300, pending: 50 },
  },
  async (bed, size) => {
    await askForWrites(bed);
    const waits: number[] = [];
    for (let i = 0; i < size.held; i++) waits.push(await approveHeld(bed, i));
    await bed.cluster.kubectl(['delete', 'agentpolicy', POLICY]);
    const plain: number[] = [];
    const beside: number[] = [];
    const usage = new ProcessUsage(bed.gateway.pid);
    const channel = await bed.load.do('open', bed.through(bed.gateway), 'HTTP/1.1', 32);
    await bed.load.do('repeat', channel, bed.small, PARALLEL, size.warmRequests);
    for (let round = 0; round < size.rounds; round++) {
      if (round % 2 === 0) plain.push(await cpuOfGet(bed, channel, usage, size));
      const names = await crowd(bed, size.pending, round);
      await askForWrites(bed);
      beside.push(await cpuOfGet(bed, channel, usage, size));
      await bed.cluster.kubectl(['delete', 'agentpolicy', POLICY]);
      await many(names, async (name) => void (await bed.cluster.admin('DELETE', `${requests(bed)}/${name}`)));
      await sleep(500);
      if (round % 2 === 1) plain.push(await cpuOfGet(bed, channel, usage, size));
    }
    await bed.load.do('close', channel);
    return sectionOf(size, waits, plain, beside);
  },
);

function sectionOf(size: Size, waits: readonly number[], plain: readonly number[], beside: readonly number[]): Section {
  const p99 = quantile(waits, 0.99);
  const more = medianRatio(beside, plain) - 1;
  return {
    title: 'Approvals',
    notes: [
      `${size.held} creations of a ConfigMap, each held until a person has approved it: from the moment at which the approver’s patch was answered to the moment at which the held client had its answer, the API server’s own work and the controller’s included.`,
      `Small GETs in a closed loop of ${PARALLEL} at once, ${size.rounds} rounds of ${size.portions} portions of ${size.requests}, of which the median counts: without any rule that asks a person, and beside one (on writes) with ${size.pending} requests waiting; ratios within a round.`,
    ],
    tables: [
      {
        columns: ['', 'p50 ms', 'p99 ms', 'longest ms'],
        rows: [['approved → answered', number(quantile(waits, 0.5), 1), number(p99, 1), number(Math.max(...waits), 1)]],
      },
      {
        columns: ['small GET', 'CPU ms/request'],
        rows: [
          ['no rule that asks', number(median(plain), 3)],
          [`a rule that asks about writes, ${size.pending} waiting`, number(median(beside), 3)],
        ],
      },
    ],
    musts: [
      {
        what: 'From approved to forwarded: p99 under 250 ms',
        measured: `${number(p99, 1)} ms until answered`,
        pass: p99 < 250,
      },
      {
        what: 'Requests that need no approval pay nothing measurable (under 5 % of a small GET’s CPU)',
        measured: percent(more),
        pass: more < 0.05,
      },
    ],
  };
}

/** In a closed loop: while a gateway mostly waits, waking up costs more than what is to be told apart. Milliseconds, the median of portions. */
async function cpuOfGet(bed: Bed, channel: number, usage: ProcessUsage, size: Size): Promise<number> {
  const portions: number[] = [];
  for (let portion = 0; portion < size.portions; portion++) {
    portions.push(await cpuInClosedLoop(bed, channel, usage, size.requests));
    bed.gateway.log.length = 0;
  }
  return median(portions);
}

/** A rule on writes, in force. */
async function askForWrites(bed: Bed): Promise<void> {
  await bed.cluster.apply(
    stringify({
      apiVersion: 'sallyport.dev/v1alpha1',
      kind: 'AgentPolicy',
      metadata: { name: POLICY },
      spec: {
        subjects: [{ kind: 'Group', name: GROUP }],
        rules: [
          {
            name: 'writes',
            action: 'RequireApproval',
            match: { verbs: ['create'], apiGroups: [''], resources: ['configmaps'], namespaces: [bed.namespace] },
            approval: { waitTimeout: '60s' },
          },
        ],
      },
    }),
  );
  await sleep(1_000);
}

/** @returns milliseconds from the approver's answered patch to the answer of what was held */
async function approveHeld(bed: Bed, index: number): Promise<number> {
  const name = `held-${index}`;
  const known = new Set((await listed(bed)).map(({ metadata }) => metadata.name));
  const answered = post(bed.through(bed.gateway), `/api/v1/namespaces/${bed.namespace}/configmaps`, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name },
  });
  let request: ApprovalRequest | undefined;
  while (request === undefined) {
    await sleep(5);
    request = (await listed(bed)).find(({ metadata }) => !known.has(metadata.name));
  }
  // As a person takes it, the wait is under way.
  await sleep(20);
  const decision = { type: 'Approved', username: 'bob@shop.example' };
  const path = `${requests(bed)}/${request.metadata.name}`;
  const said = await bed.cluster.admin('PATCH', `${path}/status`, { status: { decision } }, MERGE);
  const approvedAt = performance.now();
  if (said.status !== 200) throw new Error(said.body);
  const { status, at } = await answered;
  if (status !== 201) throw new Error(`what was held was answered ${status}`);
  await bed.cluster.admin('DELETE', path);
  return Math.max(0, at - approvedAt);
}

async function listed(bed: Bed): Promise<ApprovalRequest[]> {
  return (await bed.cluster.admin('GET', requests(bed))).json().items;
}

/** So many requests that wait, of the caller who is measured. */
async function crowd(bed: Bed, count: number, round: number): Promise<string[]> {
  const names = Array.from({ length: count }, (_, index) => `ar-000000000${round}-${index + 1}`);
  const requester = { issuer: bed.gateway.issuer.url, username: 'bench' };
  await many(names, async (name) => {
    const object = {
      apiVersion: 'sallyport.dev/v1alpha1',
      kind: 'ApprovalRequest',
      metadata: { name },
      spec: { ...specOf(bed.namespace), requester },
    };
    const made = await bed.cluster.admin('POST', requests(bed), object);
    if (made.status !== 201) throw new Error(made.body);
  });
  return names;
}

function requests(bed: Bed): string {
  return `/apis/sallyport.dev/v1alpha1/namespaces/${bed.namespace}/approvalrequests`;
}

function post({ url, caPem, headers }: Endpoint, path: string, body: object): Promise<{ status: number; at: number }> {
  return new Promise((resolve, reject) => {
    const sent = request(
      `${url}${path}`,
      {
        method: 'POST',
        ca: caPem,
        agent: false,
        headers: ['Content-Type', 'application/json', 'Host', '127.0.0.1', ...headers],
      },
      (answer) => {
        answer.resume().once('end', () => resolve({ status: answer.statusCode ?? 0, at: performance.now() }));
      },
    );
    sent.on('error', (error) => reject(new Error(`POST ${path}: ${error.message}`, { cause: error })));
    sent.end(JSON.stringify(body));
  });
}
