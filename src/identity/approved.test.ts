import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Approved, type ApprovedOperation } from './approved.ts';

const NOON = Date.parse('2026-06-01T12:00:00Z');
const KEY = randomBytes(32);
const APPROVAL = 'shop/ar-0123456789-1';
const DELETION: ApprovedOperation = {
  username: 'sallyport:alice',
  uid: 'u',
  apiGroup: 'apps',
  resource: 'deployments',
  subresource: '',
  namespace: 'shop',
  name: 'web',
};

test('an approved operation is known again until it expires', () => {
  const approved = new Approved(KEY);
  const value = approved.of(APPROVAL, DELETION, NOON + 60_000);
  assert.equal(approved.verify(value, DELETION, NOON), APPROVAL);
  assert.equal(new Approved(KEY).verify(value, DELETION, NOON + 59_000), APPROVAL, 'on another replica');
  assert.equal(approved.verify(value, DELETION, NOON + 60_000), undefined);
});

test('it is good for no other operation, user, approval or time', () => {
  const approved = new Approved(KEY);
  const value = approved.of(APPROVAL, DELETION, NOON + 60_000);
  for (const change of [
    { username: 'sallyport:bob' },
    { uid: '' },
    { apiGroup: '' },
    { resource: 'pods' },
    { subresource: 'scale' },
    { namespace: 'other' },
    { name: 'db' },
    // Fields that run into each other would give the same bytes.
    { namespace: 'sho', name: 'pweb' },
  ]) {
    assert.equal(approved.verify(value, { ...DELETION, ...change }, NOON), undefined, JSON.stringify(change));
  }
  const [approval, expiry, mac] = value.split('.') as [string, string, string];
  for (const forged of [
    `${approval}.${Number(expiry) + 600}.${mac}`,
    `${approval.replace('-1', '-2')}.${expiry}.${mac}`,
    `${approval}.${expiry}.${mac.slice(1)}`,
    `${approval}.${expiry}`,
    `${approval}\n.${expiry}.${mac}`,
    '',
  ]) {
    assert.equal(approved.verify(forged, DELETION, NOON), undefined, forged);
  }
  assert.equal(new Approved(randomBytes(32)).verify(value, DELETION, NOON), undefined, 'another installation');
  assert.throws(() => new Approved(randomBytes(31)), RangeError);
});
