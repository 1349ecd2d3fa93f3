import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse, stringify } from 'yaml';
import { loadConfiguration } from '../../src/config/load.ts';
import { type Cluster, sharedCluster } from '../cluster/cluster.ts';
import { writeKubeconfig } from '../cluster/kubeconfig.ts';
import { FakeApiServer } from '../kubernetes/fake-api-server.ts';
import { GatewayProcess, runGateway } from './gateway-process.ts';

// biome-ignore lint/suspicious/noExplicitAny: a test breaks any part of a configuration.
type Configuration = any;

/** A gateway that cannot serve says why, in a line that names the key, the file or the permission. */
describe('what keeps a gateway from starting', { timeout: 120_000 }, () => {
  let cluster: Cluster;
  let gateway: GatewayProcess;
  let sound: string;
  let directory: string;
  let files = 0;

  before(async () => {
    cluster = await sharedCluster();
    gateway = await GatewayProcess.start(cluster);
    sound = readFileSync(join(gateway.directory, 'gateway.yaml'), 'utf8');
    directory = mkdtempSync(join(tmpdir(), 'sallyport-start-'));
  });
  after(async () => {
    await gateway?.stop();
    await cluster?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  function changed(change: (configuration: Configuration) => void): string {
    const configuration = parse(sound) as Configuration;
    change(configuration);
    return written(stringify(configuration));
  }

  function written(text: string): string {
    const file = join(directory, `gateway-${(files += 1)}.yaml`);
    writeFileSync(file, text);
    return file;
  }

  it('--check: a sound configuration', async () => {
    const result = await runGateway(written(sound), '--check');
    assert.equal(result.code, 0, result.stderr);
    assert.match(result.stdout, /this configuration is sound/);
  });

  describe('--check names the key of each mistake', () => {
    const table: [what: string, change: (configuration: Configuration) => void, words: RegExp][] = [
      ['an unknown key', (c) => Object.assign(c, { tsl: {} }), /tsl/],
      ['an unknown key inside', (c) => Object.assign(c.listen, { prot: 1 }), /listen.*prot/],
      ['no TLS', (c) => delete c.listen.tls, /listen\.tls/],
      ['a port that is none', (c) => Object.assign(c.listen, { port: 70_000 }), /listen\.port/],
      ['a port in words', (c) => Object.assign(c.probes, { port: 'http' }), /probes\.port/],
      [
        'a duration without a unit',
        (c) => Object.assign(c.listen, { idleTimeout: '30' }),
        /listen\.idleTimeout: .*"30"/,
      ],
      [
        'a duration out of bounds',
        (c) => Object.assign(c, { policy: { staleAfter: '1s' } }),
        /policy\.staleAfter: .*10s/,
      ],
      ['no audience', (c) => delete c.identity.oidc[0].audiences, /identity\.oidc\.0\.audiences/],
      [
        'an issuer without TLS',
        (c) => delete c.identity.oidc[0].insecureLoopbackHTTP,
        /identity\.oidc\.0\.issuer: https/,
      ],
      ['an HMAC', (c) => Object.assign(c.identity.oidc[0], { algorithms: ['HS256'] }), /oidc\.0\.algorithms/],
      [
        'the API server’s own audience',
        (c) => Object.assign(c.identity, { tokenReview: { audience: 'https://kubernetes.default.svc' } }),
        /identity\.tokenReview\.audience: this is an audience of the API server/,
      ],
      [
        'a reserved prefix',
        (c) => Object.assign(c.identity.oidc[0].claimMappings.username, { prefix: 'system:' }),
        /username\.prefix: .*reserved/,
      ],
      [
        'two agents of one name',
        (c) => c.identity.sessions.agents.push({ name: 'cursor' }),
        /agents: agent names must be unique/,
      ],
      ['a namespace that is none', (c) => Object.assign(c.upstream, { namespace: 'A_B' }), /upstream\.namespace/],
      ['a limit of zero', (c) => Object.assign(c, { limits: { parallelRequests: 0 } }), /limits\.parallelRequests/],
      [
        'an enforcement that is none',
        (c) => Object.assign(c, { policy: { defaultEnforcement: 'Off' } }),
        /defaultEnforcement/,
      ],
    ];
    for (const [what, change, words] of table) {
      it(what, () => {
        // In this process: `--check` prints these words and nothing else, as the tests below show.
        assert.throws(() => loadConfiguration(changed(change)), words);
      });
    }

    it('all of them at once, each with its line', async () => {
      const file = changed((c) => {
        c.listen.port = 70_000;
        c.upstream.namespace = 'A_B';
      });
      const { code, stderr } = await runGateway(file, '--check');
      assert.equal(code, 2);
      assert.match(stderr, /2 mistakes/);
      assert.match(stderr, /line \d+: listen\.port/);
      assert.match(stderr, /line \d+: upstream\.namespace/);
    });

    it('YAML that is none, a key twice, an empty file, no file, no flag', async () => {
      assert.throws(() => loadConfiguration(written('a: [b')), /line 1/);
      assert.throws(() => loadConfiguration(written(`${sound}\nlisten: {}\n`)), /unique/);
      assert.throws(() => loadConfiguration(written('')), /listen/);
      const { code, stderr } = await runGateway('/nowhere/gateway.yaml', '--check');
      assert.equal(code, 2);
      assert.match(stderr, /cannot be read/);
    });
  });

  async function fails(file: string, words: RegExp): Promise<void> {
    const result = await runGateway(file);
    assert.equal(result.code, 1, `${result.code}: ${result.stderr}`);
    assert.match(result.stderr, /^the gateway cannot start: /);
    assert.match(result.stderr, words);
    assert.equal(result.stderr.trim().split('\n').length, 1, result.stderr);
  }

  it('a port that is taken, for clients and for probes', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as AddressInfo;
    try {
      await fails(
        changed((c) => Object.assign(c.listen, { port })),
        /EADDRINUSE.*\b127\.0\.0\.1:\d+/,
      );
      await fails(
        changed((c) => Object.assign(c.probes, { port })),
        /EADDRINUSE/,
      );
    } finally {
      taken.close();
    }
  });

  it('files that are not there or hold nonsense', async () => {
    await fails(
      changed((c) => Object.assign(c.upstream, { kubeconfig: '/nowhere/kubeconfig' })),
      /\/nowhere\/kubeconfig/,
    );
    await fails(
      changed((c) => Object.assign(c.upstream, { kubeconfig: written('a: [b') })),
      /gateway-\d+\.yaml/,
    );
    await fails(
      changed((c) => Object.assign(c.upstream, { context: 'other' })),
      /no entry "other" in contexts/,
    );
    await fails(
      changed((c) => Object.assign(c.listen.tls, { certFile: '/nowhere/tls.crt' })),
      /\/nowhere\/tls\.crt/,
    );
    await fails(
      changed((c) => Object.assign(c.listen.tls, { keyFile: c.listen.tls.certFile })),
      /key|PEM/i,
    );
  });

  it('an API server that is not there, or not the one that its CA vouches for', async () => {
    const kubeconfig = readFileSync((parse(sound) as Configuration).upstream.kubeconfig, 'utf8');
    const closed = written(kubeconfig.replaceAll(cluster.url, 'https://127.0.0.1:1'));
    await fails(
      changed((c) => Object.assign(c.upstream, { kubeconfig: closed })),
      /ECONNREFUSED/,
    );
    const strange = written(
      kubeconfig.replace(
        /certificate-authority-data: .*/,
        `certificate-authority-data: ${Buffer.from(gateway.caPem).toString('base64')}`,
      ),
    );
    await fails(
      changed((c) => Object.assign(c.upstream, { kubeconfig: strange })),
      /certificate was not accepted/,
    );
  });

  it('an API server below the stated minimum, named, and the kinds that are missing', async () => {
    // No real one this old can be built here in reasonable time.
    const fake = await FakeApiServer.start();
    try {
      let minor = '34';
      fake.onOther = (request, response) => {
        const found = request.url === '/version' ? { major: '1', minor, gitVersion: `v1.${minor}.9` } : undefined;
        response.writeHead(found === undefined ? 404 : 200, { 'content-type': 'application/json' });
        response.end(JSON.stringify(found ?? { kind: 'Status', code: 404, reason: 'NotFound' }));
      };
      const path = join(directory, 'old.kubeconfig');
      const { authority, url } = fake;
      const kubeconfig = await writeKubeconfig(path, {
        url: url.origin,
        caPem: authority.certPem,
        token: 'unused-here',
        namespace: 'default',
      });
      const file = changed((c) => Object.assign(c.upstream, { kubeconfig }));
      await fails(file, /the API server is v1\.34\.9; this gateway needs Kubernetes 1\.35 or newer/);
      minor = '35';
      await fails(
        file,
        /does not serve agentpolicies, .* of sallyport.dev\/v1alpha1: apply the CustomResourceDefinitions first/,
      );
    } finally {
      await fake.close();
    }
  });

  it('an account that may not do what the gateway does: which verb on what', async () => {
    const namespace = await cluster.namespace('poor');
    const token = await cluster.serviceAccountToken(namespace, 'poor');
    const kubeconfig = await cluster.kubeconfig({ token });
    await fails(
      changed((c) => Object.assign(c.upstream, { kubeconfig, namespace })),
      new RegExp(
        `get secrets "sallyport-installation" in namespace "${namespace}": forbidden to the gateway's own account`,
      ),
    );
  });

  it('an account that may not watch policies: not ready, and the log says which verb on what', async () => {
    const namespace = await cluster.namespace('half');
    const token = await cluster.serviceAccountToken(namespace, 'half');
    await cluster.apply(`
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: half, namespace: ${namespace}}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get, create, update]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: half, namespace: ${namespace}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: half}
subjects: [{kind: ServiceAccount, name: half, namespace: ${namespace}}]
`);
    const kubeconfig = await cluster.kubeconfig({ token });
    const file = changed((c) => Object.assign(c.upstream, { kubeconfig, namespace }));
    const result = await runGateway(file);
    assert.equal(result.code, 1, result.stderr);
    // It may list none of what a gateway lists; the refusal that comes first is the one that is said.
    const what = '(agentpolicies|maskingrules|agentsessions|agentfreezes)\\.sallyport\\.dev|namespaces';
    assert.match(result.stderr, new RegExp(`list (${what}): forbidden to the gateway's own account`));
  });
});
