import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { lineHash, splitLine, startOf } from '../../src/recording/chain.ts';
import type { Line } from '../../src/recording/line.ts';

/** Runs the writer until it is killed, `after` milliseconds from when it is ready. */
async function runUntilKilled(folder: string, durability: string, run: number, after: number): Promise<string[]> {
  const script = join(import.meta.dirname, 'spool-writer.ts');
  const args = ['--disable-warning=ExperimentalWarning', script, folder, durability, String(run)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  let timer: NodeJS.Timeout | undefined;
  child.stdout.setEncoding('latin1').on('data', (text: string) => {
    output += text;
    if (timer === undefined && output.includes('R ')) timer = setTimeout(() => child.kill('SIGKILL'), after);
  });
  const signal = await new Promise<string | null>((resolve) => child.once('close', (_, by) => resolve(by)));
  assert.equal(signal, 'SIGKILL', output);
  // What stands behind the last newline was cut off by the kill itself.
  return output.split('\n').slice(0, -1);
}

/** Every line of the spool, in order, each held against the one before. */
function readSpool(folder: string): Map<string, Line[]> {
  const recordings = new Map<string, Line[]>();
  for (const name of readdirSync(join(folder, 'recordings'))) {
    const lines: Line[] = [];
    let seq = 0;
    let hash = startOf(name);
    for (const file of readdirSync(join(folder, 'recordings', name)).sort()) {
      const text = readFileSync(join(folder, 'recordings', name, file));
      for (const line of text.toString('utf8').split('\n').slice(0, -1)) {
        const split = splitLine(Buffer.from(line));
        assert.ok(split, `${name}/${file}: ${line}`);
        assert.equal(split.seq, seq + 1);
        assert.equal(split.hash, lineHash(hash, Buffer.from(line)));
        ({ seq, hash } = split);
        lines.push(JSON.parse(line) as Line);
      }
    }
    recordings.set(name, lines);
  }
  return recordings;
}

const KILLS = 100;

describe('a process that records and is killed with SIGKILL', () => {
  it(`${KILLS} times at random moments: no write without its first event, no acknowledged event missing, the chain holds`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'spool-killed-'));
    try {
      const said: string[] = [];
      for (let run = 0; run < KILLS; run += 1) {
        const durability = run % 5 === 4 ? 'Disk' : 'Process';
        said.push(...(await runUntilKilled(folder, durability, run, Math.random() * 60)));
      }
      // One more start mends what the last kill tore.
      said.push(...(await runUntilKilled(folder, 'Process', KILLS, 0)));
      assert.deepEqual(
        said.filter((line) => line.startsWith('C ')),
        [],
        'nothing was put aside',
      );
      const received = new Set<string>();
      const complete = new Set<string>();
      for (const lines of readSpool(folder).values()) {
        for (const line of lines) {
          if (line.kind !== 'Event') continue;
          if (line.stage === 'RequestReceived') received.add(line.auditID);
          else complete.add(line.auditID);
        }
      }
      const writes = said.filter((line) => line.startsWith('W ')).map((line) => line.slice(2));
      const answers = said.filter((line) => line.startsWith('A ')).map((line) => line.slice(2));
      assert.ok(writes.length > 10 * KILLS, `${writes.length} writes`);
      assert.deepEqual(
        writes.filter((id) => !received.has(id)),
        [],
        'every write has its first event',
      );
      assert.deepEqual(
        answers.filter((id) => !complete.has(id)),
        [],
        'every answered request has its last event',
      );
      const torn = said.filter((line) => line.startsWith('T ')).length;
      t.diagnostic(`${writes.length} writes, ${answers.length} answers, ${torn} torn lines cut off`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
