import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApprovalRequest } from '../../src/approval/approval-request.generated.ts';
import { requestOf } from '../../src/approval/cases.ts';
import { type Channel, DeliveryError } from '../../src/notify/channel.ts';
import { HttpPost } from '../../src/notify/http-post.ts';
import { Notifier, type Waiting } from '../../src/notify/notifier.ts';
import { webhookBody } from '../../src/notify/webhook.ts';
import { createLog } from '../../src/observe/log.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { HttpReceiver } from './receivers.ts';

describe('the notifier', () => {
  let good: HttpReceiver;
  let bad: HttpReceiver;
  let notifier: Notifier;
  let metrics: Metrics;
  let lines: string[];
  let objects: Map<string, ApprovalRequest>;
  let progressed: string[];

  /** Plain HTTP to a receiver. */
  const channel = (name: string, receiver: HttpReceiver): Channel => {
    const post = new HttpPost();
    return {
      name,
      kind: 'Webhook',
      send: (message, signal) =>
        post.send(`${receiver.url}/t0ken`, JSON.stringify(webhookBody(message, false)), {}, signal),
      close: () => post.close(),
    };
  };

  beforeEach(async () => {
    good = await HttpReceiver.start();
    bad = await HttpReceiver.start();
    metrics = new Metrics('test');
    lines = [];
    objects = new Map();
    progressed = [];
    notifier = new Notifier({
      channels: [channel('good', good), channel('bad', bad)],
      read: async ({ name }) => objects.get(name),
      onProgress: ({ name }) => progressed.push(name),
      log: createLog('info', { write: (line) => void lines.push(line) }),
      metrics,
      gather: 100,
      pace: { first: 20, last: 200, patience: 300 },
    });
  });
  afterEach(async () => {
    await notifier.stop();
    await Promise.all([good.stop(), bad.stop()]);
  });

  function waiting(index: number, group = 'session'): Waiting {
    const object = requestOf();
    const name = `ar-04hmasw9nf-${index}`;
    objects.set(name, { ...object, metadata: { ...object.metadata, name, uid: `u${index}` } });
    return { uid: `u${index}`, namespace: 'shop', name, group };
  }
  const namesIn = (receiver: HttpReceiver, index = 0): string[] =>
    (JSON.parse(receiver.posts[index]!.body) as { data: { requests: { name: string }[] } }).data.requests.map(
      ({ name }) => name,
    );
  async function until(fits: () => boolean): Promise<void> {
    const end = Date.now() + 5_000;
    while (!fits()) {
      assert.ok(Date.now() < end, lines.join(''));
      await sleep(5);
    }
  }

  it('tells of one session’s requests that come together in one message, of others in another; each once', async () => {
    for (const index of [1, 2, 3]) notifier.offer(waiting(index));
    notifier.offer(waiting(4, 'other'));
    await sleep(30);
    notifier.offer(waiting(1));
    await until(() => good.posts.length === 2 && bad.posts.length === 2);
    assert.deepEqual(
      [namesIn(good, 0), namesIn(good, 1)].map((names) => names.length).sort((a, b) => a - b),
      [1, 3],
    );
    assert.ok(notifier.progress('u1')!.done);
    notifier.offer(waiting(5));
    await until(() => good.posts.length === 3);
    assert.deepEqual(namesIn(good, 2), ['ar-04hmasw9nf-5']);
  });

  it('a dead channel holds nothing up: it is tried again, counted, shown, and in the end has told', async () => {
    bad.answer = (response, count) => response.writeHead(count < 5 ? 503 : 200).end();
    notifier.offer(waiting(1));
    await until(() => good.posts.length === 1);
    await until(() => (notifier.progress('u1')?.failing.length ?? 0) > 0);
    assert.deepEqual(notifier.progress('u1'), {
      sent: ['good'],
      failing: [{ channel: 'bad', error: 'HTTP 503' }],
      done: false,
    });
    notifier.offer(waiting(2, 'later'));
    await until(() => good.posts.length === 2);
    await until(() => notifier.progress('u1')?.done === true && notifier.progress('u2')?.done === true);
    const text = await metrics.text();
    assert.match(text, /sallyport_notifications_total\{channel="bad",result="failed"\} 4/);
    assert.match(text, /sallyport_notifications_waiting\{channel="bad"\} 0/);
    assert.ok(lines.some((line) => line.includes('a notification was not taken')));
    assert.ok(progressed.filter((name) => name.endsWith('-1')).length >= 3);
  });

  it('a receiver that takes the connection and never answers holds nothing up either', async () => {
    bad.answer = () => {};
    notifier.offer(waiting(1));
    await until(() => good.posts.length === 1);
    await until(() => notifier.progress('u1')!.failing.length === 1);
    assert.equal(notifier.progress('u1')!.failing[0]!.error, 'no answer in time');
  });

  it('a hundred messages for a channel that is dead are four at a time, and none is lost', async () => {
    let under = 0;
    let most = 0;
    bad.answer = (response) => {
      most = Math.max(most, ++under);
      setTimeout(() => {
        under--;
        response.writeHead(200).end();
      }, 5);
    };
    for (let index = 0; index < 100; index++) notifier.offer(waiting(index, `s${index}`));
    await until(() => bad.posts.length === 100);
    assert.ok(most <= 4);
  });

  it('nobody is told of what was decided, or is gone, before its message went out', async () => {
    notifier.offer(waiting(1));
    notifier.offer(waiting(2));
    notifier.offer(waiting(3));
    notifier.withdraw('u1');
    objects.delete('ar-04hmasw9nf-2');
    await until(() => good.posts.length === 1);
    assert.deepEqual(namesIn(good), ['ar-04hmasw9nf-3']);
    bad.answer = (response) => response.writeHead(500).end();
    notifier.offer(waiting(9, 'x'));
    await until(() => good.posts.length === 2);
    notifier.withdraw('u9');
    await sleep(50);
    const count = bad.posts.length;
    await sleep(500);
    assert.ok(bad.posts.length <= count + 1, 'and no further try is made');
  });

  it('a stop breaks off what is under way and ends', async () => {
    bad.answer = () => {};
    notifier.offer(waiting(1));
    await until(() => bad.posts.length === 1);
    const begun = performance.now();
    await notifier.stop();
    assert.ok(performance.now() - begun < 200);
  });

  it('what a library says of a failure is in no log and no condition', async () => {
    await notifier.stop();
    const secret = 'https://hooks.example/t0ken';
    notifier = new Notifier({
      channels: [
        {
          name: 'x',
          kind: 'Slack',
          send: async () => Promise.reject(new Error(`cannot post to ${secret}`)),
          close: async () => {},
        },
      ],
      read: async ({ name }) => objects.get(name),
      onProgress: () => {},
      log: createLog('info', { write: (line) => void lines.push(line) }),
      metrics,
      gather: 0,
      pace: { first: 5, last: 10, patience: 100 },
    });
    notifier.offer(waiting(1));
    await until(() => (notifier.progress('u1')?.failing.length ?? 0) > 0);
    assert.equal(notifier.progress('u1')!.failing[0]!.error, 'failed');
    assert.ok(!lines.join('').includes('t0ken'));
    assert.ok(new DeliveryError('x') instanceof Error);
  });
});
