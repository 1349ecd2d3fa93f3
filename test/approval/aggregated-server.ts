import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { CertificateAuthority } from '../cluster/certificates.ts';
import type { Cluster } from '../cluster/cluster.ts';

interface Thing {
  metadata: { name: string; namespace: string; uid: string; resourceVersion: string };
  says?: string;
}

/** What arrived that would change something. */
export interface Write {
  readonly method: string;
  readonly url: string;
  readonly body: string;
}

/**
 * A small API server behind kube-apiserver's aggregation layer, with the one kind `things` of things.example. It takes no
 * notice of `dryRun`, and changes what it is told to: what a gateway may never try out.
 */
export class AggregatedServer {
  readonly writes: Write[] = [];
  readonly things = new Map<string, Thing>();
  readonly #server: Server;
  #revision = 100;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(cluster: Cluster, namespace: string): Promise<AggregatedServer> {
    const authority = await CertificateAuthority.create('aggregated');
    const { certPem, keyPem } = await authority.server('aggregated', ['127.0.0.1', 'localhost']);
    const server = createServer({ cert: certPem, key: keyPem });
    const aggregated = new AggregatedServer(server);
    server.on('request', (request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      request.on('end', () => {
        const [code, answer] = aggregated.#answer(request.method!, request.url!, body);
        response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await cluster.apply(`
apiVersion: v1
kind: Service
metadata: {name: things, namespace: ${namespace}}
spec: {type: ExternalName, externalName: localhost, ports: [{port: ${port}}]}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.things.example}
spec:
  group: things.example
  version: v1
  groupPriorityMinimum: 10
  versionPriority: 10
  insecureSkipTLSVerify: true
  service: {name: things, namespace: ${namespace}, port: ${port}}
`);
    const end = Date.now() + 30_000;
    while ((await cluster.admin('GET', '/apis/things.example/v1')).status !== 200) {
      if (Date.now() > end) throw new Error('the aggregated server is not reached');
      await sleep(100);
    }
    return aggregated;
  }

  /** Makes it, anew where it is there. */
  make(namespace: string, name: string, says: string): Thing {
    const resourceVersion = String(++this.#revision);
    const thing = { metadata: { name, namespace, uid: randomUUID(), resourceVersion }, says };
    this.things.set(`${namespace}/${name}`, thing);
    return thing;
  }

  async stop(cluster: Cluster): Promise<void> {
    await cluster.kubectl(['delete', 'apiservice', 'v1.things.example', '--ignore-not-found']);
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(method: string, url: string, body: string): [number, object] {
    const { pathname } = new URL(url, 'https://localhost');
    const [, namespace, name] =
      /^\/apis\/things\.example\/v1\/namespaces\/([^/]+)\/things\/([^/]+)$/.exec(pathname) ?? [];
    if (namespace === undefined || name === undefined) return [200, DISCOVERY];
    if (method !== 'GET') this.writes.push({ method, url, body });
    const key = `${namespace}/${name}`;
    const known = this.things.get(key);
    if (known === undefined && method !== 'PUT') return [404, status(404, 'NotFound')];
    if (method === 'DELETE') this.things.delete(key);
    if (method !== 'PUT') return [200, shown(known!)];
    const sent = JSON.parse(body) as Thing;
    const { resourceVersion } = sent.metadata;
    if (known !== undefined && resourceVersion !== undefined && resourceVersion !== known.metadata.resourceVersion) {
      return [409, status(409, 'Conflict')];
    }
    return [known === undefined ? 201 : 200, shown(this.make(namespace, name, sent.says ?? ''))];
  }
}

const DISCOVERY = {
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion: 'things.example/v1',
  resources: [
    {
      name: 'things',
      singularName: 'thing',
      namespaced: true,
      kind: 'Thing',
      verbs: ['get', 'update', 'patch', 'delete'],
    },
  ],
};

function shown(thing: Thing): object {
  return { apiVersion: 'things.example/v1', kind: 'Thing', ...thing };
}

function status(code: number, reason: string): object {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: reason, reason, code };
}
