import { spawn } from 'node:child_process';
import { BUSYBOX_IMAGE, whyNoNode } from '../cluster/cluster.ts';
import { Bed } from './bed.ts';
import { part } from './part.ts';
import { ProcessUsage } from './process-usage.ts';
import { median, medianRatio } from './quantile.ts';
import type { Section } from './section.ts';
import { number, ratio } from './words.ts';

export type Direction = 'from the pod' | 'to the pod';
export type Transport = 'WebSocket' | 'SPDY/3.1';

export interface ExecVariant {
  readonly name: string;
  readonly kubeconfig: string;
  readonly transport: Transport;
  readonly direction: Direction;
  readonly seconds: number[];
  /** Milliseconds of the gateway's CPU. */
  readonly cpu: number[];
}

interface Size {
  readonly rounds: number;
  readonly megabytes: number;
}

/** Bytes through `kubectl exec`, both ways. */
export const exec = part<Size>(
  'exec',
  { full: { rounds: 3, megabytes: 40 }, quick: { rounds: 1, megabytes: 20 } },
  async (_bed, size) => {
    const why = whyNoNode();
    if (why !== undefined) return leftOut(why);
    // A node of its own, and only now: kubelet's and the controllers' work would show in everything else.
    const bed = await Bed.start({ node: true });
    try {
      return await measure(bed, size);
    } finally {
      await bed.stop();
    }
  },
);

export function leftOut(why: string, title = 'exec'): Section {
  return { title, notes: [`Left out: there is no node to run a pod on (${why}).`], tables: [], musts: [] };
}

async function measure(bed: Bed, size: Size): Promise<Section> {
  await startPod(bed);
  const usage = new ProcessUsage(bed.gateway.pid);
  const ways = [
    { name: 'direct', kubeconfig: await bed.directKubeconfig() },
    { name: 'gateway', kubeconfig: await bed.gatewayKubeconfig(bed.gateway) },
  ];
  const variants: ExecVariant[] = [];
  for (const transport of ['WebSocket', 'SPDY/3.1'] as const) {
    for (const direction of ['from the pod', 'to the pod'] as const) {
      for (const way of ways) variants.push({ ...way, transport, direction, seconds: [], cpu: [] });
    }
  }
  for (let round = 0; round < size.rounds; round++) {
    for (const one of round % 2 === 0 ? variants : variants.toReversed()) {
      const before = usage.cpu();
      one.seconds.push(await copy(bed, one, size.megabytes));
      one.cpu.push(usage.cpu() - before);
    }
  }
  const directOf = (one: ExecVariant) =>
    variants.find(
      (other) => other.name === 'direct' && other.transport === one.transport && other.direction === one.direction,
    )!;
  return {
    title: 'exec',
    notes: [
      `\`kubectl exec\` of ${size.megabytes} MB of zeros, kubectl's own start and end included; ${size.rounds} rounds. The gateway reads and re-frames every message.`,
    ],
    tables: [
      {
        columns: ['', 'transport', 'direction', 'MB/s', 'time × direct', 'gateway CPU ms/MB'],
        rows: variants.map((one) => [
          one.name,
          one.transport,
          one.direction,
          number(median(one.seconds.map((seconds) => size.megabytes / seconds)), 0),
          ratio(medianRatio(one.seconds, directOf(one).seconds)),
          one.name === 'gateway' ? number(median(one.cpu) / size.megabytes, 2) : '–',
        ]),
      },
    ],
    musts: [],
  };
}

export async function startPod(bed: Bed): Promise<void> {
  await bed.cluster.apply(`
apiVersion: v1
kind: Pod
metadata: {name: shell, namespace: ${bed.namespace}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "${BUSYBOX_IMAGE}", imagePullPolicy: IfNotPresent, command: [sleep, "3600"]}]
`);
  const ready = ['wait', '-n', bed.namespace, '--for=condition=Ready', '--timeout=60s', 'pod/shell'];
  const { code, stderr } = await bed.cluster.kubectl(ready);
  if (code !== 0) throw new Error(stderr);
}

/** @returns seconds; throws unless every byte arrived. */
export async function copy(bed: Bed, one: ExecVariant, megabytes: number): Promise<number> {
  const bytes = megabytes * 1_000_000;
  const command =
    one.direction === 'from the pod'
      ? `"$KUBECTL" exec shell -- head -c ${bytes} /dev/zero | wc -c`
      : `head -c ${bytes} /dev/zero | "$KUBECTL" exec -i shell -- wc -c`;
  const env = {
    ...process.env,
    KUBECTL: bed.cluster.binaries.kubectl,
    KUBECONFIG: one.kubeconfig,
    KUBECACHEDIR: `${bed.cluster.directory}/kubectl-cache`,
    KUBECTL_REMOTE_COMMAND_WEBSOCKETS: String(one.transport === 'WebSocket'),
  };
  const begun = performance.now();
  const child = spawn('sh', ['-c', command], { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000 });
  let said = '';
  let complained = '';
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    complained += chunk.toString();
  });
  await new Promise((resolve, reject) => {
    child.once('close', resolve);
    child.once('error', reject);
  });
  if (Number(said.trim()) !== bytes) {
    throw new Error(`${one.name}, ${one.transport}, ${one.direction}: ${said.trim()} of ${bytes} bytes. ${complained}`);
  }
  return (performance.now() - begun) / 1_000;
}
