import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Scene } from './scene.ts';
import { type Event, Watcher } from './watcher.ts';

describe('watches through the gateway', { timeout: 120_000 }, () => {
  let scene: Scene;
  let base: string;
  let kubeconfig: string;
  let names = 0;
  const open: Watcher[] = [];
  const children: ChildProcess[] = [];

  before(async () => {
    scene = await Scene.open('watches', {
      adjust: (configuration) => {
        // A watch outlives all of these.
        Object.assign(configuration.listen, {
          idleTimeout: '5s',
          headersTimeout: '1s',
          bodyTimeout: '1s',
          stallTimeout: '5s',
        });
        configuration.upstream.requestTimeout = '2s';
      },
    });
    base = `/api/v1/namespaces/${scene.namespace}/configmaps`;
    kubeconfig = await scene.kubeconfig();
    await make('first');
  });
  afterEach(() => {
    for (const one of open.splice(0)) one.close();
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });
  after(async () => {
    await scene?.close();
  });

  function watch(query: string, token?: string): Watcher {
    const watcher = new Watcher(scene, `${base}?${query}`, token);
    open.push(watcher);
    return watcher;
  }

  async function make(name = `made-${(names += 1)}`): Promise<string> {
    const answer = await scene.cluster.admin('POST', base, { metadata: { name } });
    assert.equal(answer.status, 201, answer.body);
    return name;
  }

  it('each spelling of watch is one: its head comes at once, events follow without delay', async () => {
    const { resourceVersion } = (await scene.cluster.admin('GET', base)).json().metadata;
    const watchers = ['watch=1', 'watch=true', 'watch=TRUE', 'watch=yes', 'watch'].map((query) =>
      watch(`${query}&resourceVersion=${resourceVersion}`),
    );
    for (const watcher of watchers) await watcher.until('its head', ({ status }) => status === 200);
    const name = await make();
    const began = Date.now();
    for (const watcher of watchers) await watcher.until('the event', () => watcher.sees(name, 'ADDED'));
    assert.ok(Date.now() - began < 1_000);
    const metrics = (await scene.gateway.probe('/metrics')).body;
    assert.match(metrics, /^sallyport_streams\{kind="watch"\} [5-9]/m);
    for (const query of ['watch=0', 'watch=false']) {
      assert.equal((await scene.ask(`${base}?${query}`)).json().kind, 'ConfigMapList');
    }
  });

  it('the old path /watch/ is one too', async () => {
    const watcher = new Watcher(scene, `/api/v1/watch/namespaces/${scene.namespace}/configmaps`);
    open.push(watcher);
    await watcher.until('the object there', () => watcher.sees('first'));
  });

  it('a streamed list (sendInitialEvents) ends with its bookmark and goes on as a watch', async () => {
    const watcher = watch(
      'watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan',
    );
    const isEnd = ({ type, object }: Event) =>
      type === 'BOOKMARK' && object.metadata.annotations?.['k8s.io/initial-events-end'] === 'true';
    await watcher.until('the bookmark that ends the list', ({ events }) => events.some(isEnd));
    assert.ok(watcher.sees('first', 'ADDED'));
    const name = await make();
    await watcher.until('the event', () => watcher.sees(name));
  });

  it('a quiet watch is not cut, by whichever protocol', async () => {
    const { resourceVersion } = (await scene.cluster.admin('GET', base)).json().metadata;
    const quiet = watch(`watch=true&resourceVersion=${resourceVersion}`);
    const overHttp1 = scene.ask(`${base}?watch=true&resourceVersion=${resourceVersion}&timeoutSeconds=8`);
    await sleep(7_000);
    assert.ok(!quiet.ended);
    const name = await make();
    await quiet.until('the event', () => quiet.sees(name));
    const answer = await overHttp1;
    assert.equal(answer.status, 200);
    assert.match(answer.body, new RegExp(`"name":"${name}"`));
  });

  it('a watch that the API server ends ends cleanly', async () => {
    const watcher = watch('watch=true&timeoutSeconds=1');
    await watcher.until('its end', ({ ended }) => ended);
    assert.equal(watcher.broken, false);
  });

  it('kubectl get -w prints what happens, kubectl wait sees it', async () => {
    const kubectl = scene.cluster.binaries.kubectl!;
    const env = { ...process.env, KUBECONFIG: kubeconfig };
    const following = spawn(kubectl, ['get', 'configmaps', '-w', '--output-watch-events'], { env });
    children.push(following);
    let printed = '';
    following.stdout.on('data', (chunk: Buffer) => {
      printed += chunk.toString();
    });
    const deadline = Date.now() + 15_000;
    const until = async (text: RegExp) => {
      while (!text.test(printed)) {
        assert.ok(Date.now() < deadline, `kubectl has not printed ${text}: ${printed}`);
        await sleep(20);
      }
    };
    await until(/ADDED +first/);
    const name = await make();
    await until(new RegExp(`ADDED +${name}`));
    const waiting = scene.cluster.kubectl(['wait', '--for=delete', `configmap/${name}`, '--timeout=15s'], {
      kubeconfig,
    });
    await sleep(700);
    await scene.cluster.admin('DELETE', `${base}/${name}`);
    const waited = await waiting;
    assert.equal(waited.code, 0, waited.stderr);
    await until(new RegExp(`DELETED +${name}`));
  });

  it('a client that leaves ends the watch upstream', async () => {
    const mark = `${base}?watch=true&labelSelector=leaves`;
    const watcher = new Watcher(scene, mark);
    await watcher.until('its head', ({ status }) => status === 200);
    watcher.close();
    const isOver = () =>
      scene.cluster
        .auditEvents(({ requestURI }) => requestURI.includes('labelSelector=leaves'))
        .some(({ stage }) => stage === 'ResponseComplete');
    const deadline = Date.now() + 3_000;
    while (!isOver()) {
      assert.ok(Date.now() < deadline, 'the API server still serves it');
      await sleep(50);
    }
  });

  it('a revoked session ends its watches within a second, and nobody else’s', async () => {
    const issue = async () => {
      const issued = await scene.ask('/sallyport/v1/token', {
        method: 'POST',
        body: 'grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&agent=cursor',
        headers: ['Content-Type', 'application/x-www-form-urlencoded'],
      });
      assert.equal(issued.status, 200, issued.body);
      return issued.json() as { access_token: string; session: string };
    };
    const [revoked, kept] = [await issue(), await issue()];
    const watcher = watch('watch=true', revoked.access_token);
    const other = watch('watch=true', kept.access_token);
    await watcher.until('its head', ({ status }) => status === 200);
    await other.until('its head', ({ status }) => status === 200);
    const path = `/apis/sallyport.dev/v1alpha1/namespaces/${scene.gateway.namespace}/agentsessions/${revoked.session}`;
    const answer = await scene.cluster.admin(
      'PATCH',
      `${path}/status`,
      { status: { revoked: true, reason: 'Revoked' } },
      'application/merge-patch+json',
    );
    assert.equal(answer.status, 200, answer.body);
    await watcher.until('its end', ({ ended }) => ended, 1_000);
    assert.equal((await scene.ask(base, { token: revoked.access_token })).status, 401);
    await sleep(200);
    assert.ok(!other.ended);
  });

  it('an expired token ends its watch', async () => {
    const now = Math.floor(Date.now() / 1_000);
    // Good for another second: the skew of 30 s belongs to it.
    const token = await scene.tokenOf({ iat: now - 600, exp: now - 28 });
    const watcher = watch('watch=true', token);
    await watcher.until('its head', ({ status }) => status === 200);
    await watcher.until('its end', ({ ended }) => ended, 5_000);
    assert.equal((await scene.ask(base, { token })).status, 401);
  });
});
