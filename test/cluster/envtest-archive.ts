import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { cachedProgram, cacheFolder, PLATFORM } from './cache-folder.ts';

/** The index of ready-made etcd, kube-apiserver and kubectl that Kubernetes' own test tools use; `ENVTEST_INDEX` names a mirror. */
const INDEX = 'https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/HEAD/envtest-releases.yaml';

interface ArchiveEntry {
  hash: string;
  selfLink: string;
}

/**
 * Fetches the ready-made archive of a version into the cache folder, after comparing its SHA-512 with the index.
 * Throws quickly where there is no way out to the internet; the caller then builds from Go modules.
 */
export async function fetchEnvtest(
  version: string,
  say: (line: string) => void,
  index: string = process.env['ENVTEST_INDEX'] || INDEX,
): Promise<void> {
  const entry = await lookUp(version, index);
  say(`fetching ready-made programs of Kubernetes ${version} from ${new URL(entry.selfLink).host}`);
  await mkdir(cacheFolder('build'), { recursive: true });
  const folder = await mkdtemp(cacheFolder('build', 'envtest-'));
  try {
    const archive = join(folder, 'envtest.tar.gz');
    await save(entry, archive);
    await promisify(execFile)('tar', ['-xzf', archive, '-C', folder]);
    await place(folder, version);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function lookUp(version: string, index: string): Promise<ArchiveEntry> {
  const answer = await fetch(index, { signal: AbortSignal.timeout(4000) });
  if (!answer.ok) throw new Error(`the index of ready-made programs answered ${answer.status}`);
  const releases = (parse(await answer.text()) as { releases?: Record<string, Record<string, ArchiveEntry>> }).releases;
  const entry = releases?.[`v${version}`]?.[`envtest-v${version}-${PLATFORM}.tar.gz`];
  if (entry === undefined) throw new Error(`there is no ready-made archive of ${version} for ${PLATFORM}`);
  if (!/^[0-9a-f]{128}$/.test(entry.hash)) throw new Error(`the index names no SHA-512 for ${version}`);
  return entry;
}

async function save(entry: ArchiveEntry, path: string): Promise<void> {
  const answer = await fetch(entry.selfLink, { signal: AbortSignal.timeout(600_000) });
  if (!answer.ok || answer.body === null) throw new Error(`${entry.selfLink} answered ${answer.status}`);
  const hash = createHash('sha512');
  const hashing = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  await pipeline(Readable.fromWeb(answer.body), hashing, createWriteStream(path));
  // Compared before anything of it is unpacked, let alone run.
  if (hash.digest('hex') !== entry.hash)
    throw new Error(`${entry.selfLink} does not have the checksum that the index names`);
}

/** The archive holds controller-tools/envtest/{etcd,kube-apiserver,kubectl}. */
async function place(folder: string, version: string): Promise<void> {
  const unpacked = join(folder, 'controller-tools', 'envtest');
  for (const program of await readdir(unpacked)) {
    const target = cachedProgram('kubernetes', version, program);
    await mkdir(join(target, '..'), { recursive: true });
    await chmod(join(unpacked, program), 0o755);
    await rename(join(unpacked, program), target);
  }
}
