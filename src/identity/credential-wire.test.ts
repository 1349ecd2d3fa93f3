import assert from 'node:assert/strict';
import { createServer as createHTTP1, type IncomingMessage } from 'node:http';
import { createServer as createHTTP2, type Http2ServerRequest } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'node:test';
import { bearerToken } from './credential.ts';

/** What node makes of doubled headers on the wire, and that it is seen: `headers` shows only the first of the two. */

function verdict(request: IncomingMessage | Http2ServerRequest): string {
  try {
    return String(bearerToken({ rawHeaders: request.rawHeaders, target: request.url ?? '' }));
  } catch (error) {
    return String(((error as Error).cause as Error).message);
  }
}

test('a doubled Authorization header over HTTP/1.1', async (t) => {
  const seen: [string, unknown][] = [];
  const server = createHTTP1((request, response) => {
    seen.push([verdict(request), request.headers.authorization]);
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.write(
    'GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer one\r\nAuthorization: Bearer two\r\nConnection: close\r\n\r\n',
  );
  for await (const _ of socket);
  assert.deepEqual(seen, [['two Authorization headers', 'Bearer one']]);
});

test('a doubled Authorization header over HTTP/2', async (t) => {
  const seen: [string, unknown][] = [];
  const server = createHTTP2((request, response) => {
    seen.push([verdict(request), request.headers.authorization]);
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  // Node's own client refuses to send this: the frames are written by hand.
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  socket.write(frame(4, 0, 0, Buffer.alloc(0)));
  const fields = [':path', '/', ':method', 'GET', ':scheme', 'http', ':authority', 'a'];
  const lines = ['authorization', 'Bearer one', 'authorization', 'Bearer two'];
  socket.write(frame(1, 0x5, 1, Buffer.concat([...fields, ...lines].map(literal))));
  socket.resume();
  for (let round = 0; seen.length === 0 && round < 200; round += 1) await new Promise((r) => setTimeout(r, 10));
  socket.destroy();
  assert.deepEqual(seen, [['two Authorization headers', 'Bearer one']]);
});

/** RFC 9113 section 4.1. */
function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** RFC 7541 section 6.2.2, literal without indexing; names and values alternate, and a name begins the field. */
function literal(text: string, index: number): Buffer {
  const string = Buffer.concat([Buffer.from([text.length]), Buffer.from(text, 'latin1')]);
  return index % 2 === 0 ? Buffer.concat([Buffer.from([0]), string]) : string;
}
