import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { chosenVersion, findPrograms, lookFor } from './binaries.ts';
import { cachedProgram, PLATFORM } from './cache-folder.ts';

const VERSION = '1.36.3';
const folder = mkdtempSync(join(tmpdir(), 'sallyport-binaries-'));
const tools = join(folder, 'tools');
const servers: Server[] = [];
const before = { ...process.env };

// A machine of our own making: an empty cache, and a PATH with the few programs that unpacking needs.
beforeEach(() => {
  rmSync(join(folder, 'cache'), { recursive: true, force: true });
  process.env['XDG_CACHE_HOME'] = join(folder, 'cache');
  process.env['PATH'] = tools;
  delete process.env['KUBEBUILDER_ASSETS'];
  delete process.env['KUBERNETES_VERSION'];
});
after(() => {
  process.env = before;
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true, force: true });
});
mkdirSync(tools);
for (const name of ['tar', 'gzip']) execFileSync('ln', ['-s', `/bin/${name}`, join(tools, name)]);

function program(path: string, prints: string): void {
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, `#!/bin/sh\necho '${prints}'\n`);
  chmodSync(path, 0o755);
}

async function serve(files: Record<string, Buffer | string>): Promise<string> {
  const server = createServer((request, response) => {
    const body = files[request.url ?? ''];
    response.writeHead(body === undefined ? 404 : 200).end(body);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Serves an index of one archive with the three programs; `spoil` changes the archive after it was summed. */
async function serveArchive(spoil: boolean): Promise<string> {
  const unpacked = join(folder, 'archive', 'controller-tools', 'envtest');
  for (const name of ['etcd', 'kube-apiserver', 'kubectl']) program(join(unpacked, name), `Kubernetes v${VERSION}`);
  const path = join(folder, 'archive.tar.gz');
  execFileSync('/bin/tar', ['-czf', path, '-C', join(folder, 'archive'), 'controller-tools'], { env: before });
  const archive = readFileSync(path);
  const hash = createHash('sha512').update(archive).digest('hex');
  const files: Record<string, Buffer | string> = {
    '/a.tar.gz': spoil ? Buffer.concat([archive, Buffer.of(0)]) : archive,
  };
  const url = await serve(files);
  files['/index.yaml'] = JSON.stringify({
    releases: {
      [`v${VERSION}`]: { [`envtest-v${VERSION}-${PLATFORM}.tar.gz`]: { hash, selfLink: `${url}/a.tar.gz` } },
    },
  });
  return `${url}/index.yaml`;
}

test('a program in PATH counts only in exactly the version asked for', async () => {
  const path = join(folder, 'path');
  process.env['PATH'] = path;
  program(join(path, 'kubectl'), '{"clientVersion": {"gitVersion": "v1.28.2"}}');
  assert.equal(await lookFor('kubectl', VERSION), undefined);
  program(join(path, 'kubectl'), `{"clientVersion": {"gitVersion": "v${VERSION}"}}`);
  assert.equal(await lookFor('kubectl', VERSION), join(path, 'kubectl'));
});

test('KUBEBUILDER_ASSETS comes before PATH and cache, and names the version when none is asked for', async () => {
  const assets = join(folder, 'assets');
  process.env['KUBEBUILDER_ASSETS'] = assets;
  program(join(assets, 'kube-apiserver'), 'Kubernetes v1.35.9');
  program(join(assets, 'etcd'), 'etcd Version: 3.5.24');
  program(cachedProgram('kubernetes', '1.35.9', 'kube-apiserver'), 'Kubernetes v1.35.9');
  assert.equal(await chosenVersion(), '1.35.9');
  assert.equal(await chosenVersion('1.36'), VERSION);
  assert.equal(await lookFor('kube-apiserver', '1.35.9'), join(assets, 'kube-apiserver'));
  assert.equal(await lookFor('etcd', '1.35.9'), join(assets, 'etcd'));
  assert.equal(await lookFor('kube-apiserver', VERSION), undefined);
});

test('an archive whose checksum differs from the index is not unpacked', async () => {
  process.env['ENVTEST_INDEX'] = await serveArchive(true);
  const said: string[] = [];
  await assert.rejects(
    findPrograms(VERSION, ['kube-apiserver'], (line) => said.push(line)),
    /kube-apiserver 1\.36\.3 is not to be had here.*checksum.*no "go" in PATH.*KUBEBUILDER_ASSETS/s,
  );
  assert.equal(existsSync(cachedProgram('kubernetes', VERSION, 'kube-apiserver')), false);
});

test('a version that nobody has gives one clear error with every way that was tried', async () => {
  process.env['ENVTEST_INDEX'] = await serveArchive(false);
  await assert.rejects(
    findPrograms('1.36.99', ['kube-apiserver'], () => undefined),
    /kube-apiserver 1\.36\.99 is not to be had here.*no ready-made archive of 1\.36\.99.*no "go" in PATH/s,
  );
});

test('a ready-made archive with the right checksum serves all three programs', async () => {
  process.env['ENVTEST_INDEX'] = await serveArchive(false);
  // Another version than in the tests above: a process tries each version once.
  const index = readFileSync(join(folder, 'archive.tar.gz'));
  const hash = createHash('sha512').update(index).digest('hex');
  const files: Record<string, Buffer | string> = { '/a.tar.gz': index };
  const url = await serve(files);
  const entry = { hash, selfLink: `${url}/a.tar.gz` };
  files['/index.yaml'] = JSON.stringify({ releases: { 'v1.36.2': { [`envtest-v1.36.2-${PLATFORM}.tar.gz`]: entry } } });
  process.env['ENVTEST_INDEX'] = `${url}/index.yaml`;
  const found = await findPrograms('1.36.2', ['etcd', 'kube-apiserver', 'kubectl'], () => undefined);
  assert.equal(found['kube-apiserver'], cachedProgram('kubernetes', '1.36.2', 'kube-apiserver'));
  assert.equal(execFileSync(found.kubectl, { encoding: 'utf8', env: before }).trim(), `Kubernetes v${VERSION}`);
  assert.equal(found.etcd, cachedProgram('kubernetes', '1.36.2', 'etcd'));
});
