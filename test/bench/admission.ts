import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { bundle } from '../../image/bundle.ts';
import { ENVIRONMENT } from '../../image/environment.ts';
import { freePort } from '../cluster/free-port.ts';
import { GatewayProcess } from '../gateway/gateway-process.ts';
import type { Bed } from './bed.ts';
import { part } from './part.ts';
import { BED_POLICIES, crowdOfPolicies, GROUP, inForce, many } from './policies.ts';
import { ProcessUsage } from './process-usage.ts';
import { median, medianRatio, quantile } from './quantile.ts';
import { type ReviewLoad, type ReviewResult, reviewLoad, startBareReviewer } from './review-load.ts';
import { megabytes, number, ratio, spread } from './words.ts';

const sizes = {
  full: { policies: 200, rounds: 4, seconds: 4, warmSeconds: 1.5, rate: 1_000, starts: 3 },
  quick: { policies: 5, rounds: 1, seconds: 1, warmSeconds: 0.2, rate: 100, starts: 1 },
};

type Target = Omit<ReviewLoad, 'task' | 'protocol'>;

/** What one round says of one server. Milliseconds. */
class Waits {
  readonly middle: number[] = [];
  readonly p99: number[] = [];
  readonly late: number[] = [];
  readonly beside: number[] = [];
  readonly lateBeside: number[] = [];

  add(paced: ReviewResult, beside: ReviewResult): void {
    this.middle.push(quantile(paced.latencies!, 0.5));
    this.p99.push(quantile(paced.latencies!, 0.99));
    this.late.push(quantile(paced.late!, 0.99));
    this.beside.push(quantile(beside.latencies!, 1));
    this.lateBeside.push(quantile(beside.late!, 1));
  }
}

