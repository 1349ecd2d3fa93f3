import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Placeholders } from './marker.ts';
import { MarkerSearch } from './marker-search.ts';

const placeholder = new Placeholders(Buffer.alloc(32, 1)).redact({ object: 'u', path: 'data.a', rule: 'r' });
const utf16 = Buffer.from(` ${placeholder} `, 'utf16le');

suite('placeholders in a stream', () => {
  for (const [name, bytes] of Object.entries({
    'as it is': Buffer.from(`echo ${placeholder}\n`),
    'base64, three alignments': Buffer.from(['', 'a', 'ab'].map((lead) => btoa(lead + placeholder)).join('\n')),
    'UTF-16, little end first': utf16,
    'UTF-16, big end first': Buffer.from(utf16).swap16(),
  })) {
    test(`is found wherever it is cut: ${name}`, () => {
      for (let cut = 0; cut <= bytes.length; cut++) {
        const search = new MarkerSearch();
        const found = [bytes.subarray(0, cut), bytes.subarray(cut)].map((part) => search.finds(part));
        assert.ok(found.includes(true), `cut at ${cut}`);
      }
      const search = new MarkerSearch();
      assert.ok(
        [...bytes].some((byte) => search.finds(Buffer.from([byte]))),
        'byte by byte',
      );
    });
  }

  test('what resembles it is not', () => {
    const search = new MarkerSearch();
    for (const text of ['sallyport.', 'mask', 'ed', 'sallyport-masked.', btoa('sallyport'), '\0'.repeat(100)])
      assert.equal(search.finds(Buffer.from(text)), false, text);
  });
});
