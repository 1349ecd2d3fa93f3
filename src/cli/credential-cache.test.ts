import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { CredentialCache } from './credential-cache.ts';

test('a failed sign-in is told to those who waited for it, not to who comes as it ends', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-cache-'));
  try {
    t.mock.timers.enable({ apis: ['Date'], now: 1_000 });
    const cache = new CredentialCache(folder, { gateway: 'https://gate.example', agent: 'cursor', source: '' });
    assert.equal(cache.failureSince(0), undefined);
    cache.noteFailure('nobody came');
    assert.equal(cache.failureSince(999), 'nobody came');
    assert.equal(cache.failureSince(1_000), undefined);
    assert.equal(cache.failureSince(1_001), undefined);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
