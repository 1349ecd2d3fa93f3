import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SallyportError } from '../../errors.ts';
import type { Logger } from '../../observe/log.ts';
import { type Storage, StorageError } from '../../recording/storage/storage.ts';
import type { ClientResponse } from '../exchange.ts';
import { Exchange } from '../exchange.ts';
import type { RecordingAccess } from './recording-access.ts';
import { RecordingReader } from './recording-reader.ts';

const FILE = '/sallyport/v1/recordings/objects/recordings/one/000001.jsonl.zst';

/** A store that gives what the test says; a real one never stands still in the middle. */
function reader(store: Partial<Storage>, stallTimeout = 60_000): RecordingReader {
  const access = { require: async () => {} } as unknown as RecordingAccess;
  const log = { info: () => {} } as unknown as Logger;
  return new RecordingReader({ storage: store as Storage, access, log, stallTimeout });
}

function exchange(url: string): Exchange {
  const made = new Exchange({ method: 'GET', url, headers: {}, rawHeaders: [] } as never);
  made.caller = { username: 'auditor', issuer: 'i' } as never;
  return made;
}

/** A client that takes so many bytes, and then none. */
function client(takes = Number.POSITIVE_INFINITY) {
  let taken = '';
  let status = 0;
  const response = new Writable({
    highWaterMark: 1 << 10,
    write(chunk: Buffer, _encoding, done) {
      taken += chunk.toString();
      if (taken.length < takes) done();
    },
  });
  Object.assign(response, { writeHead: (code: number) => (status = code) });
  return { response: response as unknown as ClientResponse, taken: () => taken, status: () => status };
}

async function refusal(answer: Promise<unknown>): Promise<string> {
  const error = await answer.then(
    () => undefined,
    (each: unknown) => each,
  );
  assert.ok(error instanceof SallyportError, String(error));
  return error.code;
}

test('who stops reading is let go of, and what was read from is closed', async () => {
  let closed = false;
  async function* get(): AsyncGenerator<Buffer> {
    try {
      for (;;) yield Buffer.alloc(1 << 10, 'x');
    } finally {
      closed = true;
    }
  }
  const { response, taken } = client(4 << 10);
  const code = await refusal(reader({ get }, 50).answer(exchange(FILE), response));
  assert.equal(code, 'SP_BAD_REQUEST');
  assert.ok(taken().length <= 8 << 10, 'no more is read than is taken');
  assert.equal(closed, true);
});

test('a caller whose session ends reads no more', async () => {
  let closed = false;
  async function* get(): AsyncGenerator<Buffer> {
    try {
      for (;;) {
        await sleep(1);
        yield Buffer.from('x');
      }
    } finally {
      closed = true;
    }
  }
  const asked = exchange(FILE);
  const answer = refusal(reader({ get }).answer(asked, client().response));
  await sleep(20);
  asked.end(new SallyportError('SP_SESSION_REFUSED', 'revoked'));
  assert.equal(await answer, 'SP_SESSION_REFUSED');
  assert.equal(closed, true);
});

test('sixteen read at once; the next is told to wait, and can when one is done', async () => {
  const gate = Promise.withResolvers<void>();
  async function* get(): AsyncGenerator<Buffer> {
    await gate.promise;
    yield Buffer.from('x');
  }
  const shared = reader({ get });
  const all = Array.from({ length: 16 }, () => shared.answer(exchange(FILE), client().response));
  assert.equal(await refusal(shared.answer(exchange(FILE), client().response)), 'SP_TOO_MANY_REQUESTS');
  gate.resolve();
  await Promise.all(all);
  await shared.answer(exchange(FILE), client().response);
});

test('a store that fails before the first byte is answered with a Status; in the middle of a listing its last line says so', async () => {
  async function* gone(): AsyncGenerator<never> {
    yield* [];
    throw new StorageError('NotFound', 'no');
  }
  async function* down(): AsyncGenerator<never> {
    yield* [];
    throw new StorageError('Unavailable', 'connect ECONNREFUSED 10.0.0.7:9000');
  }
  assert.equal(
    await refusal(reader({ get: gone }).answer(exchange(FILE), client().response)),
    'SP_RECORDING_NOT_FOUND',
  );
  const failed = await reader({ get: down })
    .answer(exchange(FILE), client().response)
    .catch((error: SallyportError) => error);
  assert.ok(failed instanceof SallyportError && failed.code === 'SP_RECORDING_STORE_UNAVAILABLE');
  assert.ok(!failed.message.includes('10.0.0.7'), 'where the store is, is for the log');
  async function* half(): AsyncGenerator<{ key: string; bytes: number; modifiedAt: number }> {
    yield { key: 'recordings/one/000001.jsonl.zst', bytes: 1, modifiedAt: 1 };
    yield { key: 'replicas/gateway.json', bytes: 1, modifiedAt: 1 };
    for (let number = 2; number < 20; number += 1) {
      yield { key: `recordings/one/${String(number).padStart(6, '0')}.jsonl.zst`, bytes: 1, modifiedAt: 1 };
    }
    throw new StorageError('Unavailable', 'down');
  }
  const { response, taken, status } = client();
  await reader({ list: half }).answer(exchange('/sallyport/v1/recordings?prefix=recordings/one/'), response);
  assert.equal(status(), 200);
  const lines = taken().trim().split('\n');
  assert.equal(lines.at(-1), '{"error":"the store ended the listing"}');
  assert.ok(!taken().includes('replicas'), 'only recordings and keys');
});
