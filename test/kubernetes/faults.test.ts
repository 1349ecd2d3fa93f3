import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, ApiUnreachableError } from '../../src/kubernetes/api-error.ts';
import { tokenFile } from '../../src/kubernetes/credential.ts';
import { Informer, type InformerBounds, type InformerHandlers } from '../../src/kubernetes/informer.ts';
import { Transport } from '../../src/kubernetes/transport.ts';
import { CertificateAuthority } from '../cluster/certificates.ts';
import { FakeApiServer, json, list, status, thing } from './fake-api-server.ts';

const PATH = { group: 'test.example', version: 'v1', resource: 'things' } as const;

describe('what a real API server cannot be made to do', { timeout: 60_000 }, () => {
  let fake: FakeApiServer;
  let transport: Transport;
  const informers: Informer<string>[] = [];

  before(async () => {
    fake = await FakeApiServer.start();
  });
  after(async () => {
    await fake.close();
  });
  beforeEach(() => {
    fake.requests.length = 0;
    fake.onList = (_request, response) => json(response, 200, list([thing('a')]));
    fake.onWatch = (_request, response) => void response.writeHead(200).flushHeaders();
    transport = new Transport(fake.connection());
  });
  afterEach(async () => {
    for (const informer of informers.splice(0)) await informer.stop();
    await transport.close();
  });

  function start(bounds: Partial<InformerBounds> = {}, handlers: InformerHandlers<string> = {}) {
    const failures: Error[] = [];
    const informer = new Informer<string>(transport, {
      name: 'things',
      path: PATH,
      accept: (object) => object.metadata.name,
      handlers,
      onFailure: (error) => failures.push(error),
      bounds: { quiet: 500, openTimeout: 500, listTimeout: 500, ...bounds },
    });
    informers.push(informer);
    informer.start();
    return { informer, failures };
  }

  async function failure(failures: Error[], count = 1): Promise<Error> {
    const began = performance.now();
    while (failures.length < count) {
      if (performance.now() - began > 8_000) assert.fail(`no ${count} failures`);
      await sleep(5);
    }
    return failures.at(-1)!;
  }

  const count = (kind: 'watch' | 'list') =>
    fake.requests.filter((line) => line.startsWith('GET watch') === (kind === 'watch')).length;

  for (const [name, body] of [
    ['is not JSON', 'nonsense\n'],
    ['is no event', '{"type":"ADDED"}\n'],
    ['has no uid', '{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"2"}}}\n'],
    ['is of a type unknown', '{"type":"RENAMED","object":{}}\n'],
    ['is null', 'null\n'],
    ['is a bookmark without a revision', '{"type":"BOOKMARK","object":{"metadata":{}}}\n'],
  ] as const) {
    it(`a watch line that ${name} ends the watch and lists again`, async () => {
      fake.onWatch = (_request, response) => {
        response.writeHead(200);
        response.write(body);
      };
      const { failures } = start();
      const error = (await failure(failures, 2)) as ApiUnreachableError;
      assert.ok(error instanceof ApiUnreachableError);
      assert.equal(error.kind, 'malformed');
      assert.ok(!error.message.includes('nonsense'));
      assert.ok(count('list') >= 2);
    });
  }

  it('a line without an end does not become memory', async () => {
    let sent = 0;
    let open = true;
    fake.onWatch = (_request, response) => {
      response.writeHead(200);
      response.once('close', () => {
        open = false;
      });
      const chunk = Buffer.alloc(64 << 10, 'a');
      const more = () => {
        while (open && response.write(chunk)) sent += chunk.length;
        if (open) response.once('drain', more);
      };
      more();
    };
    const { failures } = start({ maxLine: 1 << 20 });
    const error = (await failure(failures)) as ApiUnreachableError;
    assert.match(error.message, /a line over 1048576 bytes/);
    assert.ok(sent < 64 << 20, `${sent} bytes were sent`);
  });

  it('an ERROR event of 410 lists again; deletions in between are told', async () => {
    let lists = 0;
    fake.onList = (_request, response) => {
      lists += 1;
      json(response, 200, lists === 1 ? list([thing('a'), thing('b')]) : list([thing('b')], { resourceVersion: '20' }));
    };
    fake.onWatch = (_request, response, query) => {
      response.writeHead(200);
      if (query.get('resourceVersion') === '20') return response.flushHeaders();
      response.write(`${JSON.stringify({ type: 'ERROR', object: status(410, 'Expired', 'too old') })}\n`);
    };
    const told: string[] = [];
    const { informer, failures } = start({}, { delete: (name) => told.push(name) });
    const error = (await failure(failures)) as ApiError;
    assert.equal(error.status, 410);
    while (told.length === 0) await sleep(5);
    assert.deepEqual(told, ['a']);
    assert.deepEqual([...informer.values()], ['b']);
  });

  it('a watch that is accepted and ended at once, over and over, is not asked for in a loop', async () => {
    fake.onWatch = (_request, response) => void response.writeHead(200).end();
    const { failures } = start();
    await failure(failures, 2);
    await sleep(1_500);
    assert.ok(count('watch') < 8, `${count('watch')} watches`);
  });

  it('a list that fails is tried with growing pauses', async () => {
    fake.onList = (_request, response) => json(response, 500, status(500, 'InternalError'));
    const { informer, failures } = start();
    await sleep(2_500);
    assert.ok(failures.length >= 3 && failures.length <= 9, `${failures.length} tries`);
    assert.ok(!informer.synced);
    assert.equal(informer.age(), Number.POSITIVE_INFINITY);
  });

  it('Retry-After is honoured, up to the longest pause', async () => {
    fake.onList = (_request, response) => json(response, 429, status(429, 'TooManyRequests'), { 'retry-after': '2' });
    const { failures } = start();
    await sleep(1_500);
    assert.equal(failures.length, 1);
  });

  it('half a list is no list: a failing second page leaves what was known untouched', async () => {
    fake.onList = (_request, response, query) =>
      query.has('continue')
        ? json(response, 500, status(500, 'InternalError'))
        : json(response, 200, list([thing('a')], { continue: 'next' }));
    const { informer, failures } = start();
    await failure(failures);
    assert.ok(!informer.synced);
    assert.equal(informer.counts.objects, 0);
  });

  it('a page whose revision is gone makes the list begin anew, unpaged', async () => {
    fake.onList = (_request, response, query) => {
      if (query.has('continue')) return json(response, 410, status(410, 'Expired'));
      if (query.has('limit')) return json(response, 200, list([thing('a')], { continue: 'next' }));
      json(response, 200, list([thing('a'), thing('b')]));
    };
    const { informer } = start();
    await informer.whenSynced();
    assert.deepEqual([...informer.values()], ['a', 'b']);
  });

  it('lists that never end, or are over the bounds, are refused', async () => {
    fake.onList = (_request, response) => json(response, 200, list([thing('a')], { continue: 'same' }));
    const endless = start();
    assert.match((await failure(endless.failures)).message, /continues with itself/);
    let page = 0;
    fake.onList = (_request, response) => json(response, 200, list([thing(`n${page}`)], { continue: `p${page++}` }));
    const many = start({ maxObjects: 20 });
    assert.match((await failure(many.failures)).message, /more than 20 objects/);
    fake.onList = (_request, response) => json(response, 200, list([thing('a', '1', { x: 'y'.repeat(100_000) })]));
    const large = start({ maxPage: 50_000 });
    assert.match((await failure(large.failures)).message, /over 50000 bytes/);
  });

  it('an answer that is no list is refused', async () => {
    for (const body of [{}, [], null, { items: [] }, list([{ metadata: {} }]), { ...list([]), items: 'x' }]) {
      fake.onList = (_request, response) => json(response, 200, body);
      const { informer, failures } = start();
      const error = (await failure(failures)) as ApiUnreachableError;
      assert.equal(error.kind, 'malformed', JSON.stringify(body));
      assert.ok(!informer.synced);
    }
  });

  it('a head that never comes is given up in time', async () => {
    fake.onWatch = () => {};
    const { failures } = start();
    assert.equal(((await failure(failures)) as ApiUnreachableError).kind, 'timeout');
  });

  it('a handler that throws is told again, and nothing counts as fresh before', async () => {
    let refuse = true;
    const told: string[] = [];
    const { informer, failures } = start(
      {},
      {
        add: (name) => {
          if (refuse) throw new Error('not now');
          told.push(name);
        },
      },
    );
    await failure(failures, 2);
    assert.equal(informer.age(), Number.POSITIVE_INFINITY);
    assert.ok(!informer.synced);
    refuse = false;
    await informer.whenSynced();
    assert.deepEqual(told, ['a']);
  });

  it('a redirect is not followed: the credential goes to one place only', async () => {
    fake.onList = (_request, response) => void response.writeHead(302, { location: 'https://127.0.0.1:1/x' }).end();
    await assert.rejects(transport.ask({ verb: 'list', path: PATH }), (error: ApiError) => error.status === 302);
  });

  it('a certificate of another authority is refused, and no request is sent', async () => {
    const other = await CertificateAuthority.create('another');
    const stranger = new Transport(fake.connection({ caPem: other.certPem }));
    await assert.rejects(
      stranger.ask({ verb: 'list', path: PATH }),
      (error: ApiUnreachableError) => error.kind === 'tls' && /certificate was not accepted/.test(error.message),
    );
    assert.deepEqual(fake.requests, []);
    await stranger.close();
  });

  it('after a 401 the token file is read again and the question is asked once more', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'sallyport-token-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, 'token');
    writeFileSync(file, 'first-token\n');
    const token = tokenFile(file, () => {});
    const seen: (string | undefined)[] = [];
    fake.onList = (request, response) => {
      seen.push(request.headers.authorization);
      if (request.headers.authorization === 'Bearer second-token') return json(response, 200, list([]));
      writeFileSync(file, 'second-token\n');
      json(response, 401, status(401, 'Unauthorized'));
    };
    const own = new Transport(fake.connection({ token }));
    t.after(() => own.close());
    await own.ask({ verb: 'list', path: PATH });
    assert.deepEqual(seen, ['Bearer first-token', 'Bearer second-token']);
    fake.onList = (_request, response) => json(response, 401, status(401, 'Unauthorized'));
    fake.requests.length = 0;
    await assert.rejects(own.ask({ verb: 'list', path: PATH }), /own credential was not accepted \(401\)/);
    assert.equal(fake.requests.length, 1);
  });

  it('no error quotes an answer that is not a Status, or lets one act on a terminal', async () => {
    const secret = `s${Math.random()}`;
    fake.onList = (_request, response) => void response.writeHead(200).end(`{"data": "${secret}`);
    await assert.rejects(
      transport.ask({ verb: 'list', path: PATH }),
      (error: Error) => !inspect(error).includes(secret),
    );
    fake.onList = (_request, response) => json(response, 403, status(403, 'Forbidden', 'no\u001b[2J\nSECOND LINE'));
    await assert.rejects(
      transport.ask({ verb: 'list', path: PATH }),
      (error: Error) => error instanceof ApiError && !/[\n\u001b]/.test(error.message),
    );
  });
});

function inspect(error: Error): string {
  return `${error.stack} ${error.cause instanceof Error ? inspect(error.cause) : ''}`;
}
