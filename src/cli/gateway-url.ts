import { readFileSync } from 'node:fs';
import { CommandError, usageError } from './command-io.ts';

/**
 * The gateway's URL in its one spelling. Credentials go there, so it is https, a host, maybe a port, and nothing else.
 * @throws CommandError
 */
export function gatewayURL(text: string | undefined): string {
  if (text === undefined || text === '') throw usageError('--gateway https://HOST[:PORT] is missing');
  const url = URL.parse(text);
  if (url === null || url.protocol !== 'https:') throw usageError('--gateway must be an https:// URL');
  if (url.username !== '' || url.password !== '') throw usageError('--gateway: no user information in a URL');
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    throw usageError('--gateway: only https://HOST[:PORT], without a path');
  }
  return url.origin;
}

/** @throws CommandError unless the file holds certificates. */
export function readCertificates(file: string): string {
  let pem: string;
  try {
    pem = readFileSync(file, 'utf8');
  } catch (error) {
    throw new CommandError(`${file}: ${(error as NodeJS.ErrnoException).code ?? 'cannot be read'}`);
  }
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) throw new CommandError(`${file}: no PEM certificate in it`);
  if (pem.includes('PRIVATE KEY-----'))
    throw new CommandError(`${file}: there is a private key in it; give the CA alone`);
  return pem;
}

/** The agent's name as the gateway's configuration takes it. */
export function agentName(text: string | undefined): string {
  if (text === undefined || text === '') throw usageError('--agent NAME is missing (for example: --agent cursor)');
  if (!/^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$/.test(text)) {
    throw usageError('--agent: lower-case letters, digits and dashes, at most 40');
  }
  return text;
}
