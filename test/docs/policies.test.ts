import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { ERRORS } from '../../src/errors.ts';
import { FUNCTIONS } from '../../src/policy/functions/functions.ts';
import { compile } from '../../src/policy/policy-set.ts';
import { type Cluster, sharedCluster } from '../cluster/cluster.ts';
import { applyPolicyCRD, POLICIES } from '../policy/policy-crd.ts';

const PAGE = readFileSync(new URL('../../docs/policies.md', import.meta.url), 'utf8');
const BLOCKS = [...PAGE.matchAll(/```yaml\n(.*?)```/gs)].map(([, text]) => text!);

let cluster: Cluster;
before(async () => {
  cluster = await sharedCluster();
  await applyPolicyCRD(cluster);
});
after(async () => {
  await cluster?.stop();
});

test('the page has examples', () => assert.ok(BLOCKS.length >= 2));

for (const text of BLOCKS) {
  const policy = parse(text);
  test(`the example ${policy.metadata.name} is accepted by the API server and compiles`, async () => {
    const answer = await cluster.admin('POST', `${POLICIES}?dryRun=All&fieldValidation=Strict`, policy);
    assert.equal(answer.status, 201, answer.body);
    assert.deepEqual(compile([policy], { gatewayNamespace: 'sallyport' }).errors, []);
  });
}

test('the page names every field of the CRD, every function and every code it speaks of', () => {
  const crd = parse(readFileSync(new URL('../../crds/agentpolicies.yaml', import.meta.url), 'utf8'));
  const { spec } = crd.spec.versions[0].schema.openAPIV3Schema.properties;
  const rule = spec.properties.rules.items.properties;
  const names = [spec, { properties: rule }, rule.match, rule.approval].flatMap((part) => Object.keys(part.properties));
  for (const name of [...names, ...FUNCTIONS.map((one) => one.name)])
    assert.match(PAGE, new RegExp(`\\b${name}\\b`), name);
  for (const [code] of PAGE.matchAll(/SP_[A-Z_]+/g)) assert.ok(code in ERRORS, code);
});
