import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LeaderElection } from '../../src/controller/leader-election.ts';
import { locate } from '../../src/kubernetes/locate.ts';
import { Transport } from '../../src/kubernetes/transport.ts';
import { Own } from '../../src/upstream/own.ts';
import { type Cluster, sharedCluster } from '../cluster/cluster.ts';

const DURATION = 2_000;

/** Who led when, by this machine's clock. */
interface Term {
  readonly who: string;
  readonly from: number;
  until: number;
}

describe('leader election on a real API server', { timeout: 180_000 }, () => {
  let cluster: Cluster;
  let kubeconfig: string;
  const transports: Transport[] = [];

  before(async () => {
    cluster = await sharedCluster();
    kubeconfig = await cluster.kubeconfig({ token: await adminToken() });
  });
  after(async () => {
    await Promise.all(transports.map((transport) => transport.close()));
    await cluster?.stop();
  });

  async function adminToken(): Promise<string> {
    const namespace = await cluster.namespace('election');
    const token = await cluster.serviceAccountToken(namespace, 'elector');
    await cluster.apply(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: ${namespace}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: elector, namespace: ${namespace}}]
`);
    return token;
  }

  function own(namespace: string): Own {
    const transport = new Transport(locate({ kubeconfig }), { timeout: 1_500 });
    transports.push(transport);
    return new Own(transport, namespace);
  }

  function elector(
    who: string,
    namespace: string,
    terms: Term[],
    more: Partial<ConstructorParameters<typeof LeaderElection>[0]> = {},
  ): LeaderElection {
    return new LeaderElection({
      own: own(namespace),
      lease: 'sallyport-controller',
      identity: who,
      leaseDuration: DURATION,
      lead: async (signal) => {
        const term = { who, from: performance.now(), until: Number.POSITIVE_INFINITY };
        terms.push(term);
        while (!signal.aborted) await sleep(5);
        term.until = performance.now();
      },
      ...more,
    });
  }

  async function until(fits: () => boolean, timeout: number): Promise<number> {
    const begun = performance.now();
    while (!fits()) {
      if (performance.now() - begun > timeout) throw new Error('it did not come to that');
      await sleep(5);
    }
    return performance.now() - begun;
  }

  /** No two led at once. */
  function apart(terms: readonly Term[]): void {
    const sorted = [...terms].sort((a, b) => a.from - b.from);
    for (const [index, term] of sorted.entries()) {
      const next = sorted[index + 1];
      if (next !== undefined) assert.ok(term.until <= next.from, `${term.who} led on while ${next.who} began`);
    }
  }

  it('one of five leads; who stops gives the lead to another well before the lease ends', async () => {
    const namespace = await cluster.namespace('handover');
    const terms: Term[] = [];
    const all = ['a', 'b', 'c', 'd', 'e'].map((who) => elector(who, namespace, terms));
    for (const one of all) one.start();
    const left = new Set(all);
    while (left.size > 0) {
      await until(() => [...left].some((one) => one.leads), DURATION * 3);
      assert.equal([...left].filter((one) => one.leads).length, 1);
      const leader = [...left].find((one) => one.leads)!;
      left.delete(leader);
      const begun = terms.length;
      await leader.stop();
      if (left.size === 0) break;
      const took = await until(() => terms.length > begun, DURATION * 3);
      assert.ok(took < DURATION / 2, `a hand-over took ${took} ms`);
    }
    assert.equal(terms.length, 5);
    apart(terms);
  });

  it('a killed leader is succeeded after the duration of the lease, and not before', async () => {
    const namespace = await cluster.namespace('killed');
    const child = spawn(
      process.execPath,
      [new URL('elector-process.ts', import.meta.url).pathname, kubeconfig, namespace, String(DURATION)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const terms: Term[] = [];
    const heir = elector('heir', namespace, terms);
    heir.start();
    await sleep(DURATION * 1.5);
    assert.equal(terms.length, 0, 'a leader who lives is not succeeded');
    child.kill('SIGKILL');
    const took = await until(() => heir.leads, DURATION * 4);
    assert.ok(took > DURATION * 0.6 && took < DURATION * 2, `${took} ms`);
    await heir.stop();
  });

  it('a leader who is stopped like a process in a debugger leads no more when it goes on', async () => {
    const namespace = await cluster.namespace('frozen');
    const child = spawn(
      process.execPath,
      [new URL('elector-process.ts', import.meta.url).pathname, kubeconfig, namespace, String(DURATION)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await until(() => said.includes('leads'), 10_000);
    child.kill('SIGSTOP');
    const terms: Term[] = [];
    const heir = elector('heir', namespace, terms);
    heir.start();
    await until(() => heir.leads, DURATION * 4);
    child.kill('SIGCONT');
    await until(() => said.includes('ended'), DURATION * 2);
    await sleep(DURATION);
    assert.equal(said.match(/leads/g)?.length, 1, 'the heir keeps it');
    assert.ok(heir.leads);
    child.kill('SIGKILL');
    await heir.stop();
  });

  it('clocks that are wrong by hours give nobody the lead', async () => {
    const namespace = await cluster.namespace('clocks');
    const terms: Term[] = [];
    const leader = elector('leader', namespace, terms);
    leader.start();
    await until(() => leader.leads, 5_000);
    // What a leader with a clock of last year writes: long over, for whoever compares times.
    const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/sallyport-controller`;
    const past = { spec: { renewTime: '2025-01-01T00:00:00.000000Z', acquireTime: '2025-01-01T00:00:00.000000Z' } };
    const other = elector('other', namespace, terms);
    other.start();
    for (let i = 0; i < 20; i++) {
      await cluster.admin('PATCH', path, past, 'application/merge-patch+json');
      await sleep(DURATION / 10);
    }
    assert.deepEqual(
      terms.map(({ who }) => who),
      ['leader'],
    );
    await Promise.all([leader.stop(), other.stop()]);
    apart(terms);
  });

  it('a leader whose API server is gone stops acting before anyone may follow', async () => {
    const namespace = await cluster.namespace('cut');
    const terms: Term[] = [];
    let cut = false;
    const real = own(namespace);
    const fail = async (): Promise<never> => {
      throw new Error('no way through');
    };
    const behind = {
      get: (...args: Parameters<Own['get']>) => (cut ? fail() : real.get(...args)),
      create: (...args: Parameters<Own['create']>) => (cut ? fail() : real.create(...args)),
      update: (...args: Parameters<Own['update']>) => (cut ? fail() : real.update(...args)),
    };
    const leader = elector('cut', namespace, terms, { own: behind });
    leader.start();
    await until(() => leader.leads, 5_000);
    const heir = elector('heir', namespace, terms);
    heir.start();
    await sleep(DURATION / 2);
    cut = true;
    await until(() => heir.leads, DURATION * 4);
    assert.ok(!leader.leads);
    apart(terms);
    await Promise.all([leader.stop(), heir.stop()]);
  });

  it('a Lease that someone deletes or takes ends the lead', async () => {
    const namespace = await cluster.namespace('taken');
    const terms: Term[] = [];
    const leader = elector('leader', namespace, terms);
    leader.start();
    await until(() => leader.leads, 5_000);
    const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/sallyport-controller`;
    await cluster.admin('PATCH', path, { spec: { holderIdentity: 'thief' } }, 'application/merge-patch+json');
    await until(() => !leader.leads, DURATION);
    await cluster.admin('DELETE', path);
    await until(() => leader.leads, DURATION * 3);
    await leader.stop();
    assert.equal((await cluster.admin('GET', path)).json().spec.holderIdentity, '');
    apart(terms);
  });
});
