import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { createLog, type Logger } from './log.ts';

function capture(): { log: Logger; lines: () => Record<string, unknown>[]; text: () => string } {
  let written = '';
  const log = createLog('debug', {
    write: (line: string) => {
      written += line;
    },
  });
  const lines = () =>
    written
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { log, lines, text: () => written };
}

/** Made at run time, so that no file holds what looks like a token. */
function lookAlike(): string {
  const part = () => Buffer.from(JSON.stringify({ r: randomBytes(12).toString('hex') })).toString('base64url');
  return `${part()}.${part()}.${randomBytes(24).toString('base64url')}`;
}

test('a line is one JSON object with level, time, message and request id', () => {
  const { log, lines } = capture();
  log.child({ requestID: 'r-1' }).info({ verb: 'get' }, 'decided');
  const [line] = lines();
  assert.equal(line?.['level'], 'info');
  assert.equal(line?.['message'], 'decided');
  assert.equal(line?.['requestID'], 'r-1');
  assert.equal(line?.['verb'], 'get');
  assert.match(String(line?.['time']), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
});

test('credentials are hidden by field name in every spelling and depth', () => {
  const secret = randomBytes(18).toString('hex');
  for (const field of [
    'authorization',
    'Authorization',
    'proxy_authorization',
    'accessToken',
    'refresh_token',
    'idToken',
    'token',
    'client_secret',
    'clientSecret',
    'set-cookie',
    'PASSWORD',
    'apiKey',
    'private_key',
  ]) {
    const { log, text } = capture();
    log.info({ [field]: secret, request: { headers: { [field]: [secret] } } }, 'x');
    assert.ok(!text().includes(secret), field);
    assert.ok(text().includes('[redacted]'), field);
  }
});

test('credentials are hidden by form wherever they stand', () => {
  const token = lookAlike();
  const { log, text } = capture();
  const protocol = `base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString('base64url')}`;
  log.info({ note: `sent ${token} on` }, `header was Bearer ${token}`);
  log.warn({ protocols: [protocol, 'v5.channel.k8s.io'] });
  log.error(new Error(`refused ${token}`, { cause: new Error(`Bearer ${token}`) }));
  log.error({ error: new Error(token) }, 'told %s', token);
  log.child({ who: token }).info('x');
  assert.ok(!text().includes(token));
  assert.ok(!text().includes(Buffer.from(token).toString('base64url')));
  assert.ok(text().includes('v5.channel.k8s.io'));
});

test('what callers wrote cannot act on a terminal or forge a line', () => {
  const { log, lines, text } = capture();
  log.info({ name: 'a\u001b[2J\nb\u202ec', '\u001b]0;x': 1 }, 'two\nlines');
  log.error(new Error('x\u001b[31m'));
  assert.equal(lines().length, 2);
  const hostile = /\u001b|\u202e|\\u001b|\\n/;
  for (const line of lines()) assert.ok(!hostile.test(JSON.stringify({ ...line, error: undefined })));
  assert.ok(!/\\u001b/.test(text()));
});

test('values that are not plain data, deep or endless are bounded', () => {
  const { log, lines, text } = capture();
  const loop: Record<string, unknown> = {};
  loop['self'] = loop;
  const wide = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`f${index}`, index]));
  log.info({ loop, wide, long: 'y'.repeat(100_000), bytes: Buffer.from('abc'), big: 10n, call: () => 1 }, 'x');
  assert.equal(lines().length, 1);
  assert.ok(text().length < 8_000);
  assert.equal(lines()[0]?.['bytes'], '[3 bytes]');
});

test('an error keeps type, code, cause and where it happened, and nothing that a library hung on it', () => {
  const { log, lines, text } = capture();
  const error = Object.assign(new TypeError('no'), { code: 'ENO', response: { config: 'left out' } });
  log.error({ error: new Error('outer', { cause: error }) }, 'failed');
  const logged = lines()[0]?.['error'] as { type: string; cause: { type: string; code: string; stack: string[] } };
  assert.equal(logged.cause.type, 'TypeError');
  assert.equal(logged.cause.code, 'ENO');
  assert.ok(logged.cause.stack[0]?.includes('log.test'));
  assert.ok(!text().includes('left out'));
});
