import { whyNoNode } from '../cluster/cluster.ts';
import { Bed } from './bed.ts';
import { copy, type ExecVariant, leftOut, startPod } from './exec.ts';
import { part } from './part.ts';
import { median, medianRatio } from './quantile.ts';
import type { Section } from './section.ts';
import { number, ratio } from './words.ts';

interface Size {
  readonly rounds: number;
  readonly megabytes: number;
}

/** Bytes through `kubectl exec`, recorded and not. */
export const recordingExec = part<Size>(
  'recording-exec',
  { full: { rounds: 15, megabytes: 40 }, quick: { rounds: 1, megabytes: 20 } },
  async (_bed, size) => {
    const why = whyNoNode();
    if (why !== undefined) return leftOut(why, 'Recording of exec');
    const bed = await Bed.start({ node: true });
    try {
      return await measure(bed, size);
    } finally {
      await bed.stop();
    }
  },
);

async function measure(bed: Bed, size: Size): Promise<Section> {
  await startPod(bed);
  const gateway = await bed.recordingGateway('Process');
  const ways = [
    { name: 'not recorded', kubeconfig: await bed.unrecordedKubeconfig(gateway) },
    { name: 'recorded', kubeconfig: await bed.gatewayKubeconfig(gateway) },
  ];
  const variants: ExecVariant[] = [];
  for (const transport of ['WebSocket', 'SPDY/3.1'] as const) {
    for (const direction of ['from the pod', 'to the pod'] as const) {
      for (const way of ways) variants.push({ ...way, transport, direction, seconds: [], cpu: [] });
    }
  }
  for (let round = 0; round < size.rounds; round += 1) {
    for (const one of round % 2 === 0 ? variants : variants.toReversed()) {
      one.seconds.push(await copy(bed, one, size.megabytes));
    }
  }
  const bareOf = (one: ExecVariant) =>
    variants.find(
      (other) =>
        other.name === 'not recorded' && other.transport === one.transport && other.direction === one.direction,
    )!;
  const throughput = (one: ExecVariant): number => 1 / medianRatio(one.seconds, bareOf(one).seconds);
  const recorded = variants.filter((one) => one.name === 'recorded');
  return {
    title: 'Recording of exec',
    notes: [
      `\`kubectl exec\` of ${size.megabytes} MB of zeros, kubectl's own start and end included; level RequestResponse, Strict, durability Process; ${size.rounds} rounds, not recorded and recorded through one process, by two callers. What is no text, as zeros, is kept as base64: four bytes for three.`,
    ],
    tables: [
      {
        columns: ['', 'transport', 'direction', 'MB/s', 'throughput × not recorded'],
        rows: variants.map((one) => [
          one.name,
          one.transport,
          one.direction,
          number(median(one.seconds.map((seconds) => size.megabytes / seconds)), 0),
          one.name === 'recorded' ? ratio(throughput(one)) : '–',
        ]),
      },
    ],
    musts: recorded.map((one) => ({
      what: `exec ${one.direction}, ${one.transport}: above 80 % of unrecorded`,
      measured: ratio(throughput(one)),
      pass: throughput(one) > 0.8,
    })),
  };
}
