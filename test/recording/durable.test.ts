import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { SAMPLE_IDENTITY } from '../../src/recording/cases/sample-recording.ts';

/** A tracer that may trace: in a container it may be there and not be allowed to. */
function whyNot(): string | undefined {
  if (process.platform !== 'linux') return 'strace is of Linux';
  const { error, status } = spawnSync('strace', ['-f', '-o', '/dev/null', 'true']);
  if (error !== undefined) return 'strace is not installed';
  return status === 0 ? undefined : 'strace may not trace here';
}

const TRACED = ['pwrite64', 'write', 'fdatasync', 'fsync', 'rename', 'renameat2', 'unlink', 'unlinkat', 'mkdir'];

/**
 * What a process asks of the kernel while it keeps lines, in the order in which it was done: `fdatasync recordings/…/000001.jsonl`, paths
 * from the spool's parent. What `spool-steps.ts` says stands between.
 */
function traced(durability: string): string[] {
  const home = mkdtempSync(join(tmpdir(), 'durable-'));
  try {
    const out = join(home, 'trace');
    const script = join(import.meta.dirname, 'spool-steps.ts');
    const program = [
      process.execPath,
      '--disable-warning=ExperimentalWarning',
      script,
      join(home, 'spool'),
      durability,
    ];
    const args = ['-f', '-y', '-s', '64', '-o', out, '-e', `trace=${TRACED.join(',')}`, ...program];
    execFileSync('strace', args, { env: { ...process.env, UV_USE_IO_URING: '0' } });
    const started = new Map<string, string>();
    const done: string[] = [];
    for (const line of readFileSync(out, 'utf8').split('\n')) {
      const [, thread, rest] = /^(\d+) +(.*)$/.exec(line) ?? [];
      if (thread === undefined || rest === undefined) continue;
      // A call that another thread's cut in two counts where it ended.
      if (rest.endsWith('<unfinished ...>')) started.set(thread, rest);
      const call = rest.startsWith('<... ') ? started.get(thread)! : rest;
      if (rest.endsWith('<unfinished ...>') || !/ = \d+$/.test(rest)) continue;
      const [, name, what] = /^(\w+)\((.*)$/.exec(call) ?? [];
      const said = name === 'write' ? /^1<[^>]*>, "([^"]*)\\n"/.exec(what!)?.[1] : undefined;
      if (said !== undefined) done.push(`— ${said}`);
      const path = /["<]([^">]*)[">]/.exec(what ?? '')?.[1];
      if (path?.startsWith(home) && !/lock/.test(path)) done.push(`${name} ${path.slice(home.length + 1) || '.'}`);
    }
    return done;
  } finally {
    rmSync(home, { recursive: true });
  }
}

const FOLDER = `spool/recordings/${SAMPLE_IDENTITY.name}`;
const NEW_FILE = [`fsync ${FOLDER}`, 'fsync spool/recordings'];
const file = (number: number): string[] => [`pwrite64 ${FOLDER}/00000${number}.jsonl`];
const flushed = (number: number): string[] => [...file(number), `fdatasync ${FOLDER}/00000${number}.jsonl`];
const MARK = `${FOLDER}/000001.sealed.json.tmp`;
const marked = [`write ${MARK}`, `fsync ${MARK}`, `rename ${MARK}`];

const why = whyNot();

describe('what is on disk when a line counts as kept', { skip: why ?? false }, () => {
  for (const durability of ['Disk', 'Remote']) {
    // Remote waits for a store, too; here none is asked for.
    it(`${durability}: the lines are flushed; of a new file its folder and the one above are, too; a mark is before the lines go`, () => {
      assert.deepEqual(traced(durability), [
        ...['mkdir spool', 'mkdir spool/recordings', 'fsync spool', 'fsync .'],
        ...['— begin first', `mkdir ${FOLDER}`, ...flushed(1), ...NEW_FILE, '— kept first'],
        ...['— begin second', ...flushed(1), '— kept second'],
        ...['— begin third', ...flushed(2), ...NEW_FILE, '— kept third'],
        ...['— begin seal', ...marked, `fsync ${FOLDER}`, `unlink ${FOLDER}/000001.jsonl`, '— kept seal'],
      ]);
    });
  }

  it('Process: they are written, and not flushed', () => {
    assert.deepEqual(traced('Process'), [
      ...['mkdir spool', 'mkdir spool/recordings'],
      ...['— begin first', `mkdir ${FOLDER}`, ...file(1), '— kept first'],
      ...['— begin second', ...file(1), '— kept second'],
      ...['— begin third', ...file(2), '— kept third'],
      ...['— begin seal', ...marked, `unlink ${FOLDER}/000001.jsonl`, '— kept seal'],
    ]);
  });
});
