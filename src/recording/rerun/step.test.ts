import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SAMPLE_IDENTITY } from '../cases/sample-recording.ts';
import type { EventLine } from '../line.ts';
import { stepsOf } from './step.ts';

const event = (stage: EventLine['stage'], more: Partial<EventLine>): EventLine => ({
  kind: 'Event',
  level: 'RequestResponse',
  auditID: 'a',
  stage,
  requestReceivedTimestamp: '2026-01-02T03:04:05.700Z',
  stageTimestamp: '2026-01-02T03:04:05.700Z',
  requestURI: '',
  verb: '',
  user: { username: 'alice', groups: [] },
  caller: SAMPLE_IDENTITY.caller,
  sourceIPs: [],
  ...more,
});

test('a request whose outcome nobody saw is not sent, whether the next start said so or not yet', async () => {
  const received = event('RequestReceived', {
    requestURI: '/api/v1/namespaces/shop/configmaps',
    verb: 'create',
    objectRef: { resource: 'configmaps', namespace: 'shop', apiVersion: 'v1' },
    requestBody: { contentType: 'application/json', bytes: 2, data: '{}' },
  });
  for (const lines of [[received], [received, event('ResponseComplete', { outcome: 'Unknown' })]]) {
    const steps = await Array.fromAsync(stepsOf(ReadableStream.from(lines), {}, undefined));
    assert.deepEqual(steps, [
      {
        auditID: 'a',
        command: 'kubectl create -n shop -f configmaps',
        skipped: 'its outcome is unknown: the gateway ended while it was under way',
      },
    ]);
  }
});
