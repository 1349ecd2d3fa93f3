import assert from 'node:assert/strict';
import test from 'node:test';
import { PortStreams, readPortStream } from './port-stream.ts';

const headers = (pairs: Record<string, string | string[]>): Map<string, string[]> =>
  new Map(Object.entries(pairs).map(([name, value]) => [name, typeof value === 'string' ? [value] : value]));

test('the headers that kubectl sends', () => {
  assert.deepEqual(readPortStream(headers({ streamtype: 'data', port: '8080', requestid: '3' })), {
    kind: 'data',
    port: 8080,
    requestID: '3',
  });
  assert.equal(readPortStream(headers({ streamtype: 'error', port: '1' }))?.requestID, undefined);
});

test('what two readers could take for two things is nothing', () => {
  const good = { streamtype: 'data', port: '80', requestid: '0' };
  for (const port of ['0', '080', '+80', '-80', ' 80', '80 ', '8e1', '0x50', '65536', '100000', '', '٨٠', '80,22']) {
    assert.equal(readPortStream(headers({ ...good, port })), undefined, JSON.stringify(port));
  }
  assert.equal(readPortStream(headers({ ...good, port: ['80', '22'] })), undefined);
  assert.equal(readPortStream(headers({ ...good, streamtype: ['data', 'error'] })), undefined);
  assert.equal(readPortStream(headers({ ...good, streamtype: 'Data' })), undefined);
  assert.equal(readPortStream(headers({ ...good, requestid: ['0', '1'] })), undefined);
  assert.equal(readPortStream(headers({ ...good, requestid: 'x'.repeat(65) })), undefined);
  assert.equal(readPortStream(headers({ streamtype: 'data' })), undefined);
  assert.equal(readPortStream(headers({ port: '80' })), undefined);
});

test('numbers upstream rise in the order of opening, whatever the order of asking', () => {
  const streams = new PortStreams();
  const request = { kind: 'data', port: 80, requestID: '0' } as const;
  const [slow, quick] = [streams.add(1, request), streams.add(3, request)];
  assert.deepEqual([streams.open(quick), streams.open(slow)], [1, 3]);
  assert.equal(streams.upstream(3), slow);
  streams.remove(slow);
  assert.deepEqual([streams.upstream(3), streams.client(1), streams.size], [undefined, undefined, 1]);
});