/** The webhook as the API server calls it, beside what node alone does with the same bytes. */
export const admission = part('admission', sizes, async (bed, size) => {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-bench-'));
  await bundle(join(folder, 'app'));
  const { gateway, port } = await startGateway(bed, join(folder, 'app', 'sallyport.mjs'));
  const bare = await startBareReviewer('HTTP/1.1');
  const bare2 = await startBareReviewer('HTTP/2');
  try {
    await putPolicies(bed, gateway, size.policies);
    const { rate, seconds, warmSeconds } = size;
    const common = {
      namespace: bed.namespace,
      group: GROUP,
      bytes: 5 * 1_024,
      parallel: 16,
      rate,
      seconds,
      warmSeconds,
    };
    const ours: Target = { ...common, url: `https://127.0.0.1:${port}/admit`, caPem: gateway.caPem, isBare: false };
    const alone = ({ endpoint: { url, caPem } }: typeof bare): Target => ({
      ...common,
      url,
      caPem: caPem!,
      isBare: true,
    });
    const perSecond = async (load: Target, protocol: ReviewLoad['protocol'] = 'HTTP/1.1') =>
      (await reviewLoad({ ...load, task: 'saturate', protocol })).perSecond!;

    const [webhook, node, node2]: [number[], number[], number[]] = [[], [], []];
    const waits = { ours: new Waits(), bare: new Waits() };
    for (let round = 0; round < size.rounds; round++) {
      webhook.push(await perSecond(ours));
      node.push(await perSecond(alone(bare)));
      node2.push(await perSecond(alone(bare2), 'HTTP/2'));
      waits.ours.add(await paced(ours), await besideLarge(ours));
      waits.bare.add(await paced(alone(bare)), await besideLarge(alone(bare)));
    }
    const busy = new ProcessUsage(gateway.pid).resident();
    const share = medianRatio(webhook, node);
    const { ready, resident } = await starts(gateway, size.starts);
    const row = (name: string, values: number[]) => [name, number(median(values), 0), spread(values, 0)];
    const waited = (name: string, { middle, p99, late, beside, lateBeside }: Waits) => [
      name,
      ...[middle, p99, late, beside, lateBeside].map((values) => `${number(median(values), 2)} ms`),
    ];
    const p99 = median(waits.ours.p99);
    const longest = median(waits.ours.beside);
    return {
      title: 'Admission webhook',
      notes: [
        `TLS, objects of 5 KiB, each another; ${size.policies} policies that all name the caller; ${common.parallel} at once where it is saturated. The webhook is the gateway's process as the chart deploys it: the image's bundle in the image's environment, the controller elsewhere. Bare node reads the same bytes and answers as shortly. ${size.rounds} rounds of ${seconds} s, one after the other, each after ${warmSeconds} s of the same that do not count, as an API server has its connections: 64 of them.`,
        `Paced: ${number(rate, 0)} reviews a second, each with its moment, and its wait counts from then, also where the load itself was late to send it (its share is in the table); the load runs on one core, beside the server. Beside large ones: ${number(rate / 5, 0)} a second, while another client has reviews of 1 MiB follow each other 20 ms apart, in turn a ConfigMap of text and a Deployment of 20,000 variables. Bare node does not parse what it reads.`,
        'Start and memory are of the same process with all these policies, 1.5 s after it is ready.',
      ],
      tables: [
        {
          columns: ['reviews per second', 'median', 'quartiles'],
          rows: [row('webhook', webhook), row('bare node:https', node), row('bare node:http2', node2)],
        },
        {
          columns: ['', 'paced: median', 'p99', 'load late, p99', 'beside 1 MiB: longest', 'load late, at most'],
          rows: [waited('webhook', waits.ours), waited('bare node:https', waits.bare)],
        },
        {
          columns: ['', 'median', 'quartiles'],
          rows: [
            ['ready after', `${number(median(ready), 0)} ms`, spread(ready, 0)],
            ['resident at rest', megabytes(median(resident)), ''],
            ['resident after the load', megabytes(busy), ''],
          ],
        },
      ],
      musts: [
        {
          what: `at ${number(rate, 0)} reviews/s p99 under 5 ms`,
          measured: `${number(p99, 2)} ms; bare node:https ${number(median(waits.bare.p99), 2)} ms`,
          pass: p99 < 5,
        },
        { what: 'saturation at least 0.4 × a bare node:https echo', measured: ratio(share), pass: share >= 0.4 },
        {
          what: 'nobody waits over 20 ms while 1 MiB objects are reviewed',
          measured: `${number(longest, 2)} ms; bare node:https ${number(median(waits.bare.beside), 2)} ms`,
          pass: longest <= 20,
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
    rmSync(folder, { recursive: true, force: true });
  }
});

const paced = (target: Target): Promise<ReviewResult> => reviewLoad({ ...target, task: 'paced', protocol: 'HTTP/1.1' });

/** Small reviews at a rate, while somebody else's large ones follow each other from before the first to after the last. */
async function besideLarge(target: Target): Promise<ReviewResult> {
  const small = { ...target, task: 'paced', protocol: 'HTTP/1.1', rate: target.rate / 5 } as const;
  const seconds = target.seconds + target.warmSeconds + 0.5;
  const large = { ...target, task: 'large', protocol: 'HTTP/1.1', bytes: 1 << 20, warmSeconds: 0, seconds } as const;
  const [waited] = await Promise.all([reviewLoad(small), reviewLoad(large)]);
  return waited;
}

async function startGateway(bed: Bed, program: string): Promise<{ gateway: GatewayProcess; port: number }> {
  const port = await freePort();
  const gateway = await GatewayProcess.start(bed.cluster, {
    replicaOf: bed.gateway,
    program,
    env: ENVIRONMENT,
    adjust: (configuration) => {
      configuration.controller = { enabled: false };
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
    match: {
      verbs: ['create'],
      apiGroups: ['', 'apps'],
      resources: ['configmaps', 'deployments'],
      namespaces: [bed.namespace],
    },
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
    await gateway.launch(ENVIRONMENT);
    while ((await gateway.probe('/readyz')).status !== 200) await new Promise((resolve) => setTimeout(resolve, 5));
    ready.push(performance.now() - begun);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    resident.push(new ProcessUsage(gateway.pid).resident());
  }
  return { ready, resident };
}
