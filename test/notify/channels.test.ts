import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Webhook as Verifier } from 'standardwebhooks';
import type { ApprovalRequest } from '../../src/approval/approval-request.generated.ts';
import { requestOf } from '../../src/approval/cases.ts';
import { notifications } from '../../src/config/notifications.ts';
import type { Channel } from '../../src/notify/channel.ts';
import { createChannels } from '../../src/notify/channels.ts';
import { type Message, noticeOf } from '../../src/notify/notice.ts';
import { CertificateAuthority } from '../cluster/certificates.ts';
import { HttpReceiver, MailReceiver } from './receivers.ts';

const LINK = 'https://console.shop.example/approvals/{namespace}/{name}';
const DIFF = '--- live\n+++ requested\n@@ -1,1 +1,1 @@\n-replicas: 1\n+replicas: 9\n';
const SUMMARY =
  'command: kubectl scale deployment web --replicas=9\nrequester: alice (https://login.example)\nwhy: in production';

/** Requests as they are told of. */
export function messageOf(count = 1, change: Partial<ApprovalRequest['spec']> = {}): Message {
  const notices = Array.from({ length: count }, (_, index) => {
    const object = requestOf({ summary: SUMMARY, diff: DIFF, ...change });
    return noticeOf({ ...object, metadata: { ...object.metadata, name: `ar-04hmasw9nf-${index + 1}` } }, LINK);
  });
  return { id: 'msg_1', time: new Date('2026-06-01T12:00:00Z'), notices };
}

