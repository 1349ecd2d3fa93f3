import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { createGzip } from 'node:zlib';

export interface ImageOptions {
  /** With tag, e.g. `sallyport.test/busybox:1`. */
  name: string;
  /** Folders, lowest first; together they are the image's whole file system, owned by root in there. */
  layers: string[];
  entrypoint?: string[];
  command?: string[];
  env?: Record<string, string>;
  user?: string;
  workingDirectory?: string;
  ports?: number[];
  labels?: Record<string, string>;
  /** Smaller, and slower to write. */
  compress?: boolean;
}

/** Of the image as a registry would hold it. */
export interface WrittenImage {
  digest: string;
  /** Bytes of the layers, compressed where they are. */
  size: number;
}

/**
 * Writes an image as an OCI archive (image-spec 1.1) that `docker load` takes too; needs no image builder, only tar. What
 * it writes depends on its input alone, so the same files give the same digest.
 */
export async function writeImage(archive: string, options: ImageOptions): Promise<WrittenImage> {
  const folder = `${archive}.parts`;
  const blobs = join(folder, 'blobs', 'sha256');
  await rm(folder, { recursive: true, force: true });
  await mkdir(blobs, { recursive: true });
  const layers: Layer[] = [];
  for (const root of options.layers) layers.push(await addLayer(blobs, root, options.compress === true));
  const created = '1970-01-01T00:00:00Z';
  const config = await addText(blobs, {
    created,
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: runtimeOf(options),
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffID) },
    history: layers.map(() => ({ created, created_by: 'sallyport image' })),
  });
  const manifest = await addText(blobs, {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
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
  // Docker before 25 reads this one only.
  const paths = layers.map((layer) => blobPath(layer.digest));
  const legacy = [{ Config: blobPath(config.digest), RepoTags: [options.name], Layers: paths }];
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(legacy));
  await tar(archive, folder, 'oci-layout', 'index.json', 'manifest.json', 'blobs');
  await rm(folder, { recursive: true, force: true });
  return { digest: manifest.digest, size: layers.reduce((sum, layer) => sum + layer.size, 0) };
}

function runtimeOf(options: ImageOptions): Record<string, unknown> {
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', ...options.env };
  return {
    ...(options.entrypoint && { Entrypoint: options.entrypoint }),
    ...(options.command && { Cmd: options.command }),
    ...(options.user && { User: options.user }),
    ...(options.workingDirectory && { WorkingDir: options.workingDirectory }),
    ...(options.ports && { ExposedPorts: Object.fromEntries(options.ports.map((port) => [`${port}/tcp`, {}])) }),
    ...(options.labels && { Labels: options.labels }),
    Env: Object.entries(env).map(([key, value]) => `${key}=${value}`),
  };
}

interface Blob {
  digest: string;
  size: number;
}

interface Layer extends Blob {
  mediaType: string;
  /** Of the layer as it is when unpacked. */
  diffID: string;
}

async function addLayer(blobs: string, root: string, compress: boolean): Promise<Layer> {
  const plain = join(blobs, 'layer.tar');
  await tar(plain, root, '.');
  const diffID = await digestOf(plain);
  const mediaType = 'application/vnd.oci.image.layer.v1.tar';
  if (!compress) return { mediaType, diffID, ...(await addFile(blobs, plain)) };
  const packed = join(blobs, 'layer.tar.gz');
  await pipeline(createReadStream(plain), createGzip({ level: 6 }), createWriteStream(packed));
  await rm(plain);
  return { mediaType: `${mediaType}+gzip`, diffID, ...(await addFile(blobs, packed)) };
}

async function addFile(blobs: string, path: string): Promise<Blob> {
  const digest = await digestOf(path);
  const kept = join(blobs, digest.replace('sha256:', ''));
  await rename(path, kept);
  return { digest, size: (await stat(kept)).size };
}

async function addText(blobs: string, value: unknown): Promise<Blob> {
  const text = JSON.stringify(value);
  const hash = createHash('sha256').update(text).digest('hex');
  await writeFile(join(blobs, hash), text);
  return { digest: `sha256:${hash}`, size: Buffer.byteLength(text) };
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return `sha256:${hash.digest('hex')}`;
}

const blobPath = (digest: string): string => `blobs/${digest.replace(':', '/')}`;

async function tar(archive: string, folder: string, ...entries: string[]): Promise<void> {
  const flags = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
  await promisify(execFile)('tar', ['-cf', archive, ...flags, '-C', folder, ...entries]);
}
