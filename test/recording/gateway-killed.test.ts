import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Scene } from '../gateway/scene.ts';
import { events, storedLines, storedRecordings, verifyStored } from './recorded.ts';

const RULES = `
    - name: everything
      action: Allow
      match: {verbs: ["*"], apiGroups: ["*"], resources: ["*", "*/*"]}
  recording: {level: RequestResponse}`;

/** A little more than two minutes on a slow machine: what takes is the start of a gateway, of which there is one for each. */
const KILLS = 100;
const WRITERS = 4;

describe('a gateway that is killed with SIGKILL', () => {
  let scene: Scene;
  const path = (): string => `/api/v1/namespaces/${scene.namespace}/configmaps`;
  /** What Node.js has compiled of the sources: a start takes half as long. */
  const compiled = (): Record<string, string> => ({ NODE_COMPILE_CACHE: join(scene.gateway.directory, 'compiled') });

  before(async () => {
    scene = await Scene.open('killed', {
      rules: RULES,
      recording: true,
      // Small, so that it is killed while it seals segments too.
      adjust: (configuration) => Object.assign(configuration.recording.spool, { segmentBytes: 64 << 10 }),
    });
    // What was compiled is written by a process that ends in order.
    await scene.gateway.kill('SIGTERM');
    await scene.gateway.launch(compiled());
    await scene.effective();
    await scene.gateway.kill('SIGTERM');
    await scene.gateway.launch(compiled());
    await scene.effective();
  });
  after(() => scene?.close());

  it(`${KILLS} times at random moments during writes: none the API server knows is without its first event, none that was answered without its last, the recording verifies`, async (t) => {
    const answered: string[] = [];
    for (let round = 0; round < KILLS; round += 1) {
      let killed = false;
      const writers = Array.from({ length: WRITERS }, async (_, writer) => {
        for (let number = 0; !killed; number += 1) {
          const body = JSON.stringify({ metadata: { name: `kill-${round}-${writer}-${number}` } });
          const headers = ['Content-Type', 'application/json'];
          const answer = await scene.ask(path(), { method: 'POST', headers, body }).catch(() => undefined);
          if (answer?.status === 201) answered.push(String(answer.headers['x-request-id']));
          else await sleep(5);
        }
      });
      await sleep(Math.random() * 300);
      await scene.gateway.kill('SIGKILL');
      killed = true;
      await Promise.all(writers);
      await scene.gateway.launch(compiled());
      await scene.effective();
    }
    await scene.gateway.kill('SIGTERM');

    const known = [];
    for (const recording of storedRecordings(scene.gateway)) {
      assert.equal((await verifyStored(scene.gateway, recording)).state, 'Complete', recording);
      known.push(...events(await storedLines(scene.gateway, recording)));
    }
    const first = known.filter(({ stage, verb }) => stage === 'RequestReceived' && verb === 'create');
    const announced = new Set(first.map(({ auditID }) => auditID));
    const names = new Set(first.map(({ requestBody }) => JSON.parse(requestBody?.data ?? '{}').metadata?.name));
    const last = known.filter(({ stage }) => stage === 'ResponseComplete');
    // The next start writes one for each that has none, under the same ID: that is no event that was kept.
    const complete = new Set(last.filter(({ outcome }) => outcome !== 'Unknown').map(({ auditID }) => auditID));
    const unknown = last.filter(({ outcome }) => outcome === 'Unknown').length;

    const { json } = await scene.cluster.admin('GET', path());
    const there = (json() as { items: { metadata: { name: string } }[] }).items
      .map(({ metadata }) => metadata.name)
      .filter((name) => name !== 'kube-root-ca.crt');
    const carriedOut = scene.heard(({ verb, objectRef }) => verb === 'create' && objectRef?.resource === 'configmaps');
    t.diagnostic(`${there.length} writes, ${answered.length} answered, ${unknown} outcomes unknown`);
    assert.ok(there.length > 2 * KILLS, `${there.length} writes`);
    assert.ok(answered.length <= there.length && carriedOut.length >= there.length);
    assert.ok(unknown > KILLS / 4, `the kills fell into writes: ${unknown} outcomes are unknown`);
    assert.deepEqual(
      there.filter((name) => !names.has(name)),
      [],
      'every object that is there was announced',
    );
    assert.deepEqual(
      carriedOut.map(({ auditID }) => auditID).filter((id) => !announced.has(id)),
      [],
      'every write that the API server heard of has its first event',
    );
    assert.deepEqual(
      answered.filter((id) => !complete.has(id)),
      [],
      'every answered write has its last event, from the gateway that answered it',
    );
    assert.equal(last.length, new Set(last.map(({ auditID }) => auditID)).size, 'none has two ends');
  });
});
