import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Built, buildImage } from '../../image/build.ts';
import { ENVIRONMENT } from '../../image/environment.ts';
import manifest from '../../package.json' with { type: 'json' };
import { Unpacked } from './unpacked.ts';

const ROOT = new URL('../../', import.meta.url).pathname;
const why = process.platform === 'linux' ? false : 'left out: an image for Linux is built on Linux';

describe('the image', { skip: why }, () => {
  let folder: string;
  let built: Built;
  let unpacked: Unpacked;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sallyport-image-'));
    built = await buildImage(join(folder, 'dist'));
    unpacked = await Unpacked.open(built.archive, join(folder, 'unpacked'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('is under 75 MB compressed, and every blob is what its digest says', () => {
    assert.equal(
      unpacked.layers.reduce((sum, layer) => sum + layer.size, 0),
      built.size,
    );
    assert.ok(built.size < 75e6, `${built.size} bytes`);
    for (const name of readdirSync(unpacked.blobs)) {
      const hash = createHash('sha256').update(readFileSync(join(unpacked.blobs, name)));
      assert.equal(hash.digest('hex'), name);
    }
    assert.deepEqual(
      unpacked.layers.map((layer) => layer.mediaType),
      new Array<string>(2).fill('application/vnd.oci.image.layer.v1.tar+gzip'),
    );
  });

  it('runs as nobody in particular, and no file in it is another’s, setuid, or writable but /tmp and the folder for data', () => {
    assert.equal(unpacked.image.config.User, '65532:65532');
    const lines = unpacked.listing.trim().split('\n');
    assert.ok(lines.length > 100);
    for (const line of lines) {
      assert.match(line, /^[-dl][rwxt-]{9} 0\/0 /, line);
      const writable = /^-.{7}w|^d.{7}w|^-.{4}w|^d.{4}w/.test(line);
      assert.ok(!writable || / \.\/(tmp|var\/lib\/sallyport)\/$/.test(line), line);
    }
  });

  it('has no shell, no package manager and no program but Node.js and the bundle', () => {
    const programs = unpacked.listing
      .split('\n')
      .filter((line) => /^-..x/.test(line) && !/\.so[.\d]*$/.test(line))
      .map((line) => line.split(' ./')[1]);
    assert.deepEqual(programs, ['nodejs/bin/node', 'app/sallyport.mjs']);
    for (const name of ['bin/sh', 'bin/bash', 'bin/busybox', 'usr/bin/env', 'usr/bin/apt']) {
      assert.equal(existsSync(join(unpacked.root, name)), false, name);
    }
    assert.ok(!unpacked.listing.includes('.ts\n'), 'no sources');
  });

  it('starts on its own files alone: version, help, a sound and an unsound configuration', async () => {
    assert.deepEqual(await unpacked.sallyport('--version'), { code: 0, stdout: `${manifest.version}\n`, stderr: '' });
    assert.match((await unpacked.sallyport()).stdout, /^sallyport: a guarded double gate/);
    const configuration = readFileSync(join(ROOT, 'examples/gateway.yaml'), 'utf8');
    const inside = (name: string) => (process.getuid?.() === 0 ? `/tmp/${name}` : join(unpacked.root, 'tmp', name));
    await writeFile(join(unpacked.root, 'tmp/gateway.yaml'), configuration);
    await writeFile(join(unpacked.root, 'tmp/wrong.yaml'), configuration.replace('listen:', 'lisen:'));
    const sound = await unpacked.sallyport('gateway', '--config', inside('gateway.yaml'), '--check');
    assert.equal(sound.code, 0, sound.stderr);
    const wrong = await unpacked.sallyport('gateway', '--config', inside('wrong.yaml'), '--check');
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /lisen/);
  });

  it('every part of the bundle has its source map, of our own sources', () => {
    const app = join(unpacked.root, 'app');
    const parts = [
      join(app, 'sallyport.mjs'),
      ...readdirSync(join(app, 'parts')).map((name) => join(app, 'parts', name)),
    ];
    const sources = parts
      .filter((path) => path.endsWith('.mjs'))
      .flatMap((path) => (JSON.parse(readFileSync(`${path}.map`, 'utf8')) as { sources: string[] }).sources);
    for (const source of ['src/cli/main.ts', 'src/gateway/gateway.ts', 'src/admission/reviewer.ts'])
      assert.ok(
        sources.some((each) => each.endsWith(source)),
        source,
      );
    assert.ok(!sources.some((each) => each.endsWith('.test.ts')));
  });

  it('brings its bill of materials: every package of the bundle, Node.js, the libraries', () => {
    const bill = JSON.parse(readFileSync(join(unpacked.root, 'usr/share/sbom/sallyport.cdx.json'), 'utf8')) as {
      bomFormat: string;
      metadata: { component: { name: string; version: string } };
      components: { name: string; version: string; purl: string; licenses?: unknown[] }[];
    };
    assert.equal(bill.bomFormat, 'CycloneDX');
    assert.equal(bill.metadata.component.name, 'sallyport');
    const purls = bill.components.map((component) => component.purl);
    for (const name of ['undici', 'zod', 'pino', 'jose'] as const) {
      const version = manifest.dependencies[name];
      assert.ok(purls.includes(`pkg:npm/${name}@${version}`), name);
    }
    assert.ok(purls.includes(`pkg:generic/node@${process.versions.node}`));
    assert.ok(purls.some((purl) => purl.startsWith('pkg:deb/debian/libc6@')) || !existsSync('/usr/bin/dpkg-query'));
    assert.ok(!purls.some((purl) => purl.includes('typescript')), 'nothing that is not in the image');
  });

  it('Containerfile builds the same: base, user, entry point, environment, ports', () => {
    const text = readFileSync(join(ROOT, 'image/Containerfile'), 'utf8');
    const final = text.slice(text.lastIndexOf('\nFROM '));
    const { config } = unpacked.image;
    assert.match(text, /^ARG BASE=/m);
    assert.match(final, /^\nFROM \$\{BASE\}$/m);
    assert.ok(final.includes(`\nUSER ${config.User}\n`));
    assert.ok(final.includes(`\nWORKDIR ${config.WorkingDir}\n`));
    assert.ok(final.includes(`\nENTRYPOINT ${JSON.stringify(config.Entrypoint)}\n`));
    assert.ok(final.includes(`\nCMD ${JSON.stringify(config.Cmd)}\n`));
    const environment = Object.entries(ENVIRONMENT).map(([name, value]) => `${name}=${value}`);
    assert.deepEqual(
      config.Env.filter((each) => !each.startsWith('PATH=')),
      environment,
    );
    const quoted = environment.map((each) => (each.includes(' ') ? each.replace(/=(.*)/, '="$1"') : each));
    assert.ok(final.includes(`\nENV ${quoted.join(' ')}\n`));
    const ports = Object.keys(config.ExposedPorts).map((port) => port.replace('/tcp', ''));
    assert.ok(final.includes(`\nEXPOSE ${ports.join(' ')}\n`));
    assert.ok(final.includes(`image.version=${manifest.version} `));
    assert.ok(text.includes(`sallyport:${manifest.version} `));
  });
});
