import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Stage, Transport } from './stage.ts';

export const md5 = (bytes: Buffer): string => createHash('md5').update(bytes).digest('hex');

/** exec, attach, cp and debug, with one kubectl over one transport. */
export function kubectlExec(stage: () => Stage, name: string, transport: Transport, program?: () => string): void {
  const options = () => ({ transport, ...(program === undefined ? {} : { program: program() }) });
  const kubectl = (args: string[], input?: string) =>
    stage().kubectl(args, { ...options(), ...(input === undefined ? {} : { input }) });
  const start = (args: string[]) => stage().start(args, options());
  const path = () => program?.() ?? stage().scene.cluster.binaries.kubectl!;
  /** `script` of util-linux gives what it runs a terminal. */
  const terminal = (command: string) => stage().start(['-qec', command, '/dev/null'], { transport, program: 'script' });

  describe(`${name} over ${transport}`, () => {
    it('exec: output and errors apart, the command’s exit code', async () => {
      const all = await kubectl(['exec', 'web', '--', 'sh', '-c', 'echo out; echo err >&2; exit 42']);
      assert.deepEqual([all.code, all.stdout], [42, 'out\n']);
      assert.equal(all.stderr, 'err\ncommand terminated with exit code 42\n');
      const quiet = await kubectl(['exec', 'web', '--', 'true']);
      assert.deepEqual([quiet.code, quiet.stdout, quiet.stderr], [0, '', '']);
    });

    it('exec: arguments arrive as they were given', async () => {
      const words = ['a b', "it's", '"q"', '$HOME', 'ünï', 'a&b=c', '', '%2F', '--x', 'tab\there'];
      const { code, stdout, stderr } = await kubectl(['exec', 'web', '--', 'printf', '[%s]\\n', ...words]);
      assert.equal(code, 0, stderr);
      assert.equal(stdout, words.map((word) => `[${word}]\n`).join(''));
    });

    it('exec -i: cat ends when stdin does; what comes after its end still arrives', async () => {
      const { code, stdout, stderr } = await kubectl(
        ['exec', '-i', 'web', '--', 'sh', '-c', 'cat; echo after'],
        'one\ntwo\n',
      );
      assert.deepEqual([code, stdout, stderr], [0, 'one\ntwo\nafter\n', '']);
    });

    it('exec -it: a terminal of the caller’s size, that changes with it, and the exit code', async () => {
      const waitFor = (size: string) =>
        `until [ "$(stty size 2>/dev/null)" = "${size}" ]; do sleep 0.05; done; stty size`;
      const inner = `tty; ${waitFor('43 101')}; ${waitFor('50 120')}; read x; echo got $x; exit 3`;
      const running = terminal(
        `stty cols 101 rows 43; T=$(tty); (sleep 1; stty -F $T cols 120 rows 50) & exec ${path()} exec -it web -- sh -c '${inner}'`,
      );
      await running.says(/\/dev\/pts\/\d+\r?\n/);
      await running.says(/43 101\r?\n50 120\r?\n/);
      running.write('hello\n');
      assert.equal(await running.ended(), 3);
      assert.match(running.stdout, /got hello/);
    });

    it('attach: reads and writes the process that runs', async () => {
      const running = start(['attach', '-i', 'reader']);
      const line = `line-${randomBytes(4).toString('hex')}`;
      // What is written before the attach is there is lost without the gateway as well.
      running.write(`${line}\n`);
      await running.says(new RegExp(`read ${line}`));
      await running.says(new RegExp(`also ${line}`));
      await running.end('SIGKILL');
    });

    it('cp: 20 MB there and back, a folder, unharmed', async () => {
      const folder = join(stage().folder, `${name}-${transport}`.replaceAll(/[^\w.-]/g, '-'));
      await mkdir(join(folder, 'tree', 'deep'), { recursive: true });
      const bytes = randomBytes(20_000_000);
      await writeFile(join(folder, 'big'), bytes);
      await writeFile(join(folder, 'tree', 'deep', 'leaf'), 'leaf\n');
      const target = `/tmp/${randomBytes(4).toString('hex')}`;
      const there = await kubectl(['cp', join(folder, 'big'), `web:${target}`]);
      assert.equal(there.code, 0, there.stderr);
      const sum = await kubectl(['exec', 'web', '--', 'md5sum', target]);
      assert.equal(sum.stdout.split(' ')[0], md5(bytes));
      const back = await kubectl(['cp', `web:${target}`, join(folder, 'back')]);
      assert.equal(back.code, 0, back.stderr);
      assert.equal(md5(await readFile(join(folder, 'back'))), md5(bytes));
      const tree = await kubectl(['cp', join(folder, 'tree'), `web:${target}.d`]);
      assert.equal(tree.code, 0, tree.stderr);
      const leaf = await kubectl(['exec', 'web', '--', 'sh', '-c', `cat ${target}.d/deep/leaf; rm -r ${target}*`]);
      assert.equal(leaf.stdout, 'leaf\n');
    });

    it('debug: an ephemeral container, attached to', async () => {
      // Without a terminal kubectl does not attach.
      const image = '--image=sallyport.test/busybox:1 --image-pull-policy=Never --profile=general';
      const running = terminal(`exec ${path()} debug -it patient ${image} -- sh`);
      await running.says(/# /);
      running.write('echo in-$((40+2)); exit\n');
      await running.says(/in-42/);
      assert.equal(await running.ended(), 0);
    });

    it('what the API server declines reads as it does without the gateway', async () => {
      for (const args of [
        ['exec', 'web', '-c', 'nowhere', '--', 'true'],
        ['exec', 'web', '--', '/no/such/program'],
        ['exec', 'nobody', '--', 'true'],
        ['attach', 'web', '-c', 'nowhere'],
      ]) {
        const through = await kubectl(args);
        const direct = await stage().kubectl(args, {
          ...options(),
          kubeconfig: await stage().admin(),
        });
        assert.deepEqual([through.code, plain(through.stderr)], [direct.code, plain(direct.stderr)], args.join(' '));
        assert.notEqual(through.code, 0);
      }
    });
  });
}

/** Ids, times and file names differ between two runs of the same thing. */
const plain = (text: string): string => text.replaceAll(/[0-9a-f]{64}|[0-9a-f]{8}-[0-9a-f-]{27}/g, 'ID');
