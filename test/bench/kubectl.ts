import type { Bed } from './bed.ts';
import { part } from './part.ts';
import { median, medianRatio } from './quantile.ts';
import { number, ratio } from './words.ts';

const RUNS = 40;
const PODS = 20;

/** 40 kubectls at once, each a process with its own connection. */
export const kubectl = part('kubectl', { full: { rounds: 3 }, quick: { rounds: 1 } }, async (bed, size) => {
  await makePods(bed);
  const ways = [
    { name: 'direct', kubeconfig: await bed.directKubeconfig(), seconds: [] as number[], refused: 0 },
    { name: 'gateway', kubeconfig: await bed.gatewayKubeconfig(bed.gateway), seconds: [] as number[], refused: 0 },
  ];
  // Discovery is asked once and cached on disk, as everywhere.
  for (const { kubeconfig } of ways) await runOnce(bed, kubeconfig);
  for (let round = 0; round < size.rounds; round++) {
    for (const way of round % 2 === 0 ? ways : ways.toReversed()) {
      const begun = performance.now();
      const good = await Promise.all(Array.from({ length: RUNS }, () => runOnce(bed, way.kubeconfig)));
      way.seconds.push((performance.now() - begun) / 1_000);
      way.refused += good.filter((one) => !one).length;
    }
  }
  const [direct, gateway] = ways;
  return {
    title: `${RUNS} parallel kubectl runs`,
    notes: [
      `\`kubectl get pods\` of ${PODS} pods, ${RUNS} processes at once; ${size.rounds} rounds. Most of the time is kubectl's own CPU.`,
    ],
    tables: [
      {
        columns: ['', 's for all', '× direct', 'failed'],
        rows: ways.map(({ name, seconds, refused }) => [
          name,
          number(median(seconds), 2),
          ratio(medianRatio(seconds, direct!.seconds)),
          String(refused),
        ]),
      },
    ],
    musts: [
      {
        what: `${RUNS} parallel kubectls through the gateway all succeed`,
        measured: `${gateway!.refused} failed`,
        pass: gateway!.refused === 0,
      },
    ],
  };
});

async function makePods(bed: Bed): Promise<void> {
  for (let index = 0; index < PODS; index++) {
    const spec = { containers: [{ name: 'main', image: 'registry.example/app:1' }] };
    const path = `/api/v1/namespaces/${bed.namespace}/pods`;
    const answer = await bed.cluster.admin('POST', path, { metadata: { name: `pod-${index}` }, spec });
    if (answer.status !== 201) throw new Error(`no Pod: ${answer.body}`);
  }
}

async function runOnce(bed: Bed, kubeconfig: string): Promise<boolean> {
  const { code, stdout } = await bed.cluster.kubectl(['get', 'pods', '--no-headers'], { kubeconfig });
  return code === 0 && stdout.trim().split('\n').length === PODS;
}
