import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { EventLine } from '../../src/recording/line.ts';
import { ocsfEvent } from '../../src/recording/reading/ocsf.ts';
import { whyNot } from '../clients/programs.ts';
import { sharedCluster } from '../cluster/cluster.ts';
import { POLICY_ALL, Scene } from '../gateway/scene.ts';
import { WireTap } from '../gateway/wire-tap.ts';
import { recordingCommand } from './made-recording.ts';
import { auditTypes, piped, readingPython } from './reading-programs.ts';
import { events, keptLines, spooledLines, storedRecordings, storeOf, verifyStored } from './recorded.ts';

/** A write that is on its way to the API server when the gateway is killed. */
describe('killed between two events of a write', () => {
  let scene: Scene;
  let tap: WireTap;
  /** What the gateway sends is held from here on. */
  let hold: ((text: string) => Promise<'Pass' | 'Drop'> | undefined) | undefined;
  let unknown: EventLine;

  const configMaps = (): string => `/api/v1/namespaces/${scene.namespace}/configmaps`;

  before(async () => {
    const cluster = await sharedCluster();
    tap = await WireTap.start(cluster, (text) => hold?.(text));
    scene = await Scene.open('unknown', {
      cluster,
      rules: `${POLICY_ALL}\n  recording: {level: RequestResponse}`,
      recording: true,
      adjust: (configuration) => tap.divert(configuration.upstream.kubeconfig, cluster),
    });
  });
  after(async () => {
    await scene?.close();
    await tap?.close();
  });

  it('the next start writes its last event: the outcome is unknown', async () => {
    const held = Promise.withResolvers<void>();
    const killed = Promise.withResolvers<'Drop'>();
    hold = (text) => {
      if (!text.startsWith(`POST ${configMaps()}`)) return undefined;
      held.resolve();
      return killed.promise;
    };
    const asked = scene.ask(configMaps(), {
      method: 'POST',
      headers: ['Content-Type', 'application/json'],
      body: JSON.stringify({ metadata: { name: 'held' } }),
    });
    asked.catch(() => {});
    await held.promise;
    const [before] = events(spooledLines(scene.gateway)).filter(({ verb }) => verb === 'create');
    assert.equal(before?.stage, 'RequestReceived', 'it was kept before the write was sent');
    await scene.gateway.kill('SIGKILL');
    hold = undefined;
    killed.resolve('Drop');
    await assert.rejects(asked, 'the agent has no answer');
    await scene.gateway.launch();
    const lines = await keptLines(scene.gateway);
    assert.equal(lines.filter((line) => line.kind === 'Resume').length, 1);
    const [received, ...others] = events(lines, before.auditID);
    assert.deepEqual(received, before);
    assert.match(received!.requestBody!.data!, /"name":"held"/);
    assert.deepEqual(
      others.map(({ stage, outcome }) => [stage, outcome]),
      [['ResponseComplete', 'Unknown']],
    );
    unknown = others[0]!;
    assert.equal((await scene.cluster.admin('GET', `${configMaps()}/held`)).status, 404, 'it was not carried out');
    await scene.effective();
  });

  it('exports name the request it is of, and call it no success; they are valid by the published shapes', async (t) => {
    await scene.gateway.kill('SIGTERM');
    const [name] = storedRecordings(scene.gateway);
    assert.equal((await verifyStored(scene.gateway, name!)).state, 'Complete');
    const exported = async (format: string) => {
      const { code, stdout, stderr } = await recordingCommand(storeOf(scene.gateway), [
        'export',
        name!,
        '--format',
        format,
      ]);
      assert.equal(code, 0, stderr);
      return stdout;
    };
    const [audit, ocsf] = [await exported('audit'), await exported('ocsf')];
    const parsed = (text: string) =>
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
    const mine = parsed(audit).filter(({ auditID }) => auditID === unknown.auditID);
    assert.deepEqual(
      mine.map(({ stage, verb, requestURI, objectRef, sourceIPs }) => [stage, verb, requestURI, objectRef, sourceIPs]),
      ['RequestReceived', 'ResponseComplete'].map((stage) => [
        stage,
        'create',
        configMaps(),
        { resource: 'configmaps', namespace: scene.namespace, apiVersion: 'v1' },
        ['127.0.0.1'],
      ]),
    );
    assert.equal(mine[1].annotations['sallyport.dev/outcome'], 'Unknown');
    assert.equal(mine[1].requestObject, undefined);
    const last = parsed(ocsf).filter(({ metadata }) => metadata.correlation_uid === unknown.auditID)[1];
    assert.deepEqual(
      [last.status_id, last.status, last.activity_name, last.api.operation, last.src_endpoint.ip],
      [0, 'Unknown', 'Create', 'create', '127.0.0.1'],
    );

    // Alone, as a receiver of events has it that was sent nothing of the first one.
    const alone = ocsfEvent(unknown, { version: '1.0.0' });
    assert.deepEqual([alone['status_id'], alone['activity_id']], [0, 0]);
    const why = (await whyNot(auditTypes)) ?? (await whyNot(readingPython));
    if (why !== undefined) return t.skip(why);
    const types = await piped(await auditTypes(), [], audit);
    assert.equal(types.code, 0, types.err);
    const python = join(await readingPython(), 'python3');
    const script = join(import.meta.dirname, 'ocsf_check.py');
    const schema = await piped(python, [script], `${ocsf}${JSON.stringify(alone)}\n`);
    assert.equal(schema.code, 0, schema.err);
  });
});
