import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { CommandIO } from '../../src/cli/command-io.ts';
import { runCredential } from '../../src/cli/credential-command.ts';
import type { AgentSession } from '../../src/identity/session-object.ts';
import { ScriptedBrowser } from '../oidc/browser.ts';
import { TestProvider } from '../oidc/provider.ts';
import { browserDone, browserProgram, cacheOf, homeOf, runCli } from './run-cli.ts';
import { SessionGateway } from './session-gateway.ts';

function tokenIn(stdout: string): { token: string; expires: number } {
  const value = JSON.parse(stdout) as { kind: string; apiVersion: string; status: Record<string, string> };
  assert.equal(value.kind, 'ExecCredential');
  assert.equal(value.apiVersion, 'client.authentication.k8s.io/v1');
  return { token: value.status['token']!, expires: Date.parse(value.status['expirationTimestamp']!) };
}

describe('the credential plugin', { timeout: 180_000 }, () => {
  let provider: TestProvider;
  let gateway: SessionGateway;
  const args = () => ['credential', '--gateway', gateway.url, '--ca', gateway.caFile, '--agent', 'cursor'];
  const io = (env: Record<string, string>) => {
    const said = { stdout: '', stderr: '' };
    const value: CommandIO = {
      stdout: (text) => void (said.stdout += text),
      stderr: (text) => void (said.stderr += text),
      env: { ...homeOf(gateway), ...env },
    };
    return { io: value, said };
  };
  /** In this process, with nothing but the environment given: a fresh one each time. */
  const run = async (
    env: Record<string, string>,
    more: string[] = [],
    parent = 1_000_000 + Math.floor(Math.random() * 1e9),
  ) => {
    const { io: own, said } = io(env);
    const code = await runCredential([...args().slice(1), ...more], own, parent);
    return { code, ...said };
  };

  before(async () => {
    provider = await TestProvider.start();
  });
  after(async () => {
    await provider.stop();
  });
  const withGateway = (name: string, work: () => Promise<void>, changes: object = {}) =>
    test(name, async () => {
      gateway = await SessionGateway.start(provider.url, changes);
      provider.granted.length = 0;
      provider.authorizations.length = 0;
      try {
        await work();
      } finally {
        await gateway.stop();
      }
    });

  withGateway('40 at once: one sign-in in one browser, one session, the same token for all', async () => {
    const env = { ...homeOf(gateway), BROWSER: browserProgram(gateway) };
    const results = await Promise.all(Array.from({ length: 40 }, () => runCli(args(), env)));
    for (const result of results) assert.equal(result.code, 0, result.stderr);
    const tokens = new Set(results.map((result) => tokenIn(result.stdout).token));
    assert.equal(tokens.size, 1);
    assert.equal(readFileSync(join(gateway.folder, 'browser.log'), 'utf8'), 'opened\n');
    assert.deepEqual(provider.granted, ['authorization_code']);
    assert.equal(gateway.store.objects.size, 1);
    const caller = await gateway.room.authenticator.authenticate([...tokens][0]!);
    assert.equal(caller.username, 'oidc:alice');
    assert.equal(caller.agent, 'cursor');
    assert.deepEqual(caller.groups, ['ai-agents', 'oidc:developers']);
    assert.ok(caller.authTime !== undefined && Math.abs(caller.authTime - Date.now() / 1_000) < 60);

    const folder = cacheOf(gateway);
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    for (const name of readdirSync(folder)) {
      assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
      assert.ok(!/lock|tmp/.test(name), `${name} is left behind`);
    }
    const kept = readdirSync(folder).find((name) => name.endsWith('.json'))!;
    assert.deepEqual(Object.keys(JSON.parse(readFileSync(join(folder, kept), 'utf8')) as object).sort(byName), [
      'expiresAt',
      'issuedAt',
      'session',
      'token',
    ]);
    const [query] = provider.authorizations;
    assert.equal(query!.get('code_challenge_method'), 'S256');
    assert.equal(query!.get('response_type'), 'code');
    assert.match(query!.get('redirect_uri')!, /^http:\/\/127\.0\.0\.1:\d+\/callback$/);
    assert.ok(query!.get('state')!.length > 20 && query!.get('nonce')!.length > 20);
  });

  withGateway('the device flow, where there is no browser', async () => {
    let opened = false;
    const result = await runCli(args(), homeOf(gateway), (text) => {
      const address = /\(or open (\S+)\)\n/.exec(text)?.[1];
      if (address === undefined || opened) return;
      opened = true;
      void new ScriptedBrowser('bob').open(address);
    });
    assert.equal(result.code, 0, result.stderr);
    assert.match(result.stderr, /enter the code [A-Z]{4}-[A-Z]{4}\n/);
    const caller = await gateway.room.authenticator.authenticate(tokenIn(result.stdout).token);
    assert.equal(caller.username, 'oidc:bob');
    assert.deepEqual(provider.granted, ['urn:ietf:params:oauth:grant-type:device_code']);
  });

  withGateway('nobody can sign in: an error that says what to do, at once', async () => {
    const plain = await TestProvider.start({ device: false });
    const bare = await SessionGateway.start(plain.url);
    try {
      for (const env of [{}, { CI: 'true' }]) {
        const result = await runCli(['credential', '--gateway', bare.url, '--ca', bare.caFile, '--agent', 'cursor'], {
          ...homeOf(bare),
          ...env,
        });
        assert.equal(result.code, 1);
        assert.equal(result.stdout, '');
        assert.match(result.stderr, /nobody can sign in here[\s\S]*--token-file/);
      }
      const job = await run({ CI: 'true' });
      assert.equal(job.code, 1);
      assert.match(job.stderr, /nobody can sign in here/);
    } finally {
      await bare.stop();
      await plain.stop();
    }
  });

  withGateway('nobody comes: it ends in time, and those who waited with it fail with it', async () => {
    const idle = join(gateway.folder, 'idle');
    writeFileSync(idle, `#!/bin/sh\necho opened >>'${gateway.folder}/idle.log'\n`, { mode: 0o755 });
    const started = performance.now();
    const results = await Promise.all([1, 2, 3, 4].map(() => run({ BROWSER: idle }, ['--timeout', '2s'])));
    assert.ok(performance.now() - started < 8_000);
    for (const { code, stdout, stderr } of results) {
      assert.equal(code, 1);
      assert.equal(stdout, '');
      assert.match(stderr, /nobody signed in within 2 seconds/);
    }
    assert.equal(readFileSync(`${gateway.folder}/idle.log`, 'utf8'), 'opened\n', 'one window, not four');
  });

  withGateway('what comes to the loopback port without our state changes nothing', async () => {
    const { io: own, said } = io({ BROWSER: 'none' });
    const running = runCredential([...args().slice(1), '--sign-in', 'browser', '--timeout', '20s'], own, 1);
    while (!said.stderr.includes('http')) await new Promise((resolve) => setTimeout(resolve, 20));
    const address = new URL(/http\S+/.exec(said.stderr)![0]);
    const redirect = address.searchParams.get('redirect_uri')!;
    for (const path of ['?code=x', '?code=x&state=y', `?error=access_denied&state=${'a'.repeat(43)}`, '/../x']) {
      const answer = await fetch(redirect + path);
      assert.equal(answer.status, 404);
      assert.match(answer.headers.get('content-security-policy')!, /default-src 'none'/);
    }
    const posted = await fetch(`${redirect}?state=${address.searchParams.get('state')}&code=x`, { method: 'POST' });
    assert.equal(posted.status, 404);
    const page = await new ScriptedBrowser('carol').open(address.href);
    assert.match(page, /You are signed in/);
    assert.equal(await running, 0, said.stderr);
    assert.equal((await gateway.room.authenticator.authenticate(tokenIn(said.stdout).token)).username, 'oidc:carol');
  });

  withGateway('an answer with a wrong code ends the sign-in with an error', async () => {
    const { io: own, said } = io({ BROWSER: 'none' });
    const running = runCredential([...args().slice(1), '--sign-in', 'browser', '--timeout', '20s'], own, 1);
    while (!said.stderr.includes('http')) await new Promise((resolve) => setTimeout(resolve, 20));
    const address = new URL(/http\S+/.exec(said.stderr)![0]);
    const wrong = new URLSearchParams({ code: 'wrong', state: address.searchParams.get('state')!, iss: provider.url });
    const answer = await fetch(`${address.searchParams.get('redirect_uri')}?${wrong}`);
    assert.equal(answer.status, 400);
    assert.equal(await running, 1);
    assert.equal(said.stdout, '');
    assert.match(said.stderr, /the sign-in failed: invalid_grant/);
  });

  withGateway('a cached session is used until it is about to end, without any request', async () => {
    const env = { BROWSER: browserProgram(gateway) };
    const first = await run(env);
    assert.equal(first.code, 0, first.stderr);
    gateway.asked.length = 0;
    const second = await run({ BROWSER: 'none' });
    assert.equal(second.stdout, first.stdout);
    assert.equal(second.stderr, '');
    assert.deepEqual(gateway.asked, []);

    const file = join(cacheOf(gateway), readdirSync(cacheOf(gateway)).find((name) => name.endsWith('.json'))!);
    const kept = JSON.parse(readFileSync(file, 'utf8')) as { expiresAt: number };
    writeFileSync(file, JSON.stringify({ ...kept, expiresAt: Date.now() + 20_000 }), { mode: 0o600 });
    const third = await run(env);
    assert.equal(third.code, 0, third.stderr);
    assert.notEqual(third.stdout, first.stdout);
  });

  withGateway('asked twice by the same process, it looks whether the session still stands', async () => {
    const env = { BROWSER: browserProgram(gateway) };
    const first = await run(env, [], 77);
    assert.equal(first.code, 0, first.stderr);
    gateway.asked.length = 0;
    assert.equal((await run(env, [], 77)).stdout, first.stdout);
    assert.equal(gateway.asked.filter((line) => line.startsWith('GET /sallyport/v1/sessions/')).length, 1);
    assert.equal(provider.granted.length, 1);

    // Another process had it before the revocation; it asks again after a 401 and gets a new session after a new sign-in.
    assert.equal((await run(env, [], 78)).stdout, first.stdout);
    const [{ session }] = [...gateway.store.objects.values()] as unknown as [{ session: AgentSession }];
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await gateway.store.patchStatus(session.name, { revoked: true, revokedTime: new Date().toISOString() });
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const again = await run(env, [], 78);
    assert.equal(again.code, 0, again.stderr);
    assert.notEqual(again.stdout, first.stdout);
    await gateway.room.authenticator.authenticate(tokenIn(again.stdout).token);
  });

  withGateway('after a revocation the person really signs in again, not the issuer’s remembered session', async () => {
    const env = { BROWSER: browserProgram(gateway) };
    await run(env, ['--offline-access']);
    const [{ session }] = [...gateway.store.objects.values()] as unknown as [{ session: AgentSession }];
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await gateway.store.patchStatus(session.name, { revoked: true, revokedTime: new Date().toISOString() });
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    provider.authorizations.length = 0;
    provider.granted.length = 0;
    const renewed = await run(env, ['--offline-access', '--renew']);
    assert.equal(renewed.code, 0, renewed.stderr);
    assert.match(renewed.stderr, /was revoked: sign in anew/);
    assert.deepEqual(provider.granted, ['refresh_token', 'authorization_code']);
    assert.ok(provider.authorizations.every((query) => query.get('max_age') === '0'));
    await gateway.room.authenticator.authenticate(tokenIn(renewed.stdout).token);
  });

  withGateway('a sign-in that the issuer remembers from before the revocation is refused, and made anew', async () => {
    const env = { BROWSER: browserProgram(gateway) };
    await run(env);
    await browserDone(gateway);
    const [{ session }] = [...gateway.store.objects.values()] as unknown as [{ session: AgentSession }];
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await gateway.store.patchStatus(session.name, { revoked: true, revokedTime: new Date().toISOString() });
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    provider.authorizations.length = 0;
    const renewed = await run(env, ['--renew']);
    assert.equal(renewed.code, 0, renewed.stderr);
    assert.match(renewed.stderr, /was revoked: sign in anew/);
    const ages = new Set(provider.authorizations.map((query) => query.get('max_age')));
    assert.deepEqual(ages, new Set(['86400', '0']));
  });

  withGateway(
    '--offline-access: renewed before its end without a person; without it nothing of the issuer is kept',
    async () => {
      const env = { BROWSER: browserProgram(gateway) };
      const first = await run(env, ['--offline-access']);
      assert.equal(first.code, 0, first.stderr);
      const file = join(cacheOf(gateway), readdirSync(cacheOf(gateway)).find((name) => name.endsWith('.json'))!);
      const kept = JSON.parse(readFileSync(file, 'utf8')) as {
        issuedAt: number;
        expiresAt: number;
        refreshToken: string;
      };
      assert.ok(kept.refreshToken.length > 10);
      // In the last tenth of its life.
      writeFileSync(
        file,
        JSON.stringify({ ...kept, issuedAt: Date.now() - 3_300_000, expiresAt: Date.now() + 300_000 }),
      );
      const second = await run({ BROWSER: 'none', CI: 'true' }, ['--offline-access']);
      assert.equal(second.code, 0, second.stderr);
      assert.notEqual(second.stdout, first.stdout);
      assert.deepEqual(provider.granted, ['authorization_code', 'refresh_token']);
      assert.equal(statSync(file).mode & 0o777, 0o600);
    },
  );

  withGateway('a CI job exchanges its token file; what is no token is not sent, nor shown', async () => {
    const signedIn = await run({ BROWSER: browserProgram(gateway) });
    assert.equal(signedIn.code, 0, signedIn.stderr);
    const file = join(gateway.folder, 'token');
    writeFileSync(file, 'not a token: secret-looking\n');
    gateway.asked.length = 0;
    const wrong = await run({ CI: 'true' }, ['--token-file', file]);
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /this is not a token/);
    assert.ok(!wrong.stderr.includes('secret-looking'));
    assert.ok(!gateway.asked.some((line) => line.startsWith('POST')));
    // A session token is no proof of a person.
    writeFileSync(file, tokenIn(signedIn.stdout).token);
    const agent = await run({ CI: 'true' }, ['--token-file', file]);
    assert.equal(agent.code, 1);
    assert.match(agent.stderr, /an agent cannot take/);
    const missing = await run({ CI: 'true', SALLYPORT_TOKEN_FILE: '/nonexistent/token' });
    assert.match(missing.stderr, /\/nonexistent\/token: ENOENT/);
  });

  withGateway('a cache that others can touch is not believed', async () => {
    const env = { BROWSER: browserProgram(gateway) };
    const first = await run(env);
    const folder = cacheOf(gateway);
    const file = join(folder, readdirSync(folder).find((name) => name.endsWith('.json'))!);
    chmodSync(file, 0o644);
    const second = await run(env);
    assert.equal(second.code, 0, second.stderr);
    assert.notEqual(second.stdout, first.stdout);
    assert.equal(statSync(file).mode & 0o777, 0o600);

    const elsewhere = join(gateway.folder, 'planted.json');
    writeFileSync(elsewhere, readFileSync(file), { mode: 0o600 });
    const { rmSync } = await import('node:fs');
    rmSync(file);
    symlinkSync(elsewhere, file);
    const third = await run(env);
    assert.notEqual(third.stdout, second.stdout, 'a symbolic link is not followed');
    assert.ok(!statSync(file, { throwIfNoEntry: true }).isSymbolicLink());

    for (const text of ['', '{', '[]', 'null', '{"token":1}']) {
      writeFileSync(file, text);
      assert.equal((await run(env)).code, 0, text);
    }
    chmodSync(folder, 0o755);
    const open = await run(env);
    assert.equal(open.code, 1);
    assert.match(open.stderr, /is open to others/);
  });

  withGateway('the credential is for its gateway only', async () => {
    const info = (changes: object) =>
      JSON.stringify({
        kind: 'ExecCredential',
        apiVersion: 'client.authentication.k8s.io/v1',
        spec: { interactive: false, cluster: { server: gateway.url, ...changes } },
      });
    const ca = readFileSync(gateway.caFile).toString('base64');
    const bare = ['--gateway', gateway.url, '--agent', 'cursor'];
    const plugin = async (text: string) => {
      const { io: own, said } = io({ BROWSER: browserProgram(gateway), KUBERNETES_EXEC_INFO: text });
      return { code: await runCredential(bare, own, Math.random()), ...said };
    };
    const good = await plugin(info({ 'certificate-authority-data': ca }));
    assert.equal(good.code, 0, good.stderr);
    for (const [text, why] of [
      [info({ server: 'https://evil.example' }), /does not get it/],
      [info({ 'insecure-skip-tls-verify': true }), /insecure-skip-tls-verify/],
      ['{', /not JSON/],
      ['{"apiVersion":"client.authentication.k8s.io/v1alpha1"}', /only client/],
    ] as const) {
      const bad = await plugin(text);
      assert.equal(bad.code, 1);
      assert.equal(bad.stdout, '');
      assert.match(bad.stderr, why);
    }
  });

  withGateway('a gateway whose certificate is not of the given CA gets nothing', async () => {
    const { io: own, said } = io({ BROWSER: browserProgram(gateway) });
    const code = await runCredential(['--gateway', gateway.url, '--agent', 'cursor'], own, 1);
    assert.equal(code, 1);
    assert.match(said.stderr, /cannot be reached/);
    assert.deepEqual(gateway.asked, []);
    assert.equal(existsSync(join(gateway.folder, 'browser.log')), false, 'nobody is asked to sign in for it');
  });

  withGateway('wrong arguments', async () => {
    mkdirSync(join(gateway.folder, 'home'), { recursive: true });
    for (const wrong of [
      [],
      ['--gateway', 'http://127.0.0.1', '--agent', 'cursor'],
      ['--gateway', 'https://user:pw@host', '--agent', 'cursor'],
      ['--gateway', 'https://host/path', '--agent', 'cursor'],
      ['--gateway', gateway.url],
      ['--gateway', gateway.url, '--agent', '../x'],
      ['--gateway', gateway.url, '--agent', 'cursor', '--agent', 'other'],
      ['--gateway', gateway.url, '--agent', 'cursor', '--sign-in', 'telepathy'],
      ['--gateway', gateway.url, '--agent', 'cursor', '--ttl', 'long'],
      ['--gateway', gateway.url, '--agent', 'cursor', '--unknown'],
      ['--gateway', gateway.url, '--agent', 'cursor', 'more'],
    ]) {
      const { io: own, said } = io({});
      assert.equal(await runCredential(wrong, own, 1), 2, wrong.join(' '));
      assert.equal(said.stdout, '');
      assert.match(said.stderr, /^sallyport credential: .+\n"sallyport credential --help" says more\n$/);
    }
  });
});

function byName(a: string, b: string): number {
  return a.localeCompare(b);
}
