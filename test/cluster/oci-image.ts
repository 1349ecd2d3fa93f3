import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PLATFORM } from './cache-folder.ts';

export interface ImageOptions {
  /** With tag, e.g. `sallyport.test/busybox:1`. */
  name: string;
  /** The folder that becomes the image's whole file system, owned by root in there. */
  root: string;
  entrypoint?: string[];
  command?: string[];
  env?: Record<string, string>;
  user?: string;
}

/**
 * Writes an image as an OCI archive (image-spec 1.1) of one layer; needs no image builder, only tar. What it writes
 * depends on its input alone, so the same files give the same digest.
 */
export async function writeImage(archive: string, options: ImageOptions): Promise<void> {
  const folder = `${archive}.parts`;
  const blobs = join(folder, 'blobs', 'sha256');
  await rm(folder, { recursive: true, force: true });
  await mkdir(blobs, { recursive: true });
  const layerFile = join(folder, 'layer.tar');
  await tar(layerFile, options.root, '.');
  const layer = await addFile(blobs, layerFile);
  const [os = 'linux', architecture = 'amd64'] = PLATFORM.split('-');
  const config = await addText(blobs, {
    architecture,
    os,
    config: {
      ...(options.entrypoint && { Entrypoint: options.entrypoint }),
      ...(options.command && { Cmd: options.command }),
      ...(options.user && { User: options.user }),
      Env: Object.entries({ PATH: '/usr/sbin:/usr/bin:/sbin:/bin', ...options.env }).map(
        ([key, value]) => `${key}=${value}`,
      ),
    },
    rootfs: { type: 'layers', diff_ids: [layer.digest] },
  });
  const manifest = await addText(blobs, {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...layer }],
  });
  const annotations = {
    'io.containerd.image.name': options.name,
    'org.opencontainers.image.ref.name': options.name.split(':').at(-1),
  };
  const index = {
    schemaVersion: 2,
    manifests: [{ mediaType: 'application/vnd.oci.image.manifest.v1+json', ...manifest, annotations }],
  };
  await writeFile(join(folder, 'index.json'), JSON.stringify(index));
  await writeFile(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  await tar(archive, folder, 'oci-layout', 'index.json', 'blobs');
  await rm(folder, { recursive: true, force: true });
}

interface Blob {
  digest: string;
  size: number;
}

async function addFile(blobs: string, path: string): Promise<Blob> {
  const hash = createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
  await copyFile(path, join(blobs, hash));
  await rm(path);
  return { digest: `sha256:${hash}`, size: (await stat(join(blobs, hash))).size };
}

async function addText(blobs: string, value: unknown): Promise<Blob> {
  const text = JSON.stringify(value);
  const hash = createHash('sha256').update(text).digest('hex');
  await writeFile(join(blobs, hash), text);
  return { digest: `sha256:${hash}`, size: Buffer.byteLength(text) };
}

async function tar(archive: string, folder: string, ...entries: string[]): Promise<void> {
  const flags = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
  await promisify(execFile)('tar', ['-cf', archive, ...flags, '-C', folder, ...entries]);
}
