import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { ERRORS } from '../../src/errors.ts';
import { compileMaskingRule } from '../../src/masking/masking-rule.ts';
import { type Cluster, sharedCluster } from '../cluster/cluster.ts';

const ROOT = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8');
const PAGE = read('docs/masking.md');
const EXAMPLES = readdirSync(new URL('examples/masking/', ROOT)).map((name) => `examples/masking/${name}`);
const RULES = '/apis/sallyport.dev/v1alpha1/maskingrules';

let cluster: Cluster;
before(async () => {
  cluster = await sharedCluster();
  await cluster.apply(read('crds/maskingrules.yaml'));
  const crd = 'crd/maskingrules.sallyport.dev';
  const waited = await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=20s', crd]);
  assert.equal(waited.code, 0, waited.stderr);
});
after(async () => {
  await cluster?.stop();
});

const blocks = [...PAGE.matchAll(/```yaml\n(.*?)```/gs)].map(
  ([, text], index) => [`block ${index + 1}`, text!] as const,
);
const examples = EXAMPLES.map((path) => [path, read(path)] as const);

test('the page and the folder have examples', () => assert.ok(blocks.length >= 1 && examples.length >= 3));

for (const [where, text] of [...blocks, ...examples]) {
  test(`${where} is accepted by the API server and compiles`, async () => {
    const rule = parse(text);
    const answer = await cluster.admin('POST', `${RULES}?dryRun=All&fieldValidation=Strict`, rule);
    assert.equal(answer.status, 201, answer.body);
    assert.deepEqual(compileMaskingRule(rule).errors, []);
  });
}

test('the page names every field of the CRD, and only errors that there are', () => {
  const crd = parse(read('crds/maskingrules.yaml'));
  const { spec } = crd.spec.versions[0].schema.openAPIV3Schema.properties;
  const pattern = spec.properties.patterns.items;
  for (const part of [spec, spec.properties.match, spec.properties.fields.items, pattern]) {
    for (const name of Object.keys(part.properties)) assert.match(PAGE, new RegExp(`\\b${name}\\b`), name);
  }
  for (const [code] of PAGE.matchAll(/SP_[A-Z_]+/g)) assert.ok(code in ERRORS, code);
});
