import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readableKey, readablePrefix } from './store-listing.ts';

test('what of a store is read through a gateway: recordings, their chains, public keys, and nothing else', () => {
  const recordingOf = (key: string) => readableKey(key)?.recording;
  assert.equal(recordingOf('recordings/one/manifest.json'), 'one');
  assert.equal(recordingOf('recordings/one/manifest-000002.json'), 'one');
  assert.equal(recordingOf('recordings/one/000001.jsonl.zst'), 'one');
  // A chain is its recording's: who may read the one may read the other.
  assert.equal(recordingOf('recordings/one/gate-0/manifest.json'), 'one');
  assert.equal(recordingOf('recordings/one/gate-0/000001.jsonl.zst'), 'one');
  assert.equal(readableKey('keys/0a1b.pem')?.recording, undefined);
  for (const key of [
    'keys/store',
    'keys/../recordings/one/manifest.json',
    'replicas/gate-0.json',
    'recordings/one',
    'recordings/one/',
    'recordings/one/manifest-2.json',
    'recordings/one/gate-0/manifest-000002.json',
    'recordings/one/../000001.jsonl.zst',
    'recordings/one/./000001.jsonl.zst',
    'recordings/one/gate.0/000001.jsonl.zst',
    'recordings/one.two/gate-0/000001.jsonl.zst',
    'recordings/one/a/b/000001.jsonl.zst',
    'recordings/One/000001.jsonl.zst',
    'recordings/one/000001.jsonl.zst.open/000001-1-2',
  ]) {
    assert.equal(readableKey(key), undefined, key);
  }
  assert.deepEqual(readablePrefix('recordings/one/'), { recording: 'one' });
  assert.deepEqual(readablePrefix('recordings/one/gate-0/'), { recording: 'one' });
  for (const prefix of [
    '',
    'replicas/',
    'recordings/one',
    'recordings/one/../',
    'recordings/one/a/b/',
    'recordings/../keys/',
  ]) {
    assert.equal(readablePrefix(prefix), undefined, prefix);
  }
});
