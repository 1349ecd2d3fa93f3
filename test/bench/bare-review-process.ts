/** Node alone behind a webhook's TLS: the body is read, and an answer of the webhook's size given. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';

const ANSWER = JSON.stringify({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  response: { uid: '00000000-0000-0000-0000-000000000000', allowed: true, auditAnnotations: { decision: 'Allow a/b' } },
});

function answer(request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const { length } = Buffer.concat(chunks);
    response.statusCode = length > 0 ? 200 : 400;
    response.setHeader('content-type', 'application/json');
    response.end(ANSWER);
  });
}

process.once('message', ({ cert, key, protocol }: { cert: string; key: string; protocol: string }) => {
  const server =
    protocol === 'HTTP/2' ? createSecureServer({ cert, key }, answer) : createServer({ cert, key }, answer);
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
});
process.on('disconnect', () => process.exit());
