import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, connect as dial } from 'node:net';
import { PassThrough, Writable } from 'node:stream';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  CoreV1Api,
  Exec,
  KubeConfig,
  makeInformer,
  PatchStrategy,
  PortForward,
  setHeaderOptions,
  type V1ConfigMap,
  type V1Status,
  Watch,
} from '@kubernetes/client-node';
import type { Stage } from './stage.ts';

function load(stage: Stage): { config: KubeConfig; core: CoreV1Api; namespace: string } {
  const config = new KubeConfig();
  config.loadFromFile(stage.kubeconfig);
  return { config, core: config.makeApiClient(CoreV1Api), namespace: stage.namespace };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    if (holds()) return;
    await delay(10);
  }
  throw new Error(`never: ${what}`);
}

/** Gathers what is written into it. */
function sink(): Writable & { text: string } {
  const gathered = Object.assign(new Writable(), { text: '' });
  gathered._write = (chunk: Buffer, _encoding, done) => {
    gathered.text += chunk.toString();
    done();
  };
  return gathered;
}

export function nodeObjects(stage: () => Stage): void {
  describe('@kubernetes/client-node: objects', () => {
    it('creates, patches, lists, watches, deletes; a refusal carries its message', async () => {
      const { config, core, namespace } = load(stage());
      const name = 'from-node';
      const seen: string[] = [];
      const watching = await new Watch(config).watch(
        `/api/v1/namespaces/${namespace}/configmaps`,
        {},
        (type, object: V1ConfigMap) => {
          if (object.metadata?.name === name) seen.push(type);
        },
        () => undefined,
      );
      await core.createNamespacedConfigMap({ namespace, body: { metadata: { name }, data: { a: '1' } } });
      const patch = setHeaderOptions('Content-Type', PatchStrategy.MergePatch);
      await core.patchNamespacedConfigMap({ name, namespace, body: { data: { b: '2' } } }, patch);
      const { items } = await core.listNamespacedConfigMap({ namespace });
      assert.deepEqual(items.find(({ metadata }) => metadata?.name === name)?.data, { a: '1', b: '2' });
      await core.deleteNamespacedConfigMap({ name, namespace });
      await until('all three are seen', () => seen.length === 3);
      watching.abort();
      assert.deepEqual(seen, ['ADDED', 'MODIFIED', 'DELETED']);
      await assert.rejects(core.listNamespacedSecret({ namespace: 'kube-system' }), (error: Error) => {
        assert.match(error.message, /403[\s\S]*SP_POLICY_DENIED: /);
        return true;
      });
    });

    it('an informer lists, follows, and goes on', async () => {
      const { config, core, namespace } = load(stage());
      const informer = makeInformer<V1ConfigMap>(config, `/api/v1/namespaces/${namespace}/configmaps`, () =>
        core.listNamespacedConfigMap({ namespace }),
      );
      const events: string[] = [];
      for (const verb of ['add', 'update', 'delete'] as const) {
        informer.on(verb, ({ metadata }) => void events.push(`${verb} ${metadata?.name}`));
      }
      await informer.start();
      const name = 'informed';
      await core.createNamespacedConfigMap({ namespace, body: { metadata: { name } } });
      await until('add', () => events.includes(`add ${name}`));
      await core.deleteNamespacedConfigMap({ name, namespace });
      await until('delete', () => events.includes(`delete ${name}`));
      await informer.stop();
    });
  });
}

export function nodeStreams(stage: () => Stage): void {
  describe('@kubernetes/client-node: streams', () => {
    it('exec with stdin, output and errors apart, the exit code', async () => {
      const { config, namespace } = load(stage());
      const [stdout, stderr, stdin] = [sink(), sink(), new PassThrough()];
      const ended = Promise.withResolvers<V1Status>();
      const command = ['sh', '-c', 'read line; echo got $line; echo err >&2; exit 5'];
      const exec = new Exec(config);
      await exec.exec(namespace, 'web', 'web', command, stdout, stderr, stdin, false, ended.resolve);
      stdin.write('a line\n');
      const status = await ended.promise;
      assert.deepEqual([stdout.text, stderr.text], ['got a line\n', 'err\n']);
      assert.equal(status.details?.causes?.[0]?.message, '5');
    });

    it('a refused exec fails to open', async () => {
      const { config, namespace } = load(stage());
      const opened = new Exec(config).exec(namespace, 'vault', 'vault', ['id'], sink(), sink(), null, false);
      await assert.rejects(opened);
      await stage().scene.gateway.logged(
        (entry) => entry['message'] === 'refused' && (entry['operation'] as { name?: string }).name === 'vault',
      );
    });

    it('port-forward in the WebSocket framing that it has of old', async () => {
      const { config, namespace } = load(stage());
      const forward = new PortForward(config);
      const server = createServer((socket) => {
        void forward.portForward(namespace, 'web', [80], socket, null, socket);
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const socket = dial((server.address() as AddressInfo).port, '127.0.0.1');
      let answer = '';
      socket.on('data', (chunk: Buffer) => {
        answer += chunk.toString();
      });
      socket.write('GET /index.html HTTP/1.0\r\n\r\n');
      await until('the page', () => answer.endsWith('a page\n'));
      socket.destroy();
      server.close();
    });
  });
}
