/** A TLS server of node alone: it answers with one line, and then says nothing. */
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';

process.once('message', (material: { cert: string; key: string }) => {
  const server = createSecureServer({ ...material, allowHTTP1: true }, (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('{}\n');
  });
  server.on('sessionError', () => {});
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
});
process.on('disconnect', () => process.exit());
