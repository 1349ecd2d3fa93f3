import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { joined } from '../../src/recording/storage/cases.ts';
import type { S3Client } from '../../src/recording/storage/s3-client.ts';
import { CertificateAuthority } from '../cluster/certificates.ts';
import { GatewayProcess } from '../gateway/gateway-process.ts';
import { POLICY_ALL, Scene } from '../gateway/scene.ts';
import { REGION, type S3Server, startS3Server } from '../s3/s3-server.ts';
import { type CliResult, runCli } from '../sessions/run-cli.ts';
import { events, spooledLines } from './recorded.ts';

const PREFIX = 'production/';
const RETENTION = 2 * 3_600_000;
const BYPASS = { 'x-amz-bypass-governance-retention': 'true' };

interface Indexed {
  readonly metadata: { readonly name: string };
  readonly status?: { readonly phase: string; readonly location: string };
}

describe('a gateway that records into a bucket with object lock, and the commands that read it there', () => {
  const home = mkdtempSync(join(tmpdir(), 'sallyport-bucket-'));
  const file = (name: string): string => join(home, name);
  let server: S3Server;
  let client: S3Client;
  let scene: Scene;
  let locator = '';
  /** The recording that holds the word. */
  let needle = '';
  const begun = Date.now();

  before(async () => {
    server = await startS3Server();
    await server.makeBucket('recordings', true);
    await server.makeBucket('plain', false);
    client = server.client('recordings', { attempts: 1 });
    writeFileSync(file('id'), `${server.keys.accessKeyID}\n`);
    writeFileSync(file('key'), `${server.keys.secretAccessKey}\n`, { mode: 0o600 });
    writeFileSync(file('wrong-key'), 'x'.repeat(40), { mode: 0o600 });
    writeFileSync(file('other-ca.crt'), (await CertificateAuthority.create('another authority')).certPem);
    mkdirSync(file('home'));
    scene = await Scene.open('bucket', {
      recording: true,
      adjust: (configuration) => {
        into({})(configuration);
        configuration.recording.idleTimeout = '1s';
      },
    });
    await scene.policy(`${POLICY_ALL}\n  recording: {level: RequestResponse}`);
    for (let level = ''; level !== 'RequestResponse'; await sleep(50)) {
      await scene.ask(configMaps());
      level = events(spooledLines(scene.gateway)).at(-1)?.level ?? '';
    }
    locator = String((await scene.gateway.logged(({ message }) => message === 'recording'))['store']);
  });
  after(async () => {
    await scene?.close();
    await client?.close();
    await server?.stop();
    rmSync(home, { recursive: true, force: true });
  });

  /** A configuration that names the bucket, and what is different in it. */
  function into(other: Record<string, unknown>) {
    const credentials = { secret: { accessKeyIDFile: file('id'), secretAccessKeyFile: file('key') } };
    const s3 = {
      bucket: 'recordings',
      prefix: PREFIX,
      region: REGION,
      endpoint: server.endpoint.origin,
      pathStyle: true,
      caFile: server.caFile,
      objectLock: { mode: 'Compliance', retention: '2h' },
      attempts: 2,
      credentials,
      ...other,
    };
    return (configuration: { recording: { storage: unknown } }): void => {
      configuration.recording.storage = { s3 };
    };
  }
  const configMaps = (): string => `/api/v1/namespaces/${scene.namespace}/configmaps`;
  const post = (text: string, gateway = scene.gateway) =>
    scene.ask(configMaps(), {
      gateway,
      method: 'POST',
      headers: ['Content-Type', 'application/json'],
      body: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: text }, data: { text } }),
    });

  /** What is sealed in the bucket, in the order of its keys. */
  async function stored(): Promise<{ key: string; bytes: number }[]> {
    const reader = server.storage('recordings', { prefix: PREFIX });
    const found: { key: string; bytes: number }[] = [];
    for await (const { key, bytes } of reader.list('recordings/')) found.push({ key, bytes });
    await reader.close();
    return found;
  }
  const namesOf = (objects: readonly { key: string }[]): string[] => [
    ...new Set(objects.map(({ key }) => key.split('/')[1]!)),
  ];
  const inStore = (args: readonly string[], keys = server.keys): Promise<CliResult> =>
    runCli(['recording', ...args, '--store', locator], {
      HOME: file('home'),
      AWS_ACCESS_KEY_ID: keys.accessKeyID,
      AWS_SECRET_ACCESS_KEY: keys.secretAccessKey,
    });

  const indexed = async (): Promise<Indexed[]> => {
    const { namespace } = scene.gateway;
    const { stdout } = await scene.cluster.kubectl(['get', 'sessionrecordings', '-n', namespace, '-o', 'json']);
    return JSON.parse(stdout).items;
  };

  it('its SessionRecording names the place, with no key and nothing that only a reader needs', async () => {
    assert.equal((await post('needle')).status, 201);
    let sealed: Indexed[] = [];
    for (; sealed.length === 0; await sleep(100)) {
      sealed = (await indexed()).filter(({ status }) => status?.phase === 'Sealed');
    }
    for (const { metadata, status } of sealed) {
      assert.equal(status!.location, `s3://recordings/${PREFIX}recordings/${metadata.name}/`);
    }
  });

  it('what it seals, by itself and when it is stopped, has the mode and the retention of its configuration', async () => {
    assert.equal((await post('last-word')).status, 201);
    await scene.gateway.kill('SIGTERM');
    for (const { status } of await indexed())
      assert.equal(status?.phase, 'Sealed', 'also of what was sealed at the end');
    const objects = await stored();
    assert.ok(objects.length >= 4, 'two recordings at least');
    for (const { key } of objects) {
      assert.match(key, /\/(?:000001\.jsonl\.zst|manifest\.json)$/);
      const name = `${PREFIX}${key}`;
      const { headers } = await client.send({ operation: 'HeadObject', method: 'HEAD', key: name, expect: [200] });
      assert.equal(headers['x-amz-object-lock-mode'], 'COMPLIANCE', key);
      const until = Date.parse(headers['x-amz-object-lock-retain-until-date']!);
      assert.ok(until >= begun + RETENTION - 1_000 && until <= Date.now() + RETENTION, `${key}: ${new Date(until)}`);
      const query = { retention: '' };
      const { body } = await client.send({ operation: 'GetRetention', method: 'GET', key: name, query, expect: [200] });
      assert.match(body.toString(), /<Mode>COMPLIANCE<\/Mode>/);
    }
    assert.deepEqual(spooledLines(scene.gateway), [], 'nothing is left in the spool');
    const reader = server.storage('recordings', { prefix: PREFIX });
    for await (const open of reader.listOpen('recordings/')) assert.fail(`${open} is left`);
    await reader.close();
    needle = JSON.parse((await inStore(['search', '--text', 'needle', '-o', 'json'])).stdout.split('\n')[0]!).recording;
  });

  it('list, show, verify and export read it there, in a process of their own, by locator and environment', async () => {
    const list = await inStore(['list', '-o', 'json']);
    assert.equal(list.code, 0, list.stderr);
    const listed = list.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).name);
    assert.deepEqual(listed.sort(), namesOf(await stored()));
    const show = await inStore(['show', needle, '--bodies']);
    assert.equal(show.code, 0, show.stderr);
    assert.match(show.stdout, /needle/);
    const verify = await inStore(['verify', '--sealed', '-o', 'json']);
    assert.equal(verify.code, 0, verify.stderr);
    const { recordings } = JSON.parse(verify.stdout);
    assert.deepEqual(
      recordings.map(({ state }: { state: string }) => state),
      listed.map(() => 'Complete'),
    );
    const exported = await inStore(['export', needle, '--format', 'audit']);
    assert.equal(exported.code, 0, exported.stderr);
    const audit = exported.stdout.trim().split('\n');
    assert.ok(audit.some((line) => JSON.parse(line).verb === 'create' && line.includes('needle')));
  });

  it('the commands with a wrong key say that they were refused, in a line without the key', async () => {
    const secretAccessKey = 'n0t-the-secret-of-this-store'.padEnd(40, 'x');
    const { code, stdout, stderr } = await inStore(['list'], { ...server.keys, secretAccessKey });
    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.match(stderr, /^[^\n]*recordings at 127\.0\.0\.1:\d+ answered 403 SignatureDoesNotMatch\n$/);
    assert.ok(!stderr.includes(secretAccessKey));
  });

  it('nobody deletes a sealed object or puts another in its place, whatever rights they have', async () => {
    const objects = await stored();
    for (const { key } of objects) {
      const name = `${PREFIX}${key}`;
      const { headers } = await client.send({ operation: 'HeadObject', method: 'HEAD', key: name, expect: [200] });
      const query = { versionId: headers['x-amz-version-id']! };
      for (const lift of [{}, BYPASS]) {
        const ask = { operation: 'delete', method: 'DELETE', key: name, query, headers: lift } as const;
        const { status } = await client.send({ ...ask, expect: [200, 204, 400, 403, 409] });
        assert.ok(status >= 400, `${key}: ${status}`);
      }
      const put = { operation: 'overwrite', method: 'PUT', key: name, body: Buffer.from('forged') } as const;
      await client.send({ ...put, headers: { 'if-none-match': '*' }, expect: [412] });
      // A later version, and a delete marker over that: S3 takes both.
      await client.send({ ...put, expect: [200] });
      await client.send({ operation: 'delete', method: 'DELETE', key: name, expect: [204] });
    }
    assert.deepEqual(await stored(), objects);
    const { code, stdout, stderr } = await inStore(['verify', needle]);
    assert.equal(code, 0, `${stdout}${stderr}`);
    assert.match(stderr, /something was laid over "recordings\/[^"]*manifest\.json" in the store/);
  });

  it('read through the gateway it is what it is in the store', async () => {
    await scene.gateway.launch();
    const { directory, namespace, url, caPem } = scene.gateway;
    const group = `auditors-${scene.namespace}`;
    const account = ['-n', namespace, `--group=sallyport:${group}`];
    const content = ['--verb=get,list', '--resource=sessionrecordings.sallyport.dev/content'];
    for (const made of [
      await scene.cluster.kubectl(['create', 'role', group, '-n', namespace, ...content]),
      await scene.cluster.kubectl(['create', 'rolebinding', group, `--role=${group}`, ...account]),
    ])
      assert.equal(made.code, 0, made.stderr);
    writeFileSync(join(directory, 'ca.pem'), caPem);
    writeFileSync(join(directory, 'auditor'), await scene.tokenOf({ sub: 'auditor', groups: [group] }));
    const person = ['--ca', join(directory, 'ca.pem'), '--token-file', join(directory, 'auditor')];
    for (const args of [
      ['show', needle, '-o', 'json'],
      ['verify', needle],
    ]) {
      const through = await runCli(['recording', ...args, '--gateway', url, ...person], { HOME: file('home') });
      assert.equal(through.code, 0, through.stderr);
      assert.equal(through.stdout, (await inStore(args)).stdout);
    }
    await scene.gateway.logged(({ message }) => /laid over a sealed object/.test(String(message)));
  });

  it('what a person has to mend ends the start, in a line that says what', async () => {
    const { cluster, gateway } = scene;
    const wrongKey = { secret: { accessKeyIDFile: file('id'), secretAccessKeyFile: file('wrong-key') } };
    for (const [what, other, says] of [
      ['object lock is off', { bucket: 'plain' }, /plain at .* object lock is asked for .* and is off in the bucket/],
      ['no such bucket', { bucket: 'absent' }, /absent at 127\.0\.0\.1:\d+ answered 404/],
      ['a wrong key', { credentials: wrongKey }, /recordings at 127\.0\.0\.1:\d+ answered 403/],
    ] as const) {
      const options = { replicaOf: gateway, recording: true, adjust: into(other) };
      const ended = await GatewayProcess.start(cluster, options).catch((error: Error) => error);
      if (!(ended instanceof Error)) await ended.stop();
      assert.ok(ended instanceof Error, what);
      assert.match(ended.message, says);
      assert.ok(!ended.message.includes('x'.repeat(40)), 'no key is in it');
    }
  });

  it('another authority’s certificate: it starts and says so, the spool holds, and with the right one all of it arrives', async () => {
    const { cluster } = scene;
    const ca = file('store-ca.crt');
    copyFileSync(file('other-ca.crt'), ca);
    const before = namesOf(await stored());
    const options = { replicaOf: scene.gateway, recording: true, adjust: into({ caFile: ca, attempts: 1 }) };
    const other = await GatewayProcess.start(cluster, options);
    try {
      const said = await other.logged(({ message }) => message === 'the store of recordings does not answer yet');
      assert.match(JSON.stringify(said), /the connection broke off \((?:SELF_SIGNED|UNABLE_TO|DEPTH_ZERO)/);
      while ((await post(`kept-${Date.now()}`, other)).status !== 201) await sleep(50);
      assert.match(JSON.stringify(spooledLines(other)), /kept-/);
      assert.deepEqual(namesOf(await stored()), before, 'nothing of it is in the bucket');
      await other.kill('SIGKILL');
      copyFileSync(server.caFile, ca);
      await other.launch();
      await other.kill('SIGTERM');
      assert.deepEqual(spooledLines(other), []);
    } finally {
      await other.stop();
    }
    const names = namesOf(await stored());
    assert.equal(names.length, before.length + 1);
    const verify = await inStore(['verify', ...names]);
    assert.equal(verify.code, 0, `${verify.stdout}${verify.stderr}`);
    const [fresh] = names.filter((name) => !before.includes(name));
    const reader = server.storage('recordings', { prefix: PREFIX });
    assert.ok((await joined(reader.get(`recordings/${fresh}/manifest.json`))).length > 0);
    await reader.close();
    assert.match((await inStore(['show', fresh!, '--bodies'])).stdout, /kept-/);
  });
});
