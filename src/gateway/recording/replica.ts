import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

/** A replica is its spool: the name is kept there, and is another one where the spool is. */
export async function replicaOf(spool: string): Promise<string> {
  const path = join(spool, 'replica');
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const host = hostname()
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63);
  const name = `${host === '' ? 'gateway' : host}-${randomBytes(4).toString('hex')}`;
  await writeFile(path, `${name}\n`, { mode: 0o600, flush: true });
  return name;
}
