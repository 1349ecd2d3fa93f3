import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { identityMethods } from '../../src/config/identity.ts';
import { ERRORS } from '../../src/errors.ts';

const page = readFileSync(new URL('../../docs/identity.md', import.meta.url), 'utf8');
const presets = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)]
  .map(
    ([, text]) => parse(text!) as { identity?: { oidc?: object[]; tokenReview?: object; clientCertificates?: object } },
  )
  .flatMap(({ identity }) => identity ?? []);

test('every preset in docs/identity.md is accepted as it stands', () => {
  assert.equal(presets.length, 7);
  for (const preset of presets) assert.doesNotThrow(() => identityMethods.parse(preset), JSON.stringify(preset));
});

test('all presets can be used at once: no two make one name', () => {
  const together = {
    oidc: presets.flatMap(({ oidc }) => oidc ?? []),
    tokenReview: presets.find(({ tokenReview }) => tokenReview)?.tokenReview,
    clientCertificates: presets.find(({ clientCertificates }) => clientCertificates)?.clientCertificates,
  };
  assert.doesNotThrow(() => identityMethods.parse(together));
});

test('the codes in docs/identity.md have the status that it says', () => {
  const rows = [...page.matchAll(/^\| `(SP_[A-Z_]+)` \| (\d+) \|/gm)];
  assert.equal(rows.length, 3);
  for (const [, code, status] of rows) assert.equal(ERRORS[code as keyof typeof ERRORS].status, Number(status));
});
