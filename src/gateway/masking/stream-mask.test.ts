import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { PassThrough } from 'node:stream';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { SallyportError } from '../../errors.ts';
import { defaultPlan } from '../../masking/default-plan.ts';
import { Placeholders } from '../../masking/marker.ts';
import type { MaskPlan } from '../../masking/mask-plan.ts';
import { parseRequest } from '../../request/request.ts';
import { ChannelPath } from '../upgrade/channel-path.ts';
import { Peer } from '../upgrade/peer.ts';
import { archiving } from './archive-command.ts';
import { admitStream, streamMask } from './stream-mask.ts';

const plan = defaultPlan(new Placeholders(Buffer.alloc(32, 3)));
const token = `ghp_${randomBytes(18).toString('hex')}`;
const exec = (query: string) =>
  parseRequest('GET', `/api/v1/namespaces/shop/pods/web/exec?${query}&stdout=true&stderr=true`, {});

/** What a client gets of stdout, with when: milliseconds since the start. */
function session(query: string, by: MaskPlan = plan) {
  const got: { at: number; text: string }[] = [];
  const errors: unknown[] = [];
  const started = performance.now();
  const path = new ChannelPath('stdout', streamMask(by, exec(query))('stdout'), {
    from: new Peer(new PassThrough(), Buffer.alloc(0)),
    write: (chunk) => got.push({ at: performance.now() - started, text: chunk.toString('latin1') }),
    end: () => got.push({ at: performance.now() - started, text: '<end>' }),
    fail: (error) => errors.push(error),
  });
  return { path, got, errors, text: () => got.map(({ text }) => text).join('') };
}

suite('masking exec and attach', () => {
  test('the error channel and the size pass without a tap', () => {
    const tap = streamMask(plan, exec('command=sh&stdin=true&tty=true'));
    for (const channel of ['error', 'resize'] as const) assert.equal(tap(channel), undefined);
    assert.ok(tap('stdout') !== undefined && tap('stderr') !== undefined);
  });

  test('input passes as it is typed; a placeholder in it ends the session, and none of that chunk passes', () => {
    const got: string[] = [];
    const errors: unknown[] = [];
    const path = new ChannelPath('stdin', streamMask(plan, exec('command=sh&stdin=true&tty=true'))('stdin'), {
      from: new Peer(new PassThrough(), Buffer.alloc(0)),
      write: (chunk) => got.push(chunk.toString('latin1')),
      end: () => got.push('<end>'),
      fail: (error) => errors.push(error),
    });
    for (const key of ['l', 's', '\r', '\xff', `export A=${token}\r`]) path.push(Buffer.from(key, 'latin1'));
    assert.equal(got.join(''), `ls\r\xffexport A=${token}\r`);
    const placeholder = plan.placeholders.redact({ object: 'u', path: 'data.a', rule: 'r' });
    path.push(Buffer.from(`export B=${placeholder.slice(0, 9)}`));
    path.push(Buffer.from(`${placeholder.slice(9)}\r`));
    path.end();
    assert.ok(!got.join('').includes(placeholder.slice(9)));
    assert.equal(errors.length, 1);
    assert.ok(errors[0] instanceof SallyportError && errors[0].code === 'SP_MASKING_PLACEHOLDER', String(errors[0]));
  });

  test('a secret cut at any byte, coloured, at the end of a terminal’s line, over many frames', () => {
    const text = `\x1b[1mGH\x1b[0m=\x1b[33m${token.slice(0, 12)}\x1b[0m${token.slice(12)}\r\n$ ok \xff\xfe\r\n`;
    const all = session('command=sh');
    all.path.push(Buffer.from(text, 'latin1'));
    all.path.end();
    assert.match(all.text(), /=\x1b\[33msallyport\.masked\.[a-z2-7]{26}\x1b\[0m\r\n\$ ok \xff\xfe\r\n<end>$/);
    fc.assert(
      fc.property(fc.array(fc.nat(text.length), { maxLength: 12 }), (cuts) => {
        const { path, text: out } = session('command=sh');
        let from = 0;
        for (const to of [...cuts.sort((a, b) => a - b), text.length]) {
          if (to > from) path.push(Buffer.from(text.slice(from, to), 'latin1'));
          from = to;
        }
        path.end();
        assert.equal(out(), all.text());
      }),
      { numRuns: 100 },
    );
  });

  test('a prompt and each typed character are there within 50 ms, and a secret typed before stays masked', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { path, got, text } = session('command=sh&stdin=true&tty=true');
    for (const [i, part] of ['/ # ', 'l', 's', ' ', '-l', '\r\n'].entries()) {
      path.push(Buffer.from(part));
      t.mock.timers.tick(50);
      assert.deepEqual(
        got.slice(i).map(({ text: one }) => one),
        [part],
      );
    }
    path.push(Buffer.from(`export T=${token}`));
    t.mock.timers.tick(50);
    path.push(Buffer.from('\r\n'));
    path.end();
    assert.match(text(), /export T=sallyport\.masked\.[a-z2-7]{26}\r\n<end>$/);
  });

  test('without a terminal or stdin, a line in two pieces is waited for, and what is never ended passes with the end', async () => {
    const { path, text } = session('command=sh');
    path.push(Buffer.from(`t ${token.slice(0, 10)}`));
    await delay(120);
    assert.equal(text(), '');
    path.push(Buffer.from(token.slice(10)));
    path.end();
    assert.match(text(), /^t sallyport\.masked\.[a-z2-7]{26}<end>$/);
  });

  test('a session that is cut off passes nothing of what was held', async () => {
    const { path, text } = session('command=sh&stdin=true&tty=true');
    path.push(Buffer.from('half a li'));
    path.cut();
    await delay(80);
    assert.equal(text(), '');
  });

  test('binary output in which nothing is found is byte-exact', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 6 }), (chunks) => {
        const { path, got } = session('command=cat');
        for (const chunk of chunks) if (chunk.length > 0) path.push(Buffer.from(chunk));
        path.end();
        const out = got.slice(0, -1).map(({ text }) => text);
        assert.equal(out.join(''), Buffer.concat(chunks).toString('latin1'));
      }),
      { numRuns: 100 },
    );
  });
});

