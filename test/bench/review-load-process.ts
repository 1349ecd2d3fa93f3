/** Plays the API server: posts admission reviews as it would, from a process of its own. */
import { randomUUID } from 'node:crypto';
import { type ClientHttp2Session, connect } from 'node:http2';
import { Agent, request } from 'node:https';
import type { ReviewLoad, ReviewResult } from './review-load.ts';

type Post = (body: string) => Promise<string>;

/** The object is `size` bytes; every review is another one, as on the wire. */
function review({ namespace, group }: ReviewLoad, size: number): string {
  const line = '# a line of some configuration file, with "quotes"\n';
  const data = Object.fromEntries(
    Array.from({ length: 4 }, (_, i) => [`file-${i}.conf`, line.repeat(Math.ceil(size / 4 / (line.length + 2)))]),
  );
  const name = `map-${randomUUID()}`;
  const resource = { group: '', version: 'v1', resource: 'configmaps' };
  const metadata = { name, namespace, uid: randomUUID(), creationTimestamp: new Date().toISOString() };
  const kind = { group: '', version: 'v1', kind: 'ConfigMap' };
  return JSON.stringify({
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: {
      uid: randomUUID(),
      kind,
      resource,
      requestKind: kind,
      requestResource: resource,
      name,
      namespace,
      operation: 'CREATE',
      userInfo: { username: 'bench-direct', groups: [group, 'system:authenticated'] },
      object: { kind: 'ConfigMap', apiVersion: 'v1', metadata, data },
      oldObject: null,
      dryRun: false,
      options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
    },
  });
}

function overHTTP1({ url, caPem }: ReviewLoad): { post: Post; close(): void } {
  // As the API server: connections are kept, and there are as many as reviews at once.
  const agent = new Agent({ keepAlive: true, ca: caPem, maxSockets: 64 });
  const post: Post = (body) =>
    new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
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

async function allowed(post: Post, body: string, isBare: boolean): Promise<void> {
  const text = await post(body);
  if (!isBare && !text.includes('"allowed":true'))
    throw new Error(`the benchmark measures what is allowed: ${text.slice(0, 300)}`);
}

/** Closed loop. @returns reviews per second */
async function saturate(load: ReviewLoad, post: Post): Promise<number> {
  const bodies = Array.from({ length: 64 }, () => review(load, load.bytes));
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

/** Open loop: each review has its moment, and latency counts from it. @returns milliseconds */
async function paced(load: ReviewLoad, post: Post, rate: number): Promise<Float64Array> {
  const bodies = Array.from({ length: 64 }, () => review(load, load.bytes));
  const total = Math.round(rate * load.seconds);
  const latencies = new Float64Array(total);
  const waiting: Promise<void>[] = [];
  const begun = performance.now();
  for (let sent = 0; sent < total; ) {
    const due = begun + (sent * 1_000) / rate;
    const wait = due - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    const index = sent++;
    waiting.push(
      allowed(post, bodies[index % bodies.length]!, load.isBare).then(() => {
        latencies[index] = performance.now() - due;
      }),
    );
  }
  await Promise.all(waiting);
  return latencies;
}

/** Small reviews at a rate, while large ones follow each other. @returns the latencies of the small ones */
async function besideLarge(load: ReviewLoad, post: Post, rate: number): Promise<Float64Array> {
  const large = Array.from({ length: 4 }, () => review(load, load.largeBytes));
  let done = false;
  const big = (async () => {
    for (let i = 0; !done; i++) {
      await allowed(post, large[i % large.length]!, load.isBare);
      // As fast as one client would make them, not a flood: what is measured is how long one holds up the others.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  const latencies = await paced(load, post, rate);
  done = true;
  await big;
  return latencies;
}

process.once('message', (load: ReviewLoad) => {
  const { post, close } = load.protocol === 'HTTP/2' ? overHTTP2(load) : overHTTP1(load);
  const run = async (): Promise<ReviewResult> => {
    if (load.task === 'saturate') return { perSecond: await saturate(load, post) };
    const latencies =
      load.task === 'paced' ? await paced(load, post, load.rate) : await besideLarge(load, post, load.rate);
    return { latencies };
  };
  run().then(
    (result) => process.send?.(result, () => process.exit()),
    (error: unknown) => process.send?.({ error: String(error) }, () => process.exit(1)),
  );
  process.once('disconnect', close);
});
