import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VerifyReport } from './finding.ts';
import { verifySuccession } from './succession.ts';

/** Of what a succession is made of: a name, its manifest, and the one before. */
function report(recording: string, manifestSHA256: string | undefined, more: Partial<VerifyReport> = {}): VerifyReport {
  return {
    recording,
    manifestSHA256,
    state: manifestSHA256 === undefined ? 'Open' : 'Complete',
    sound: true,
    findings: [],
    findingCount: 0,
    segments: 1,
    lines: 2,
    bytes: 3,
    hash: '',
    keyID: undefined,
    unknownOutcomes: 0,
    startTime: undefined,
    endTime: undefined,
    predecessor: undefined,
    ...more,
  };
}

const after = (name: string, sha256: string): Partial<VerifyReport> => ({ predecessor: { name, sha256 } });
const whats = (...args: Parameters<typeof verifySuccession>): string[] =>
  verifySuccession(...args).map(({ what }) => what);

test('a store in which each names the one before is whole', () => {
  const reports = [report('a', 'A'), report('b', 'B', after('a', 'A')), report('c', 'C', after('b', 'B'))];
  assert.deepEqual(whats(reports, [{ replica: 'r', lastSealed: { name: 'c', sha256: 'C' } }, { replica: 's' }]), []);
});

test('a recording that is gone is missed by the one behind it, also where nothing else is left', () => {
  assert.deepEqual(verifySuccession([report('b', 'B', after('a', 'A'))]), [
    { name: 'a', what: 'a is not there, which b names: it was removed, or its retention has ended' },
  ]);
});

test('a manifest that was replaced is missed, and one that is gone', () => {
  assert.deepEqual(whats([report('a', 'OLD'), report('b', 'B', after('a', 'A'))]), [
    'a has another manifest than the one that b names',
  ]);
  assert.deepEqual(whats([report('a', undefined), report('b', 'B', after('a', 'A'))]), [
    'a has no manifest that holds; b names one',
  ]);
});

test('what a replica sealed last is missed by its announcement', () => {
  const announced = [{ replica: 'r', lastSealed: { name: 'a', sha256: 'A' } }];
  assert.deepEqual(whats([], announced), [
    'a is not there, which the announcement of replica r names: it was removed, or its retention has ended',
  ]);
  assert.match(
    whats([report('a', 'OLD')], announced)[0]!,
    /^a has another manifest than the one that the announcement/,
  );
});

test('of a recording that was sealed anew any of its manifests may be named, and each names its own', () => {
  const joint = (earlier: string): VerifyReport =>
    report('a', 'A2', {
      ...after('b', 'B'),
      earlier: [{ manifestSHA256: earlier, predecessor: { name: 'gone', sha256: 'G' } }],
    });
  const rest = [report('b', 'B'), report('gone', 'G'), report('c', 'C', after('a', 'A1'))];
  assert.deepEqual(whats([joint('A1'), ...rest]), []);
  assert.deepEqual(whats([joint('A0'), ...rest]), ['a has another manifest than the one that c names']);
  assert.deepEqual(
    verifySuccession([joint('A1'), rest[0]!, rest[2]!]).map(({ name }) => name),
    ['gone'],
  );
});

test('chains are part of it: they are named, and name', () => {
  const chains = [report('a.x', 'X'), report('a.y', 'Y', after('gone', 'G'))];
  const reports = [report('a', 'A', { chains }), report('b', 'B', after('a.x', 'X'))];
  assert.deepEqual(
    verifySuccession(reports).map(({ name }) => name),
    ['gone'],
  );
});
