import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { specOf } from '../approval/bench.ts';
import type { Bed } from './bed.ts';
import { part } from './part.ts';
import { many } from './policies.ts';
import { median, quantile } from './quantile.ts';
import { megabytes, number } from './words.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const PENDING = 1_000;
const FEW = 10;

/** `kubectl approvals` where very many requests wait, each with a summary and a diff of some length. */
export const inbox = part('inbox', { full: { rounds: 15 }, quick: { rounds: 3 } }, async (bed, size) => {
  const few = await measure(bed, FEW, size.rounds);
  const all = await measure(bed, PENDING, size.rounds);
  const row = (name: string, { milliseconds, resident }: Measured): string[] => [
    name,
    `${number(median(milliseconds), 0)} ms`,
    `${number(quantile(milliseconds, 0.99), 0)} ms`,
    megabytes(Math.max(...resident)),
  ];
  const slowest = Math.max(...all.milliseconds);
  const grown = median(all.resident) - median(few.resident);
  return {
    title: 'kubectl approvals',
    notes: [
      `\`kubectl approvals\` as a process of its own, from its start to its end, ${size.rounds} times after a first one that fills Node.js's compile cache: Node.js starts, asks page by page for the API server's own columns, and prints. Each request has a summary of 2 KiB and a diff of 16 KiB, of which nothing is fetched for a list.`,
    ],
    tables: [
      {
        columns: ['waiting', 'median', 'slowest', 'most memory'],
        rows: [row(String(FEW), few), row(number(PENDING, 0), all)],
      },
    ],
    musts: [
      {
        what: '1,000 waiting requests are listed in under a second',
        measured: `${number(slowest, 0)} ms at most`,
        pass: slowest < 1_000,
      },
      { what: 'their number costs the list less than 32 MiB', measured: megabytes(grown), pass: grown < 32 << 20 },
    ],
  };
});

interface Measured {
  readonly milliseconds: number[];
  readonly resident: number[];
}

async function measure(bed: Bed, count: number, rounds: number): Promise<Measured> {
  const namespace = await bed.cluster.namespace('inbox');
  const path = `/apis/sallyport.dev/v1alpha1/namespaces/${namespace}/approvalrequests`;
  const spec = { ...specOf(namespace), summary: 'fact: '.padEnd(2_048, 'x'), diff: '+line\n'.repeat(2_730) };
  await many(
    Array.from({ length: count }, (_, index) => index + 1),
    async (index) => {
      const metadata = { name: `ar-0123456789-${index}` };
      const answer = await bed.cluster.admin('POST', path, {
        apiVersion: 'sallyport.dev/v1alpha1',
        kind: 'ApprovalRequest',
        metadata,
        spec,
      });
      if (answer.status !== 201) throw new Error(answer.body);
    },
  );
  await list(bed, namespace);
  const milliseconds: number[] = [];
  const resident: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const begun = performance.now();
    const { lines, peak } = await list(bed, namespace);
    milliseconds.push(performance.now() - begun);
    resident.push(peak);
    if (lines !== count + 1) throw new Error(`${lines} lines, not ${count + 1}`);
  }
  await bed.cluster.admin('DELETE', path);
  return { milliseconds, resident };
}

async function list(bed: Bed, namespace: string): Promise<{ lines: number; peak: number }> {
  const child = spawn(join(ROOT, 'bin/kubectl-approvals'), ['-n', namespace], {
    env: {
      ...process.env,
      KUBECONFIG: bed.cluster.adminKubeconfig,
      NODE_OPTIONS: `--import=${new URL('peak-memory.ts', import.meta.url).href}`,
    },
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
  });
  let printed = '';
  let peak = '';
  child.stdout!.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  child.stdio[3]!.on('data', (chunk: Buffer) => (peak += chunk.toString()));
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`kubectl approvals ended with ${String(code)}`);
  return { lines: printed.trimEnd().split('\n').length, peak: Number(peak) * 1024 };
}
