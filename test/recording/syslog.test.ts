import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { siem as configuration, type SiemStream } from '../../src/config/siem.ts';
import type { EventLine, Line } from '../../src/recording/line.ts';
import { Siem } from '../../src/recording/siem/siem.ts';
import { whyNot } from '../clients/programs.ts';
import { CertificateAuthority } from '../cluster/certificates.ts';
import { anHour, eventLine } from './made-recording.ts';
import { syslogReceiver } from './reading-programs.ts';

/** A message as the receiver read it. */
interface Message {
  readonly error?: string;
  readonly facility: number;
  readonly severity: number;
  readonly timestamp: string;
  readonly hostname: string;
  readonly appname: string;
  readonly procID: string;
  readonly msgID: string;
  readonly structuredData?: object;
  readonly message: string;
}

let home: string;

/** A real receiver: messages that are not by the grammar of RFC 5424, or not framed by RFC 5425, are errors to it. */
class Receiver {
  readonly messages: Message[] = [];
  port = 0;
  #child: ChildProcess | undefined;

  async start(certificate = 'tls', ...more: string[]): Promise<this> {
    const address = `127.0.0.1:${this.port}`;
    const files = ['-cert', join(home, `${certificate}.crt`), '-key', join(home, `${certificate}.key`)];
    const child = spawn(await syslogReceiver(), ['-address', address, ...files, ...more], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child = child;
    receivers.push(this);
    await new Promise<void>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`the receiver ended with ${code}`)));
      createInterface({ input: child.stdout }).on('line', (line) => {
        const said = JSON.parse(line) as Message | { port: number };
        if (!('port' in said)) return void this.messages.push(said);
        this.port = said.port;
        resolve();
      });
    });
    return this;
  }

  async kill(): Promise<void> {
    const child = this.#child!;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  get ids(): string[] {
    return this.messages.map(({ message }) => (JSON.parse(message) as EventLine).auditID);
  }
}

let folder: string;
const receivers: Receiver[] = [];
const counts = { delivered: 0, dropped: 0, refused: 0, failed: [] as string[] };
let siem: Siem | undefined;

async function send(stream: object): Promise<Siem> {
  const streams = configuration.parse([{ name: 'soc', ...stream }]) as SiemStream[];
  siem = await Siem.start({
    streams,
    folder,
    version: '0.0.0',
    events: {
      delivered: (_, events) => void (counts.delivered += events),
      dropped: (_, events) => void (counts.dropped += events),
      refused: (_, events) => void (counts.refused += events),
      failed: (_, error) => void counts.failed.push(error.message),
    },
  });
  return siem;
}

const to = (port: number, more: object = {}) => ({
  syslog: { host: '127.0.0.1', port, caFile: join(home, 'ca.crt'), ...more },
});
const numbered = (from: number, until: number): Line[] =>
  Array.from({ length: until - from }, (_, index) => eventLine('ResponseComplete', { auditID: `e-${from + index}` }));

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`in vain: ${what} (${counts.failed.at(-1)})`);
    await delay(10);
  }
}

const why = await whyNot(syslogReceiver);

