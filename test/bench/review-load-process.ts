/** Plays the API server: posts admission reviews as it would, from a process of its own. */
import { randomUUID } from 'node:crypto';
import { type ClientHttp2Session, connect } from 'node:http2';
import { Agent, request } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ReviewLoad, ReviewResult } from './review-load.ts';

const CONNECTIONS = 64;

interface Posted {
  readonly group: string;
  readonly kind: string;
  readonly resource: string;
  readonly content: object;
}

type Post = (body: Buffer) => Promise<string>;

/** Text in few members, as in most objects that are large. */
function configMap(size: number): Posted {
  const line = '# a line of some configuration file, with "quotes"\n';
  const data = Object.fromEntries(
    Array.from({ length: 4 }, (_, i) => [`file-${i}.conf`, line.repeat(Math.ceil(size / 4 / (line.length + 2)))]),
  );
  return { group: '', kind: 'ConfigMap', resource: 'configmaps', content: { data } };
}

/** Tens of thousands of members: the most that a parser can be given to do. */
function deployment(size: number): Posted {
  const env = (_: unknown, i: number) => ({ name: `VARIABLE_${i}`, value: `some value ${i}` });
  const container = (_: unknown, i: number) => ({
    name: `container-${i}`,
    image: 'registry.example/app:1',
    ports: [{ containerPort: 8_000 + i, protocol: 'TCP' }],
    env: Array.from({ length: 20 }, env),
  });
  const containers = Array.from({ length: Math.ceil(size / 1_020) }, container);
  const template = { metadata: { labels: { app: 'large' } }, spec: { containers } };
  const spec = { replicas: 1, selector: { matchLabels: { app: 'large' } }, template };
  return { group: 'apps', kind: 'Deployment', resource: 'deployments', content: { spec } };
}

/** Every review is another one, as on the wire. */
function review({ namespace, group }: ReviewLoad, posted: Posted): Buffer {
  const name = `map-${randomUUID()}`;
  const resource = { group: posted.group, version: 'v1', resource: posted.resource };
  const metadata = { name, namespace, uid: randomUUID(), creationTimestamp: new Date().toISOString() };
  const kind = { group: posted.group, version: 'v1', kind: posted.kind };
  const apiVersion = posted.group === '' ? 'v1' : `${posted.group}/v1`;
  const request = {
    uid: randomUUID(),
    kind,
    resource,
    requestKind: kind,
    requestResource: resource,
    name,
    namespace,
    operation: 'CREATE',
    userInfo: { username: 'bench-direct', groups: [group, 'system:authenticated'] },
    object: { kind: posted.kind, apiVersion, metadata, ...posted.content },
    oldObject: null,
    dryRun: false,
    options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
  };
  return Buffer.from(JSON.stringify({ kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', request }));
}

function reviews(load: ReviewLoad): Buffer[] {
  const objects = load.task === 'large' ? [configMap, deployment] : [configMap];
  const count = load.task === 'large' ? 4 : 64;
  return Array.from({ length: count }, (_, i) => review(load, objects[i % objects.length]!(load.bytes)));
}

function overHTTP1({ url, caPem }: ReviewLoad): { post: Post; close(): void } {
  // As the API server: connections are kept, and there are as many as reviews at once.
  const agent = new Agent({ keepAlive: true, ca: caPem, maxSockets: CONNECTIONS });
  const post: Post = (body) =>
    new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json', 'content-length': body.length };
      const sent = request(url, { method: 'POST', agent, headers }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        response.on('end', () =>
          response.statusCode === 200 ? resolve(text) : reject(new Error(`${response.statusCode}`)),
        );
      });
      sent.on('error', reject);
      sent.end(body);
    });
  return { post, close: () => agent.destroy() };
}

