import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { Differ } from './differ.ts';

const json = (object: unknown): string => JSON.stringify(object);
/** Each item is looked for among all others by its name: quadratic, and a manifest of allowed size. */
const hostile = (turn: string): string =>
  json({ kind: 'X', items: Array.from({ length: 40_000 }, (_, i) => ({ name: `${turn}-${i}` })) });

describe('diffs in a thread of their own', () => {
  const differ = new Differ({ timeout: 30_000 });
  const hasty = new Differ({ timeout: 200, maxWaiting: 2 });
  const patient = new Differ({ timeout: 1_500, maxWait: 300 });
  after(async () => {
    await Promise.all([differ.stop(), hasty.stop(), patient.stop()]);
  });

  it('a change, masked where it must be', async () => {
    const before = { kind: 'ConfigMap', data: { a: 'b', pin: '1234' } };
    const next = { kind: 'ConfigMap', data: { a: 'c', pin: '5678' } };
    const masked = (object: typeof before): string => json({ ...object, data: { ...object.data, pin: '***' } });
    const diff = await differ.diff({
      before: json(before),
      after: json(next),
      masked: { before: masked(before), after: masked(next) },
    });
    assert.match(diff.text, /^- {2}a: b\n\+ {2}a: c$/m);
    assert.ok(!/1234|5678/.test(diff.text), diff.text);
    assert.equal(diff.truncated, false);
    const creation = await differ.diff({ before: undefined, after: json(next), masked: undefined });
    assert.match(creation.text, /^--- nothing\n\+\+\+ requested\n/);
  });

  it('of a hostile manifest the thread is ended, says so, and nobody waits for it', async () => {
    let longest = 0;
    let last = performance.now();
    const tick = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 5);
    const diff = await hasty.diff({ before: hostile('a'), after: hostile('b'), masked: undefined });
    clearInterval(tick);
    assert.equal(diff.text, 'CUT: the change could not be compared (it takes too long); none of it is shown\n');
    assert.equal(diff.truncated, true);
    assert.ok(longest < 150, `the event loop stood still for ${longest} ms`);
  });

  it('goes on with the next, and refuses what is too much', async () => {
    const small = { before: undefined, after: json({ kind: 'Pod' }), masked: undefined };
    const many = await Promise.all(Array.from({ length: 4 }, () => differ.diff(small)));
    for (const diff of many) assert.match(diff.text, /\+kind: Pod/);
    const flood = await Promise.all(
      [hostile('a'), hostile('b'), 'x', 'y'].map((after) => hasty.diff({ ...small, before: hostile('c'), after })),
    );
    assert.deepEqual(
      flood.slice(2).map(({ text }) => /too many are being compared/.test(text)),
      [true, true],
    );
    const large = await differ.diff({ ...small, after: json('x'.repeat(5 << 20)) });
    assert.match(large.text, /an object is too large/);
  });

  it('nobody waits long for others', async () => {
    const slow = patient.diff({ before: hostile('a'), after: hostile('b'), masked: undefined });
    const started = performance.now();
    const next = await patient.diff({ before: undefined, after: json({ kind: 'Pod' }), masked: undefined });
    assert.match(next.text, /too many are being compared/);
    assert.ok(performance.now() - started < 1_400, 'not until the other one was given up');
    assert.match((await slow).text, /it takes too long/);
  });

  it('a thread that breaks takes nobody with it', async () => {
    const broken = await differ.diff({ before: 'not JSON', after: undefined, masked: undefined });
    assert.match(broken.text, /it takes too much/);
    const next = await differ.diff({ before: undefined, after: json({ kind: 'Pod' }), masked: undefined });
    assert.match(next.text, /\+kind: Pod/);
  });
});
