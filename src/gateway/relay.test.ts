import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Forward, Outgoing, ResponseSink } from '../upstream/forward.ts';
import { type ClientResponse, Exchange } from './exchange.ts';
import { relay } from './relay.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as (options: { type: 'minor' }) => void;

const LIMITS = { stallTimeout: 1_000, bodyTimeout: 1_000 };
const REQUESTS = 2_000;
const EACH = 16 * 1_024;
const BYTES = Buffer.from('{}');

/** Bytes in use once what is young and unused is gone. */
function used(): number {
  for (let i = 0; i < 3; i++) collect({ type: 'minor' });
  return process.memoryUsage().heapUsed;
}

function respond(): ClientResponse {
  const response = { headersSent: false, writeHead: () => (response.headersSent = true), write: () => true, end() {} };
  return response as unknown as ClientResponse;
}

/** Answers as the API server does, in later turns of the event loop. */
const forward = {
  send(_outgoing: Outgoing, sink: ResponseSink) {
    setImmediate(() => {
      sink.head(200, ['content-type', 'application/json'], { pause() {}, resume() {} });
      sink.data(BYTES);
      sink.end();
    });
    return { abort() {} };
  },
} as unknown as Forward;

// An object that only the next major collection frees holds all that its request knew: the minor ones then take five times as
// long, and nobody is served meanwhile.
test('of an answer that passed nothing outlasts the minor collections', async () => {
  const one = async (): Promise<void> => {
    const exchange = new Exchange({ socket: {} } as IncomingMessage);
    const headers = Array.from({ length: EACH / 8 }, (_, index) => String(index));
    const outgoing = { method: 'GET', target: '/', headers, body: null } as unknown as Outgoing;
    const { status } = await relay(exchange, respond(), forward, outgoing, [], LIMITS);
    assert.equal(status, 200);
  };
  for (let i = 0; i < 200; i++) await one();
  const before = used();
  for (let i = 0; i < REQUESTS; i++) {
    await one();
    // Twice in a request's life would promote what is under way.
    if (i % 50 === 49) collect({ type: 'minor' });
  }
  const grown = used() - before;
  assert.ok(grown < (REQUESTS * EACH) / 8, `${Math.round(grown / 1_024)} KiB are still there`);
});
