import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { MARKER } from '../../../src/masking/marker.ts';
import { writeJson } from '../../../src/request/json.ts';
import { readProtobufObject } from '../../../src/request/protobuf-object.ts';
import { type Asked, Scene } from '../../gateway/scene.ts';

const b64 = (text: string): string => Buffer.from(text).toString('base64');
// biome-ignore lint/suspicious/noExplicitAny: tests look into objects of every kind.
type Any = any;

/** Real kubectl, through the gateway, on objects in which it sees placeholders: what is stored stays what it was. */
describe('writing back', { timeout: 300_000 }, () => {
  let scene: Scene;
  let base: string;
  let agent: string;
  let folder: string;
  const password = `p${randomBytes(9).toString('hex')}`;
  const token = `t${randomBytes(12).toString('hex')}`;
  const settings = `host: old\npassword: ${password}\ntimeout: 5\n`;

  before(async () => {
    // Far more writes of new values than one agent should have: what is tested here is something else.
    scene = await Scene.open('writeback', {
      configuration: {
        masking: { literalWrites: { perHour: 1000 } },
        limits: { requestsPerSecond: 100_000, burst: 100_000 },
      },
    });
    base = `/api/v1/namespaces/${scene.namespace}`;
    agent = await scene.kubeconfig();
    folder = mkdtempSync(join(tmpdir(), 'write-back-'));
  });
  after(async () => {
    await scene?.close();
    if (folder !== undefined) await rm(folder, { recursive: true });
  });

  beforeEach(async () => {
    await scene.cluster.kubectl([
      'delete',
      '-n',
      scene.namespace,
      'secret/db',
      'configmap/app',
      'deployment/web',
      '--ignore-not-found',
    ]);
    await scene.cluster.kubectl(['apply', '-n', scene.namespace, '-f', '-'], {
      input: JSON.stringify({
        apiVersion: 'v1',
        kind: 'List',
        items: [
          {
            apiVersion: 'v1',
            kind: 'Secret',
            metadata: { name: 'db', labels: { a: '1' } },
            data: { user: b64('anna'), password: b64(password) },
          },
          {
            apiVersion: 'v1',
            kind: 'ConfigMap',
            metadata: { name: 'app' },
            data: { 'app.yaml': settings, plain: 'x' },
          },
          {
            apiVersion: 'apps/v1',
            kind: 'Deployment',
            metadata: { name: 'web' },
            spec: {
              replicas: 0,
              selector: { matchLabels: { app: 'web' } },
              template: {
                metadata: { labels: { app: 'web' } },
                spec: {
                  containers: [
                    {
                      name: 'main',
                      image: 'a:1',
                      args: ['--token', token],
                      env: [
                        { name: 'LEVEL', value: 'info' },
                        { name: 'DB_PASSWORD', value: password },
                      ],
                    },
                    { name: 'side', image: 'b:1', env: [{ name: 'API_TOKEN', value: token }] },
                  ],
                },
              },
            },
          },
        ],
      }),
    });
  });

  const kubectl = (args: string[], input?: string, env?: Record<string, string>) =>
    scene.cluster.kubectl(args, {
      kubeconfig: agent,
      ...(input === undefined ? {} : { input }),
      ...(env === undefined ? {} : { env }),
    });
  async function succeeds(args: string[], input?: string, env?: Record<string, string>): Promise<string> {
    const { code, stdout, stderr } = await kubectl(args, input, env);
    assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}`);
    assert.ok(!`${stdout}${stderr}`.includes(password) && !`${stdout}${stderr}`.includes(b64(password)), stdout);
    return stdout;
  }
  async function stored(kind: string, name: string): Promise<Any> {
    const { stdout } = await scene.cluster.kubectl(['get', '-n', scene.namespace, kind, name, '-o', 'json']);
    assert.ok(
      !stdout.includes(MARKER) && !stdout.includes(b64(MARKER).slice(0, 20)),
      `${kind} ${name} holds a placeholder: ${stdout}`,
    );
    return JSON.parse(stdout);
  }
  async function intact(): Promise<{ secret: Any; map: Any; web: Any }> {
    const [secret, map, web] = [
      await stored('secret', 'db'),
      await stored('configmap', 'app'),
      await stored('deployment', 'web'),
    ];
    assert.equal(secret.data.password, b64(password));
    assert.match(map.data['app.yaml'], new RegExp(`password: ${password}\n`));
    const [main, side] = web.spec.template.spec.containers;
    const value = (container: Any, name: string) => container.env.find((one: Any) => one.name === name)?.value;
    assert.equal(value(main, 'DB_PASSWORD'), password);
    assert.equal(value(side, 'API_TOKEN'), token);
    assert.ok(main.args.join(' ').includes(`--token ${token}`), main.args.join(' '));
    return { secret, map, web };
  }
  /** An editor that is a sed. */
  const editor = (script: string): Record<string, string> => {
    const file = join(folder, 'editor');
    writeFileSync(file, `#!/bin/sh\nexec sed -i -e '${script}' "$1"\n`, { mode: 0o755 });
    return { KUBE_EDITOR: file };
  };

  it('kubectl edit, of all three', async () => {
    await succeeds(['edit', 'secret', 'db'], undefined, editor('s/    a: "1"/    a: "2"/'));
    await succeeds(['edit', 'configmap', 'app'], undefined, editor('s/host: old/host: new/'));
    await succeeds(['edit', 'deployment', 'web'], undefined, editor('s/image: a:1/image: a:2/'));
    const { secret, map, web } = await intact();
    assert.equal(secret.metadata.labels.a, '2');
    assert.match(map.data['app.yaml'], /host: new/);
    assert.equal(web.spec.template.spec.containers[0].image, 'a:2');
  });

  for (const how of [['apply'], ['apply', '--server-side', '--force-conflicts'], ['replace']]) {
    it(`get -o yaml | kubectl ${how.join(' ')}`, async () => {
      for (const object of ['secret/db', 'configmap/app', 'deployment/web']) {
        const flag = how[1] === '--server-side' ? [] : ['--show-managed-fields'];
        const yaml = await succeeds(['get', object, '-o', 'yaml', ...flag]);
        assert.match(yaml, /c2FsbHlwb3J0|sallyport\.masked/);
        await succeeds(
          [...how, '-f', '-'],
          yaml
            .replace('host: old', 'host: new')
            .replace('LEVEL', 'LEVELS')
            .replace(/^ {2}managedFields:\n(?: {2}[- ].*\n)+/m, ''),
        );
      }
      const { map } = await intact();
      assert.match(map.data['app.yaml'], /host: new/);
    });
  }

  it('apply of a file with placeholders, twice, then with a field more', async () => {
    const local = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'db' },
      data: JSON.parse(await succeeds(['get', 'secret', 'db', '-o', 'json'])).data,
    };
    const file = join(folder, 'db.json');
    writeFileSync(file, JSON.stringify(local));
    await succeeds(['apply', '-f', file]);
    await succeeds(['apply', '-f', file]);
    writeFileSync(file, JSON.stringify({ ...local, data: { ...local.data, more: b64('new') } }));
    await succeeds(['apply', '-f', file]);
    const { secret } = await intact();
    assert.equal(secret.data.more, b64('new'));
    const applied = JSON.parse(secret.metadata.annotations['kubectl.kubernetes.io/last-applied-configuration']);
    assert.deepEqual(applied.data, { user: b64('anna'), password: b64(password), more: b64('new') });
    // A dry run of a value that the file brings would tell whether it is the one that is there; placeholders tell nothing.
    const guess = await kubectl(['diff', '-f', file]);
    assert.match(guess.stderr, /SP_MASKING_LITERAL_DRY_RUN: data\.more/);
    const { data } = JSON.parse(await succeeds(['get', 'secret', 'db', '-o', 'json'])) as Any;
    writeFileSync(file, JSON.stringify({ ...local, data }));
    const { code, stdout, stderr } = await kubectl(['diff', '-f', file]);
    assert.equal(code, 0, `${stdout}${stderr}`);
  });

  it('label, annotate, scale, set image and set env on masked objects', async () => {
    await succeeds(['label', 'secret', 'db', 'a=3', '--overwrite']);
    await succeeds(['annotate', 'secret', 'db', 'note=x']);
    await succeeds(['scale', 'deployment', 'web', '--replicas=0']);
    await succeeds(['set', 'image', 'deployment/web', 'main=a:3']);
    await succeeds(['set', 'env', 'deployment/web', '-c', 'main', 'LEVEL=debug', 'NEW=1']);
    await succeeds(['rollout', 'restart', 'deployment/web']);
    const { web } = await intact();
    assert.equal(web.spec.template.spec.containers[0].image, 'a:3');
  });

  it('every kind of patch, with the placeholder at its place', async () => {
    const { data } = JSON.parse(await succeeds(['get', 'secret', 'db', '-o', 'json'])) as Any;
    const { data: texts } = JSON.parse(await succeeds(['get', 'configmap', 'app', '-o', 'json'])) as Any;
    const patch = (type: string, object: string, body: unknown) =>
      succeeds(['patch', object, `--type=${type}`, '-p', JSON.stringify(body)]);
    for (const type of ['merge', 'strategic']) {
      await patch(type, 'secret/db', { data, metadata: { labels: { type } } });
      await patch(type, 'configmap/app', {
        data: { 'app.yaml': texts['app.yaml'].replace('timeout: 5', 'timeout: 6') },
      });
      const { secret, map } = await intact();
      assert.equal(secret.metadata.labels.type, type);
      assert.match(map.data['app.yaml'], /timeout: 6/);
    }
    await patch('json', 'secret/db', [
      { op: 'replace', path: '/data/password', value: data.password },
      { op: 'add', path: '/data/x', value: b64('y') },
    ]);
    const { secret } = await intact();
    assert.equal(secret.data.x, b64('y'));
    const env = [{ name: 'NEW', value: '1' }];
    await patch('strategic', 'deployment/web', {
      spec: { template: { spec: { containers: [{ name: 'main', env }] } } },
    });
    await intact();
  });

  it('stringData, status, and YAML over the wire', async () => {
    const { data } = (await scene.ask(`${base}/secrets/db`)).json() as Any;
    const put = (path: string, type: string, body: string, method = 'PATCH') =>
      scene.ask(path, { method, headers: ['Content-Type', type], body });
    const text = Buffer.from(data.password, 'base64').toString();
    const merged = await put(
      `${base}/secrets/db`,
      'application/merge-patch+json',
      JSON.stringify({ stringData: { password: text } }),
    );
    assert.equal(merged.status, 200, merged.body);
    const yaml = `apiVersion: v1\nkind: Secret\nmetadata: {name: db}\ndata:\n  password: ${data.password}\n`;
    const applied = await put(`${base}/secrets/db?fieldManager=me&force=true`, 'application/apply-patch+yaml', yaml);
    assert.equal(applied.status, 200, applied.body);
    const web = (await scene.ask(`/apis/apps/v1/namespaces/${scene.namespace}/deployments/web`)).body;
    const status = await put(
      `/apis/apps/v1/namespaces/${scene.namespace}/deployments/web/status`,
      'application/json',
      web,
      'PUT',
    );
    assert.equal(status.status, 200, status.body);
    await intact();
  });

  it('a placeholder anywhere else is refused with its path, and nothing is written', async () => {
    const refused = async (path: RegExp, args: string[], input?: string) => {
      const { code, stderr } = await kubectl(args, input);
      assert.notEqual(code, 0);
      assert.match(stderr, /SP_MASKING_PLACEHOLDER(?:_UNREADABLE)?:/);
      assert.match(stderr, path);
    };
    const { data } = JSON.parse(await succeeds(['get', 'secret', 'db', '-o', 'json'])) as Any;
    const bare = Buffer.from(data.password, 'base64').toString();
    await refused(/data\.user/, ['patch', 'secret', 'db', '-p', JSON.stringify({ data: { user: data.password } })]);
    await refused(/annotations\.note/, ['annotate', 'secret', 'db', `note=${bare}`]);
    // kubectl creates in protobuf.
    await refused(/data\.motd/, ['create', 'configmap', 'stolen', `--from-literal=motd=${bare}`]);
    for (const form of [bare, b64(`xy${bare}`), Buffer.from(bare, 'utf16le').toString('utf8')]) {
      const stolen = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'stolen' }, data: { motd: form } };
      await refused(/data\.motd/, ['create', '-f', '-'], JSON.stringify(stolen));
    }
    const map = JSON.parse(await succeeds(['get', 'configmap', 'app', '-o', 'json'])) as Any;
    const motd = map.data['app.yaml'].replace('password: ', 'motd: ');
    await refused(/app\.yaml/, ['patch', 'configmap', 'app', '-p', JSON.stringify({ data: { 'app.yaml': motd } })]);
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web' },
      spec: { containers: [{ name: 'a', image: 'a:1' }] },
    };
    await scene.cluster.admin('POST', `${base}/pods`, pod);
    await refused(/argument 1/, ['exec', 'web', '--', 'echo', bare]);
    await refused(/path|name/, ['get', 'configmap', bare]);
    await refused(/labelSelector/, ['get', 'configmaps', '-l', `x=${bare}`]);
    await intact();
    assert.equal((await scene.ask(`${base}/configmaps/stolen`)).status, 404);
  });

  it('encodings in which nothing can be put back: 415', async () => {
    const { data } = (await scene.ask(`${base}/secrets/db`)).json() as Any;
    const send = (method: string, path: string, asked: Asked) => scene.ask(path, { method, ...asked });
    const marker = Buffer.from(data.password);
    const cbor = Buffer.concat([Buffer.from([0xd9, 0xd9, 0xf7, 0xa1, 0x61, 0x78, 0x78, marker.length]), marker]);
    const protobuf = Buffer.concat([Buffer.from('k8s\0'), Buffer.from([0x0a, marker.length]), marker]);
    for (const [type, body] of [
      ['application/cbor', cbor],
      ['application/vnd.kubernetes.protobuf', protobuf],
    ] as const) {
      const created = await send('POST', `${base}/configmaps`, { headers: ['Content-Type', type], body });
      assert.deepEqual(
        [created.status, created.json().details.causes[0].reason],
        [415, 'SP_MASKING_PLACEHOLDER_UNREADABLE'],
        created.body,
      );
      // Without any placeholder: a guess could be in it.
      const bytes = Buffer.from(body.subarray(0, type === 'application/cbor' ? 3 : 4));
      const guessed = await send('PUT', `${base}/secrets/db?dryRun=All`, {
        headers: ['Content-Type', type],
        body: Buffer.concat([bytes, Buffer.from([0xa0])]),
      });
      assert.equal(guessed.status, 415, guessed.body);
    }
    const gzipped = await send('PUT', `${base}/secrets/db`, {
      headers: ['Content-Type', 'application/json', 'Content-Encoding', 'gzip'],
      body: Buffer.from([0x1f, 0x8b]),
    });
    assert.equal(gzipped.status, 415, gzipped.body);
    await intact();
  });

  it('protobuf of Secrets and ConfigMaps is read as the API server reads it', async () => {
    for (const path of [`${base}/secrets/db`, `${base}/configmaps/app`]) {
      const url = new URL(path, scene.cluster.url);
      const { keyPem: key, certPem: cert } = await scene.cluster.clientCertificate({
        user: 'reader',
        groups: ['system:masters'],
      });
      const bytes = await new Promise<Buffer>((resolve, reject) => {
        const headers = { accept: 'application/vnd.kubernetes.protobuf' };
        get(url, { headers, key, cert, ca: scene.cluster.caPem }, (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => resolve(Buffer.concat(chunks)));
        }).on('error', reject);
      });
      const read = readProtobufObject(bytes);
      assert.ok(read !== undefined, bytes.toString('latin1'));
      assert.deepEqual(JSON.parse(writeJson(read)), (await scene.cluster.admin('GET', path)).json());
    }
  });

  it('an old value is not brought back when the object changed meanwhile; the write is done again', async () => {
    const { data } = (await scene.ask(`${base}/secrets/db`)).json() as Any;
    let stop = false;
    let last = password;
    const rotating = (async () => {
      for (let i = 0; !stop; i++) {
        last = `r${i}${randomBytes(6).toString('hex')}`;
        const { status } = await scene.cluster.admin(
          'PATCH',
          `${base}/secrets/db`,
          { data: { password: b64(last) } },
          'application/merge-patch+json',
        );
        assert.equal(status, 200);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    const versions = scene.cluster.admin(
      'GET',
      `${base}/secrets?watch=1&fieldSelector=metadata.name%3Ddb&timeoutSeconds=12`,
    );
    const codes = new Map<number, number>();
    const until = performance.now() + 8000;
    try {
      for (let i = 0; performance.now() < until; i++) {
        const { status, body } = await scene.ask(`${base}/secrets/db`, {
          method: 'PATCH',
          headers: ['Content-Type', 'application/merge-patch+json'],
          body: JSON.stringify({ data: { password: data.password }, metadata: { labels: { i: String(i) } } }),
        });
        codes.set(status, (codes.get(status) ?? 0) + 1);
        if (status !== 200) assert.match(body, /Conflict/);
      }
    } finally {
      stop = true;
      await rotating;
    }
    assert.ok((codes.get(200) ?? 0) > 0, JSON.stringify([...codes]));
    assert.deepEqual(
      [...codes.keys()].filter((code) => code !== 200 && code !== 409),
      [],
    );
    assert.equal((await stored('secret', 'db')).data.password, b64(last));
    // Every version there was, in order: a value that was replaced never stands there again.
    const events = (await versions).body
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const values = events
      .map(({ object }) => object.data.password as string)
      .filter((value, i, all) => value !== all[i - 1]);
    assert.ok(
      events.length > values.length && values.length > 10,
      `${events.length} versions, ${values.length} values`,
    );
    assert.equal(new Set(values).size, values.length);
  });

  it('is counted and logged, never with a value', async () => {
    const yaml = await succeeds(['get', 'secret/db', '-o', 'yaml']);
    await succeeds(['replace', '-f', '-'], yaml);
    const { body } = await scene.gateway.probe('/metrics');
    assert.match(body, /sallyport_restored_values_total [1-9]/);
    const line = await scene.gateway.logged((entry) => entry['restored'] !== undefined);
    assert.ok(Number(line['restored']) > 0);
    const all = JSON.stringify(scene.gateway.log) + body;
    assert.ok(!all.includes(password) && !all.includes(b64(password)));
    assert.ok(readFileSync(scene.cluster.auditLog).length > 0);
  });
});
