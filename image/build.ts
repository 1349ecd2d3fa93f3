import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import manifest from '../package.json' with { type: 'json' };
import { bundle } from './bundle.ts';
import { ENVIRONMENT } from './environment.ts';
import { type WrittenImage, writeImage } from './oci-image.ts';
import { USER, writeBase, writeProgram } from './root.ts';
import { billOfMaterials, type Contents } from './sbom.ts';
import { systemLibraries } from './system-libraries.ts';

const ROOT = join(import.meta.dirname, '..');

/** As the chart asks for it where nothing else is said. */
export const IMAGE_NAME = `docker.io/library/sallyport:${manifest.version}`;

export interface Built extends WrittenImage {
  archive: string;
  name: string;
}

/** What the image has above its base: the program, its licence, its bill of materials. */
export async function buildProgram(folder: string, base: Omit<Contents, 'packages'> = {}): Promise<string> {
  await mkdir(folder, { recursive: true });
  const bundled = join(folder, 'bundle');
  const bill = join(folder, 'sallyport.cdx.json');
  const packages = await bundle(bundled);
  await writeFile(bill, await billOfMaterials({ packages, ...base }));
  const program = join(folder, 'program');
  await writeProgram(program, bundled, join(ROOT, 'LICENSE'), bill);
  return program;
}

/** Builds the image for this machine's architecture, from what is on it: no registry, no image builder. */
export async function buildImage(folder: string, name = IMAGE_NAME): Promise<Built> {
  if (process.platform !== 'linux')
    throw new Error('an image for Linux is built on Linux; elsewhere build image/Containerfile');
  const libraries = await systemLibraries(process.execPath);
  const program = await buildProgram(folder, { nodeVersion: process.versions.node, libraries });
  const base = join(folder, 'base');
  await writeBase(base, process.execPath, libraries);
  const archive = join(folder, 'sallyport.oci.tar');
  const written = await writeImage(archive, {
    name,
    layers: [base, program],
    entrypoint: ['/usr/bin/sallyport'],
    command: ['help'],
    env: ENVIRONMENT,
    user: `${USER}:${USER}`,
    workingDirectory: '/app',
    ports: [8443, 9443, 10_250],
    labels: {
      'org.opencontainers.image.title': 'sallyport',
      'org.opencontainers.image.description': manifest.description,
      'org.opencontainers.image.version': manifest.version,
      'org.opencontainers.image.licenses': manifest.license,
      ...(await revision()),
    },
    compress: true,
  });
  await rm(base, { recursive: true });
  return { archive, name, ...written };
}

/** The commit, where there is one and nothing was changed since. */
async function revision(): Promise<Record<string, string>> {
  const git = async (...args: string[]) => (await promisify(execFile)('git', args, { cwd: ROOT })).stdout.trim();
  try {
    if ((await git('status', '--porcelain')) !== '') return {};
    return { 'org.opencontainers.image.revision': await git('rev-parse', 'HEAD') };
  } catch {
    return {};
  }
}
