import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { type Cluster, sharedCluster } from '../cluster/cluster.ts';
import { Scene } from './scene.ts';
import { WireTap } from './wire-tap.ts';

interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly attributes: { readonly key: string; readonly value: { readonly stringValue?: string } }[];
}

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const CALLER = '00f067aa0ba902b7';

describe('traces', { timeout: 120_000 }, () => {
  const spans: OtlpSpan[] = [];
  const sent: string[] = [];
  let collector: Server;
  let cluster: Cluster;
  let tap: WireTap;
  let scene: Scene;

  before(async () => {
    collector = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      request.on('end', () => {
        const { resourceSpans } = JSON.parse(body) as { resourceSpans: { scopeSpans: { spans: OtlpSpan[] }[] }[] };
        for (const { scopeSpans } of resourceSpans) for (const scope of scopeSpans) spans.push(...scope.spans);
        response.setHeader('content-type', 'application/json').end('{}');
      });
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => collector.once('listening', resolve));
    cluster = await sharedCluster();
    tap = await WireTap.start(cluster, (text) => {
      sent.push(text);
      return undefined;
    });
    const { port } = collector.address() as AddressInfo;
    scene = await Scene.open('traces', {
      cluster,
      adjust: (configuration) => {
        configuration.tracing = { endpoint: `http://127.0.0.1:${port}/v1/traces`, sampleRatio: 1 };
        tap.divert(configuration.upstream.kubeconfig, cluster);
      },
    });
  });
  after(async () => {
    await scene?.close();
    await tap?.close();
    collector?.closeAllConnections();
    collector?.close();
  });

  it('go on from the caller, through the gateway, to the API server; and say nothing that a caller wrote', async () => {
    const path = `/api/v1/namespaces/${scene.namespace}/configmaps/very-private-name`;
    const { status, headers } = await scene.ask(path, { headers: ['traceparent', `00-${TRACE}-${CALLER}-01`] });
    assert.equal(status, 404);
    const upstream = sent.find((text) => text.includes('very-private-name') && text.startsWith('GET'));
    const [, trace, child] = /traceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-01/i.exec(upstream ?? '')!;
    assert.equal(trace, TRACE);
    assert.notEqual(child, CALLER);
    const end = Date.now() + 30_000;
    let span: OtlpSpan | undefined;
    while (span === undefined) {
      span = spans.find(({ traceId }) => traceId === TRACE);
      assert.ok(Date.now() < end, `${spans.length} spans`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.deepEqual([span.spanId, span.parentSpanId, span.name], [child, CALLER, 'get configmaps']);
    const id = span.attributes.find(({ key }) => key === 'sallyport.request_id');
    assert.equal(id?.value.stringValue, headers['x-request-id']);
    assert.doesNotMatch(JSON.stringify(spans), /very-private-name/);
    assert.ok(!JSON.stringify(spans).includes(scene.user));
  });

  it('a context that is none begins a trace of its own', async () => {
    for (const bad of [`00-${'0'.repeat(32)}-${CALLER}-01`, 'ff-x', `00-${TRACE}-${CALLER}`]) {
      const before = sent.length;
      await scene.ask(`/api/v1/namespaces/${scene.namespace}/secrets/x`, { headers: ['traceparent', bad] });
      const upstream = sent.slice(before).find((text) => text.includes('/secrets/x'));
      const [, trace] = /traceparent: 00-([0-9a-f]{32})-[0-9a-f]{16}-01/i.exec(upstream ?? '')!;
      assert.notEqual(trace, TRACE);
    }
  });
});
