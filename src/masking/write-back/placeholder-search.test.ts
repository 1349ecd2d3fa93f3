import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Placeholders } from '../marker.ts';
import { holdsPlaceholder, lineHoldsPlaceholder } from './placeholder-search.ts';

const placeholder = new Placeholders(randomBytes(32)).redact({ object: 'o', path: 'data.key', rule: 'defaults' });

/** Whatever a client may make of it, at every offset in a group of base64. */
const FORMS: Readonly<Record<string, (text: string) => string>> = {
  'as it is': (text) => text,
  base64: (text) => Buffer.from(text).toString('base64'),
  'base64 for URLs': (text) => Buffer.from(text).toString('base64url'),
  'base64 of base64': (text) => Buffer.from(Buffer.from(text).toString('base64')).toString('base64'),
  'UTF-16': (text) => Buffer.from(text, 'utf16le').toString('latin1'),
};

for (const [form, made] of Object.entries(FORMS)) {
  test(`a placeholder in a request line: ${form}`, () => {
    for (const around of ['', 'a', '~~', '???', '\xfb\xff']) {
      for (const text of [placeholder, placeholder.slice(0, 20)]) {
        const line = `/api/v1/namespaces/shop/configmaps/${made(`${around}${text}${around}`)}`;
        if (form === 'UTF-16' && around === '\xfb\xff') continue;
        assert.equal(lineHoldsPlaceholder(line), holdsPlaceholder(line), line);
        const alone = made(`${around}${text}${around}`);
        assert.ok(lineHoldsPlaceholder(alone), alone);
      }
    }
  });
}

test('names of Kubernetes hold none', () => {
  for (const name of [
    'web-7d9c6b5f4b-x2x9q',
    'a'.repeat(253),
    '0c1bb1c6-9b1c-4d35-8b21-4c9b0f5a35a1',
    'sallyport-masked',
  ]) {
    assert.ok(!lineHoldsPlaceholder(`/api/v1/namespaces/shop/pods/${name}`), name);
  }
});
