import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { JsonCursor } from './json-cursor.ts';

suite('a string that is expected', () => {
  const expected = (json: string, content: string, end?: number) => {
    const cursor = new JsonCursor(Buffer.from(json), 0, end);
    return { met: cursor.expect(Buffer.from(content)), cursor };
  };

  test('is passed over as if it was read', () => {
    const { met, cursor } = expected(' "name": 1', 'name');
    const read = new JsonCursor(Buffer.from(' "name": 1'));
    read.read();
    assert.ok(met);
    assert.deepEqual([cursor.at, cursor.from, cursor.to], [read.at, read.from, read.to]);
  });

  test('is not met where it goes on, is shorter, is another or no string: then it can be read', () => {
    for (const json of ['"names"', '"nam"', '"mane"', '7', '', '"name', '"name\\""', '"na"me"']) {
      const { met, cursor } = expected(json, 'name');
      assert.ok(!met, json);
      assert.equal(cursor.at, 0);
    }
  });

  test('is not met where its quote stands behind the end: those bytes are of what was there before', () => {
    assert.ok(!expected('"name":1', 'name', 5).met);
    assert.ok(expected('"name":1', 'name', 6).met);
  });
});
