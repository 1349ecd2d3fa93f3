import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { parse, stringify } from 'yaml';
import { buildProgram } from '../../image/build.ts';
import { NODE_IN_IMAGE } from '../../image/bundle.ts';
import manifest from '../../package.json' with { type: 'json' };
import { loadConfiguration } from '../../src/config/load.ts';
import { CertificateAuthority } from '../cluster/certificates.ts';
import { type Cluster, sharedCluster } from '../cluster/cluster.ts';

const FOLDER = new URL('../../deploy/compose/', import.meta.url).pathname;

describe('the Compose file', () => {
  const compose = parse(readFileSync(join(FOLDER, 'compose.yaml'), 'utf8'));
  const { gateway } = compose.services;

  it('runs this version, as nobody in particular, on a read-only root, and mounts what the configuration names', () => {
    assert.equal(gateway.image, `sallyport:${manifest.version}`);
    assert.deepEqual([gateway.user, gateway.read_only, gateway.cap_drop], ['65532:65532', true, ['ALL']]);
    const mounts = (gateway.volumes as string[]).map((volume) => volume.split(':')[1]!);
    const configuration = loadConfiguration(join(FOLDER, 'gateway.yaml'));
    const { listen, upstream, recording } = configuration;
    const named = [
      listen.tls.certFile,
      listen.tls.keyFile,
      upstream.kubeconfig,
      recording?.spool.folder,
      recording?.storage.filesystem?.path,
      gateway.command[2],
    ];
    for (const path of named)
      assert.ok(
        mounts.some((mount) => path?.startsWith(mount)),
        path,
      );
  });

  describe('the program of the image, with its command and its configuration', () => {
    let cluster: Cluster;
    let folder: string;
    let child: ChildProcess;
    let words = '';
    let probes: number;

    before(async () => {
      cluster = await sharedCluster();
      folder = await mkdtemp(join(tmpdir(), 'sallyport-compose-'));
      const apply = ['crds/', 'examples/rbac/gateway.yaml'].flatMap((path) => ['-f', path]);
      const applied = await cluster.kubectl(['apply', ...apply]);
      assert.equal(applied.code, 0, applied.stderr);
      const crds = [
        'agentpolicies',
        'agentsessions',
        'approvalrequests',
        'maskingrules',
        'sessionrecordings',
        'agentfreezes',
      ];
      await cluster.kubectl([
        'wait',
        '--for=condition=Established',
        ...crds.map((name) => `crd/${name}.sallyport.dev`),
      ]);
      await buildProgram(join(folder, 'dist'));
      await mkdir(join(folder, 'secrets'));
      const serving = await (await CertificateAuthority.create('compose')).server('gateway', ['127.0.0.1']);
      await writeFile(join(folder, 'secrets/tls.crt'), serving.certPem);
      await writeFile(join(folder, 'secrets/tls.key'), serving.keyPem, { mode: 0o600 });
      const token = await cluster.serviceAccountToken('sallyport-system', 'sallyport-gateway', { seconds: 3_600 });
      const kubeconfig = await cluster.kubeconfig({ token });
      await writeFile(join(folder, 'secrets/gateway.kubeconfig'), readFileSync(kubeconfig));
      // Only places differ: this machine's folders for the container's, free ports for fixed ones.
      const text = readFileSync(join(FOLDER, 'gateway.yaml'), 'utf8')
        .replaceAll('/etc/sallyport', folder)
        .replaceAll('/var/lib/sallyport', join(folder, 'data'));
      const configuration = parse(text);
      probes = await freePort();
      configuration.listen = { ...configuration.listen, port: 0, address: '127.0.0.1' };
      configuration.probes = { port: probes, address: '127.0.0.1' };
      configuration.shutdown = { readyDelay: '0s' };
      await writeFile(join(folder, 'gateway.yaml'), stringify(configuration));
      const command = (gateway.command as string[]).map((part) => part.replace('/etc/sallyport', folder));
      child = spawn(process.execPath, [join(folder, 'dist/bundle/sallyport.mjs'), ...command]);
      child.stdout!.on('data', (part: Buffer) => (words += part.toString()));
      child.stderr!.on('data', (part: Buffer) => (words += part.toString()));
    });
    after(async () => {
      if (child?.exitCode === null) child.kill('SIGKILL');
      await rm(folder, { recursive: true, force: true });
      await cluster?.stop();
    });

    const healthy = async (): Promise<boolean> => {
      const [kind, program, ...args] = gateway.healthcheck.test as string[];
      assert.deepEqual([kind, program], ['CMD', NODE_IN_IMAGE]);
      const here = args.map((part) => part.replace(':9443', `:${probes}`));
      return await promisify(execFile)(process.execPath, here).then(
        () => true,
        () => false,
      );
    };

    it('gets healthy, and is not any more when it has stopped', async () => {
      assert.equal(await healthyWithin(60_000), true, words);
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      assert.equal(await ended, 0, words);
      assert.equal(await healthy(), false);
    });

    async function healthyWithin(milliseconds: number): Promise<boolean> {
      for (const end = Date.now() + milliseconds; Date.now() < end; await sleep(200)) {
        assert.equal(child.exitCode, null, words);
        if (await healthy()) return true;
      }
      return false;
    }
  });
});

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
