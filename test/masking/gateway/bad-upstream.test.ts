import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type Cluster, sharedCluster } from '../../cluster/cluster.ts';
import { Scene } from '../../gateway/scene.ts';
import { type Lie, LyingUpstream } from './lying-upstream.ts';

const MIB = 1 << 20;

/** What cannot be read is not passed on; what can is exact. The upstream lies only where a real one cannot be made to. */
describe('an upstream whose answers cannot be trusted', { timeout: 240_000 }, () => {
  let cluster: Cluster;
  let liar: LyingUpstream;
  let scene: Scene;
  let base: string;
  const password = `v${randomBytes(8).toString('hex')}`;

  before(async () => {
    cluster = await sharedCluster();
    liar = await LyingUpstream.start(cluster);
    scene = await Scene.open('lies', {
      cluster,
      adjust: (configuration) => liar.divert(configuration.upstream.kubeconfig, cluster),
    });
    base = `/api/v1/namespaces/${scene.namespace}`;
  });
  after(async () => {
    await scene?.close();
    await liar?.close();
  });

  const says =
    (body: string | Buffer, type = 'application/json', more: Record<string, string> = {}): Lie =>
    (response) => {
      response.writeHead(200, { 'content-type': type, ...more });
      response.end(body);
    };

  interface Seen {
    readonly status: number;
    readonly body: string;
    readonly cut: boolean;
  }

  /** @returns what came, even where the connection was cut in the middle */
  async function ask(path: string, lie: Lie): Promise<Seen> {
    liar.lies.set(path.split('?', 1)[0]!, lie);
    const { request } = await import('node:https');
    return await new Promise((resolve, reject) => {
      const headers = ['Host', '127.0.0.1', 'Authorization', `Bearer ${scene.token}`];
      const { port, caPem } = scene.gateway;
      const sent = request(
        { host: '127.0.0.1', port, path, headers, ca: caPem, agent: false, setDefaultHeaders: false },
        (answer) => {
          const chunks: Buffer[] = [];
          let size = 0;
          answer.on('data', (chunk: Buffer) => {
            size += chunk.length;
            if (size < 4 * MIB) chunks.push(chunk);
          });
          const end = (cut: boolean) =>
            resolve({ status: answer.statusCode!, body: Buffer.concat(chunks).toString('latin1'), cut });
          answer.on('end', () => end(!answer.complete));
          answer.on('error', () => end(true));
        },
      );
      sent.on('error', reject);
      sent.end();
    });
  }

  function refused({ status, body, cut }: Seen): void {
    assert.ok(!body.includes(password), body);
    assert.equal(status, 502, body);
    assert.match(body, /SP_MASKING_UNREADABLE/);
    assert.equal(cut, false);
  }

  const secret = `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"a","uid":"u"},"data":{"p":"${Buffer.from(password).toString('base64')}"},"stringData":{"q":"${password}"}}`;

  it('truncated and invalid JSON: an error in the place of the answer', async () => {
    const path = `${base}/secrets/a`;
    for (const [what, lie] of [
      ['cut in a value', says(secret.slice(0, -12))],
      ['cut in a key', says(secret.slice(0, secret.indexOf('"metadata"') + 4))],
      ['cut behind a backslash', says('{"kind":"Secret","data":{"a":"\\')],
      ['no JSON', says(`password=${password}`)],
      ['a list', says(`["${password}"]`.replace('[', '{['))],
      ['something behind it', says(`${secret} ${password}`)],
      ['a member without a value', says(`{"kind":"Secret","data":{"p"},"x":"${password}"}`)],
      ['a control character', says(`{"kind":"Secret","data":{"p":"\u0001${password}"}}`)],
      ['a literal that is none', says(`{"kind":"Secret","x":nul,"y":"${password}"}`)],
      ['two kinds', says(`{"kind":"ConfigMap","x":"${password}","data":{"p":"${password}"},"kind":"Secret"}`)],
    ] as const) {
      const seen = await ask(path, lie);
      assert.ok(!seen.body.includes(password), `${what}: ${seen.body}`);
      if (!seen.cut) assert.equal(seen.status, 502, `${what}: ${seen.body}`);
    }
    refused(await ask(path, says(secret.slice(0, -12))));
    refused(await ask(path, says(secret.replace('{', `{${'"a":['.repeat(10_000)}`))));
    refused(await ask(path, says(`{"kind":"Secret","a":${'['.repeat(10_000)}"${password}"${']'.repeat(10_000)}}`)));
  });

  it('broken off in the middle: cut for the client as well, and nothing unmasked passes', async () => {
    const seen = await ask(`${base}/secrets`, (response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write(`{"kind":"SecretList","apiVersion":"v1","metadata":{},"items":[${secret},${secret.slice(0, 90)}`);
      setTimeout(() => response.destroy(), 100);
    });
    assert.ok(!seen.body.includes(password) && !seen.body.includes(Buffer.from(password).toString('base64')));
    assert.equal(seen.cut, true);
  });

  it('a form that was not asked for', async () => {
    for (const [what, lie] of [
      ['protobuf', says(Buffer.from(`k8s\0${password}`), 'application/vnd.kubernetes.protobuf')],
      ['CBOR', says(Buffer.from(password), 'application/cbor')],
      ['YAML', says(`kind: Secret\nstringData: {q: ${password}}\n`, 'application/yaml')],
      ['HTML', says(`<p>${password}</p>`, 'text/html')],
      ['gzip', says(gzipSync(secret), 'application/json', { 'content-encoding': 'gzip' })],
      ['something compressed', says(secret, 'application/json', { 'content-encoding': 'br' })],
      ['gzip that says nothing of it', says(gzipSync(secret))],
    ] as const) {
      const seen = await ask(`${base}/secrets/a`, lie);
      assert.equal(seen.status, 502, `${what}: ${seen.body}`);
      refused(seen);
    }
  });

  it('keys that stand twice are both masked', async () => {
    const twice = secret.replace('"stringData"', `"data":{"p":"${Buffer.from(password).toString('base64')}"},"data"`);
    const { status, body } = await ask(`${base}/secrets/a`, says(twice));
    assert.equal(status, 200);
    assert.ok(!body.includes(password) && !body.includes(Buffer.from(password).toString('base64')), body);
    const named = await ask(
      `${base}/configmaps/a`,
      says(`{"kind":"ConfigMap","data":{"password":"${password}","password":"${password}x"}}`),
    );
    assert.ok(!named.body.includes(password), named.body);
  });

  it('numbers, lone surrogates and bytes that are no UTF-8 come out as they went in', async () => {
    const exact =
      '{"kind":"X","n":123456789012345678901234567890,"e":1e400,"z":-0.10,"s":"\\ud800 \\udc00\\u0000","t":"é\ud83d\ude00"}';
    const { status, body } = await ask(`${base}/configmaps/a`, says(exact));
    assert.equal(status, 200);
    assert.equal(Buffer.from(body, 'latin1').toString(), exact);
    const raw = Buffer.concat([Buffer.from('{"kind":"X","s":"'), Buffer.from([0xff, 0xfe, 0xc3]), Buffer.from('"}')]);
    assert.equal((await ask(`${base}/configmaps/a`, says(raw))).body, raw.toString('latin1'));
  });

  it('watch events: however they are cut, whole ones pass and a cut one does not', async () => {
    const event = `{"type":"ADDED","object":${secret}}\n`;
    const lie: Lie = (response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const text = `${event}${event}${event.slice(0, -40)}`;
      let at = 0;
      const next = (): void => {
        if (at >= text.length) return void setTimeout(() => response.end(), 100);
        response.write(text.slice(at, (at += 37)));
        setImmediate(next);
      };
      next();
    };
    const { body, cut } = await ask(`${base}/secrets?watch=1`, lie);
    assert.ok(!body.includes(password) && !body.includes(Buffer.from(password).toString('base64')), body);
    assert.equal(body.match(/"type":"ADDED"/g)?.length, 2);
    assert.equal(cut, true);
  });

  it('one string of 100 MB: refused, and held in bounds', async () => {
    const before = resident(scene.gateway.pid);
    const large =
      (lead: string): Lie =>
      (response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        pour(response, lead, 100 * MIB);
      };
    refused(await ask(`${base}/configmaps/a`, large(`{"kind":"ConfigMap","data":{"password":"${password}","a":"`)));
    const list = await ask(`${base}/secrets`, large(`{"kind":"SecretList","items":[${secret},{"data":{"a":"`));
    assert.ok(!list.body.includes(password));
    assert.equal(list.cut, true);
    const grown = (peak(scene.gateway.pid) - before) / MIB;
    assert.ok(grown < 128, `${grown.toFixed(0)} MiB`);
    assert.equal((await scene.ask(`${base}`)).status, 200);
  });
});

/** As fast as it is taken. */
function pour(response: ServerResponse, lead: string, bytes: number): void {
  const piece = Buffer.alloc(64 * 1024, 'x');
  let left = bytes;
  response.write(lead);
  const more = (): void => {
    while (left > 0 && !response.destroyed) {
      left -= piece.length;
      if (!response.write(piece)) return void response.once('drain', more);
    }
    response.end('"}}');
  };
  more();
}

function status(pid: number, field: string): number {
  return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1_024;
}

const resident = (pid: number): number => status(pid, 'VmRSS');
const peak = (pid: number): number => status(pid, 'VmHWM');