describe('syslog over TLS, to a real receiver', { skip: why ?? false }, () => {
  before(async () => {
    home = mkdtempSync(join(tmpdir(), 'sallyport-syslog-'));
    for (const [ca, pair] of [
      ['ca', 'tls'],
      ['other-ca', 'other'],
    ] as const) {
      const authority = await CertificateAuthority.create(`syslog test ${ca}`);
      const server = await authority.server(pair, ['127.0.0.1']);
      const client = await authority.client({ user: 'sallyport' });
      writeFileSync(join(home, `${ca}.crt`), authority.certPem);
      writeFileSync(join(home, `${pair}.crt`), server.certPem);
      writeFileSync(join(home, `${pair}.key`), server.keyPem);
      writeFileSync(join(home, `${pair}-client.crt`), client.certPem);
      writeFileSync(join(home, `${pair}-client.key`), client.keyPem);
    }
  });
  after(() => rmSync(home, { recursive: true, force: true }));
  beforeEach(() => {
    folder = mkdtempSync(join(home, 'queue-'));
    Object.assign(counts, { delivered: 0, dropped: 0, refused: 0, failed: [] });
  });
  afterEach(async () => {
    await siem?.stop(200);
    siem = undefined;
    for (const each of receivers.splice(0)) await each.kill();
  });

  for (const format of ['Sallyport', 'KubernetesAudit', 'OCSF']) {
    it(`${format}: every event is one message by the grammar, in order`, async () => {
      const receiver = await new Receiver().start();
      const lines = anHour();
      const events = lines.filter((line) => line.kind === 'Event');
      (await send({ ...to(receiver.port), format, batch: 7 })).take('cursor-hour', lines);
      await until('them', () => receiver.messages.length >= events.length);
      assert.deepEqual(
        receiver.messages.filter(({ error }) => error !== undefined),
        [],
      );
      for (const [index, message] of receiver.messages.entries()) {
        const event = events[index]!;
        const bad = event.outcome === 'Refused' || event.outcome === 'Failed';
        const { facility, severity, timestamp, appname, msgID, structuredData } = message;
        assert.deepEqual([facility, severity, appname, msgID], [13, bad ? 4 : 6, 'sallyport', 'recording']);
        assert.equal(Date.parse(timestamp), Date.parse(event.stageTimestamp));
        assert.deepEqual([message.hostname, message.procID], [hostname(), String(process.pid)]);
        assert.equal(structuredData, undefined);
        if (format === 'OCSF') assert.equal((JSON.parse(message.message) as { class_uid: number }).class_uid, 6003);
        else assert.equal((JSON.parse(message.message) as EventLine).auditID, event.auditID);
      }
      assert.ok(receiver.messages.some(({ severity }) => severity === 4));
    });
  }

  it('text of every script, what steers terminals, and long bodies arrive as they were; the message is ASCII, so it needs no BOM', async () => {
    const receiver = await new Receiver().start();
    const texts = [
      'größer',
      '删除',
      '🙂 \u{1f469}\u200d\u{1f4bb}',
      '\u202eevil',
      '\ufeffmark',
      'a\nb\r\n\0\x7f',
      '"] \\ <13>1 - 42 ',
    ];
    const sent = [
      ...texts.map((text) => eventLine('ResponseComplete', { requestURI: `/api/v1/${text}` })),
      // Over many records of TLS, and longer than many receivers take.
      ...[16_384, 70_000, 1_200_000].map((bytes) =>
        eventLine('ResponseComplete', {
          requestBody: { contentType: 'text/plain', bytes, data: 'ü'.repeat(bytes / 2) },
        }),
      ),
      eventLine('ResponseComplete', { requestURI: '/last' }),
    ];
    (await send({ ...to(receiver.port), bodies: true })).take('r', sent);
    await until('them', () => receiver.messages.length >= sent.length);
    for (const [index, { error, message }] of receiver.messages.entries()) {
      assert.equal(error, undefined);
      assert.match(message, /^[\x20-\x7e]+$/);
      assert.deepEqual(JSON.parse(message), { recording: 'r', ...sent[index]! });
    }
    assert.deepEqual([counts.delivered, counts.dropped, counts.refused], [sent.length, 0, 0]);
  });

  it('a receiver that dies, again and again: everything comes once it is back, in order, nothing is dropped', async () => {
    const receiver = await new Receiver().start();
    const stream = await send(to(receiver.port));
    let sent = 0;
    for (let round = 0; round < 4; round += 1) {
      stream.take('r', numbered(sent, sent + 100));
      sent += 100;
      await until('them', () => new Set(receiver.ids).size === sent);
      await receiver.kill();
      const failures = counts.failed.length;
      stream.take('r', numbered(sent, sent + 100));
      sent += 100;
      await until('it is noticed', () => counts.failed.length > failures);
      await receiver.start();
    }
    await until('the rest', () => new Set(receiver.ids).size === sent);
    const once = [...new Set(receiver.ids)];
    assert.deepEqual(
      once,
      Array.from({ length: sent }, (_, index) => `e-${index}`),
    );
    assert.deepEqual([counts.dropped, counts.refused], [0, 0]);
    await until('it is known', () => counts.delivered === sent);
  });

  it('a receiver whose certificate is of another authority gets nothing, and is told apart', async () => {
    const receiver = await new Receiver().start('other');
    (await send(to(receiver.port))).take('r', numbered(0, 3));
    await until('it is refused', () =>
      counts.failed.some((each) => /UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED/.test(each)),
    );
    assert.deepEqual([receiver.messages.length, counts.delivered], [0, 0]);
  });

  it('a receiver that demands a certificate: with it events come; without, or by another authority, none counts as taken', async () => {
    const demanding = ['-client-ca', join(home, 'ca.crt')];
    const receiver = await new Receiver().start('tls', ...demanding);
    // Its refusal comes when the handshake is over for the client: one round trip later.
    const far = await distant(receiver.port, 150);
    const own = (pair: string) => ({
      certFile: join(home, `${pair}-client.crt`),
      keyFile: join(home, `${pair}-client.key`),
    });
    try {
      for (const wrong of [{}, own('other')]) {
        counts.failed = [];
        const stream = await send(to(far.port, wrong));
        stream.take('r', numbered(0, 3));
        await until('it is refused', () => counts.failed.length > 1);
        assert.deepEqual([receiver.messages.length, counts.delivered], [0, 0]);
        await stream.stop(0);
      }
      await send(to(far.port, own('tls')));
      await until('them', () => counts.delivered === 6);
      assert.deepEqual(receiver.ids, ['e-0', 'e-1', 'e-2', 'e-0', 'e-1', 'e-2']);
    } finally {
      await far.close();
    }
  });
});

/** The same receiver, so many milliseconds of way from here. */
async function distant(port: number, milliseconds: number): Promise<{ readonly port: number; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const carry = (from: Socket, on: Socket): void => {
    sockets.add(from);
    from.on('data', (bytes) => void setTimeout(() => on.write(bytes), milliseconds));
    from.on('error', () => {});
    from.on('close', () => void setTimeout(() => on.destroy(), milliseconds));
  };
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    carry(near, far);
    carry(far, near);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  return { port: (server.address() as { port: number }).port, close };
}