suite('what a rule refuses', () => {
  const demanded: MaskPlan = { ...plan, demandedBy: 'pii' };
  const code = (by: MaskPlan, method: string, target: string, upgraded = true): string | undefined => {
    try {
      admitStream(by, parseRequest(method, target, {}), upgraded);
      return undefined;
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      assert.match(error.message, /MaskingRule pii/);
      return error.code;
    }
  };
  const pod = '/api/v1/namespaces/shop/pods/web';

  test('port-forward and upgraded proxies where one demands masking; without one they pass', () => {
    for (const target of [
      `${pod}/portforward?ports=80`,
      `${pod}/proxy/ws`,
      '/api/v1/namespaces/shop/services/web/proxy/ws',
    ]) {
      assert.equal(code(demanded, 'GET', target), 'SP_MASKING_STREAM_REFUSED');
      assert.equal(code(plan, 'GET', target), undefined);
    }
    // An answer of a proxied program can be masked as text.
    assert.equal(code(demanded, 'GET', `${pod}/proxy/page`, false), undefined);
    assert.equal(code(demanded, 'GET', `${pod}/exec?command=ls&stdout=true`), undefined);
  });

  test('commands that make archives where one refuses copies', () => {
    const refusing: MaskPlan = { ...demanded, refusesCopies: 'pii' };
    const run = (by: MaskPlan, ...command: string[]) =>
      code(
        by,
        'GET',
        `${pod}/exec?${command.map((word) => `command=${encodeURIComponent(word)}`).join('&')}&stdout=true`,
      );
    assert.equal(run(refusing, 'tar', 'cf', '-', '/etc'), 'SP_MASKING_STREAM_REFUSED');
    assert.equal(run(refusing, 'sh', '-c', 'cd /; tar c etc'), 'SP_MASKING_STREAM_REFUSED');
    assert.equal(run(refusing, 'tar', '-xmf', '-', '-C', '/'), undefined);
    assert.equal(run(demanded, 'tar', 'cf', '-', '/etc'), undefined);
  });

  test('what makes an archive', () => {
    for (const [command, want] of [
      ['tar cf - /data', 'tar'],
      ['/bin/tar -cf - /data', 'tar'],
      ['busybox tar c /data', 'tar'],
      ['tar --create --file=- /data', 'tar'],
      ['tar czf - /data', 'other'],
      ['tar -c --gzip /data', 'other'],
      ['zip -r - /data', 'other'],
      ['tar xf - -C /data', undefined],
      ['tar tf /data.tar', undefined],
      ['cat tar', undefined],
      ['ls /tar', undefined],
    ] as const) {
      assert.equal(archiving(command.split(' ')), want, command);
    }
    assert.equal(archiving(['sh', '-c', 'tar cf - /data | base64']), 'other');
    assert.equal(archiving(['sh', '-c', 'echo start']), undefined);
  });
});
