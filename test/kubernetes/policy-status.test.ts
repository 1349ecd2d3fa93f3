import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { locate } from '../../src/kubernetes/locate.ts';
import { PolicyStatusWriter } from '../../src/kubernetes/policy-status-writer.ts';
import { requireKinds } from '../../src/kubernetes/served-kinds.ts';
import { Transport } from '../../src/kubernetes/transport.ts';
import type { AgentPolicy } from '../../src/policy/agent-policy.ts';
import { compilePolicy } from '../../src/policy/compiled-policy.ts';
import { type Cluster, startCluster } from '../cluster/cluster.ts';

const CRD = readFileSync(new URL('../../crds/agentpolicies.yaml', import.meta.url), 'utf8');
const POLICIES = '/apis/sallyport.dev/v1alpha1/agentpolicies';
const PACE = { perPolicy: 100, overall: 1, faults: 100 };

describe('the status of policies on a real API server', { timeout: 120_000 }, () => {
  let cluster: Cluster;
  let transport: Transport;
  const writers: PolicyStatusWriter[] = [];

  before(async () => {
    cluster = await startCluster({ audit: 'None' });
    transport = new Transport(locate({ kubeconfig: cluster.adminKubeconfig }));
  });
  afterEach(async () => {
    for (const writer of writers.splice(0)) await writer.stop();
  });
  after(async () => {
    await transport.close();
    await cluster.stop();
  });

  async function read(name: string): Promise<AgentPolicy> {
    const answer = await cluster.admin('GET', `${POLICIES}/${name}`);
    assert.equal(answer.status, 200, String(answer.body));
    return answer.json() as AgentPolicy;
  }

  async function policy(name: string, expression = 'request.verb == "get"'): Promise<AgentPolicy> {
    const applied = await cluster.kubectl(['apply', '-f', '-'], {
      input: JSON.stringify({
        apiVersion: 'sallyport.dev/v1alpha1',
        kind: 'AgentPolicy',
        metadata: { name },
        spec: {
          subjects: [{ kind: 'Group', name: 'agents' }],
          rules: [
            {
              name: 'look',
              action: 'Allow',
              match: { verbs: ['get'], apiGroups: [''], resources: ['pods'] },
              matchConditions: [{ name: 'is-get', expression }],
            },
          ],
        },
      }),
    });
    assert.equal(applied.code, 0, applied.stderr);
    return await read(name);
  }

  function writer(replica: string) {
    const errors: Error[] = [];
    const made = new PolicyStatusWriter({ transport, replica, onError: (error) => errors.push(error), pace: PACE });
    writers.push(made);
    made.start();
    return { writer: made, errors };
  }

  async function until(what: string, name: string, holds: (status: NonNullable<AgentPolicy['status']>) => boolean) {
    for (let attempt = 0; attempt < 200; attempt++) {
      const { status } = await read(name);
      if (status !== undefined && holds(status)) return status;
      await sleep(25);
    }
    assert.fail(`${what}: ${JSON.stringify((await read(name)).status)}`);
  }

  it('says which kinds are missing before they are there', async () => {
    await assert.rejects(
      requireKinds(transport, ['agentpolicies']),
      /does not serve agentpolicies .*kubectl apply -f crds/,
    );
    await cluster.apply(CRD);
    for (let attempt = 0; ; attempt++) {
      try {
        await requireKinds(transport, ['agentpolicies', 'agentpolicies/status']);
        break;
      } catch (error) {
        if (attempt > 50) throw error;
        await sleep(100);
      }
    }
    await assert.rejects(requireKinds(transport, ['agentpolicies', 'maskingrules']), /does not serve maskingrules of/);
  });

  it('a policy is Ready once loaded, and the mistake of a broken one is shown with its place', async () => {
    const { writer: one, errors } = writer('pod-1');
    one.report([
      compilePolicy(await policy('sound')),
      compilePolicy(await policy('broken', 'objct.x ==\n  nonsense(1)')),
    ]);
    const sound = await until('sound', 'sound', ({ conditions }) => conditions?.[0]?.status === 'True');
    assert.equal(sound.observedGeneration, 1);
    assert.deepEqual(sound.compileErrors ?? [], []);
    const broken = await until('broken', 'broken', ({ conditions }) => conditions?.[0]?.status === 'False');
    assert.equal(broken.compileErrors?.[0]?.rule, 'look');
    assert.equal(broken.compileErrors[0].expression, 'matchConditions[is-get]');
    assert.ok(broken.compileErrors[0].line! >= 1 && broken.compileErrors[0].column! >= 1);
    assert.deepEqual(errors, []);
  });

  it('five replicas that write at once keep each other’s words, and come to rest', async () => {
    const compiled = compilePolicy(await policy('shared'));
    const replicas = ['a', 'b', 'c', 'd', 'e'].map((name) => writer(name));
    for (const { writer: one } of replicas) one.report([compiled]);
    const status = await until('five', 'shared', (now) => now.replicas?.length === 5);
    assert.equal(status.conditions?.[0]?.status, 'True');
    await sleep(1_000);
    const before = (await read('shared')).metadata.resourceVersion;
    for (const { writer: one } of replicas) one.report([compiled]);
    await sleep(1_500);
    assert.equal((await read('shared')).metadata.resourceVersion, before);
    for (const { errors } of replicas) assert.deepEqual(errors, []);
  });

  it('faults are gathered, written once, and added up over replicas', async () => {
    const compiled = compilePolicy(await policy('faulty'));
    const [one, two] = [writer('one'), writer('two')];
    for (const { writer: each } of [one, two]) each.report([compiled]);
    await until('two replicas', 'faulty', (status) => status.replicas?.length === 2);
    for (let index = 0; index < 500; index++) {
      one.writer.fault('faulty', 'look', 'no such key: x');
      two.writer.fault('faulty', 'look', 'no such key: x');
      one.writer.fault('faulty', `made-up-${index}`, 'x');
      one.writer.fault(`made-up-${index}`, 'look', 'x');
    }
    const status = await until('1000', 'faulty', ({ counters }) => counters?.[0]?.errors === 1_000);
    assert.equal(status.counters?.length, 1);
    assert.equal(status.counters[0]?.lastError, 'no such key: x');
  });

  it('one policy that cannot be written does not keep the others from it', async () => {
    const sound = compilePolicy(await policy('late'));
    const { writer: one, errors } = writer('pod-1');
    const odd = { ...compilePolicy(await policy('odd')), generation: 1 };
    await cluster.admin('DELETE', `${POLICIES}/odd`);
    one.report([odd, { ...odd, name: 'NOT a name' }, sound]);
    await until('late', 'late', ({ conditions }) => conditions?.[0]?.status === 'True');
    assert.ok(errors.length <= 1, `${errors.length} errors`);
  });

  it('a policy that was made anew meanwhile gets nothing of the old one', async () => {
    const old = compilePolicy(await policy('again'));
    await cluster.admin('DELETE', `${POLICIES}/again`);
    await policy('again', 'false');
    const { writer: one } = writer('pod-1');
    one.report([old]);
    await sleep(600);
    assert.equal((await read('again')).status, undefined);
  });
});
