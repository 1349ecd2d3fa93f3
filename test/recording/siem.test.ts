import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { createServer, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { siem as configuration, type SiemStream } from '../../src/config/siem.ts';
import type { EventLine } from '../../src/recording/line.ts';
import { Siem } from '../../src/recording/siem/siem.ts';
import { whyNot } from '../clients/programs.ts';
import { CertificateAuthority } from '../cluster/certificates.ts';
import { freePort } from '../cluster/free-port.ts';
import { anHour, eventLine } from './made-recording.ts';
import { readingPython } from './reading-programs.ts';

let home: string;
let folder: string;
let authority: CertificateAuthority;
const secret = 'a secret of the test, long enough';
const counts = { delivered: 0, dropped: 0, refused: 0, failed: [] as string[] };
const running: { stop(deadline: number): Promise<void> }[] = [];

before(async () => {
  home = mkdtempSync(join(tmpdir(), 'sallyport-siem-'));
  authority = await CertificateAuthority.create('SIEM test authority');
  const { certPem, keyPem } = await authority.server('siem', ['127.0.0.1', 'localhost']);
  writeFileSync(join(home, 'ca.crt'), authority.certPem);
  writeFileSync(join(home, 'tls.crt'), certPem);
  writeFileSync(join(home, 'tls.key'), keyPem);
  writeFileSync(join(home, 'secret'), secret);
  writeFileSync(join(home, 'token'), 'token-of-the-test\n');
});
after(() => rmSync(home, { recursive: true, force: true }));
beforeEach(() => {
  folder = mkdtempSync(join(home, 'queues-'));
  Object.assign(counts, { delivered: 0, dropped: 0, refused: 0, failed: [] });
});
afterEach(async () => {
  for (const each of running.splice(0)) await each.stop(500);
});

async function start(stream: object, stdout?: number): Promise<Siem> {
  const streams = configuration.parse([{ name: 'soc', ...stream }]) as SiemStream[];
  const siem = await Siem.start({
    streams,
    folder,
    version: '0.0.0',
    ...(stdout === undefined ? {} : { stdout }),
    events: {
      delivered: (_, events) => void (counts.delivered += events),
      dropped: (_, events) => void (counts.dropped += events),
      refused: (_, events) => void (counts.refused += events),
      failed: (_, error) => void counts.failed.push(error.message),
    },
  });
  running.push(siem);
  return siem;
}

/** A receiver over TLS whose answers a test chooses. */
class Receiver {
  readonly got: { headers: IncomingHttpHeaders; body: string }[] = [];
  answer: { status: number; body?: string; headers?: Record<string, string> } = { status: 200 };
  hangs = false;
  #server: Server | undefined;
  port = 0;

  async listen(): Promise<this> {
    const tls = { cert: readFileSync(join(home, 'tls.crt')), key: readFileSync(join(home, 'tls.key')) };
    this.#server = createServer(tls, (request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => void (body += text));
      request.on('end', () => {
        if (this.hangs) return;
        if (this.answer.status < 300) this.got.push({ headers: request.headers, body });
        response.writeHead(this.answer.status, this.answer.headers).end(this.answer.body);
      });
    });
    await new Promise<void>((resolve) => this.#server!.listen(this.port, '127.0.0.1', resolve));
    this.port = (this.#server.address() as { port: number }).port;
    return this;
  }

  async gone(): Promise<void> {
    this.#server!.closeAllConnections();
    await new Promise((resolve) => this.#server!.close(resolve));
  }

  get events(): EventLine[] {
    return this.got.flatMap(({ body }) => (JSON.parse(body) as { data: { events: EventLine[] } }).data.events);
  }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`in vain: ${what} (${counts.failed.at(-1)})`);
    await delay(10);
  }
}

const hook = (port: number) => ({
  webhook: { url: `https://127.0.0.1:${port}/events`, secretFile: join(home, 'secret'), caFile: join(home, 'ca.crt') },
});

