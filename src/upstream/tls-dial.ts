import { isIP, type OnReadOpts } from 'node:net';
import { type SecureContext, type TLSSocket, connect as tls } from 'node:tls';

/** The API server, as those who dial it know it. */
export interface DialOptions {
  readonly server: URL;
  readonly serverName: string | undefined;
  readonly secureContext: SecureContext;
  /** Milliseconds for TCP and TLS. */
  readonly connectTimeout: number;
}

export interface DialTerms {
  /** In order of preference. */
  readonly protocols: readonly string[];
  /** Of an earlier connection, which makes the handshake cheaper. */
  readonly session?: Buffer | undefined;
  /** Where what comes is read to, instead of new memory for every read. */
  readonly onread?: OnReadOpts;
}

/** A verified TLS connection to the API server. Rejects with an Error that has a `code`. */
export function dialTLS(
  { server, serverName, secureContext, connectTimeout }: DialOptions,
  { protocols, session, onread }: DialTerms,
): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const host = server.hostname.replace(/^\[|\]$/g, '');
  const socket = tls({
    host,
    port: server.port === '' ? 443 : Number(server.port),
    // RFC 6066 3: an address is no server name; it is then checked as the address that was dialled.
    servername: serverName ?? (isIP(host) === 0 ? host : ''),
    secureContext,
    ALPNProtocols: [...protocols],
    ...(session === undefined ? {} : { session }),
    ...(onread === undefined ? {} : { onread }),
  });
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 60_000);
  const timer = setTimeout(() => socket.destroy(failure('ETIMEDOUT', 'no connection in time')), connectTimeout);
  socket.once('secureConnect', () => {
    clearTimeout(timer);
    socket.off('error', reject);
    resolve(socket);
  });
  socket.once('error', reject);
  socket.once('close', () => {
    clearTimeout(timer);
    reject(failure('ECONNRESET', 'the connection was closed while it was made'));
  });
  return promise;
}

export function failure(code: string, message: string, cause?: Error): Error {
  return Object.assign(new Error(message, cause === undefined ? {} : { cause }), { code });
}
