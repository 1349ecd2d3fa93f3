import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { bytesIn } from '../../src/recording/cases/sample-recording.ts';
import type { VerifyReport } from '../../src/recording/finding.ts';
import type { EventLine, FrameLine, Line } from '../../src/recording/line.ts';
import { decodeData } from '../../src/recording/line.ts';
import { readPublicKeys } from '../../src/recording/signing-key.ts';
import { verifyStored as verify } from '../../src/recording/verify-joint.ts';
import { unpackSegment } from '../../src/recording/zstd-frames.ts';
import type { GatewayProcess } from '../gateway/gateway-process.ts';

/** Lines that a gateway has kept, from its spool, in order of recording and number. */
export function spooledLines(gateway: GatewayProcess): Line[] {
  const root = join(gateway.directory, 'spool', 'recordings');
  const lines: Line[] = [];
  for (const name of existsSync(root) ? readdirSync(root) : []) {
    for (const file of readdirSync(join(root, name))
      .filter((one) => one.endsWith('.jsonl'))
      .sort(byName)) {
      const text = readFileSync(join(root, name, file), 'utf8');
      for (const line of text
        .slice(0, text.lastIndexOf('\n') + 1)
        .split('\n')
        .slice(0, -1))
        lines.push(JSON.parse(line) as Line);
    }
  }
  return lines;
}

/** Lines that a gateway has kept, wherever they are by now: it goes on in another segment than before, and seals that one meanwhile. */
export async function keptLines(gateway: GatewayProcess): Promise<Line[]> {
  // In this order: what is let go of in the spool meanwhile is in the store by then.
  const spooled = spooledLines(gateway);
  const stored: Line[] = [];
  for (const name of storedRecordings(gateway)) stored.push(...(await storedLines(gateway, name)));
  return [...new Map([...stored, ...spooled].map((line) => [JSON.stringify(line), line])).values()];
}

export function events(lines: readonly Line[], auditID?: string): EventLine[] {
  return lines.filter(
    (line): line is EventLine => line.kind === 'Event' && (auditID === undefined || line.auditID === auditID),
  );
}

/** A stream of a request as the recording has it. */
export function stream(lines: readonly Line[], auditID: string, channel: FrameLine['channel']): string {
  const frames = lines.filter(
    (line): line is FrameLine => line.kind === 'Frame' && line.auditID === auditID && line.channel === channel,
  );
  return Buffer.concat(frames.map(decodeData)).toString('utf8');
}

export function storeOf(gateway: GatewayProcess): string {
  return join(gateway.directory, 'recordings');
}

/** Names of the recordings in the store. */
export function storedRecordings(gateway: GatewayProcess): string[] {
  return recordingsIn(storeOf(gateway));
}

export function recordingsIn(store: string): string[] {
  const root = join(store, 'recordings');
  return existsSync(root) ? readdirSync(root).sort(byName) : [];
}

/** Files of a recording, those of its chains with their folder; without what a store lists to nobody: parts, and what a kill cut off. */
function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => !/\.open|(?:^|\/)\.tmp-/.test(file) && statSync(join(folder, file)).isFile())
    .sort(byName);
}

/** Lines of a sealed recording, chain after chain. */
export async function storedLines(gateway: GatewayProcess, name: string): Promise<Line[]> {
  return await linesIn(storeOf(gateway), name);
}

export async function linesIn(store: string, name: string): Promise<Line[]> {
  const folder = join(store, 'recordings', name);
  const lines: Line[] = [];
  for (const file of filesOf(folder).filter((one) => one.endsWith('.jsonl.zst'))) {
    for await (const piece of unpackSegment(bytesIn(readFileSync(join(folder, file)), 1 << 16))) {
      for (const line of piece.toString('utf8').split('\n').slice(0, -1)) lines.push(JSON.parse(line) as Line);
    }
  }
  return lines;
}

/** Verifies a sealed recording with the keys that the gateway put into the store. */
export async function verifyStored(gateway: GatewayProcess, name: string): Promise<VerifyReport> {
  const keys = readdirSync(join(storeOf(gateway), 'keys'))
    .filter((file) => file.endsWith('.pem'))
    .map((file) => readFileSync(join(storeOf(gateway), 'keys', file), 'utf8'));
  return await verifyIn(storeOf(gateway), name, keys.join('\n'));
}

/** @param keys that are trusted, as PEM */
export async function verifyIn(store: string, name: string, keys: string): Promise<VerifyReport> {
  const folder = join(store, 'recordings', name);
  const known = readPublicKeys(keys);
  const report = await verify(
    {
      name,
      list: async () => filesOf(folder),
      read: (file) => bytesIn(readFileSync(join(folder, file)), 1 << 16),
    },
    (id) => known.get(id),
  );
  assert.deepEqual(report.findings, []);
  return report;
}

function byName(a: string, b: string): number {
  return a < b ? -1 : 1;
}