test('webhook: batches over TLS, signed as Standard Webhooks says, without bodies unless asked for', async () => {
  const receiver = await new Receiver().listen();
  const siem = await start({ ...hook(receiver.port), batch: 3 });
  const lines = anHour();
  siem.take('cursor-hour', lines);
  const events = lines.filter(({ kind }) => kind === 'Event');
  await until('all of them', () => receiver.events.length === events.length);
  assert.deepEqual(
    receiver.events.map(({ auditID, stage }) => [auditID, stage]),
    (events as EventLine[]).map(({ auditID, stage }) => [auditID, stage]),
  );
  assert.ok(receiver.events.every((event) => event.requestBody === undefined && event.responseBody === undefined));
  for (const { headers, body } of receiver.got) {
    const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`;
    const mac = createHmac('sha256', secret).update(signed).digest('base64');
    assert.equal(headers['webhook-signature'], `v1,${mac}`);
  }
  assert.equal(counts.delivered, events.length);
  await receiver.gone();
});

test('a receiver that is gone: nobody waits, everything waits on disk, over a restart too; then it comes, in order, once', async () => {
  const receiver = await new Receiver().listen();
  const { port } = receiver;
  await receiver.gone();
  let siem = await start(hook(port));
  const send = (from: number, to: number): number => {
    const begun = performance.now();
    for (let index = from; index < to; index += 1)
      siem.take('r', [eventLine('ResponseComplete', { auditID: `event-${index}` })]);
    return performance.now() - begun;
  };
  const took = send(0, 500);
  assert.ok(took < 1_000, `taking 500 events took ${took} ms`);
  await until('it is noticed', () => counts.failed.length > 0);
  assert.match(counts.failed[0]!, /ECONNREFUSED/);
  assert.ok(siem.status[0]!.bytes > 0 && siem.status[0]!.behind > 0);
  await siem.stop(50);
  running.pop();
  siem = await start(hook(port));
  send(500, 700);
  receiver.port = port;
  await receiver.listen();
  await until('all of them', () => receiver.events.length >= 700);
  assert.deepEqual(
    receiver.events.map(({ auditID }) => auditID),
    Array.from({ length: 700 }, (_, index) => `event-${index}`),
  );
  assert.equal(counts.dropped, 0);
  await until('nothing waits', () => siem.status[0]!.bytes === 0);
  await receiver.gone();
});

test('a receiver that hangs, answers 500, 429 or 401: tried again; 400: passed over, one by one, and counted', async () => {
  const receiver = await new Receiver().listen();
  const siem = await start({ ...hook(receiver.port), timeout: '300ms' });
  receiver.hangs = true;
  siem.take('r', [eventLine('ResponseComplete', { auditID: 'first' })]);
  await until('the time-out', () => counts.failed.some((each) => /no answer in time/.test(each)));
  receiver.hangs = false;
  for (const status of [500, 429, 401]) {
    receiver.answer = { status };
    await until(`${status}`, () => counts.failed.some((each) => each.endsWith(`answered ${status}`)));
  }
  assert.equal(counts.refused, 0);
  receiver.answer = { status: 200 };
  await until('the first', () => receiver.events.length === 1);
  receiver.answer = { status: 400 };
  siem.take('r', [eventLine('ResponseComplete'), eventLine('ResponseComplete')]);
  await until('they are given up', () => counts.refused === 2);
  await receiver.gone();
});

test('a queue that is full drops what is new, and says how many', async () => {
  const siem = await start({ ...hook(1), maxQueueBytes: 1 << 20 });
  for (let index = 0; index < 3_000; index += 1) siem.take('r', [eventLine('ResponseComplete')]);
  assert.ok(siem.status[0]!.bytes <= 1 << 20);
  assert.ok(counts.dropped > 500);
});

test('stdout: one line of JSON for each event; a reader that does not read holds up nobody', async () => {
  const file = join(folder, 'out');
  const fd = openSync(file, 'w');
  const siem = await start({ stdout: {}, format: 'OCSF', stages: 'ResponseComplete' }, fd);
  siem.take('cursor-hour', anHour());
  await until('the lines', () => counts.delivered > 0);
  const lines = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { class_uid: number });
  assert.ok(lines.length === 6 && lines.every(({ class_uid: uid }) => uid === 6003));
  await siem.stop(500);
  running.pop();
  closeSync(fd);

  // A pipe that nobody reads, in a process of its own: its event loop goes on.
  const script = `
    import { Siem } from ${JSON.stringify(new URL('../../src/recording/siem/siem.ts', import.meta.url).href)};
    const streams = [{ name: 'soc', format: 'Sallyport', stages: 'All', bodies: false, stdout: {}, maxQueueBytes: 1 << 26, batch: 500, timeout: 500 }];
    const events = { delivered() {}, dropped() {}, refused() {}, failed() {} };
    const siem = await Siem.start({ streams, folder: process.argv[1], version: '0', events });
    let ticks = 0;
    const timer = setInterval(() => {
      ticks += 1;
      siem.take('r', Array.from({ length: 50 }, (_, i) => ({ kind: 'Event', level: 'Metadata', auditID: 'e' + ticks + '-' + i, stage: 'ResponseComplete', requestReceivedTimestamp: '2026-01-02T03:04:05.700Z', stageTimestamp: '2026-01-02T03:04:05.800Z', requestURI: '/x'.repeat(200), verb: 'get', user: { username: 'a', groups: [] }, caller: { method: 'OIDC', issuer: 'x' }, sourceIPs: [] })));
      if (ticks === 40) process.stderr.write('still going ' + siem.status[0].bytes + '\\n');
    }, 20);
  `;
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script, join(folder, 'child')],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  child.stdout.pause();
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    // It cannot end by itself while its write hangs.
    child.kill('SIGKILL');
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
  await new Promise((resolve) => child.once('exit', resolve));
  clearTimeout(timer);
  assert.match(said, /still going [1-9]/);
});

test('OTLP: logs that the published protocol buffers read, with what it did not take counted', async (context) => {
  const why = await whyNot(readingPython);
  if (why !== undefined) return context.skip(why);
  const receiver = await new Receiver().listen();
  receiver.answer = {
    status: 200,
    body: '{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"one is too old"}}',
  };
  const endpoint = `https://127.0.0.1:${receiver.port}/v1/logs`;
  const siem = await start({ otlp: { endpoint, caFile: join(home, 'ca.crt'), bearerTokenFile: join(home, 'token') } });
  siem.take('cursor-hour', anHour());
  const events = anHour().filter(({ kind }) => kind === 'Event').length;
  await until('them', () => counts.delivered + counts.refused === events);
  assert.equal(counts.refused, 1);
  const [{ headers, body }] = receiver.got as [{ headers: IncomingHttpHeaders; body: string }];
  assert.equal(headers.authorization, 'Bearer token-of-the-test');
  const script = `
import sys
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
request = Parse(sys.stdin.read(), ExportLogsServiceRequest())
records = request.resource_logs[0].scope_logs[0].log_records
print(len(records), records[0].severity_number, records[0].time_unix_nano, request.resource_logs[0].resource.attributes[0].value.string_value)
`;
  const { stdout, stderr } = spawnSync(join(await readingPython(), 'python3'), ['-c', script], {
    input: body,
    encoding: 'utf8',
  });
  assert.equal(stdout.trim(), `${events} 9 1767323046800000000 sallyport`, stderr);
  await receiver.gone();
});

test('syslog: RFC 5424 over TLS, to a real rsyslog; one that is restarted gets the rest', async (context) => {
  if (
    spawnSync('rsyslogd', ['-v']).error !== undefined ||
    !existsSync('/usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_gtls.so')
  ) {
    return context.skip('rsyslog with GnuTLS is not installed (rsyslog, rsyslog-gnutls)');
  }
  const port = await freePort();
  const out = join(folder, 'messages');
  writeFileSync(
    join(folder, 'rsyslog.conf'),
    `global(workDirectory="${folder}" maxMessageSize="256k" DefaultNetstreamDriver="gtls"
  DefaultNetstreamDriverCAFile="${home}/ca.crt" DefaultNetstreamDriverCertFile="${home}/tls.crt" DefaultNetstreamDriverKeyFile="${home}/tls.key")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
input(type="imtcp" port="${port}" address="127.0.0.1" ruleset="all")
template(name="fields" type="string" string="%syslogfacility-text%.%syslogseverity-text% %timereported:::date-rfc3339% %app-name% %msgid% %msg%\\n")
ruleset(name="all") { action(type="omfile" file="${out}" template="fields" flushInterval="1" asyncWriting="off") }
`,
  );
  const daemon = () =>
    spawn('rsyslogd', ['-n', '-f', join(folder, 'rsyslog.conf'), '-i', join(folder, 'pid')], { stdio: 'ignore' });
  const messages = (): string[] =>
    existsSync(out) ? readFileSync(out, 'utf8').trim().split('\n').filter(Boolean) : [];
  let child = daemon();
  context.after(() => child.kill('SIGKILL'));
  const siem = await start({
    format: 'KubernetesAudit',
    syslog: { host: '127.0.0.1', port, caFile: join(home, 'ca.crt') },
  });
  siem.take('cursor-hour', anHour());
  const events = anHour().filter(({ kind }) => kind === 'Event').length;
  await until('them', () => messages().length >= events);
  for (const message of messages()) {
    const [, facility, time, json] = /^(\S+) (\S+) sallyport recording +(\{.*\})$/.exec(message) ?? [];
    assert.match(facility!, /^\S+\.(?:info|warning)$/);
    assert.match(time!, /^2026-01-02T03:04:0/);
    assert.equal((JSON.parse(json!) as { kind: string }).kind, 'Event');
  }
  assert.ok(messages().some((message) => /hands-off/.test(message)));
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await gone;
  for (let index = 0; index < 200; index += 1)
    siem.take('r', [eventLine('ResponseComplete', { auditID: `later-${index}` })]);
  await delay(300);
  child = daemon();
  await until(
    'the rest',
    () =>
      new Set(
        messages()
          .join('\n')
          .match(/later-\d+/g),
      ).size === 200,
  );
  assert.equal(counts.dropped, 0);
});

test('a receiver that is not who it should be gets nothing', async () => {
  const receiver = await new Receiver().listen();
  const { webhook } = hook(receiver.port);
  const { caFile: _, ...trusting } = webhook;
  const siem = await start({ webhook: trusting });
  siem.take('r', [eventLine('ResponseComplete')]);
  await until('it is refused', () => counts.failed.some((each) => /SELF_SIGNED|UNABLE_TO|DEPTH_ZERO/.test(each)));
  assert.equal(receiver.got.length, 0);
  await receiver.gone();
  await assert.rejects(start({ webhook: { ...webhook, url: 'http://siem.shop.example/' } }), /https only/);
  writeFileSync(join(home, 'short'), 'short');
  await assert.rejects(start({ webhook: { ...webhook, secretFile: join(home, 'short') } }), /less than 24 bytes/);
});

test('no secret of the configuration is in what is sent or said', () => {
  for (const message of counts.failed) assert.ok(!message.includes(secret) && !message.includes('token-of-the-test'));
  const grep = execFileSync('sh', ['-c', `grep -rl "${secret}" ${folder} || true`]).toString();
  assert.equal(grep, '');
});
