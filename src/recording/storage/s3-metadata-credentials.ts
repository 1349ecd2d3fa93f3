import { readFile } from 'node:fs/promises';
import { request } from 'undici';
import { type CredentialSource, type Credentials, checked } from './s3-key-pair.ts';

/** Link-local: only the machine itself answers there. */
const INSTANCE_METADATA = 'http://169.254.169.254';
/** Where EKS Pod Identity and ECS agents answer; anything else over plain HTTP could be anyone. */
const CONTAINER_HOSTS = new Set([
  '169.254.170.2',
  '169.254.170.23',
  '[fd00:ec2::23]',
  'localhost',
  '127.0.0.1',
  '[::1]',
]);
const MAX_ANSWER = 64 << 10;

/** The role of the machine, by the instance metadata service in its second version (a token first, which SSRF cannot fetch). */
export function instanceRole(options: { role: string; endpoint?: string | undefined }): CredentialSource {
  const base = options.endpoint ?? INSTANCE_METADATA;
  return {
    description: `instance role${options.role === '' ? '' : ` ${options.role}`}`,
    async load(signal) {
      const token = await fetched(`${base}/latest/api/token`, signal, 'PUT', {
        'x-aws-ec2-metadata-token-ttl-seconds': '300',
      });
      const headers = { 'x-aws-ec2-metadata-token': token };
      const roles = `${base}/latest/meta-data/iam/security-credentials/`;
      const role = options.role || (await fetched(roles, signal, 'GET', headers)).split('\n')[0]!.trim();
      if (!/^[\w+=,.@-]{1,64}$/.test(role)) throw new Error('the instance metadata service names no role');
      return parsed(await fetched(`${roles}${role}`, signal, 'GET', headers), 'instance role');
    },
  };
}

/** Container credentials: EKS Pod Identity, ECS. @param tokenFile what the agent wants as Authorization */
export function podIdentity(uri: string, tokenFile: string | undefined): CredentialSource {
  return {
    description: 'container credentials',
    async load(signal) {
      const url = new URL(uri);
      if (url.protocol !== 'https:' && !CONTAINER_HOSTS.has(url.hostname)) {
        throw new Error('AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of a container agent');
      }
      const authorization = tokenFile ? (await readFile(tokenFile, 'utf8')).trim() : undefined;
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
      return parsed(await fetched(uri, signal, 'GET', headers), 'container credentials');
    },
  };
}

async function fetched(
  url: string,
  signal: AbortSignal,
  method: 'GET' | 'PUT',
  headers: Record<string, string>,
): Promise<string> {
  let text = '';
  const answer = await request(url, { method, headers, signal, headersTimeout: 5_000, bodyTimeout: 5_000 });
  for await (const chunk of answer.body) {
    text += (chunk as Buffer).toString('utf8');
    if (text.length > MAX_ANSWER) throw new Error(`${new URL(url).host} sent more than ${MAX_ANSWER} bytes`);
  }
  if (answer.statusCode !== 200) throw new Error(`${new URL(url).host} answered ${answer.statusCode}`);
  return text;
}

function parsed(text: string, what: string): Credentials {
  let answer: Record<string, unknown>;
  try {
    answer = JSON.parse(text) as Record<string, unknown>;
  } catch {
    // No cause: the parser's message quotes the answer, which may hold a key.
    throw new Error(`${what}: the answer is not JSON`);
  }
  const { AccessKeyId, SecretAccessKey, Token, Expiration } = answer ?? {};
  const expiresAt = typeof Expiration === 'string' ? Date.parse(Expiration) : Number.NaN;
  if (!Number.isFinite(expiresAt)) throw new Error(`${what}: the answer says no Expiration`);
  return checked({
    accessKeyID: AccessKeyId as string,
    secretAccessKey: SecretAccessKey as string,
    sessionToken: Token as string,
    expiresAt,
  });
}
