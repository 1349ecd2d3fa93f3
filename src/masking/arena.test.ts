import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { pool } from '../buffer-pool.ts';
import { Arena } from './arena.ts';
import { defaultPlan } from './default-plan.ts';
import { FAMILIES } from './detector.ts';
import { JsonMask } from './json-stream.ts';
import { Placeholders } from './marker.ts';
import { maskObject } from './object-mask.ts';

const plan = defaultPlan(new Placeholders(Buffer.alloc(32, 5)), FAMILIES);
const token = `ghp_${'a1B2c3D4e5F6'.repeat(3)}`;

/** An answer over engines that work side by side: lists of short and of long objects, single ones, events, a Table. */
function answer(name: string, lengths: readonly number[]): Buffer {
  const lines = (length: number): string =>
    Array.from({ length: Math.ceil(length / 40) }, (_, i) =>
      i % 9 === 4 ? `token: ${token}` : `${name} line ${i}`,
    ).join('\n');
  const object = (length: number, n: number): object => ({
    metadata: { name: `${name}-${n}`, uid: `${name}-${n}` },
    data: { short: `${name} ${n}`, long: lines(length), password: `Xk29fjq8${name}` },
  });
  const objects = lengths.map(object);
  if (name.startsWith('event')) {
    return Buffer.from(objects.map((one) => `${JSON.stringify({ type: 'ADDED', object: one })}\n`).join(''));
  }
  if (name.startsWith('table')) {
    const rows = objects.map((one, n) => ({ cells: [`${name}-${n}`, token], object: one }));
    const columnDefinitions = [{ name: 'Name' }, { name: 'Data' }];
    return Buffer.from(JSON.stringify({ kind: 'Table', apiVersion: 'meta.k8s.io/v1', columnDefinitions, rows }));
  }
  return Buffer.from(JSON.stringify({ kind: 'ConfigMapList', apiVersion: 'v1', metadata: {}, items: objects }));
}

/** Written from one buffer that is overwritten after each call, and read at once: all that is promised of lent memory. */
class Lent {
  readonly #engine = new JsonMask(plan, { kind: 'ConfigMap' }, { sliced: true, lent: true });
  readonly #bytes: Buffer;
  readonly #piece: number;
  readonly #chunk: Buffer;
  readonly #out: Buffer[] = [];
  #at = 0;

  constructor(bytes: Buffer, piece: number) {
    this.#bytes = bytes;
    this.#piece = piece;
    this.#chunk = Buffer.alloc(piece);
  }

  /** @returns whether there is more to do */
  next(): boolean {
    this.#engine.passed();
    if (this.#engine.busy) this.#out.push(Buffer.from(this.#engine.step()));
    else {
      const end = Math.min(this.#at + this.#piece, this.#bytes.length);
      const copied = this.#bytes.copy(this.#chunk, 0, this.#at, end);
      this.#out.push(Buffer.from(this.#engine.write(this.#chunk.subarray(0, copied))));
      this.#chunk.fill('#');
      this.#at = end;
    }
    return this.#engine.busy || this.#at < this.#bytes.length;
  }

  end(): string {
    return Buffer.concat([...this.#out, this.#engine.end()]).toString();
  }
}

suite('memory that engines use again', () => {
  test('of answers that are masked side by side, none holds what is of another', () => {
    const length = fc.oneof(fc.integer({ min: 0, max: 600 }), fc.integer({ min: 30_000, max: 90_000 }));
    const one = fc.record({
      name: fc.constantFrom('list', 'event', 'table'),
      lengths: fc.array(length, { minLength: 1, maxLength: 6 }),
      piece: fc.constantFrom(700, 8_200, 16_384, 100_000),
    });
    fc.assert(
      fc.property(fc.array(one, { minLength: 3, maxLength: 6 }), (answers) => {
        const all = answers.map(({ name, lengths, piece }, n) => {
          const bytes = answer(`${name}${n}`, lengths);
          const alone = new JsonMask(plan, { kind: 'ConfigMap' });
          const expected = Buffer.concat([alone.write(bytes), alone.end()]).toString();
          return { lent: new Lent(bytes, piece), expected };
        });
        for (let open = all; open.length > 0; ) open = open.filter(({ lent }) => lent.next());
        for (const { lent, expected } of all) assert.equal(lent.end(), expected);
      }),
      { numRuns: 60 },
    );
  });

  test('a long list is masked in what the first of its objects have taken', () => {
    const bytes = answer(
      'list',
      Array.from({ length: 40 }, () => 60_000),
    );
    const lent = new Lent(bytes, 16_384);
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    // What is kept here for comparison is no engine's.
    let kept = 0;
    for (let more = true; more; ) {
      more = lent.next();
      kept += 16_384;
      most = Math.max(most, process.memoryUsage().arrayBuffers - before - kept);
    }
    assert.ok(lent.end().length > bytes.length / 2);
    assert.ok(most < 2 << 20, `${most} bytes beside what came out`);
  });

  test('what has been passed on is free before the next call: a watch may be silent for hours', () => {
    const engine = new JsonMask(plan, { kind: 'ConfigMap' }, { sliced: true, lent: true });
    const [first, rest] = [answer('event', [20_000]).subarray(0, 9_000), answer('event', [20_000]).subarray(9_000)];
    assert.equal(engine.write(first).length, 0);
    const out = engine.write(rest);
    assert.ok(out.length > 10_000);
    engine.passed();
    const taken = Array.from({ length: 40 }, () => pool.take(16_384));
    assert.ok(taken.some(({ buffer }) => buffer === out.buffer));
    for (const buffer of taken) pool.give(buffer);
  });

  test('what is masked to the same length is not taken for what it was, though both lie in one piece of memory', () => {
    const arena = new Arena();
    let same = 0;
    // Some of them are where one slab ends and another begins.
    for (let turn = 0; turn < 400; turn++) {
      const value = 'Xk29fjq8'.repeat(9).slice(0, 30 + (turn % 40));
      const json = JSON.stringify({ kind: 'ConfigMap', metadata: { uid: 'u' }, data: { password: value } });
      const bytes = Buffer.from(json);
      const masked = maskObject(plan, bytes, { kind: 'ConfigMap' }, arena);
      assert.ok(!masked.includes('Xk29fjq8'), value);
      if (masked.length === bytes.length && masked.buffer === bytes.buffer) same++;
    }
    assert.ok(same > 0, 'one of them has the length of a placeholder');
  });

  test('what was adopted is given back once', () => {
    const [one, other] = [new Arena(), new Arena()];
    const taken = one.take(3 << 20);
    other.adopt(one);
    one.release();
    other.release();
    other.release();
    const [first, second] = [pool.take(3 << 20), pool.take(3 << 20)];
    assert.equal(first.buffer, taken.buffer);
    assert.notEqual(second.buffer, taken.buffer);
    pool.give(first);
    pool.give(second);
  });
});
