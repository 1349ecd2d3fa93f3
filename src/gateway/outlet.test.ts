import assert from 'node:assert/strict';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, createServer as createHttp2Server, type Http2ServerResponse } from 'node:http2';
import { type AddressInfo, connect as connectTCP, type Server } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Flow } from '../upstream/forward.ts';
import type { ClientResponse } from './exchange.ts';
import { Outlet } from './outlet.ts';

/** An API server's side: what it was told, and pieces of one TLS record until it is told to pause. */
class Source implements Flow {
  paused = false;
  pauses = 0;

  pause(): void {
    this.paused = true;
    this.pauses += 1;
  }

  resume(): void {
    this.paused = false;
  }
}

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

type Answer = (response: ClientResponse) => void;
type Ask = (port: number) => Promise<{ stream: NodeJS.ReadableStream; close(): void }>;

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const HTTP1 = {
  serve: (answer: Answer) => listen(createServer((_request, response) => answer(response))),
  ask: ((port) =>
    new Promise((resolve, reject) => {
      const asked = get({ host: '127.0.0.1', port, agent: false }, (stream) => {
        resolve({ stream, close: () => asked.destroy() });
      });
      asked.on('error', reject);
    })) satisfies Ask as Ask,
};

const HTTP2 = {
  serve: (answer: Answer) => listen(createHttp2Server((_request, response) => answer(response))),
  ask: (async (port) => {
    const session = connect(`http://127.0.0.1:${port}`);
    session.on('error', () => {});
    const stream = session.request({ ':path': '/' });
    stream.on('error', () => {});
    await new Promise((resolve) => stream.once('response', resolve));
    return { stream, close: () => session.destroy() };
  }) satisfies Ask as Ask,
};

const piece = (index: number): Buffer => Buffer.alloc(16 * 1024, index % 256);

