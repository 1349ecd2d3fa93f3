import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_VERSION, resolveVersion } from './versions.ts';

test('a minor stands for its pinned patch, a full version for itself', () => {
  assert.equal(resolveVersion('1.36'), '1.36.3');
  assert.equal(resolveVersion('v1.35'), '1.35.4');
  assert.equal(resolveVersion('1.37'), '1.37.2');
  assert.equal(resolveVersion('v1.36.1'), '1.36.1');
});

test('nothing asked for means the default', () => {
  assert.equal(resolveVersion(''), DEFAULT_VERSION);
});

test('KUBERNETES_VERSION counts where no version is given', () => {
  const before = process.env['KUBERNETES_VERSION'];
  process.env['KUBERNETES_VERSION'] = '1.35';
  try {
    assert.equal(resolveVersion(), '1.35.4');
  } finally {
    if (before === undefined) delete process.env['KUBERNETES_VERSION'];
    else process.env['KUBERNETES_VERSION'] = before;
  }
});

test('what is no version is refused, with the choices', () => {
  for (const wrong of ['latest', '1', '1.2.3.4', '2.0', '../1.36', '1.36.3; true', '1.99']) {
    assert.throws(() => resolveVersion(wrong), /is not a Kubernetes version.*1\.36/s, wrong);
  }
});
