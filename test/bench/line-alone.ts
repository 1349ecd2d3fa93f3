import { hash } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GatewayProcess } from '../gateway/gateway-process.ts';

const LINES = 20_000;

/**
 * What an event's JSON, its SHA-256 and its bytes into the kernel's cache take in a loop that does nothing else: a measure of the
 * machine, beside what a line costs in a gateway at work. @returns microseconds
 */
export function lineAlone(line: object): number {
  const folder = mkdtempSync(join(tmpdir(), 'line-alone-'));
  const file = openSync(join(folder, 'lines'), 'w');
  try {
    let written = 0;
    let microseconds = 0;
    // The first half compiles.
    for (let half = 0; half < 2; half += 1) {
      const begun = process.cpuUsage();
      for (let index = 0; index < LINES / 2; index += 1) {
        const bytes = Buffer.from(JSON.stringify(line));
        hash('sha256', bytes, 'hex');
        written += writeSync(file, bytes, 0, bytes.length, written);
      }
      const { user, system } = process.cpuUsage(begun);
      microseconds = (user + system) / (LINES / 2);
    }
    return microseconds;
  } finally {
    closeSync(file);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** An event of a small GET, as the gateway has just kept one. */
export function keptEvent(gateway: GatewayProcess, path: string): object {
  const root = join(gateway.directory, 'spool', 'recordings');
  for (const recording of readdirSync(root)) {
    for (const file of readdirSync(join(root, recording)).filter((name) => name.endsWith('.jsonl'))) {
      const lines = readFileSync(join(root, recording, file), 'utf8')
        .split('\n')
        .slice(0, -1);
      const event = lines.map((line) => JSON.parse(line)).findLast(({ requestURI }) => requestURI === path);
      if (event !== undefined) return event;
    }
  }
  throw new Error(`the spool has no event of ${path}`);
}