for (const [name, protocol] of Object.entries({ 'HTTP/1.1': HTTP1, 'HTTP/2': HTTP2 })) {
  /** Of a chunk of HTTP/1.1: its size's line and its own end. */
  const framing = protocol === HTTP1 ? '00000\r\n\r\n'.length : 0;

  describe(name, () => {
    test('every byte arrives, in order, whether a turn brings one piece or many', async () => {
      const source = new Source();
      const sent: Buffer[] = [];
      const port = await protocol.serve(async (response) => {
        (response as ServerResponse).writeHead(200);
        const outlet = new Outlet(response, source, 10_000);
        for (let index = 0; index < 400; index++) {
          while (source.paused) await new Promise((resolve) => setImmediate(resolve));
          sent.push(piece(index));
          outlet.write(piece(index));
          if (index % 17 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        outlet.end();
      });
      const { stream, close } = await protocol.ask(port);
      const got: Buffer[] = [];
      for await (const chunk of stream) got.push(chunk as Buffer);
      close();
      assert.ok(Buffer.concat(got).equals(Buffer.concat(sent)));
    });

    test('pieces of one turn leave together, and a lone piece leaves by itself', async () => {
      const written: number[] = [];
      const answered = Promise.withResolvers<void>();
      const port = await protocol.serve(async (response) => {
        (response as ServerResponse).writeHead(200);
        const outlet = new Outlet(response, new Source(), 10_000);
        const write = response.write.bind(response) as (chunk: Buffer) => boolean;
        response.write = ((chunk: Buffer) => {
          written.push(chunk.length - framing);
          return write(chunk);
        }) as never;
        outlet.write(Buffer.from('one'));
        outlet.write(Buffer.from('two'));
        assert.deepEqual(written, [], 'not before the turn ends');
        await new Promise((resolve) => setImmediate(resolve));
        assert.deepEqual(written, [6]);
        await sleep(5);
        outlet.write(Buffer.from('three'));
        await new Promise((resolve) => setImmediate(resolve));
        assert.deepEqual(written, [6, 5], 'an event of a watch waits for nothing more');
        outlet.end();
        answered.resolve();
      });
      const { stream, close } = await protocol.ask(port);
      await answered.promise;
      let text = '';
      for await (const chunk of stream) text += String(chunk);
      close();
      assert.equal(text, 'onetwothree');
    });

    test('pieces that trickle are gathered, each for a moment only', async () => {
      const written: number[] = [];
      const answered = Promise.withResolvers<number>();
      const port = await protocol.serve(async (response) => {
        (response as ServerResponse).writeHead(200);
        const outlet = new Outlet(response, new Source(), 10_000);
        const write = response.write.bind(response) as (...input: unknown[]) => boolean;
        response.write = ((...input: [Buffer]) => {
          written.push(input[0].length - framing);
          return write(...input);
        }) as never;
        for (let index = 0; index < 40; index++) {
          outlet.write(piece(index));
          await new Promise((resolve) => setImmediate(resolve));
        }
        const before = performance.now();
        const all = () => written.reduce((sum, length) => sum + length, 0) === 40 * 16 * 1024;
        while (!all() && performance.now() < before + 10_000) await new Promise((resolve) => setImmediate(resolve));
        answered.resolve(performance.now() - before);
        outlet.end();
      });
      const { stream, close } = await protocol.ask(port);
      stream.resume();
      assert.ok((await answered.promise) < 1_000, 'what came last has left without more');
      close();
      assert.equal(written[0], 16 * 1024, 'the first waits for nothing');
      assert.ok(written.length < 30, `${written.length} writes for 40 pieces`);
    });

    test('a client that does not read makes the API server wait, and what it holds is bounded', async () => {
      const source = new Source();
      const opened = Promise.withResolvers<ClientResponse>();
      const port = await protocol.serve((response) => {
        (response as ServerResponse).writeHead(200);
        (response as ServerResponse).flushHeaders();
        opened.resolve(response);
      });
      const { stream, close } = await protocol.ask(port);
      (stream as IncomingMessage).pause();
      const response = await opened.promise;
      const outlet = new Outlet(response, source, 10_000);
      for (let index = 0; index < 2_000 && !source.paused; index++) {
        outlet.write(piece(index));
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.ok(source.paused, 'it was never paused');
      assert.ok((response as Http2ServerResponse).writableLength <= 512 * 1024);
      stream.resume();
      while (source.paused) await new Promise((resolve) => setTimeout(resolve, 5));
      assert.equal(source.pauses, 1);
      outlet.end();
      close();
    });

    test('a client that goes on not reading is cut off', async () => {
      const source = new Source();
      const closed = Promise.withResolvers<void>();
      const port = await protocol.serve(async (response) => {
        (response as ServerResponse).writeHead(200);
        (response as ServerResponse).flushHeaders();
        response.once('close', () => closed.resolve());
        const outlet = new Outlet(response, source, 100);
        for (let index = 0; index < 2_000 && !source.paused; index++) {
          outlet.write(piece(index));
          await new Promise((resolve) => setImmediate(resolve));
        }
      });
      const { stream, close } = await protocol.ask(port);
      stream.on('error', () => {});
      (stream as IncomingMessage).pause();
      await closed.promise;
      assert.ok(source.paused);
      close();
    });

    test('after close nothing more is written', async () => {
      const answered = Promise.withResolvers<void>();
      const port = await protocol.serve(async (response) => {
        (response as ServerResponse).writeHead(200);
        const outlet = new Outlet(response, new Source(), 10_000);
        outlet.write(Buffer.from('kept back'));
        outlet.close();
        await new Promise((resolve) => setImmediate(resolve));
        response.end('end');
        answered.resolve();
      });
      const { stream, close } = await protocol.ask(port);
      await answered.promise;
      let text = '';
      for await (const chunk of stream) text += String(chunk);
      close();
      assert.equal(text, 'end');
    });
  });
}

describe('the head', () => {
  /** What the head is told of the body's length when it is first called for. */
  async function told(work: (outlet: Outlet) => void): Promise<number | undefined> {
    const lengths: (number | undefined)[] = [];
    const port = await HTTP1.serve((response) => {
      const head = (length?: number): void => {
        if (lengths.push(length) === 1) (response as ServerResponse).writeHead(200);
      };
      work(new Outlet(response, new Source(), 10_000, head));
    });
    const { stream, close } = await HTTP1.ask(port);
    for await (const _ of stream);
    close();
    return lengths[0];
  }
  const whole =
    (length: number) =>
    (outlet: Outlet): void => {
      outlet.write(Buffer.alloc(length));
      outlet.end();
    };

  test('knows the length of a short body that is whole before anything is written', async () => {
    assert.equal(await told(whole(5)), 5);
  });

  test('knows none of what is long, comes in pieces, or is nothing', async () => {
    assert.equal(await told(whole(100_000)), undefined);
    assert.equal(await told(whole(9_000)), undefined);
    assert.equal(await told((outlet) => outlet.end()), undefined);
    const pieces = (outlet: Outlet): void => {
      outlet.write(Buffer.from('one'));
      setTimeout(() => whole(3)(outlet), 5);
    };
    assert.equal(await told(pieces), undefined);
  });
});

describe('the chunked coding', () => {
  /** Everything that a server says to these lines of a client. */
  async function said(answer: (response: ServerResponse, outlet: Outlet) => void, lines: string): Promise<string> {
    const port = await listen(
      createServer((_request, response) => answer(response, new Outlet(response, new Source(), 10_000))),
    );
    const socket = connectTCP(port, '127.0.0.1');
    socket.end(lines);
    let text = '';
    for await (const bytes of socket) text += String(bytes);
    return text;
  }
  const bodyOf = (text: string): string => text.slice(text.indexOf('\r\n\r\n') + 4);
  const greeting = (response: ServerResponse, outlet: Outlet): void => {
    response.writeHead(200);
    outlet.write(Buffer.from('hello'));
    outlet.end();
  };

  test('a short answer is one chunk and the last', async () => {
    const text = await said(greeting, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.match(text, /\r\ntransfer-encoding: chunked\r\n/i);
    assert.equal(bodyOf(text), '00005\r\nhello\r\n0\r\n\r\n');
  });

  test('each of many answers on one connection ends where it ends', async () => {
    const one = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
    const text = await said(greeting, one + one + one);
    assert.equal(text.split('00005\r\nhello\r\n0\r\n\r\n').length, 4);
    assert.equal(text.match(/HTTP\/1\.1 200/g)?.length, 3);
  });

  test('an answer without a byte is the last chunk alone', async () => {
    const text = await said((response, outlet) => {
      response.writeHead(200);
      outlet.end();
    }, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.equal(bodyOf(text), '0\r\n\r\n');
  });

  test('a client of HTTP/1.0, a length, HEAD and 204 have none', async () => {
    assert.equal(bodyOf(await said(greeting, 'GET / HTTP/1.0\r\n\r\n')), 'hello');
    const lengthy = (response: ServerResponse, outlet: Outlet): void => {
      response.writeHead(200, { 'content-length': '5' });
      outlet.write(Buffer.from('hello'));
      outlet.end();
    };
    assert.equal(bodyOf(await said(lengthy, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')), 'hello');
    assert.equal(bodyOf(await said(greeting, 'HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')), '');
    const empty = (response: ServerResponse, outlet: Outlet): void => {
      response.writeHead(204);
      outlet.end();
    };
    assert.equal(bodyOf(await said(empty, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')), '');
  });

  test('an answer that is cut off has no last chunk', async () => {
    const text = await said((response, outlet) => {
      response.writeHead(200);
      outlet.write(piece(1));
      setTimeout(() => {
        outlet.close();
        response.destroy();
      }, 50);
    }, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.match(bodyOf(text), /^04000\r\n/);
    assert.doesNotMatch(text, /\r\n0\r\n\r\n$/);
  });

  test('a full buffer is four TLS records to the byte', async () => {
    const written: number[] = [];
    await said((response, outlet) => {
      const write = response.write.bind(response) as (...input: unknown[]) => boolean;
      response.write = ((...input: [Buffer]) => {
        written.push(input[0].length);
        return write(...input);
      }) as never;
      response.writeHead(200);
      outlet.write(Buffer.alloc(200 * 1024, 1));
      outlet.end();
    }, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.deepEqual(written.slice(0, 3), [64 * 1024, 64 * 1024, 64 * 1024]);
  });
});