describe('channels against real receivers', () => {
  let folder: string;
  let http: HttpReceiver;
  const secret = randomBytes(32).toString('base64');

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sallyport-notify-'));
    http = await HttpReceiver.start();
  });
  after(async () => {
    await http.stop();
    rmSync(folder, { recursive: true });
  });

  const file = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content, { mode: 0o600 });
    return join(folder, name);
  };
  const channels = (configuration: object): Channel[] => createChannels(notifications.parse(configuration));
  const send = (channel: Channel, message: Message): Promise<void> => channel.send(message, AbortSignal.timeout(5_000));

  describe('Slack', () => {
    it('gets blocks with the exact command, the summary, what to type, and our link; the diff only where it is wanted', async () => {
      const url = `${http.url}/services/${randomBytes(8).toString('hex')}`;
      const [plain, withDiff] = channels({
        slack: [
          { name: 'a', webhookURLFile: file('slack', `${url}\n`) },
          { name: 'b', webhookURLFile: file('slack', url), includeDiff: true },
        ],
      });
      await send(plain!, messageOf(2));
      await send(withDiff!, messageOf());
      const [first, second] = http.posts.splice(0);
      assert.equal(`${http.url}${first!.path}`, url);
      assert.match(first!.headers['content-type']!, /^application\/json/);
      const body = JSON.parse(first!.body) as { text: string; blocks: { type: string }[] };
      assert.match(
        body.text,
        /^2 requests wait for a decision: shop\/ar-04hmasw9nf-1, shop\/ar-04hmasw9nf-2\nkubectl approve -n shop/,
      );
      assert.deepEqual(
        body.blocks.map(({ type }) => type),
        ['header', 'rich_text', 'divider', 'rich_text', 'divider'],
      );
      assert.ok(first!.body.includes('command: kubectl scale deployment web --replicas=9'));
      assert.ok(first!.body.includes('https://console.shop.example/approvals/shop/ar-04hmasw9nf-2'));
      assert.ok(!first!.body.includes('+replicas'));
      assert.ok(second!.body.includes('+replicas: 9'));
    });

    it('shows ten of a crowd and counts the rest', async () => {
      const [slack] = channels({ slack: [{ webhookURLFile: file('slack', http.url) }] });
      await send(slack!, messageOf(50));
      const body = JSON.parse(http.posts.splice(0)[0]!.body) as { blocks: unknown[] };
      assert.ok(body.blocks.length <= 50);
      assert.match(JSON.stringify(body.blocks.at(-1)), /and 40 more: kubectl approvals/);
    });
  });

  describe('webhook', () => {
    it('is signed so that the library of Standard Webhooks accepts it, and nothing that was changed', async () => {
      const [hook] = channels({
        webhooks: [{ url: `${http.url}/hook`, secretFile: file('secret', `whsec_${secret}\n`), includeDiff: true }],
      });
      const message = messageOf(2);
      await send(hook!, message);
      const [post] = http.posts.splice(0);
      const verifier = new Verifier(`whsec_${secret}`);
      const headers = post!.headers as Record<string, string>;
      const body = verifier.verify(post!.body, headers) as {
        type: string;
        data: { requests: Record<string, unknown>[] };
      };
      assert.equal(body.type, 'approval.requested');
      assert.equal(headers['webhook-id'], 'msg_1');
      const [request] = body.data.requests;
      assert.equal(request!['command'], 'kubectl scale deployment web --replicas=9');
      assert.equal(request!['approve'], 'kubectl approve -n shop ar-04hmasw9nf-1');
      assert.equal(request!['link'], 'https://console.shop.example/approvals/shop/ar-04hmasw9nf-1');
      assert.equal(request!['diff'], DIFF);
      assert.equal(body.data.requests.length, 2);
      assert.throws(() => verifier.verify(post!.body.replace('=9', '=1'), headers));
      assert.throws(() => new Verifier(`whsec_${randomBytes(32).toString('base64')}`).verify(post!.body, headers));
      assert.throws(() => verifier.verify(post!.body, { ...headers, 'webhook-timestamp': '1000000000' }));
    });

    it('says what is wrong by a code alone, follows no redirect, and does not wait for ever', async () => {
      const [hook] = channels({ webhooks: [{ url: `${http.url}/secret-path`, secretFile: file('secret', secret) }] });
      const answers: [string, (typeof http)['answer'], RegExp][] = [
        ['an error', (response) => response.writeHead(500).end('internals of the receiver'), /^HTTP 500$/],
        [
          'a redirect',
          (response) => response.writeHead(302, { location: `${http.url}/elsewhere` }).end(),
          /^HTTP 302$/,
        ],
        ['too many', (response) => response.writeHead(429, { 'retry-after': '7' }).end(), /^HTTP 429$/],
        ['a cut connection', (response) => response.destroy(), /^(UND_ERR_SOCKET|ECONNRESET)$/],
        ['no end', (response) => response.writeHead(200).write('x'.repeat(100)), /^no answer in time$/],
        ['no answer', () => {}, /^no answer in time$/],
      ];
      for (const [what, answer, expected] of answers) {
        http.answer = answer;
        const failed = await hook!.send(messageOf(), AbortSignal.timeout(300)).then(
          () => undefined,
          (error: Error) => error,
        );
        assert.ok(failed !== undefined, what);
        assert.match(failed.message, expected, what);
        assert.ok(!failed.message.includes('secret-path'));
        if (what === 'too many') assert.equal((failed as { retryAfter?: number }).retryAfter, 7_000);
      }
      assert.ok(http.posts.splice(0).every(({ path }) => path === '/secret-path'));
      http.answer = (response) => response.writeHead(200).end();
      // More than anyone needs to hear is not read.
      http.answer = (response) => response.writeHead(204).end();
      await send(hook!, messageOf());
      http.posts.splice(0);
    });
  });

  describe('e-mail', () => {
    const account = { username: 'sallyport', password: randomBytes(12).toString('hex') };

    it('comes by STARTTLS with a sign-in, as text and HTML', async () => {
      const authority = await CertificateAuthority.create('mail authority');
      const { certPem, keyPem } = await authority.server('mail', ['localhost', '127.0.0.1']);
      const mail = await MailReceiver.start({
        cert: certPem,
        key: keyPem,
        onAuth: ({ username, password }, _session, done) =>
          username === account.username && password === account.password
            ? done(null, { user: username })
            : done(new Error('no')),
      });
      try {
        const one = {
          host: 'localhost',
          port: mail.port,
          caFile: file('ca', authority.certPem),
          from: 'sallyport@shop.example',
          to: ['leads@shop.example', 'oncall@shop.example'],
          username: account.username,
          includeDiff: true,
        };
        const [email] = channels({ email: [{ ...one, passwordFile: file('password', `${account.password}\n`) }] });
        await send(email!, messageOf(2));
        const [got] = mail.mails;
        assert.deepEqual([got!.secure, got!.user, got!.from, got!.to], [true, account.username, one.from, one.to]);
        assert.equal(
          got!.headers['subject'],
          '[sallyport] 2 requests wait for a decision: shop/ar-04hmasw9nf-1, shop/ar-04hmasw9nf-2',
        );
        assert.equal(got!.headers['message-id'], '<msg_1@sallyport>');
        assert.equal(got!.headers['auto-submitted'], 'auto-generated');
        for (const text of [
          'command: kubectl scale deployment web --replicas=9',
          'kubectl approve -n shop ar-04hmasw9nf-2',
          '+replicas: 9',
          'https://console.shop.example/approvals/shop/ar-04hmasw9nf-1',
        ]) {
          assert.ok(got!.text.includes(text), text);
        }
        assert.match(got!.html, /<a href="https:\/\/console\.shop\.example\/approvals\/shop\/ar-04hmasw9nf-1">/);
        const [wrong] = channels({ email: [{ ...one, passwordFile: file('password', 'another') }] });
        await assert.rejects(send(wrong!, messageOf()), /^DeliveryError: EAUTH \(535\)$/);
        const [untrusting] = channels({
          email: [{ ...one, caFile: undefined, passwordFile: file('password', account.password) }],
        });
        await assert.rejects(send(untrusting!, messageOf()), /UNABLE_TO_VERIFY_LEAF_SIGNATURE/);
        assert.equal(mail.mails.length, 1);
      } finally {
        await mail.stop();
      }
    });

    it('never goes without TLS where TLS is wanted', async () => {
      const mail = await MailReceiver.start({ disabledCommands: ['STARTTLS', 'AUTH'] });
      try {
        const one = { host: 'localhost', port: mail.port, from: 'a@shop.example', to: ['b@shop.example'] };
        const [demanding, plain] = channels({
          email: [
            { ...one, name: 'x' },
            { ...one, tls: 'None' },
          ],
        });
        await assert.rejects(send(demanding!, messageOf()), /^DeliveryError: E/);
        assert.equal(mail.mails.length, 0);
        await send(plain!, messageOf());
        assert.equal(mail.mails.length, 1);
        assert.ok(!mail.mails[0]!.text.includes('+replicas'), 'no diff unless it is wanted');
      } finally {
        await mail.stop();
      }
    });
  });

  it('a configuration that would give secrets away, or cannot work, is refused', () => {
    const wrong: [object, RegExp][] = [
      [{ webhooks: [{ url: 'http://hooks.shop.example', secretFile: 'x' }] }, /https only/],
      [{ webhooks: [{ url: 'https://user:pass@hooks.shop.example', secretFile: 'x' }] }, /no user information/],
      [{ linkURL: 'javascript:alert(1)' }, /https only/],
      [
        { email: [{ host: 'mail.example', tls: 'None', from: 'a@b.example', to: ['a@b.example'] }] },
        /without TLS only to loopback/,
      ],
      [{ email: [{ host: 'mail.example', from: 'a@b.example\r\nBcc: x@y', to: ['a@b.example'] }] }, /a plain address/],
      [{ email: [{ host: 'mail.example', username: 'x', from: 'a@b.example', to: ['a@b.example'] }] }, /go together/],
      [{ slack: [{ webhookURLFile: 'x' }, { webhookURLFile: 'y' }] }, /must be unique/],
    ];
    for (const [configuration, message] of wrong) {
      const parsed = notifications.safeParse(configuration);
      assert.ok(!parsed.success);
      assert.match(parsed.error.issues.map((issue) => issue.message).join('\n'), message);
    }
    assert.throws(() => channels({ slack: [{ webhookURLFile: join(folder, 'none') }] }), /ENOENT/);
    assert.throws(() => channels({ slack: [{ webhookURLFile: file('slack', 'ftp://x') }] }), /https only/);
    assert.throws(
      () => channels({ webhooks: [{ url: 'https://x.example', secretFile: file('short', 'short') }] }),
      /less than 24 bytes/,
    );
  });
});
