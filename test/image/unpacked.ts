import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface ImageConfig {
  readonly architecture: string;
  readonly os: string;
  readonly config: {
    readonly Entrypoint: readonly string[];
    readonly Cmd: readonly string[];
    readonly User: string;
    readonly Env: readonly string[];
    readonly WorkingDir: string;
    readonly ExposedPorts: Readonly<Record<string, object>>;
    readonly Labels: Readonly<Record<string, string>>;
  };
  readonly rootfs: { readonly diff_ids: readonly string[] };
}

export interface Descriptor {
  readonly digest: string;
  readonly size: number;
  readonly mediaType: string;
}

/** An image's archive, laid out as a container would see it. */
export class Unpacked {
  readonly root: string;
  readonly blobs: string;
  readonly layers: readonly Descriptor[];
  readonly image: ImageConfig;
  /** Every path with its mode and owner, as tar lists it. */
  readonly listing: string;

  private constructor(folder: string, layers: readonly Descriptor[], image: ImageConfig, listing: string) {
    this.root = join(folder, 'root');
    this.blobs = join(folder, 'blobs', 'sha256');
    this.layers = layers;
    this.image = image;
    this.listing = listing;
  }

  static async open(archive: string, folder: string): Promise<Unpacked> {
    await mkdir(join(folder, 'root'), { recursive: true });
    await run('tar', ['-xf', archive, '-C', folder]);
    const blob = <T>(digest: string): T =>
      JSON.parse(readFileSync(join(folder, 'blobs', digest.replace(':', '/')), 'utf8')) as T;
    const index = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as { manifests: Descriptor[] };
    const manifest = blob<{ config: Descriptor; layers: Descriptor[] }>(index.manifests[0]!.digest);
    let listing = '';
    for (const { digest } of manifest.layers) {
      const path = join(folder, 'blobs', digest.replace(':', '/'));
      listing += (await run('tar', ['-tvzf', path, '--numeric-owner'], { maxBuffer: 1 << 24 })).stdout;
      await run('tar', ['-xzpf', path, '-C', join(folder, 'root')]);
    }
    return new Unpacked(folder, manifest.layers, blob<ImageConfig>(manifest.config.digest), listing);
  }

  /**
   * Runs the image's entry point on nothing but the image's own files: as root in there, else by the image's own loader
   * and libraries.
   */
  async sallyport(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const [program, ...before] =
      process.getuid?.() === 0
        ? ['chroot', '--userspec=65532:65532', this.root, ...this.image.config.Entrypoint]
        : [...this.loader(), join(this.root, 'nodejs/bin/node'), join(this.root, 'app/sallyport.mjs')];
    try {
      const { stdout, stderr } = await run(program!, [...before, ...args], {
        env: { PATH: process.env['PATH'], NODE_USE_SYSTEM_CA: '1' },
      });
      return { code: 0, stdout, stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { code, stdout, stderr };
    }
  }

  private loader(): string[] {
    const paths = [...this.listing.matchAll(/ \.(\/lib\S+\.so\S*)$/gm)].map((match) => join(this.root, match[1]!));
    const loader = paths.find((path) => /\/ld-linux/.test(path))!;
    const libraries = paths.find((path) => /\/libc\.so/.test(path))!;
    return [loader, '--library-path', join(libraries, '..')];
  }
}