function overHTTP2({ url, caPem }: ReviewLoad): { post: Post; close(): void } {
  const session: ClientHttp2Session = connect(new URL(url).origin, { ca: caPem });
  const path = new URL(url).pathname;
  const post: Post = (body) =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/json' });
      let text = '';
      stream.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      stream.on('end', () => resolve(text));
      stream.on('error', reject);
      stream.end(body);
    });
  return { post, close: () => session.destroy() };
}

async function allowed(post: Post, body: Buffer, isBare: boolean): Promise<void> {
  const text = await post(body);
  if (!isBare && !text.includes('"allowed":true'))
    throw new Error(`the benchmark measures what is allowed: ${text.slice(0, 300)}`);
}

/** As many connections as an API server keeps, each with reviews behind it. */
async function warm(load: ReviewLoad, post: Post, bodies: readonly Buffer[]): Promise<void> {
  const end = performance.now() + load.warmSeconds * 1_000;
  await Promise.all(Array.from({ length: CONNECTIONS }, () => allowed(post, bodies[0]!, load.isBare)));
  // Not at full speed: what is compiled under pressure of a queue would be another thing.
  while (performance.now() < end) {
    await Promise.all(bodies.slice(0, 8).map((body) => allowed(post, body, load.isBare)));
    await sleep(4);
  }
}

/** Closed loop. @returns reviews per second */
async function saturate(load: ReviewLoad, post: Post, bodies: readonly Buffer[]): Promise<number> {
  const begun = performance.now();
  const end = begun + load.seconds * 1_000;
  let answered = 0;
  const one = async (from: number): Promise<void> => {
    for (let i = from; performance.now() < end; i++) {
      await allowed(post, bodies[i % bodies.length]!, load.isBare);
      answered += 1;
    }
  };
  await Promise.all(Array.from({ length: load.parallel }, (_, i) => one(i * 7)));
  return answered / ((performance.now() - begun) / 1_000);
}

/** Open loop: each review has its moment, and latency counts from it. */
async function paced(load: ReviewLoad, post: Post, bodies: readonly Buffer[]): Promise<ReviewResult> {
  const total = Math.round(load.rate * load.seconds);
  const latencies = new Float64Array(total);
  const late = new Float64Array(total);
  const waiting: Promise<void>[] = [];
  const begun = performance.now();
  for (let sent = 0; sent < total; ) {
    const due = begun + (sent * 1_000) / load.rate;
    const wait = due - performance.now();
    if (wait > 0) await sleep(wait);
    const index = sent++;
    // A timer may come up to a millisecond early: such a review counts from when it was sent.
    const from = Math.min(due, performance.now());
    late[index] = performance.now() - from;
    waiting.push(
      allowed(post, bodies[index % bodies.length]!, load.isBare).then(() => {
        latencies[index] = performance.now() - from;
      }),
    );
  }
  await Promise.all(waiting);
  return { latencies, late };
}

/** One after the other, as fast as one client would make them, not a flood: what is measured is how long one holds up the others. */
async function large(load: ReviewLoad, post: Post, bodies: readonly Buffer[]): Promise<void> {
  const end = performance.now() + load.seconds * 1_000;
  for (let i = 0; performance.now() < end; i++) {
    await allowed(post, bodies[i % bodies.length]!, load.isBare);
    await sleep(20);
  }
}

process.once('message', (load: ReviewLoad) => {
  const { post, close } = load.protocol === 'HTTP/2' ? overHTTP2(load) : overHTTP1(load);
  const bodies = reviews(load);
  const run = async (): Promise<ReviewResult> => {
    if (load.warmSeconds > 0) await warm(load, post, bodies);
    if (load.task === 'saturate') return { perSecond: await saturate(load, post, bodies) };
    if (load.task === 'paced') return await paced(load, post, bodies);
    await large(load, post, bodies);
    return {};
  };
  run().then(
    (result) => process.send?.(result, () => process.exit()),
    (error: unknown) => process.send?.({ error: String(error) }, () => process.exit(1)),
  );
  process.once('disconnect', close);
});
