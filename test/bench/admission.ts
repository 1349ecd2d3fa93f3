import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { bundle } from '../../image/bundle.ts';
import { freePort } from '../cluster/free-port.ts';
import { GatewayProcess } from '../gateway/gateway-process.ts';
import type { Bed } from './bed.ts';
import { part } from './part.ts';
import { BED_POLICIES, crowdOfPolicies, GROUP, inForce, many } from './policies.ts';
import { ProcessUsage } from './process-usage.ts';
import { median, medianRatio, quantile } from './quantile.ts';
import { type ReviewLoad, reviewLoad, startBareReviewer } from './review-load.ts';
import { megabytes, number, ratio, spread } from './words.ts';

const sizes = {
  full: { policies: 200, rounds: 4, seconds: 5, rate: 1_000, starts: 3 },
  quick: { policies: 5, rounds: 1, seconds: 1, rate: 100, starts: 1 },
};

/** The webhook as the API server calls it, beside what node alone does with the same bytes. */
export const admission = part('admission', sizes, async (bed, size) => {
  const { gateway, port } = await startGateway(bed);
  const bare = await startBareReviewer('HTTP/1.1');
  const bare2 = await startBareReviewer('HTTP/2');
  try {
    await putPolicies(bed, gateway, size.policies);
    const common = {
      namespace: bed.namespace,
      group: GROUP,
      bytes: 5 * 1_024,
      largeBytes: 1 << 20,
      parallel: 16,
      rate: size.rate,
      seconds: size.seconds,
    };
    const ours = { ...common, url: `https://127.0.0.1:${port}/admit`, caPem: gateway.caPem, isBare: false };
    const alone = ({ endpoint }: typeof bare) => ({
      ...common,
      url: endpoint.url,
      caPem: endpoint.caPem!,
      isBare: true,
    });
    const perSecond = async (
      load: Omit<ReviewLoad, 'task' | 'protocol'>,
      protocol: ReviewLoad['protocol'] = 'HTTP/1.1',
    ) => (await reviewLoad({ ...load, task: 'saturate', protocol })).perSecond!;
    const waits = async (task: 'paced' | 'besideLarge', rate: number) =>
      (await reviewLoad({ ...ours, task, protocol: 'HTTP/1.1', rate })).latencies!;

    await perSecond({ ...ours, seconds: Math.min(2, size.seconds) });
    const [webhook, node, node2]: [number[], number[], number[]] = [[], [], []];
    const p99: number[] = [];
    const beside: number[] = [];
    for (let round = 0; round < size.rounds; round++) {
      webhook.push(await perSecond(ours));
      node.push(await perSecond(alone(bare)));
      node2.push(await perSecond(alone(bare2), 'HTTP/2'));
      p99.push(quantile(await waits('paced', size.rate), 0.99));
      beside.push(quantile(await waits('besideLarge', size.rate / 5), 1));
    }
    const share = medianRatio(webhook, node);
    const folder = mkdtempSync(join(tmpdir(), 'sallyport-bench-'));
    await bundle(join(folder, 'app'));
    gateway.program = join(folder, 'app', 'sallyport.mjs');
    const { ready, resident } = await starts(gateway, size.starts);
    rmSync(folder, { recursive: true, force: true });
    const row = (name: string, values: number[]) => [name, number(median(values), 0), spread(values, 0)];
    return {
      title: 'Admission webhook',
      notes: [
        `TLS, objects of 5 KiB, each another; ${size.policies} policies that all name the caller; ${common.parallel} at once where it is saturated. Bare node reads the same bytes and answers as shortly. ${size.rounds} rounds of ${size.seconds} s, one after the other.`,
        `Paced: ${number(size.rate, 0)} reviews a second, latency from the moment a review was due. Beside large ones: ${number(size.rate / 5, 0)} a second, while reviews of 1 MiB follow each other 20 ms apart. Start and memory are of the whole gateway with all these policies, as the image has it: bundled.`,
      ],
      tables: [
        {
          columns: ['reviews per second', 'median', 'quartiles'],
          rows: [row('webhook', webhook), row('bare node:https', node), row('bare node:http2', node2)],
        },
        {
          columns: ['', 'median', 'quartiles'],
          rows: [
            ['p99 when paced', `${number(median(p99), 2)} ms`, spread(p99, 2)],
            ['longest beside 1 MiB', `${number(median(beside), 2)} ms`, spread(beside, 2)],
            ['ready after', `${number(median(ready), 0)} ms`, spread(ready, 0)],
            ['resident at rest', megabytes(median(resident)), ''],
          ],
        },
      ],
      musts: [
        {
          what: `at ${number(size.rate, 0)} reviews/s p99 under 5 ms`,
          measured: `${number(median(p99), 2)} ms`,
          pass: median(p99) < 5,
        },
        { what: 'saturation at least 0.4 × a bare node:https echo', measured: ratio(share), pass: share >= 0.4 },
        {
          what: 'nobody waits over 20 ms while 1 MiB objects are reviewed',
          measured: `${number(median(beside), 2)} ms`,
          pass: median(beside) <= 20,
        },
        {
          what: 'ready within 3 s of process start',
          measured: `${number(median(ready), 0)} ms`,
          pass: median(ready) < 3_000,
        },
        {
          what: 'under 120 MB resident at rest',
          measured: megabytes(median(resident)),
          pass: median(resident) < 120e6,
        },
      ],
    };
  } finally {
    await bare.stop();
    await bare2.stop();
    await removePolicies(bed, size.policies);
    await gateway.stop();
  }
});

