import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { objectDiff } from './object-diff.ts';

const deployment = (replicas: number, image: string) => ({
  kind: 'Deployment',
  apiVersion: 'apps/v1',
  spec: { replicas, template: { spec: { containers: [{ name: 'web', image }] } } },
});

test('a change, a creation and a deletion', () => {
  const change = objectDiff(deployment(2, 'web:1'), deployment(3, 'web:1'));
  assert.equal(
    change.text,
    [
      '--- live',
      '+++ requested',
      '@@ -1,7 +1,7 @@',
      ' apiVersion: apps/v1',
      ' kind: Deployment',
      ' spec:',
      '-  replicas: 2',
      '+  replicas: 3',
      '   template:',
      '     spec:',
      '       containers:',
      '',
    ].join('\n'),
  );
  assert.equal(change.truncated, false);
  assert.equal(change.sizeBytes, Buffer.byteLength(change.text));
  assert.equal(change.digest, createHash('sha256').update(change.text).digest('hex'));
  const made = objectDiff(undefined, { kind: 'Pod' });
  assert.equal(made.text, '--- nothing\n+++ requested\n@@ -0,0 +1,1 @@\n+kind: Pod\n');
  assert.match(objectDiff({ kind: 'Pod' }, undefined).text, /^--- live\n\+\+\+ nothing\n.*\n-kind: Pod\n$/);
});

test('the order of members is no change', () => {
  assert.equal(objectDiff({ a: 1, b: { c: 1, d: 2 } }, { b: { d: 2, c: 1 }, a: 1 }).text, '');
});

test('numbers beyond doubles stay what they are', () => {
  assert.match(
    objectDiff({ a: 9007199254740993n }, { a: 9007199254740992n }).text,
    /-a: 9007199254740993\n\+a: 9007199254740992/,
  );
});

test('a cut diff says so first, and keeps to its bound', () => {
  const map = (value: string) => Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`k${i}`, `${value}${i}`]));
  const cut = objectDiff(map('a'), map('b'), 4_000);
  assert.match(cut.text, /^CUT: this is not the whole change; 4000 of \d+ bytes at most are shown\n--- live\n/);
  assert.ok(cut.truncated);
  assert.ok(cut.sizeBytes <= 4_000);
  const whole = objectDiff(map('a'), map('b'));
  assert.equal(whole.truncated, false);
});

test('objects that have nothing in common are shown one after the other, in bounded time', () => {
  const map = (value: string) => Object.fromEntries(Array.from({ length: 30_000 }, (_, i) => [`${value}${i}`, i]));
  const start = performance.now();
  const { text, truncated, sizeBytes } = objectDiff(map('a'), map('b'));
  assert.ok(performance.now() - start < 10_000, `${performance.now() - start} ms`);
  assert.ok(sizeBytes <= 1024 * 1024);
  assert.match(text, truncated ? /^CUT:/ : /^--- live/);
  const huge = objectDiff(undefined, { a: 'x'.repeat(3_000_000) });
  assert.ok(huge.truncated);
  assert.match(huge.text, /^CUT: .* more than \d+ bytes/);
});

test('what is hidden stays hidden behind a mask, and what is masked is not shown', () => {
  const secret = randomBytes(12).toString('hex');
  const object = (pin: string) => ({
    kind: 'Pod',
    spec: {
      pin,
      containers: [{ name: 'c', args: ['run', `--password=${secret}`], env: [{ name: 'A', value: secret }] }],
      list: [1, 2, 3],
    },
  });
  const mask = (one: unknown) => {
    const copy = structuredClone(one) as ReturnType<typeof object>;
    copy.spec.pin = '(masked)';
    copy.spec.list.length = 1;
    return copy;
  };
  for (const same of [undefined, mask, (one: unknown) => one]) {
    const { text } = objectDiff(object(secret), object(`${secret}2`), undefined, same);
    assert.equal(text.includes(`password=${secret}`), false, text);
  }
  const { text } = objectDiff(undefined, object(secret), undefined, mask);
  assert.ok(!text.includes(secret), text);
  assert.match(text, /pin: \(masked\)/);
  assert.match(text, /--password=<hidden>/);
  assert.match(text, /value: <hidden>/);
});
