import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { POLICY_ALL, Scene } from '../gateway/scene.ts';
import { type CliResult, runCli } from '../sessions/run-cli.ts';
import { events, spooledLines, storedLines, storedRecordings, storeOf } from './recorded.ts';

const blocks = (language: string): string[] =>
  [...readFileSync(PAGE, 'utf8').matchAll(/^```(\w*)\n([\s\S]*?)^```/gm)]
    .filter(([, found]) => found === language)
    .map(([, , text]) => text!);
const PAGE = new URL('../../docs/recording-readers.md', import.meta.url);

describe('recordings read back through the gateway', () => {
  let scene: Scene;
  let sealed = '';
  const tokens: Record<string, string> = {};

  before(async () => {
    scene = await Scene.open('read-back', {
      recording: true,
      adjust: (configuration) => Object.assign(configuration.recording, { idleTimeout: '1s' }),
    });
    await scene.policy(`${POLICY_ALL}\n  recording: {level: RequestResponse}`);
    for (let level = ''; level !== 'RequestResponse'; await sleep(50)) {
      await scene.ask(`/api/v1/namespaces/${scene.namespace}/configmaps`);
      level = events(spooledLines(scene.gateway)).at(-1)?.level ?? '';
    }
    const configMap = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'greeting' },
      data: { hello: 'needle' },
    };
    await scene.ask(`/api/v1/namespaces/${scene.namespace}/configmaps`, {
      method: 'POST',
      headers: ['Content-Type', 'application/json'],
      body: JSON.stringify(configMap),
    });
    for (; sealed === ''; await sleep(100)) sealed = await recordingOf('needle');
    const [role] = blocks('yaml');
    await scene.cluster.apply(
      role!
        .replaceAll('sallyport-system', scene.gateway.namespace)
        .replace('sallyport:auditors', `sallyport:auditors-${scene.namespace}`),
    );
    await scene.cluster.apply(rbac('one', 'get', sealed) + rbac('index', 'x', undefined));
    for (const group of ['auditors', 'one', 'index', 'nobody']) {
      tokens[group] = await scene.tokenOf({ sub: `${group}-person`, groups: [`${group}-${scene.namespace}`] });
    }
    const groups = [`auditors-${scene.namespace}`];
    tokens['agent'] = await scene.tokenOf({ sub: 'robot', groups, agent: 'cursor' });
    tokens['governed'] = await scene.tokenOf({ sub: 'both', groups: [...groups, scene.group] });
    writeFileSync(join(scene.gateway.directory, 'ca.pem'), scene.gateway.caPem);
    mkdirSync(join(scene.gateway.directory, 'home'));
    for (const [name, token] of Object.entries(tokens)) writeFileSync(join(scene.gateway.directory, name), token);
  });
  after(() => scene?.close());

  /** The sealed recording that holds a text; '' while there is none. */
  async function recordingOf(text: string): Promise<string> {
    for (const name of storedRecordings(scene.gateway)) {
      if (!existsSync(join(storeOf(scene.gateway), 'recordings', name, 'manifest.json'))) continue;
      if (JSON.stringify(await storedLines(scene.gateway, name)).includes(text)) return name;
    }
    return '';
  }

  /** What a person of that group needs to read recordings. */
  function rbac(group: string, verb: string, name: string | undefined): string {
    const { namespace } = scene.gateway;
    const resources = verb === 'x' ? 'sessionrecordings' : 'sessionrecordings/content';
    const verbs = verb === 'x' ? 'get, list, watch' : verb;
    return `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: read-${group}, namespace: ${namespace}}
rules:
  - apiGroups: [sallyport.dev]
    resources: [${resources}]
    verbs: [${verbs}]${name === undefined ? '' : `\n    resourceNames: [${name}]`}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: read-${group}, namespace: ${namespace}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: read-${group}}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "sallyport:${group}-${scene.namespace}"}]
---
`;
  }

  const sallyport = (who: string, ...args: string[]): Promise<CliResult> => {
    const { directory, url } = scene.gateway;
    const through = ['--gateway', url, '--ca', join(directory, 'ca.pem'), '--token-file', join(directory, who)];
    return runCli(['recording', ...args, ...through], { HOME: join(directory, 'home') });
  };
  const fromStore = (...args: string[]): Promise<CliResult> =>
    runCli(['recording', ...args, '--store', storeOf(scene.gateway)], {});

  it('an auditor has what the store has: list, show, search, export, replay, verify', async () => {
    for (const args of [
      ['list', '-o', 'json', '--until', new Date(Date.now() - 1_000).toISOString()],
      ['show', sealed, '-o', 'json'],
      ['search', '--text', 'needle'],
      ['export', sealed, '--format', 'audit'],
      ['replay', sealed, '--speed', '1000', '--idle', '0'],
      ['verify', sealed],
    ]) {
      const [through, direct] = await Promise.all([sallyport('auditors', ...args), fromStore(...args)]);
      assert.equal(through.code, 0, `${args.join(' ')}: ${through.stderr}`);
      assert.ok(through.stdout.length > 20, args.join(' '));
      assert.equal(through.stdout, direct.stdout, args.join(' '));
    }
    await scene.gateway.logged(
      ({ message, object }) => message === 'recordings are read' && object === `recordings/${sealed}/*`,
    );
  });

  it('the whole store is verified through it, and what it does not show is said', async () => {
    const through = await sallyport('auditors', 'verify');
    assert.equal(through.code, 0, through.stdout + through.stderr);
    assert.match(through.stdout, new RegExp(`^SOUND {4}${sealed}: `, 'm'));
    assert.match(through.stderr, /^note: what replicas say that they sealed last cannot be read here/m);
    const direct = await fromStore('verify');
    assert.equal(direct.code, 0, direct.stdout + direct.stderr);
    assert.doesNotMatch(direct.stderr, /what replicas say/);
  });

  it('the commands of docs/recording-readers.md', async () => {
    const { directory, url } = scene.gateway;
    const commands = blocks('').flatMap((text) => text.split('\n').filter((line) => line.includes(' --gateway ')));
    assert.ok(commands.length >= 3);
    const [key] = readdirSync(join(storeOf(scene.gateway), 'keys'));
    for (const line of commands) {
      const args = line
        .replace('sallyport ', '')
        .replace('NAME', sealed)
        .replace('https://sallyport.shop.example', url)
        .replace('--token-file token', '')
        .replace('auditor.pem', join(storeOf(scene.gateway), 'keys', key!))
        .split(' ')
        .filter((word) => word !== '');
      const person = ['--ca', join(directory, 'ca.pem'), '--token-file', join(directory, 'auditors')];
      const { code, stderr } = await runCli([...args, ...person], { HOME: join(directory, 'home') });
      assert.equal(code, 0, `${line}: ${stderr}`);
    }
  });

  it('one that is still written is read as far as the store has it', async () => {
    const path = `/api/v1/namespaces/${scene.namespace}/configmaps?watch=1&timeoutSeconds=60`;
    const watching = scene.ask(path).catch(() => {});
    for (let tries = 0; ; tries += 1) {
      const { stdout } = await sallyport('auditors', 'list');
      const open = /^(\S+) .* Open /m.exec(stdout)?.[1];
      if (open !== undefined) {
        assert.match((await sallyport('auditors', 'show', open)).stdout, /watch/);
        break;
      }
      assert.ok(tries < 30, stdout);
      await sleep(250);
    }
    scene.gateway.log.length = 0;
    void watching;
  });

  it('RBAC says who: nobody without a word, one recording by name, the index is not the content', async () => {
    for (const who of ['nobody', 'index']) {
      const { code, stderr } = await sallyport(who, 'show', sealed);
      assert.equal(code, 1);
      assert.match(stderr, /SP_RECORDING_READ_REFUSED.*needs "get" on sessionrecordings\/content/);
    }
    const one = await sallyport('one', 'show', sealed);
    assert.equal(one.code, 0, one.stderr);
    const all = await sallyport('one', 'list');
    assert.equal(all.code, 1);
    assert.match(all.stderr, /SP_RECORDING_READ_REFUSED.*needs "list"/);
  });

  it('never an agent, never one whom a policy speaks of, whatever RBAC gives them', async () => {
    for (const [who, why] of [
      ['agent', /an agent reads no recordings/],
      ['governed', /an AgentPolicy speaks of you/],
    ] as const) {
      const { code, stderr } = await sallyport(who, 'list');
      assert.equal(code, 1);
      assert.match(stderr, why);
    }
    // The scene's own agents are cluster-admin behind the gate.
    const { status, body } = await scene.ask('/sallyport/v1/recordings');
    assert.equal(status, 403, body);
  });

  it('nothing else of the store is to be had, and nothing is changed', async () => {
    const ask = (path: string, method = 'GET') =>
      scene.ask(`/sallyport/v1/recordings${path}`, { method, token: tokens['auditors']! });
    for (const path of [
      '/objects/replicas/gateway.json',
      '/objects/recordings/../keys/x',
      `/objects/recordings/${sealed}/../../spool`,
      `/objects/recordings/${sealed}/%2e%2e%2fmanifest.json`,
      '/objects/recordings//manifest.json',
      '/objects/recordings/no-such-recording/manifest.json',
      '/objects//etc/passwd',
    ]) {
      const { status, json } = await ask(path);
      assert.equal(status, 404, path);
      assert.match(json().message, /^SP_RECORDING_NOT_FOUND/);
    }
    assert.equal((await ask('?prefix=replicas/')).status, 400);
    assert.equal((await ask('?prefix=')).status, 400);
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
      assert.equal((await ask(`/objects/recordings/${sealed}/manifest.json`, method)).status, 400, method);
    }
    assert.equal((await scene.ask('/sallyport/v1/recordings', { token: null })).status, 401);
  });
});
