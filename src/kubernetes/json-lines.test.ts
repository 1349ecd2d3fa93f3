import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JsonLines, LineTooLongError } from './json-lines.ts';

test('values come out as they went in, however the bytes are cut', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue(), { maxLength: 8 }), fc.array(fc.nat(40), { maxLength: 60 }), (values, cuts) => {
      const bytes = Buffer.from(values.map((value) => `${JSON.stringify(value)}\n`).join(''));
      const lines = new JsonLines(1 << 20);
      const got: unknown[] = [];
      let at = 0;
      for (const cut of cuts) {
        got.push(...lines.push(bytes.subarray(at, at + cut)));
        at += cut;
      }
      got.push(...lines.push(bytes.subarray(at)));
      assert.equal(JSON.stringify(got), JSON.stringify(values));
    }),
  );
});

test('empty lines are nothing; a line without its end is not given', () => {
  const lines = new JsonLines(100);
  assert.deepEqual([...lines.push(Buffer.from('\n\n1\n{"a":'))], [1]);
  assert.deepEqual([...lines.push(Buffer.from('2}\n'))], [{ a: 2 }]);
});

test('a line over the limit is an error, in one piece or in many', () => {
  assert.throws(() => [...new JsonLines(10).push(Buffer.from('"12345678901"\n'))], LineTooLongError);
  const lines = new JsonLines(10);
  assert.throws(() => {
    for (;;) for (const value of lines.push(Buffer.from('aaa'))) assert.fail(String(value));
  }, LineTooLongError);
  assert.deepEqual([...new JsonLines(10).push(Buffer.from('"12345678"\n'))], ['12345678']);
});

test('an error does not quote the line', () => {
  assert.throws(
    () => [...new JsonLines(100).push(Buffer.from('{"password": hunter}\n'))],
    (error: Error) => !error.message.includes('hunter') && error.cause === undefined,
  );
});
