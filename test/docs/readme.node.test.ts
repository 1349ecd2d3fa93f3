import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { chosenVersion, findPrograms } from '../cluster/binaries.ts';
import { whyNoNode } from '../cluster/cluster.ts';
import { blocksOf, shell } from './readme.ts';

const why = whyNoNode();

test('the README’s quick start in a cluster, word by word', { skip: why ?? false, timeout: 600_000 }, async () => {
  const blocks = blocksOf('In a cluster');
  assert.equal(blocks.length, 5);
  const programs = await findPrograms(await chosenVersion(), ['kubectl', 'helm']);
  const folders = Object.values(programs).map((program) => dirname(program));
  const { code, output } = await shell(blocks, {
    PATH: `${folders.join(':')}:${process.env['PATH']}`,
    NAME: `readme-${randomBytes(3).toString('hex')}`,
    NODE: 'yes',
  });
  assert.equal(code, 0, output);
  assert.match(output, /STATUS: deployed/);
  assert.match(output, /sallyport:sa:shop:agent/);
  assert.match(output, /configmap\/greeting created/);
  assert.match(output, /SP_POLICY_DENIED: shop-agent\/only-our-images: images must come from registry\.shop\.example/);
  assert.match(
    output,
    /SP_POLICY_DENIED: sallyport-guardrails\/takes-over-its-node: this Pod could take over its node: /,
  );
  assert.match(output, /must be logged in/);
  assert.match(output, /SP_NOT_THROUGH_GATE/);
  assert.match(output, /release "sallyport" uninstalled/);
});
