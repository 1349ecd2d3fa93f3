import { homedir } from 'node:os';
import { join } from 'node:path';

/** Go's words for this machine, as they stand in archive names and in the cache folder. */
export const PLATFORM = `${process.platform}-${process.arch === 'x64' ? 'amd64' : process.arch}`;

/** `$XDG_CACHE_HOME/sallyport`, else `~/.cache/sallyport`: programs are big, so they are built or fetched once per user. */
export function cacheFolder(...parts: string[]): string {
  const base = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return join(base, 'sallyport', ...parts);
}

/** Where one program of one version lies, e.g. `…/kubernetes/1.36.3/linux-amd64/kubectl`. */
export function cachedProgram(product: string, version: string, program: string): string {
  return cacheFolder(product, version, PLATFORM, program);
}
