import assert from 'node:assert/strict';
import { createCipheriv, createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { MARKER, PLACEHOLDER_LENGTH, Placeholders } from './marker.ts';
import { Patch } from './patch.ts';

const KEY = Buffer.from(Array.from({ length: 32 }, (_, i) => i));
const PLACE = { object: '6f1c0d3e-0000-4000-8000-000000000001', path: 'spec.containers[0].env[3].value', rule: 'env' };

/** The construction as decision 0051 writes it down, in other words than the product's. */
function expected({ object, path, rule }: typeof PLACE): string {
  const sha256 = (...parts: (string | Buffer)[]): Buffer => {
    const all = createHash('sha256');
    for (const part of parts) all.update(part);
    return all.digest();
  };
  const block = sha256('sallyport placeholders\0', KEY).toString('hex');
  const a = sha256(block, `object ${object.length} ${object}${rule}`).subarray(0, 16);
  const b = sha256(block, `path ${path}`).subarray(0, 16);
  const cipher = createCipheriv('aes-256-ecb', sha256('sallyport placeholders, cipher\0', KEY), null);
  const mac = cipher.update(a.map((byte, i) => byte ^ b[i]!));
  const bits = [...mac].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const letters = (bits.match(/.{1,5}/g) ?? []).map((five) => Number.parseInt(five.padEnd(5, '0'), 2));
  return MARKER + letters.map((at) => 'abcdefghijklmnopqrstuvwxyz234567'[at]).join('');
}

describe('placeholders', () => {
  it('are what the decision says, and stay so', () => {
    const placeholders = new Placeholders(KEY);
    assert.equal(placeholders.redact(PLACE), expected(PLACE));
    assert.equal(placeholders.redact(PLACE), 'sallyport.masked.ztkywchfg2ibjlnyb6fbcy3fku');
    assert.equal(placeholders.redact(PLACE).length, PLACEHOLDER_LENGTH);
  });

  it('differ by object, path and rule, wherever one ends and the next begins, and by key', () => {
    const placeholders = new Placeholders(KEY);
    const places = [
      PLACE,
      { ...PLACE, object: `${PLACE.object}e`, rule: 'nv' },
      { ...PLACE, rule: 'en' },
      { ...PLACE, path: `${PLACE.path}x` },
      { object: PLACE.path, path: PLACE.object, rule: PLACE.rule },
      { object: '', path: '', rule: '' },
    ];
    // Back and forth: what is kept of the last must not show.
    const all = [...places, ...places.toReversed()].map((place) => placeholders.redact(place));
    assert.equal(new Set(all).size, places.length);
    assert.deepEqual(all, [...places, ...places.toReversed()].map(expected));
    assert.notEqual(new Placeholders(Buffer.alloc(32, 9)).redact(PLACE), placeholders.redact(PLACE));
  });

  it('are the same for any path, also behind more paths than are kept', () => {
    const placeholders = new Placeholders(KEY);
    for (let i = 0; i < 10_000; i++) placeholders.redact({ ...PLACE, path: `data["k${i}"]` });
    for (const path of ['data["k0"]', 'data["k9999"]', `data["${'long'.repeat(200)}"]`]) {
      assert.equal(placeholders.redact({ ...PLACE, path }), expected({ ...PLACE, path }));
    }
    const at = (i: number) => placeholders.paths.step('data').step(`a b ${i}`);
    for (let i = 0; i < 10_000; i++) {
      assert.equal(at(i).text, `data["a b ${i}"]`);
      assert.deepEqual(at(i).digest(placeholders), placeholders.ofPath(`data["a b ${i}"]`));
    }
  });
});

describe('placeholders of a patch', () => {
  const bytes = Buffer.from('x'.repeat(100_000));
  const patched = (by: (patch: Patch) => void): string => {
    const patch = new Patch(bytes);
    by(patch);
    return patch.take(bytes.length).toString();
  };

  it('are those that are made one by one, however many, and none of what was undone', () => {
    const one = new Placeholders(KEY);
    const other = new Placeholders(Buffer.alloc(32, 9));
    const place = (i: number) => ({ ...PLACE, path: `p${i}` });
    const fast = (patch: Patch, i: number, by = one): void =>
      patch.placeholder(i * 50, i * 50 + 7, by, by.ofObject(PLACE.object, PLACE.rule), by.ofPath(`p${i}`));
    const slow = (patch: Patch, i: number, by = one): void => patch.put(i * 50, i * 50 + 7, by.redact(place(i)));
    const all = Array.from({ length: 2000 }, (_, i) => i);
    assert.equal(
      patched((patch) => all.forEach((i) => void fast(patch, i, i % 7 === 0 ? other : one))),
      patched((patch) => all.forEach((i) => void slow(patch, i, i % 7 === 0 ? other : one))),
    );
    const undone = (put: (patch: Patch, i: number) => void) => (patch: Patch) => {
      for (let i = 0; i < 10; i++) put(patch, i);
      const mark = patch.mark();
      for (let i = 10; i < 20; i++) put(patch, i);
      patch.undo(mark);
      for (let i = 30; i < 40; i++) put(patch, i);
    };
    assert.equal(patched(undone(fast)), patched(undone(slow)));
    const parted = (put: (patch: Patch, i: number) => void) => (patch: Patch) => {
      for (let i = 0; i < 10; i++) put(patch, i);
      put(patch.split(1000, 2000), 30);
      for (let i = 50; i < 60; i++) put(patch, i);
    };
    assert.equal(patched(parted(fast)), patched(parted(slow)));
  });
});
