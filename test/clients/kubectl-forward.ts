import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { md5 } from './kubectl-exec.ts';
import type { Running, Stage, Transport } from './stage.ts';

/** port-forward with one kubectl over one transport: the Pod `web` has a page on 80 and an echo on 7 and 9. */
export function kubectlForward(stage: () => Stage, name: string, transport: Transport, program?: () => string): void {
  const forward = (...ports: string[]) =>
    stage().start(['port-forward', '--address=127.0.0.1', 'pod/web', ...ports], {
      transport,
      ...(program === undefined ? {} : { program: program() }),
    });

  describe(`${name}: port-forward over ${transport}`, () => {
    it('two ports, many connections at once, big payloads, each with its end', async () => {
      const running = forward(':80', ':7');
      const [page, echo] = [await local(running, 80), await local(running, 7)];
      const answers = await Promise.all([
        ...Array.from({ length: 6 }, () => fetchPage(page)),
        ...Array.from({ length: 6 }, () => echoes(echo, 1_000_000)),
        echoes(echo, 20_000_000),
      ]);
      const wanted = [...Array.from({ length: 6 }, () => 'a page\n'), ...Array.from({ length: 7 }, () => 'same')];
      assert.deepEqual([...answers, running.stderr], [...wanted, '']);
      await running.end();
    });

    it('a denied port is refused in the policy’s words, and never reaches the Pod', async () => {
      const running = forward(':80', ':5432');
      const [page, database] = [await local(running, 80), await local(running, 5432)];
      assert.equal(await fetchPage(page), 'a page\n');
      assert.equal(await talk(database, 'startup'), '');
      await running.says(
        /(e|E)rror occurred forwarding.*SP_POLICY_DENIED: port 5432: .*not-the-database.*the database is not for agents.* \(request [0-9a-f-]{36}\)/,
      );
      // client-go gives the whole command up when any of its ports reports an error, with or without a gateway.
      assert.notEqual(await running.ended(), 0);
      assert.match(running.stderr, /lost connection to pod/);
    });

    it('a port that nobody listens on fails alone', async () => {
      const running = forward(':81');
      assert.equal(await talk(await local(running, 81), 'x'), '');
      await running.says(/(e|E)rror occurred forwarding.*refused/);
    });
  });
}

/** The local port that kubectl chose for one of the Pod's. */
export async function local(running: Running, port: number): Promise<number> {
  const [, chosen] = await running.says(new RegExp(`127\\.0\\.0\\.1:(\\d+) -> ${port}\\b`));
  return Number(chosen);
}

/** The page on a local port; empty where nothing came. */
export async function fetchPage(port: number): Promise<string> {
  const answer = await talk(port, 'GET /index.html HTTP/1.0\r\n\r\n');
  return answer === '' ? '' : answer.slice(answer.indexOf('\r\n\r\n') + 4);
}

/** Sends, and gives all that came until the end. */
async function talk(port: number, text: string): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', signal: AbortSignal.timeout(30_000) });
  let got = '';
  socket.on('data', (chunk: Buffer) => {
    got += chunk.toString();
  });
  socket.on('error', () => undefined);
  socket.write(text);
  await new Promise((resolve) => socket.once('close', resolve));
  return got;
}

/** All of it comes back, and the end of what is sent ends what comes. */
async function echoes(port: number, length: number): Promise<'same' | string> {
  const bytes = randomBytes(length);
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, signal: AbortSignal.timeout(30_000) });
  const got: Buffer[] = [];
  let received = 0;
  socket.on('data', (chunk: Buffer) => {
    got.push(chunk);
    received += chunk.length;
    // Not sooner: containerd gives what is left half a second once one side has ended, without a gateway as well.
    if (received === length) socket.end();
  });
  socket.write(bytes);
  await once(socket, 'end');
  const all = Buffer.concat(got);
  return md5(all) === md5(bytes) ? 'same' : `${all.length} of ${length} bytes`;
}
