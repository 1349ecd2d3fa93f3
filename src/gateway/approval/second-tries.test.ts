import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import type { Exchange } from '../exchange.ts';
import { SecondTries } from './second-tries.ts';

const by = (upgrade?: string) => ({ request: { headers: { upgrade } } }) as unknown as Exchange;

test('a SPDY try of what has waited over WebSocket has waited; one each, at once, of the same request', () => {
  const tries = new SecondTries();
  tries.expect(by('websocket'), 'a');
  tries.expect(by('WebSocket'), 'a');
  assert.equal(tries.take(by('SPDY/3.1'), 'b'), false);
  assert.equal(tries.take(by('websocket'), 'a'), false, 'run again by its user');
  assert.equal(tries.take(by(), 'a'), false);
  assert.deepEqual(
    [1, 2, 3].map(() => tries.take(by('SPDY/3.1'), 'a')),
    [true, true, false],
  );
  tries.expect(by('SPDY/3.1'), 'a');
  assert.equal(tries.take(by('SPDY/3.1'), 'a'), false, 'only WebSocket is followed by another');
});

test('is forgotten after a moment', () => {
  let now = 0;
  mock.method(performance, 'now', () => now);
  try {
    const tries = new SecondTries();
    tries.expect(by('websocket'), 'a');
    now = 10_001;
    assert.equal(tries.take(by('SPDY/3.1'), 'a'), false);
  } finally {
    mock.restoreAll();
  }
});
