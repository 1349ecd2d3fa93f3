import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Webhook as Verifier } from 'standardwebhooks';
import type { ApprovalRequest } from '../../src/approval/approval-request.generated.ts';
import { Bench, type Person, specOf } from '../approval/bench.ts';
import { ControllerProcess } from '../controller/controller-process.ts';
import { HttpReceiver, MailReceiver } from './receivers.ts';

const bob: Person = { username: 'bob@shop.example' };

describe('notifications from a real controller to real receivers', { timeout: 240_000 }, () => {
  let bench: Bench;
  let controller: ControllerProcess;
  let slack: HttpReceiver;
  let hook: HttpReceiver;
  let mail: MailReceiver;
  let folder: string;
  const token = randomBytes(12).toString('hex');
  const secret = randomBytes(32).toString('base64');

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sallyport-notify-'));
    const file = (name: string, content: string): string => {
      writeFileSync(join(folder, name), content, { mode: 0o600 });
      return join(folder, name);
    };
    bench = await Bench.start();
    await ControllerProcess.account(bench.cluster);
    await bench.approver(bob.username, 'cursor-in-production');
    [slack, hook] = [await HttpReceiver.start(), await HttpReceiver.start()];
    mail = await MailReceiver.start({ disabledCommands: ['STARTTLS', 'AUTH'] });
    controller = await ControllerProcess.start(bench.cluster, {
      configuration: {
        notifications: {
          gather: '2s',
          linkURL: 'https://console.shop.example/{namespace}/{name}',
          slack: [{ webhookURLFile: file('slack', `${slack.url}/services/${token}`) }],
          webhooks: [
            {
              name: 'ops',
              url: `${hook.url}/${token}`,
              secretFile: file('secret', `whsec_${secret}`),
              includeDiff: true,
            },
          ],
          email: [
            { host: '127.0.0.1', port: mail.port, tls: 'None', from: 'gate@shop.example', to: ['leads@shop.example'] },
          ],
        },
      },
    });
    await controller.logged('leading: this replica takes decisions in');
  });
  after(async () => {
    await controller?.remove();
    await bench?.stop();
    await Promise.all([slack?.stop(), hook?.stop(), mail?.stop()]);
    rmSync(folder, { recursive: true });
  });

  async function until(fits: () => boolean | Promise<boolean>, what: string, timeout = 15_000): Promise<void> {
    const end = Date.now() + timeout;
    while (!(await fits())) {
      assert.ok(Date.now() < end, what);
      await sleep(25);
    }
  }
  const notified = (object: ApprovalRequest) => object.status?.conditions?.find(({ type }) => type === 'Notified');

  it('three requests of one session within two seconds are one message on every channel; the condition says so', async () => {
    const requester = { ...specOf('x').requester, session: 'cursor-a' };
    const names: string[] = [];
    for (let i = 0; i < 3; i++) names.push(await bench.pending({ requester, diff: '+a\n' }));
    const other = await bench.pending({ requester: { ...requester, session: 'cursor-b' } });
    await until(
      () => slack.posts.length === 2 && hook.posts.length === 2 && mail.mails.length === 2,
      'two messages each',
    );
    await until(async () => notified(await bench.get(names[0]!))?.status === 'True', 'the condition');
    const condition = notified(await bench.get(names[0]!))!;
    assert.deepEqual([condition.reason, condition.message], ['Sent', 'sent by email, ops, slack']);
    assert.equal((await bench.get(names[0]!)).status!.phase, 'Pending', 'it is no part of the state');
    const bodies = hook.posts.map(
      ({ body, headers }) =>
        new Verifier(`whsec_${secret}`).verify(body, headers as Record<string, string>) as {
          data: { requests: { name: string; diff?: string }[] };
        },
    );
    const big = bodies.find(({ data }) => data.requests.length === 3)!;
    assert.deepEqual(big.data.requests.map(({ name }) => name).toSorted(byName), names.toSorted(byName));
    assert.equal(big.data.requests[0]!.diff, '+a\n');
    assert.ok(
      slack.posts.some(({ body }) => body.includes(other)) && !slack.posts.some(({ body }) => body.includes('"+a')),
    );
    assert.ok(mail.mails.some(({ text }) => text.includes(`kubectl approve -n ${bench.namespace} ${names[1]}`)));
    for (const name of names) {
      for (const channel of ['slack', 'ops', 'email']) {
        await controller.logged(
          'approval notified',
          (line) => (line['approval'] as { name: string }).name === name && line['channel'] === channel,
        );
      }
    }
    await sleep(2_500);
    assert.equal(slack.posts.length, 2, 'and nobody is told twice');
  });

  it('Events tell of it, with names only', async () => {
    const name = await bench.pending({ summary: 'command: secret-looking words', reason: 'words of an agent' });
    await bench.patch(bob, name, {
      status: { decision: { type: 'Approved', username: bob.username, reason: 'more words' } },
    });
    const events = async () => {
      const list = await bench.cluster.admin(
        'GET',
        `/api/v1/namespaces/${bench.namespace}/events?fieldSelector=involvedObject.name=${name}`,
      );
      return (list.json() as { items: { reason: string; message: string; type: string }[] }).items;
    };
    await until(async () => (await events()).length >= 2, 'two Events');
    const told = await events();
    assert.deepEqual(told.map(({ reason }) => reason).toSorted(byName), ['Approved', 'Requested']);
    assert.ok(!JSON.stringify(told.map(({ message }) => message)).includes('words'));
    assert.match(
      told.find(({ reason }) => reason === 'Requested')!.message,
      /cursor-in-production\/other-exec.*kubectl approve -n/,
    );
    const described = await bench.cluster.kubectl(['describe', 'approvalrequest', '-n', bench.namespace, name]);
    assert.match(described.stdout, /Events:[\s\S]*Requested/);
  });

  it('a dead receiver blocks nothing and loses nothing: shown, counted, told when it is back, by another leader too', async () => {
    hook.answer = (response) => response.writeHead(500).end();
    const name = await bench.pending({ requester: { ...specOf('x').requester, session: 'cursor-c' } });
    await until(async () => notified(await bench.get(name))?.status === 'False', 'the condition');
    await until(
      async () => /email, slack/.test(notified(await bench.get(name))?.message ?? ''),
      'the others have told',
    );
    const message = notified(await bench.get(name))!.message;
    assert.match(message, /sent by email, slack; ops: HTTP 500; it is tried again/);
    assert.match(await controller.metrics(), /sallyport_notifications_total\{channel="ops",result="failed"\} [1-9]/);
    const begun = performance.now();
    const other = await bench.pending({ requester: { ...specOf('x').requester, session: 'cursor-d' } });
    await bench.patch(bob, other, { status: { decision: { type: 'Approved', username: bob.username } } });
    await until(async () => (await bench.get(other)).status?.phase === 'Approved', 'decisions go on');
    assert.ok(performance.now() - begun < 2_000);
    await controller.stop('SIGKILL');
    hook.answer = (response) => response.writeHead(200).end();
    await controller.launch();
    await until(async () => notified(await bench.get(name))?.status === 'True', 'told by the next leader', 30_000);
    assert.ok(hook.posts.some(({ body }) => body.includes(name)));
  });

  it('nothing secret of a channel is in the log, a condition or a metric', async () => {
    const log = controller.log.map((line) => JSON.stringify(line)).join('\n');
    const list = (await bench.cluster.admin('GET', bench.path())).body;
    const metrics = await controller.metrics();
    for (const text of [log, list, metrics]) {
      for (const word of [token, secret, `whsec_${secret}`]) assert.ok(!text.includes(word));
    }
  });

  it('a configuration with a file that is not there does not start', async () => {
    await assert.rejects(
      ControllerProcess.start(bench.cluster, {
        configuration: { notifications: { slack: [{ webhookURLFile: '/none/such' }] } },
      }),
      /the controller cannot start: .*\/none\/such/,
    );
  });
});

function byName(a: string, b: string): number {
  return a.localeCompare(b);
}
