import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { RecordedBody } from '../../recording/line.ts';
import { AnswerRecord } from './answer-record.ts';
import type { RecordedExchange } from './recorded-exchange.ts';

/** Lines that are kept a turn later, of an answer to a request of this kind. */
class Lines {
  readonly frames: Buffer[] = [];
  body: RecordedBody | undefined;
  readonly record: RecordedExchange;

  constructor(operation: { readonly verb: string; readonly subresource: string }, strict = true) {
    const options = { strict, level: 'RequestResponse', maxBodyBytes: 100_000, beforehand: operation.verb === 'watch' };
    this.record = {
      options,
      exchange: { operation },
      begin: () => turn(),
      frame: async (_: string, chunk: Buffer) => {
        await turn();
        this.frames.push(chunk);
      },
      complete: async ({ body }: { readonly body?: RecordedBody }) => {
        await turn();
        this.body = body;
      },
    } as never;
  }
}

/** Passes a body in pieces that lie in one buffer, which is written over behind each call; what passes is copied at once. */
async function passed(lines: Lines, pieces: readonly Buffer[]): Promise<Buffer> {
  const out: Buffer[] = [];
  const write = (chunk: Buffer): void => void out.push(Buffer.from(chunk));
  const downstream = { upstreamDuration: 1, write, hold: () => {}, release: () => {}, fail: assert.fail };
  const answer = new AnswerRecord(lines.record, 200, ['content-type', 'application/json'], downstream as never);
  const lent = Buffer.alloc(100_000);
  for (const piece of pieces) {
    piece.copy(lent);
    write(answer.write(lent.subarray(0, piece.length)));
    lent.fill('#');
    await turn();
  }
  write(answer.end());
  write(await answer.settle());
  return Buffer.concat(out);
}

const pieces = (...lengths: number[]): Buffer[] =>
  lengths.map((length, n) => Buffer.alloc(length, 'abcdefgh'[n % 8], 'latin1'));

for (const strict of [true, false]) {
  test(`what an answer lends is copied before it is kept (strict: ${strict})`, async () => {
    for (const [operation, sent] of [
      [{ verb: 'get', subresource: '' }, pieces(500, 700)],
      // Longer than what waits for its only event.
      [{ verb: 'list', subresource: '' }, pieces(30_000, 40_000, 20_000)],
      [{ verb: 'watch', subresource: '' }, pieces(300, 400, 90_000)],
      [{ verb: 'get', subresource: 'log' }, pieces(300, 400, 90_000)],
    ] as const) {
      const lines = new Lines(operation, strict);
      const whole = Buffer.concat(sent);
      assert.ok((await passed(lines, sent)).equals(whole), operation.verb);
      await turn();
      const kept = lines.frames.length > 0 ? Buffer.concat(lines.frames) : Buffer.from(lines.body!.data!);
      assert.ok(kept.equals(whole), `kept of ${operation.verb} ${operation.subresource}`);
    }
  });
}