async function startGateway(bed: Bed): Promise<{ gateway: GatewayProcess; port: number }> {
  const port = await freePort();
  const gateway = await GatewayProcess.start(bed.cluster, {
    replicaOf: bed.gateway,
    adjust: (configuration) => {
      configuration.admission = { address: '127.0.0.1', port, tls: configuration.listen.tls };
    },
  });
  return { gateway, port };
}

const PATH = '/apis/sallyport.dev/v1alpha1/agentpolicies';

async function putPolicies(bed: Bed, gateway: GatewayProcess, count: number): Promise<void> {
  const rule = {
    name: 'configuration',
    action: 'Allow',
    match: { verbs: ['create'], apiGroups: [''], resources: ['configmaps'], namespaces: [bed.namespace] },
  };
  await bed.cluster.apply(
    stringify({
      apiVersion: 'sallyport.dev/v1alpha1',
      kind: 'AgentPolicy',
      metadata: { name: 'bench-writes' },
      spec: { subjects: [{ kind: 'Group', name: GROUP }], rules: [rule] },
    }),
  );
  await many(crowdOfPolicies(count), async (one) => {
    const answer = await bed.cluster.admin('POST', PATH, one);
    if (answer.status !== 201) throw new Error(`no policy: ${answer.body}`);
  });
  await inForce(gateway, BED_POLICIES + 1 + count);
}

async function removePolicies(bed: Bed, count: number): Promise<void> {
  const names = ['bench-writes', ...crowdOfPolicies(count).map(({ metadata }) => metadata.name)];
  await many(names, async (name) => {
    await bed.cluster.admin('DELETE', `${PATH}/${name}`);
  });
}

/** With all policies there: from the start of the process to ready, and what it holds when nobody asks it anything. */
async function starts(gateway: GatewayProcess, count: number): Promise<{ ready: number[]; resident: number[] }> {
  const ready: number[] = [];
  const resident: number[] = [];
  for (let round = 0; round < count; round++) {
    await gateway.kill();
    const begun = performance.now();
    await gateway.launch();
    while ((await gateway.probe('/readyz')).status !== 200) await new Promise((resolve) => setTimeout(resolve, 5));
    ready.push(performance.now() - begun);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    resident.push(new ProcessUsage(gateway.pid).resident());
  }
  return { ready, resident };
}
