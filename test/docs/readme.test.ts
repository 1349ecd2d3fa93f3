import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { chosenVersion, findPrograms } from '../cluster/binaries.ts';
import { blocksOf, shell } from './readme.ts';

test('the README’s quick start, word by word', { timeout: 240_000 }, async () => {
  const blocks = blocksOf('By hand');
  assert.equal(blocks.length, 7);
  const name = `readme-${randomBytes(3).toString('hex')}`;
  const { kubectl } = await findPrograms(await chosenVersion(), ['kubectl']);
  const { code, output } = await shell(blocks, {
    PATH: `${dirname(kubectl!)}:${process.env['PATH']}`,
    NAME: name,
    NODE: 'no',
  });
  assert.equal(code, 0, output);
  assert.match(output, /sallyport:sa:shop:agent/);
  assert.match(output, /configmap\/greeting created/);
  assert.match(output, /hello: world/);
  assert.match(output, /SP_POLICY_DENIED: shop-agent\/only-our-images: images must come from registry\.shop\.example/);
  assert.match(output, /no rule of shop-agent allows to list secrets/);
  assert.match(output, /SP_IDENTITY_HEADER/);
});
