import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { CurrentCredentials, credentialSource } from './s3-credentials.ts';

/** AWS' own services cannot be had on a loopback: this one answers as their documentation says. */
const seen: { method: string; url: string; headers: IncomingMessage['headers']; body: string }[] = [];
let answer: (url: string, method: string) => { status: number; body: string };
const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (text: string) => void (body += text));
  request.on('end', () => {
    const { method = '', url = '', headers } = request;
    seen.push({ method, url, headers, body });
    const { status, body: text } = answer(url, method);
    response.writeHead(status).end(text);
  });
});
let endpoint = '';
let folder: string;
const secret = randomBytes(20).toString('hex');
const keyID = randomBytes(8).toString('hex').toUpperCase();
const inAnHour = new Date(Date.now() + 3_600_000).toISOString();

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 's3-credentials-'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endpoint = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
});
after(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  seen.length = 0;
});

const load = async (...args: Parameters<typeof credentialSource>) =>
  await credentialSource(...args).load(AbortSignal.timeout(5_000));
const keysJSON = JSON.stringify({
  AccessKeyId: keyID,
  SecretAccessKey: secret,
  Token: 'session',
  Expiration: inAnHour,
});

test('files of a mounted Secret, trimmed; a rotated one is read again', async () => {
  const files = { accessKeyIDFile: join(folder, 'id'), secretAccessKeyFile: join(folder, 'key') };
  writeFileSync(files.accessKeyIDFile, `${keyID}\n`);
  writeFileSync(files.secretAccessKeyFile, `${secret}\n`);
  const first = await load(files, 'r');
  assert.deepEqual([first.accessKeyID, first.secretAccessKey, first.sessionToken], [keyID, secret, undefined]);
  assert.ok(first.expiresAt < Date.now() + 3_600_000, 'looked at again');
  writeFileSync(files.accessKeyIDFile, 'two\nlines');
  await assert.rejects(load(files, 'r'), /no single line/);
});

test('a shared credentials file: the profile that was named, and no other', async () => {
  const path = join(folder, 'credentials');
  writeFileSync(
    path,
    `[default]\naws_access_key_id = no\naws_secret_access_key = no\n[prod]\naws_access_key_id=${keyID}\naws_secret_access_key = ${secret}\n`,
  );
  const keys = await load({ sharedCredentialsFile: path, profile: 'prod' }, 'r');
  assert.deepEqual([keys.accessKeyID, keys.secretAccessKey], [keyID, secret]);
  await assert.rejects(load({ sharedCredentialsFile: path, profile: 'absent' }, 'r'), /is empty/);
});

test('web identity: the token is the proof, the request is not signed', async () => {
  const tokenFile = join(folder, 'token');
  writeFileSync(tokenFile, 'a-token\n');
  answer = () => ({
    status: 200,
    body: `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><SessionToken>session</SessionToken><SecretAccessKey>${secret}</SecretAccessKey><Expiration>${inAnHour}</Expiration><AccessKeyId>${keyID}</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
  });
  const role = { roleARN: 'arn:aws:iam::111122223333:role/r', tokenFile, sessionName: 'sallyport', endpoint };
  const keys = await load(role, 'eu-central-1');
  assert.deepEqual(keys, {
    accessKeyID: keyID,
    secretAccessKey: secret,
    sessionToken: 'session',
    expiresAt: Date.parse(inAnHour),
  });
  const form = new URLSearchParams(seen[0]!.body);
  assert.deepEqual(Object.fromEntries(form), {
    Action: 'AssumeRoleWithWebIdentity',
    Version: '2011-06-15',
    RoleArn: role.roleARN,
    RoleSessionName: 'sallyport',
    WebIdentityToken: 'a-token',
  });
  assert.equal(seen[0]!.headers['authorization'], undefined);
  answer = () => ({
    status: 400,
    body: '<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>a-token</Message></Error></ErrorResponse>',
  });
  await assert.rejects(
    load(role, 'r'),
    (error: Error) => /answered 400 InvalidIdentityToken$/.test(error.message) && !error.message.includes('a-token'),
  );
});

test('instance role: a token first (IMDSv2), then the role that the machine has', async () => {
  answer = (url, method) => {
    if (method === 'PUT' && url === '/latest/api/token') return { status: 200, body: 'imds-token' };
    if (url === '/latest/meta-data/iam/security-credentials/') return { status: 200, body: 'the-role\n' };
    if (url === '/latest/meta-data/iam/security-credentials/the-role') return { status: 200, body: keysJSON };
    return { status: 404, body: '' };
  };
  const keys = await load({ instanceRole: '', endpoint }, 'r');
  assert.equal(keys.accessKeyID, keyID);
  assert.equal(keys.sessionToken, 'session');
  assert.equal(seen[0]!.headers['x-aws-ec2-metadata-token-ttl-seconds'], '300');
  assert.ok(seen.slice(1).every(({ headers }) => headers['x-aws-ec2-metadata-token'] === 'imds-token'));
  answer = () => ({ status: 200, body: '<html>' });
  await assert.rejects(load({ instanceRole: 'some-role', endpoint }, 'r'), /is not JSON/);
});

test('none named: environment, web identity, container credentials, instance role, in this order', async () => {
  const env = { AWS_ACCESS_KEY_ID: keyID, AWS_SECRET_ACCESS_KEY: secret };
  assert.equal((await load(undefined, 'r', env)).secretAccessKey, secret);
  const role = { AWS_ROLE_ARN: 'arn:aws:iam::1:role/r', AWS_WEB_IDENTITY_TOKEN_FILE: join(folder, 'token') };
  assert.match(
    credentialSource(undefined, 'r', { ...role, AWS_CONTAINER_CREDENTIALS_FULL_URI: endpoint }).description,
    /^web identity/,
  );
  const tokenFile = join(folder, 'pod-token');
  writeFileSync(tokenFile, 'pod-token');
  answer = () => ({ status: 200, body: keysJSON });
  const pod = {
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `${endpoint}/v1/credentials`,
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: tokenFile,
  };
  assert.equal((await load(undefined, 'r', pod)).accessKeyID, keyID);
  assert.equal(seen.at(-1)!.headers['authorization'], 'pod-token');
  await assert.rejects(
    load(undefined, 'r', { AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://evil.example/' }),
    /neither https nor/,
  );
  assert.match(credentialSource(undefined, 'r', {}).description, /^instance role/);
});

test('borrowed keys are renewed ahead of their end, once however many ask; old ones serve while that fails', async () => {
  let now = 1_000_000;
  let loads = 0;
  let fails = false;
  const current = new CurrentCredentials(
    {
      description: 'test',
      load: async () => {
        loads += 1;
        if (fails) throw new Error('nobody answers');
        return {
          accessKeyID: `key-${loads}`,
          secretAccessKey: secret,
          sessionToken: undefined,
          expiresAt: now + 3_600_000,
        };
      },
    },
    () => now,
  );
  await Promise.all([current.get(), current.get(), current.get()]);
  assert.equal(loads, 1);
  now += 3_400_000;
  fails = true;
  assert.equal((await current.get()).accessKeyID, 'key-1');
  now += 300_000;
  await assert.rejects(current.get(), /nobody answers/);
  fails = false;
  assert.match((await current.get()).accessKeyID, /^key-/);
  const held = await current.get();
  current.discard(held);
  assert.notEqual((await current.get()).accessKeyID, held.accessKeyID);
});
