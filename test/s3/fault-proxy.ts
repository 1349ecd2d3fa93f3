import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { request } from 'node:https';
import type { S3Server } from './s3-server.ts';

/** What is done to one request; undefined: it passes. */
export type Fault = (
  request: IncomingMessage,
  response: ServerResponse,
) => 'handled' | 'pass' | Promise<'handled' | 'pass'>;

export interface FaultProxy {
  readonly endpoint: URL;
  /** Asked about every request, in their order. */
  fault: Fault | undefined;
  /** What the head of a real answer becomes. */
  amend: ((request: IncomingMessage, headers: IncomingHttpHeaders) => IncomingHttpHeaders) | undefined;
  /** `METHOD /path?query` of every request that came. */
  readonly seen: string[];
  stop(): Promise<void>;
}

/** Stands between a client and a real S3 server, and does what a real one cannot be asked to. */
export async function startFaultProxy(server: S3Server): Promise<FaultProxy> {
  const proxy: Pick<FaultProxy, 'fault' | 'amend' | 'seen'> = { fault: undefined, amend: undefined, seen: [] };
  const listener = createServer((incoming, outgoing) => {
    incoming.on('error', () => {});
    outgoing.on('error', () => {});
    void (async () => {
      proxy.seen.push(`${incoming.method} ${incoming.url}`);
      if ((await proxy.fault?.(incoming, outgoing)) === 'handled') return;
      // The Host header is signed: it goes on as it came.
      const forwarded = request(
        new URL(incoming.url!, server.endpoint),
        { method: incoming.method, headers: incoming.headers, ca: server.ca },
        (answer) => {
          outgoing.writeHead(answer.statusCode!, proxy.amend?.(incoming, answer.headers) ?? answer.headers);
          answer.pipe(outgoing);
        },
      );
      forwarded.on('error', () => outgoing.destroy());
      incoming.pipe(forwarded);
    })();
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address() as { port: number };
  return Object.assign(proxy, {
    endpoint: new URL(`http://127.0.0.1:${port}`),
    async stop() {
      listener.closeAllConnections();
      await new Promise((resolve) => listener.close(resolve));
    },
  });
}

/** The first `times` requests that match are answered so. */
export function first(times: number, matches: (request: IncomingMessage) => boolean, then: Fault): Fault {
  let left = times;
  return (incoming, outgoing) => (matches(incoming) && left-- > 0 ? then(incoming, outgoing) : 'pass');
}

/** Answers as S3 does. */
export function answerWith(status: number, code = 'InternalError', headers: Record<string, string> = {}): Fault {
  return (incoming, outgoing) => {
    incoming.resume();
    outgoing.writeHead(status, { 'content-type': 'application/xml', ...headers });
    outgoing.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>a fault of the test</Message></Error>`);
    return 'handled';
  };
}
