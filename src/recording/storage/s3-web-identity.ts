import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'undici';
import { type CredentialSource, checked } from './s3-key-pair.ts';
import { findText, parseAnswer } from './s3-xml.ts';

export interface WebIdentityOptions {
  readonly roleARN: string;
  /** A projected ServiceAccount token with the audience that the role trusts; read at every exchange. */
  readonly tokenFile: string;
  readonly sessionName: string;
  readonly region: string;
  /** Absent: the region's endpoint of AWS. */
  readonly endpoint?: string | undefined;
  readonly caFile?: string | undefined;
}

/**
 * Keys for a ServiceAccount token: AssumeRoleWithWebIdentity of the security token service. The request is not signed; the
 * token is the proof.
 */
export function webIdentity(options: WebIdentityOptions): CredentialSource {
  const endpoint = new URL(options.endpoint ?? `https://sts.${options.region}.amazonaws.com`);
  const agent = new Agent({
    connections: 1,
    allowH2: false,
    keepAliveTimeout: 1_000,
    connect: options.caFile === undefined ? {} : { ca: readFileSync(options.caFile, 'utf8') },
  });
  return {
    description: `web identity as ${options.roleARN}`,
    async load(signal) {
      const form = new URLSearchParams({
        Action: 'AssumeRoleWithWebIdentity',
        Version: '2011-06-15',
        RoleArn: options.roleARN,
        RoleSessionName: options.sessionName,
        WebIdentityToken: (await readFile(options.tokenFile, 'utf8')).trim(),
      });
      const answer = await request(endpoint, {
        method: 'POST',
        dispatcher: agent,
        signal,
        headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/xml' },
        body: form.toString(),
      });
      const xml = parseAnswer(await limited(answer.body));
      if (answer.statusCode !== 200) {
        const code = xml === undefined ? '' : (findText(xml, 'Code') ?? '');
        throw new Error(`the security token service ${endpoint.host} answered ${answer.statusCode} ${code}`.trimEnd());
      }
      const text = (name: string) => (xml === undefined ? '' : (findText(xml, name) ?? ''));
      const expiresAt = Date.parse(text('Expiration'));
      if (!Number.isFinite(expiresAt)) throw new Error('the security token service says no Expiration');
      return checked({
        accessKeyID: text('AccessKeyId'),
        secretAccessKey: text('SecretAccessKey'),
        sessionToken: text('SessionToken'),
        expiresAt,
      });
    },
  };
}

async function limited(body: AsyncIterable<unknown>): Promise<string> {
  let text = '';
  for await (const chunk of body) {
    text += (chunk as Buffer).toString('utf8');
    if (text.length > 256 << 10) throw new Error('the security token service sent more than 256 KiB');
  }
  return text;
}
