import assert from 'node:assert/strict';
import { test } from 'node:test';
import { personLabel, readAgentFreeze, readAgentSession, watchedAgentSession } from './session-object.ts';

const OBJECT = {
  metadata: { name: 'cursor-1', uid: 'u', resourceVersion: '7', creationTimestamp: '2026-03-01T12:00:00Z' },
  spec: {
    agent: 'cursor',
    onBehalfOf: 'alice',
    issuer: 'https://login.example',
    subject: 'alice',
    expirationTime: '2026-03-01T13:00:00Z',
  },
};

test('a session is read whole, or not at all', () => {
  const session = readAgentSession(OBJECT)!;
  assert.equal(session.createdAt, Date.parse('2026-03-01T12:00:00Z'));
  assert.deepEqual(session.status, {});
  for (const bad of [
    null,
    {},
    { ...OBJECT, spec: undefined },
    { ...OBJECT, metadata: { ...OBJECT.metadata, uid: '' } },
    { ...OBJECT, metadata: { ...OBJECT.metadata, creationTimestamp: 'soon' } },
    { ...OBJECT, spec: { ...OBJECT.spec, agent: 1 } },
    { ...OBJECT, spec: { ...OBJECT.spec, subject: '' } },
    { ...OBJECT, spec: { ...OBJECT.spec, expirationTime: 'never' } },
    { ...OBJECT, spec: { ...OBJECT.spec, uid: 7 } },
    { ...OBJECT, spec: { ...OBJECT.spec, authTime: 'lately' } },
    { ...OBJECT, spec: { ...OBJECT.spec, groups: 'all' } },
    { ...OBJECT, spec: { ...OBJECT.spec, groups: ['a', 1] } },
    // Taken for "not revoked" it would give a revoked session back.
    { ...OBJECT, status: { revoked: 'true' } },
  ]) {
    assert.equal(readAgentSession(bad), undefined, JSON.stringify(bad));
  }
});

test('a watch is told what cannot be read as such, so that it goes on', () => {
  assert.deepEqual(watchedAgentSession(OBJECT), readAgentSession(OBJECT));
  const odd = { metadata: { name: 'cursor-1', uid: 'u' }, spec: 'none' };
  assert.deepEqual(watchedAgentSession(odd), { name: 'cursor-1', uid: 'u', unreadable: true });
  for (const nameless of [null, {}, { metadata: { name: '', uid: 'u' } }, { metadata: { name: 'a' } }]) {
    assert.throws(() => watchedAgentSession(nameless), /without a name or uid/);
  }
});

test('a freeze that cannot be read freezes everyone', () => {
  assert.equal(readAgentFreeze({ metadata: { name: 'a' }, spec: { agent: 'cursor' } }).agent, 'cursor');
  for (const odd of [{}, { metadata: { name: 'a' } }, { spec: { agent: '' } }, { spec: { agent: 7 } }]) {
    assert.equal(readAgentFreeze(odd).agent, '*');
  }
});

test('the person’s label is a label value, and not to be confused by names that contain one another', () => {
  const labels = [personLabel('a', 'bc'), personLabel('ab', 'c'), personLabel('a","b', 'c'), personLabel('a', 'b","c')];
  assert.equal(new Set(labels).size, labels.length);
  for (const label of labels) assert.match(label, /^[0-9a-f]{40}$/);
});
