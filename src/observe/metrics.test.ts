import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type MeasuredRequest, Metrics } from './metrics.ts';

const GET: MeasuredRequest = {
  verb: 'get',
  resource: 'pods',
  subresource: '',
  decision: 'Allow',
  status: 200,
  longLived: false,
  total: 0.004,
  decisionTime: 0.00002,
  upstreamTime: 0.003,
};

test('a request is counted, timed and no longer in flight when it has ended', async () => {
  const metrics = new Metrics('1.2.3');
  metrics.requestBegan();
  metrics.requestBegan();
  metrics.requestEnded(GET);
  const text = await metrics.text();
  assert.match(text, /^sallyport_requests_total\{verb="get",resource="pods",decision="Allow",code="200"\} 1$/m);
  assert.match(text, /^sallyport_requests_in_flight 1$/m);
  assert.match(text, /^sallyport_request_duration_seconds_bucket\{verb="get",le="0.0025"\} 0$/m);
  assert.match(text, /^sallyport_request_duration_seconds_bucket\{verb="get",le="0.005"\} 1$/m);
  assert.match(text, /^sallyport_request_duration_seconds_bucket\{verb="get",le="\+Inf"\} 1$/m);
  assert.match(text, /^sallyport_request_duration_seconds_sum\{verb="get"\} 0.004$/m);
  assert.match(text, /^sallyport_decision_duration_seconds_count 1$/m);
  assert.match(text, /^sallyport_build_info\{version="1.2.3",node="v24/m);
  assert.match(text, /^process_cpu_user_seconds_total /m);
});

test('a watch does not enter the histogram of durations', async () => {
  const metrics = new Metrics('0');
  metrics.requestBegan();
  metrics.requestEnded({ ...GET, verb: 'watch', longLived: true, total: 3_600 });
  assert.ok(!(await metrics.text()).includes('sallyport_request_duration_seconds_count{verb="watch"}'));
});

test('nothing that a caller chooses becomes a label value', async () => {
  const metrics = new Metrics('0');
  for (let index = 0; index < 10_000; index++) {
    metrics.requestBegan();
    const odd = `x${index}`;
    metrics.requestEnded({ ...GET, verb: odd, resource: odd, subresource: odd, status: 600 + index });
    metrics.requestEnded({ ...GET, resource: 'pods', subresource: odd });
  }
  const text = await metrics.text();
  assert.match(
    text,
    /^sallyport_requests_total\{verb="other",resource="custom",decision="Allow",code="other"\} 10000$/m,
  );
  assert.match(text, /resource="pods\/other"/);
  assert.ok(!text.includes('x123'));
});

test('a metric has a bounded number of series even where its labels are not', async () => {
  const metrics = new Metrics('0');
  for (let index = 0; index < 5_000; index++) metrics.errors.inc(`c${index}`);
  const text = await metrics.text();
  assert.equal(text.match(/^sallyport_errors_total\{/gm)?.length, 2_001);
  assert.match(text, /^sallyport_errors_total\{code="other"\} 3000$/m);
});

test('a label value cannot break the exposition format', async () => {
  const metrics = new Metrics('a"b\\c\nd');
  assert.match(await metrics.text(), /^sallyport_build_info\{version="a\\"b\\\\c\\nd",/m);
});

test('a stream that ends twice is taken away once', async () => {
  const metrics = new Metrics('0');
  metrics.streamOpened('exec');
  const ended = metrics.streamOpened('exec');
  ended();
  ended();
  const text = await metrics.text();
  assert.match(text, /^sallyport_streams\{kind="exec"\} 1$/m);
  assert.match(text, /^sallyport_streams_opened_total\{kind="exec"\} 2$/m);
});

test('measuring a request costs less than 2 µs', () => {
  const metrics = new Metrics('0');
  const resources = ['pods', 'deployments', 'secrets', 'widgets'];
  const requests = Array.from({ length: 16 }, (_, index) => ({
    ...GET,
    resource: resources[index % 4]!,
    verb: index % 3 === 0 ? 'list' : 'get',
    total: index / 1_000,
  }));
  const rounds = 50_000;
  // The best of several: other processes share the machine.
  let best = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 8; attempt++) {
    const before = process.cpuUsage();
    for (let index = 0; index < rounds; index++) {
      metrics.requestBegan();
      metrics.requestEnded(requests[index & 15]!);
    }
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / rounds);
  }
  assert.ok(best < 2, `${best.toFixed(2)} µs`);
});

test('docs/metrics.md lists every metric of the gateway, with its type and labels, and no other', async () => {
  const metrics = new Metrics('0');
  const page = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
  const documented = new Map<string, string>();
  for (const [, name, type, labels] of page.matchAll(/^\| `(\w+)` \| (\w+) \| ([^|]*) \|/gm)) {
    documented.set(name!, `${type} ${labels!.replaceAll('`', '').trim()}`);
  }
  const registered = metrics.registry
    .getMetricsAsArray()
    .filter((metric) => metric.name.startsWith('sallyport_'))
    .map((metric) => {
      const { name, type, labels } = metric as unknown as { name: string; type: string; labels: string[] };
      return [name, `${type} ${labels.join(', ')}`.trim()] as const;
    });
  assert.ok(registered.length > 15);
  assert.deepEqual(new Map([...documented].map(([name, shape]) => [name, shape.trim()])), new Map(registered));
});

test('names follow the conventions: counters end in _total, times are in seconds', () => {
  for (const metric of new Metrics('0').registry.getMetricsAsArray()) {
    const { name, type } = metric as unknown as { name: string; type: string };
    if (!name.startsWith('sallyport_')) continue;
    assert.equal(name.endsWith('_total'), type === 'counter', name);
    if (type === 'histogram') assert.match(name, /_seconds$/);
  }
});
