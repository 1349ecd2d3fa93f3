import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OLDEST_MINOR, versionProblem } from './server-version.ts';

const version = (minor: string, major = '1') => ({ major, minor, gitVersion: `v${major}.${minor}.3` });

test('the oldest version that is good, later ones, and the plus of clouds', () => {
  for (const minor of [String(OLDEST_MINOR), '37', '36+', '40'])
    assert.equal(versionProblem(version(minor)), undefined);
});

test('an older one is named, and what is needed', () => {
  assert.match(versionProblem(version('34'))!, /v1\.34\.3; this gateway needs Kubernetes 1\.35 or newer/);
  assert.match(versionProblem(version('9+'))!, /needs Kubernetes 1\.35/);
});

test('what is no Kubernetes is none', () => {
  for (const odd of [undefined, {}, 'v1', version('x'), version('35', '2'), { major: 1, minor: 36 }]) {
    assert.match(versionProblem(odd)!, /no Kubernetes 1\.x/);
  }
});
