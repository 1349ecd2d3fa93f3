import * as z from 'zod';
import { duration } from './duration.ts';
import { servingTLS } from './tls.ts';

/** Where the gateway serves, and the bounds on a connection before anyone is known behind it. */
export const listen = z.strictObject({
  address: z.string().default('0.0.0.0').describe('Address to listen on.'),
  port: z.int().min(0).max(65535).default(8443).describe('Port; 0 takes a free one.'),
  tls: servingTLS.describe('The gateway serves TLS only.'),
  maxConnections: z.int().min(1).default(20_000).describe('Open connections at most; further ones are closed at once.'),
  handshakeTimeout: duration('10s', { min: '1s', max: '2m' }).describe('A TLS handshake must be done by then.'),
  headersTimeout: duration('10s', { min: '1s', max: '2m' }).describe('All headers of a request must be there by then.'),
  idleTimeout: duration('5m', { min: '5s', max: '1h' }).describe(
    'A connection without a request is closed after this.',
  ),
  bodyTimeout: duration('1m', { min: '1s', max: '30m' }).describe('A request body must be complete by then.'),
  stallTimeout: duration('2m', { min: '5s', max: '30m' }).describe(
    'A client that takes no byte of a waiting answer for this long is cut off.',
  ),
  maxHeaderBytes: z.int().min(8_192).max(262_144).default(65_536).describe('Size of all request headers at most.'),
});

/** The probes’ and metrics’ own plain HTTP port. */
export const probes = z.strictObject({
  address: z.string().default('0.0.0.0').describe('Address of /livez, /readyz and /metrics.'),
  port: z.int().min(0).max(65535).default(9443).describe('Port; 0 takes a free one.'),
});
