import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiError } from '../../src/kubernetes/api-error.ts';
import { Informer, type InformerBounds } from '../../src/kubernetes/informer.ts';
import { locate } from '../../src/kubernetes/locate.ts';
import { listAll, type Stored } from '../../src/kubernetes/pages.ts';
import { Transport } from '../../src/kubernetes/transport.ts';
import { Watch } from '../../src/kubernetes/watch.ts';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { writeKubeconfig } from '../cluster/kubeconfig.ts';
import { ApiServerProcess } from './api-server-process.ts';
import { TcpProxy } from './tcp-proxy.ts';

interface Thing {
  readonly name: string;
  readonly value: string;
}

async function eventually(what: string, condition: () => boolean, within = 5_000): Promise<number> {
  const began = performance.now();
  while (!condition()) {
    if (performance.now() - began > within) assert.fail(`not within ${within} ms: ${what}`);
    await sleep(5);
  }
  return performance.now() - began;
}

describe('the informer on a real API server', { timeout: 240_000 }, () => {
  let cluster: Cluster;
  let server: ApiServerProcess;
  let namespace: string;
  let proxy: TcpProxy;
  let transport: Transport;
  let user: { certPem: string; keyPem: string };
  const informers: Informer<Thing>[] = [];

  before(async () => {
    cluster = await startCluster({ audit: 'None' });
    server = new ApiServerProcess(cluster);
    user = await cluster.clientCertificate({ user: 'informer', groups: [] });
  });

  beforeEach(async () => {
    await end();
    namespace = await cluster.namespace('informer');
    await allow();
    proxy = await TcpProxy.start(cluster.url);
    const path = `${cluster.directory}/informer.kubeconfig`;
    await writeKubeconfig(path, { url: proxy.url, caPem: cluster.caPem, client: user });
    transport = new Transport(locate({ kubeconfig: path }));
  });

  after(async () => {
    await end();
    await server.kill();
    await cluster.stop();
  });

  async function end(): Promise<void> {
    for (const informer of informers.splice(0)) await informer.stop();
    await transport?.close();
    await proxy?.close();
  }

  async function allow(): Promise<void> {
    const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
    await cluster.admin('POST', `${rbac}/roles`, {
      metadata: { name: 'watch' },
      rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['list', 'watch'] }],
    });
    const bound = await cluster.admin('POST', `${rbac}/rolebindings`, {
      metadata: { name: 'watch' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'watch' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'informer' }],
    });
    assert.equal(bound.status, 201);
  }

  async function put(name: string, value: string): Promise<void> {
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const patched = await cluster.admin(
      'PATCH',
      `${path}/${name}`,
      { data: { value } },
      'application/merge-patch+json',
    );
    if (patched.status === 200) return;
    const made = await cluster.admin('POST', path, { metadata: { name }, data: { value } });
    assert.equal(made.status, 201, String(made.body));
  }

  async function remove(name: string): Promise<void> {
    await cluster.admin('DELETE', `/api/v1/namespaces/${namespace}/configmaps/${name}`);
  }

  function start(bounds: Partial<InformerBounds> = {}) {
    const log: string[] = [];
    const failures: Error[] = [];
    const informer = new Informer<Thing>(transport, {
      name: 'things',
      path: { group: '', version: 'v1', resource: 'configmaps', namespace },
      accept: (object) => ({
        name: object.metadata.name,
        value: (object as Stored & { data?: { value?: string } }).data?.value ?? '',
      }),
      handlers: {
        add: ({ name, value }) => log.push(`+${name}=${value}`),
        update: ({ name, value }, old) => log.push(`~${name}=${old.value}>${value}`),
        delete: ({ name }) => log.push(`-${name}`),
      },
      onFailure: (error) => failures.push(error),
      bounds: { quiet: 1_000, openTimeout: 1_000, listTimeout: 2_000, ...bounds },
    });
    informers.push(informer);
    informer.start();
    return { informer, log, failures };
  }

  it('tells a whole list, in pages, then every change, within a second', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) await put(name, '1');
    const { informer, log, failures } = start({ pageSize: 2 });
    await informer.whenSynced();
    assert.deepEqual(new Set(log), new Set(['+a=1', '+b=1', '+c=1', '+d=1', '+e=1']));
    assert.equal(informer.get(`${namespace}/c`)?.value, '1');
    log.length = 0;
    for (const [change, expected] of [
      [() => put('f', '1'), '+f=1'],
      [() => put('a', '2'), '~a=1>2'],
      [() => remove('b'), '-b'],
    ] as const) {
      await change();
      const took = await eventually(expected, () => log.includes(expected));
      assert.ok(took < 1_000, `${expected} took ${took} ms`);
    }
    assert.deepEqual(log, ['+f=1', '~a=1>2', '-b']);
    assert.equal(informer.counts.objects, 5);
    assert.deepEqual(failures, []);
  });

  it('stays fresh while nothing happens: a quiet watch is replaced, not trusted', async () => {
    const { informer, failures, log } = start({ quiet: 300 });
    await informer.whenSynced();
    let oldest = 0;
    for (let index = 0; index < 60; index++) {
      await sleep(50);
      oldest = Math.max(oldest, informer.age());
    }
    assert.ok(oldest < 1_000, `age reached ${oldest} ms`);
    assert.ok(informer.counts.watches >= 5, `${informer.counts.watches} watches`);
    assert.equal(informer.counts.lists, 1);
    assert.ok(proxy.connections <= 3, `${proxy.connections} connections are open`);
    await put('late', '1');
    assert.ok((await eventually('late', () => log.includes('+late=1'))) < 1_000);
    assert.deepEqual(failures, []);
  });

  it('goes on when the API server ends a watch in an orderly way, without listing again', async () => {
    const { informer, log, failures } = start({ lifetime: 2, quiet: 30_000 });
    await informer.whenSynced();
    await eventually('the third watch', () => informer.counts.watches >= 3, 15_000);
    await put('x', '1');
    assert.ok((await eventually('x', () => log.includes('+x=1'))) < 1_000);
    assert.equal(informer.counts.lists, 1);
    assert.deepEqual(failures, []);
  });

  it('sees through a connection that is dead without a sign: age grows, then it recovers by itself', async () => {
    const { informer, log, failures } = start();
    await put('before', '1');
    await eventually('before', () => log.includes('+before=1'));
    proxy.stall();
    await put('during', '1');
    await remove('before');
    await eventually('age over 4 s', () => informer.age() > 4_000, 6_000);
    assert.ok(!log.includes('+during=1'));
    assert.ok(failures.length > 0);
    proxy.heal();
    await eventually('during', () => log.includes('+during=1') && log.includes('-before'), 10_000);
    await eventually('young', () => informer.age() < 1_500);
    await put('after', '1');
    assert.ok((await eventually('after', () => log.includes('+after=1'))) < 1_000);
  });

  it('survives a cut, and misses nothing that happened meanwhile', async () => {
    const { informer, log, failures } = start();
    await put('gone', '1');
    await eventually('gone', () => log.includes('+gone=1'));
    proxy.cut();
    await remove('gone');
    await put('new', '1');
    await eventually('three failures', () => failures.length >= 3, 10_000);
    assert.ok(informer.synced);
    proxy.heal();
    await eventually('all told', () => log.includes('+new=1') && log.includes('-gone'), 8_000);
    assert.equal(informer.get(`${namespace}/gone`), undefined);
  });

  it('survives a restart of the API server', async () => {
    const { informer, log } = start();
    await put('before', '1');
    await eventually('before', () => log.includes('+before=1'));
    await server.kill();
    await eventually('age over 2 s', () => informer.age() > 2_000);
    await server.start();
    await put('before', '2');
    await eventually('before=2', () => informer.get(`${namespace}/before`)?.value === '2', 10_000);
    await put('then', '1');
    assert.ok((await eventually('then', () => log.includes('+then=1'))) < 1_000);
  });

  it('grows old when its permission is taken away, says which, and recovers when it is given back', async () => {
    const { informer, failures, log } = start();
    await informer.whenSynced();
    const binding = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/rolebindings/watch`;
    await cluster.admin('DELETE', binding);
    await eventually('age over 3 s', () => informer.age() > 3_000, 10_000);
    assert.match(
      failures.at(-1)?.message ?? '',
      new RegExp(
        `^(list|watch) configmaps in namespace "${namespace}": forbidden to the gateway's own account \\(403\\)`,
      ),
    );
    assert.equal((failures.at(-1) as ApiError).status, 403);
    await allowAgain();
    await put('again', '1');
    await eventually('again', () => log.includes('+again=1'), 10_000);
    await eventually('young', () => informer.age() < 1_500);
  });

  async function allowAgain(): Promise<void> {
    await cluster.admin('DELETE', `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/roles/watch`);
    await allow();
  }

  it('ends when it is told to, and leaves no connection', async () => {
    const { informer } = start();
    await informer.whenSynced();
    await informer.stop();
    await transport.close();
    await eventually('no connection', () => proxy.connections === 0);
    const age = informer.age();
    await sleep(50);
    assert.ok(informer.age() >= age + 40);
  });

  it('a watch from a revision that is compacted away is refused with 410; an informer that was up to date goes on', async () => {
    await put('old', '1');
    const path = { group: '', version: 'v1', resource: 'configmaps', namespace } as const;
    const first = await listAll(transport, path, {
      pageSize: 500,
      maxObjects: 100,
      maxBytes: 1 << 20,
      timeout: 5_000,
    });
    for (let index = 0; index < 5; index++) await put('old', `more-${index}`);
    const { informer } = start({ quiet: 60_000 });
    await informer.whenSynced();
    await server.kill();
    await server.start();
    const gone = async () => {
      const watch = await Watch.open(transport, path, {
        resourceVersion: first.resourceVersion,
        lifetime: 10,
        openTimeout: 5_000,
        maxLine: 1 << 20,
      });
      for await (const event of watch.events()) assert.notEqual(event.type, 'DELETED');
    };
    await compact(server.etcdSocket);
    await assert.rejects(gone(), (error: ApiError) => error.status === 410);
    await put('old', 'last');
    await eventually('last', () => informer.get(`${namespace}/old`)?.value === 'last', 10_000);
  });
});

/** etcd's own JSON gateway, over its socket. */
async function compact(socketPath: string): Promise<void> {
  const { Client } = await import('undici');
  const etcd = new Client('http://localhost', { socketPath });
  const ask = async (path: string, body: object) => {
    const answer = await etcd.request({ method: 'POST', path, body: JSON.stringify(body) });
    const parsed = (await answer.body.json()) as { header?: { revision: string } };
    assert.equal(answer.statusCode, 200, JSON.stringify(parsed));
    return parsed;
  };
  const { header } = await ask('/v3/kv/range', { key: Buffer.from('x').toString('base64') });
  await ask('/v3/kv/compaction', { revision: header!.revision, physical: true });
  await etcd.close();
}
