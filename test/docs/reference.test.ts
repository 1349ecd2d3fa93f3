import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseConfiguration } from '../../src/config/load.ts';
import { REFERENCE } from './reference.ts';

const ROOT = new URL('../../', import.meta.url);

for (const [file, make] of Object.entries(REFERENCE)) {
  test(`${file} says what the code says (node test/docs/generate.ts writes it anew)`, () => {
    assert.equal(readFileSync(new URL(file, ROOT), 'utf8'), make());
  });
}

test('examples/in-cluster.yaml is sound', () => {
  const example = readFileSync(new URL('examples/in-cluster.yaml', ROOT), 'utf8');
  const { listen, certificates } = parseConfiguration(example, 'examples/in-cluster.yaml');
  assert.equal(listen.tls.secretName, certificates?.secretName);
});

test('the configuration in docs/operations.md is sound', () => {
  const page = readFileSync(new URL('docs/operations.md', ROOT), 'utf8');
  const [, tracing] = /```yaml\n(tracing:[\s\S]*?)```/.exec(page)!;
  const example = readFileSync(new URL('examples/gateway.yaml', ROOT), 'utf8');
  assert.equal(parseConfiguration(`${example}\n${tracing}`, 'docs/operations.md').tracing?.sampleRatio, 0.05);
});

test('docs/operations.md speaks of every alert of the chart, and of metrics that are there', () => {
  const page = readFileSync(new URL('docs/operations.md', ROOT), 'utf8');
  const metrics = readFileSync(new URL('docs/metrics.md', ROOT), 'utf8');
  const named = new Set([...page.matchAll(/\bsallyport_[a-z_]+/g)].map(([name]) => name.replace(/_bucket$/, '')));
  assert.ok(named.size >= 3);
  const alerts = readFileSync(new URL('charts/sallyport/files/alerts.yaml', ROOT), 'utf8');
  for (const [, name] of alerts.matchAll(/alert: (\w+)/g)) assert.ok(page.includes(`\`${name}\``), name);
  for (const name of named) assert.ok(metrics.includes(`\`${name}\``), name);
});

test('the configuration in docs/configuration.md is examples/gateway.yaml, and sound', () => {
  const page = readFileSync(new URL('docs/configuration.md', ROOT), 'utf8');
  const example = readFileSync(new URL('examples/gateway.yaml', ROOT), 'utf8');
  const shown = /```yaml\n([\s\S]*?)```/.exec(page)![1]!;
  assert.equal(example.replace(/^#.*\n/gm, ''), shown);
  assert.equal(parseConfiguration(example, 'examples/gateway.yaml').listen.port, 8443);
});
