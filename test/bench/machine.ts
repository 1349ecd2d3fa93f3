import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';
import { number } from './words.ts';

/** What the numbers were measured on: nothing that names the machine or its owner. */
export function describeMachine(): string {
  const model = cpus()[0]?.model.replace(/\s+/g, ' ').trim() ?? 'unknown processor';
  const memory = number(totalmem() / 2 ** 30, 0);
  // A kernel's release may carry a name given to a machine behind its numbers.
  const kernel = /^\d+\.\d+(\.\d+)?/.exec(release())?.[0] ?? '';
  return `${availableParallelism()} cores (${model}), ${memory} GiB of memory, ${type()} ${kernel}`;
}

/** Runnable processes on average over the last minute: what else the machine was doing. */
export function describeLoad(): string {
  return number(loadavg()[0]!, 1);
}

export function packageVersion(name: string): string {
  const file = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
