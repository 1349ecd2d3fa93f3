import assert from 'node:assert/strict';
import test from 'node:test';
import {
  acceptFor,
  acceptMatches,
  freshWebSocketKey,
  headerNames,
  headerTokens,
  validWebSocketKey,
} from './handshake.ts';
import { chooseSubprotocol, readSubprotocols } from './subprotocol.ts';

test('the accept value of RFC 6455, 1.3', () => {
  const key = 'dGhlIHNhbXBsZSBub25jZQ==';
  assert.equal(acceptFor(key), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
  assert.equal(acceptMatches(key, 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='), true);
  assert.equal(acceptMatches(key, 's3pPLMBiTxaQ9kYGzzhZRbK+xOO='), false);
  assert.equal(acceptMatches(key, ''), false);
});

test('keys are the base64 of sixteen bytes', () => {
  for (let count = 0; count < 100; count++) assert.equal(validWebSocketKey(freshWebSocketKey()), true);
  for (const key of ['', 'dGhlIHNhbXBsZSBub25jZQ', 'dGhlIHNhbXBsZSBub25jZR==', `${freshWebSocketKey()},`, 'AAAA']) {
    assert.equal(validWebSocketKey(key), false, key);
  }
});

test('header tokens over several lines, compared without case', () => {
  assert.deepEqual(headerTokens(['a, b', ' c ,,']), ['a', 'b', 'c']);
  assert.equal(headerNames('keep-alive, Upgrade', 'upgrade'), true);
  assert.equal(headerNames('not-upgrade', 'upgrade'), false);
});

test('a bearer sub-protocol is a credential and never among the protocols', () => {
  const token = ['header', 'payload', 'signature'].join('.');
  const encoded = Buffer.from(token).toString('base64url');
  const read = readSubprotocols([`base64url.bearer.authorization.k8s.io.${encoded}`, 'v5.channel.k8s.io']);
  assert.deepEqual(read, { protocols: ['v5.channel.k8s.io'], bearerTokens: [token], malformedBearer: false });
  for (const bad of [
    `Base64url.bearer.authorization.k8s.io.${encoded}`,
    'base64url.bearer.authorization.k8s.io.',
    'base64url.bearer.authorization.k8s.io.a=b',
    `base64url.bearer.authorization.k8s.io.${Buffer.from('with space').toString('base64url')}`,
    `base64url.bearer.authorization.k8s.io.${Buffer.from('line\n').toString('base64url')}`,
  ]) {
    assert.deepEqual(readSubprotocols([bad]), { protocols: [], bearerTokens: [], malformedBearer: true }, bad);
  }
});

test('the first offer that is supported is chosen', () => {
  const supported = ['v5.channel.k8s.io', 'v4.channel.k8s.io'] as const;
  assert.equal(chooseSubprotocol(['v4.channel.k8s.io', 'v5.channel.k8s.io'], supported), 'v4.channel.k8s.io');
  assert.equal(chooseSubprotocol(['channel.k8s.io'], supported), undefined);
});
