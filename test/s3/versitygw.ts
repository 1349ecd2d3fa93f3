import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { cachedProgram } from '../cluster/cache-folder.ts';
import { buildFromModules } from '../cluster/go-build.ts';

const VERSION = '1.8.0';

/** The S3 server of the tests: from `PATH` in exactly this version, else the cache folder, else built from Go modules (3 minutes). */
export async function versitygw(): Promise<string> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter).filter((each) => each !== '')) {
    const path = join(folder, 'versitygw');
    if (existsSync(path) && (await reportedVersion(path)) === VERSION) return path;
  }
  const built = cachedProgram('versitygw', VERSION, 'versitygw');
  if (existsSync(built)) return built;
  return await buildFromModules(
    {
      product: 'versitygw',
      version: VERSION,
      program: 'versitygw',
      module: 'github.com/versity/versitygw',
      moduleVersion: `v${VERSION}`,
      package: 'github.com/versity/versitygw/cmd/versitygw',
      linkerFlags: [`-X main.Version=v${VERSION}`],
    },
    (line) => process.stderr.write(`${line}\n`),
  );
}

async function reportedVersion(path: string): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(path, ['--version'], { timeout: 10_000 });
    return /(\d+\.\d+\.\d+)/.exec(stdout)?.[1];
  } catch {
    return undefined;
  }
}
