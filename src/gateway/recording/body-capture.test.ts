import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { suite, test } from 'node:test';
import { BodyCapture } from './body-capture.ts';

function captured(most: number, ...chunks: readonly (string | Buffer)[]) {
  const capture = new BodyCapture('text/plain', most);
  for (const chunk of chunks) capture.add(Buffer.from(chunk as string));
  return capture.done();
}

suite('a body in a recording', () => {
  test('that is kept whole needs no digest: the hash of its line covers it', () => {
    assert.deepEqual(captured(10, 'he', 'llo'), { contentType: 'text/plain', bytes: 5, data: 'hello' });
    const binary = Buffer.from([0xff, 0, 1]);
    assert.deepEqual(captured(3, binary), {
      contentType: 'text/plain',
      bytes: 3,
      encoding: 'base64',
      data: binary.toString('base64'),
    });
  });

  test('of which only the beginning is kept has that of all of it, and no half character', () => {
    const text = 'grüße';
    const { data, truncated, bytes, sha256 } = captured(3, 'gr', 'üße');
    assert.deepEqual({ data, truncated, bytes }, { data: 'gr', truncated: true, bytes: Buffer.byteLength(text) });
    assert.equal(sha256, hash('sha256', text, 'hex'));
  });

  test('of which nothing is kept has it too', () => {
    const { data, sha256, bytes } = captured(0, 'hello');
    assert.deepEqual({ data, bytes, sha256 }, { data: undefined, bytes: 5, sha256: hash('sha256', 'hello', 'hex') });
  });
});
