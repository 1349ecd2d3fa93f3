import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fetchPage, local } from '../clients/kubectl-forward.ts';
import { busyboxPod, Stage } from '../clients/stage.ts';
import { holding, ownAgents, RULES, sessionKubeconfig } from './commands-stage.ts';
import { People } from './people.ts';

/** Each its own request: what was taken back is not asked again for a while. */
const shellOf = (name: string): string[] => ['exec', '-i', 'web', '--', 'sh', '-c', 'exec sh', name];

describe('streams that a person let through', { timeout: 280_000 }, () => {
  let stage: Stage;
  let people: People;

  before(async () => {
    stage = await Stage.open({
      node: true,
      adjust: (configuration) => {
        ownAgents(configuration);
        configuration.approvals = { streamLimit: '10s' };
      },
    });
    people = new People(stage.scene.cluster);
    await stage.scene.policy(RULES);
    await holding(stage.scene);
    const page = 'mkdir -p /www; echo a page > /www/index.html; exec httpd -f -p 80 -h /www';
    await stage.pods(`${busyboxPod('web', 'sleep infinity')}\n---\n${busyboxPod('page', page)}`);
  });
  after(async () => {
    await stage?.close();
  });
  afterEach(async () => {
    await stage.endAll();
  });

  /** Refused, approved; the next run passes. */
  const approved = async (args: string[]): Promise<string> => {
    const first = await stage.kubectl(args);
    assert.match(first.stderr, /SP_APPROVAL_REQUIRED/);
    const [, name] = /kubectl approve -n \S+ (ar-\S+)"/.exec(first.stderr)!;
    await people.approve(stage.namespace, name!);
    return name!;
  };
  const holds = async (): Promise<number> =>
    Number(/^sallyport_approval_holds (\d+)$/m.exec((await stage.scene.gateway.probe('/metrics')).body)?.[1]);

  for (const transport of ['WebSocket', 'SPDY'] as const) {
    it(`a shell is taken back while it is open: it ends within a second (${transport})`, async () => {
      const name = await approved(shellOf(transport));
      const shell = stage.start(shellOf(transport), { transport });
      shell.write('echo ready\n');
      await shell.says(/ready/);
      const used = await people.outcome(stage.namespace, name);
      assert.deepEqual([used.outcome, used.code], ['Succeeded', 101]);
      const started = performance.now();
      await people.say(stage.namespace, name, { type: 'Denied', username: 'carol@shop.example' });
      assert.notEqual(await shell.ended(), 0);
      assert.ok(performance.now() - started < 2_000, `${performance.now() - started}`);
      assert.match(shell.stderr, new RegExp(`${name}, by which this stream was opened, was taken back`));
    });
  }

  it('a shell ends at its limit, and says so; what takes no input goes on', async () => {
    const long = [
      'exec',
      'web',
      '--',
      'sh',
      '-c',
      'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do sleep 1; done; echo whole',
    ];
    await approved(shellOf('limit'));
    await approved(long);
    const [shell, command] = [stage.start(shellOf('limit')), stage.start(long)];
    const started = performance.now();
    assert.notEqual(await shell.ended(), 0);
    const lived = performance.now() - started;
    assert.ok(lived > 9_000 && lived < 13_000, `${lived}`);
    assert.match(shell.stderr, /an approved shell lives for 0\.2 min; run the command again to have another one asked/);
    assert.equal(await command.ended(), 0, command.stderr);
    assert.match(command.stdout, /whole/);
  });

  it('held until it is approved: one request, whichever way it comes, and the client notices nothing but the wait', async () => {
    const kubeconfig = await sessionKubeconfig(stage.scene);
    const command = ['exec', 'web', '--', 'echo', 'through'];
    const running = [
      stage.start(command, { kubeconfig, transport: 'WebSocket' }),
      stage.start(command, { kubeconfig, transport: 'SPDY' }),
    ];
    while ((await holds()) < 2) await sleep(25);
    const request = await people.waiting(stage.namespace);
    assert.deepEqual(request.spec.operation.command, ['echo', 'through']);
    await people.approve(stage.namespace, request.metadata.name, { grantDuration: '1m' });
    for (const one of running) {
      assert.equal(await one.ended(), 0, one.stderr);
      assert.equal(one.stdout, 'through\n');
      assert.equal(one.stderr, '');
    }
    // The grant opens a shell, too, and taking it back ends that.
    const shell = stage.start(shellOf('grant'), { kubeconfig });
    shell.write('echo ready\n');
    await shell.says(/ready/);
    await people.deny(stage.namespace, request.metadata.name, 'enough');
    assert.notEqual(await shell.ended(), 0);
    assert.match(shell.stderr, /was taken back/);
  });

  it('kubectl’s second try, over SPDY, has waited with the first: told at once, and never asked twice', async () => {
    await stage.scene.policy(`${RULES}\n      approval: {waitTimeout: 4s}`);
    await sleep(1_000);
    const started = performance.now();
    const refused = await stage.kubectl(['exec', 'web', '--', 'echo', 'second try']);
    const took = performance.now() - started;
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /^error: .*SP_APPROVAL_REQUIRED: .*before \S+, then run the same command again/m);
    assert.ok(took > 4_000 && took < 8_000, `waited ${took} ms: once`);
    const tries = stage.scene.gateway.log.filter(
      ({ approval, operation }) =>
        approval === 'held' && (operation as { subresource?: string }).subresource === 'exec',
    );
    const request = await people.waitingFor(stage.namespace, 'second try');
    assert.equal(tries.filter(({ name }) => String(name).endsWith(`/${request.metadata.name}`)).length, 1);
    await people.approve(stage.namespace, request.metadata.name);
    const passed = await stage.kubectl(['exec', 'web', '--', 'echo', 'second try']);
    assert.equal(passed.stdout, 'second try\n', passed.stderr);
    await stage.scene.policy(RULES);
  });

  describe('a port that a rule names', () => {
    const PORTS = `
    - name: look
      action: Allow
      match: {verbs: [get, list, watch], apiGroups: ["*"], resources: ["*"]}
    - name: any-tunnel
      action: Allow
      match: {verbs: [create, get], apiGroups: [""], resources: [pods/portforward], ports: [7]}
    - name: pages
      action: RequireApproval
      match: {verbs: [create, get], apiGroups: [""], resources: [pods/portforward], ports: [80]}
      approval: {waitTimeout: 30s}`;

    for (const transport of ['WebSocket', 'SPDY'] as const) {
      it(`is asked about by itself when it is opened, and held until it is approved (${transport})`, async () => {
        await stage.scene.policy(PORTS);
        await sleep(1_000);
        const forward = stage.start(['port-forward', '--address=127.0.0.1', 'pod/page', ':80'], { transport });
        const port = await local(forward, 80);
        const [first, second] = [fetchPage(port), fetchPage(port)];
        const request = await people.waitingFor(stage.namespace, 'pod/page');
        assert.match(request.spec.summary, /^command: kubectl port-forward -n \S+ pod\/page 80$/m);
        assert.deepEqual(request.spec.operation.ports, [80]);
        assert.equal(request.spec.target?.uid?.length, 36);
        await people.approve(stage.namespace, request.metadata.name);
        assert.deepEqual([await first, await second], ['a page\n', 'a page\n']);
        assert.equal(await fetchPage(port), 'a page\n', 'open as long as the port-forward is');
        const use = await people.outcome(stage.namespace, request.metadata.name);
        assert.deepEqual([use.outcome, use.code], ['Succeeded', 101]);
        // What was opened by it ends with it.
        await people.say(stage.namespace, request.metadata.name, { type: 'Denied', username: 'carol@shop.example' });
        await forward.says(/was taken back|lost connection to pod/);
        await forward.ended();
        const { cluster } = stage.scene;
        await cluster.kubectl(['delete', 'approvalrequest', request.metadata.name, '-n', stage.namespace]);
        await stage.scene.policy(RULES);
      });
    }

    it('nobody decides: refused on its own stream, in one line that says what to do', async () => {
      await stage.scene.policy(PORTS.replace('30s', '1s'));
      await sleep(1_000);
      const forward = stage.start(['port-forward', '--address=127.0.0.1', 'pod/page', ':80']);
      assert.equal(await fetchPage(await local(forward, 80)), '');
      await forward.says(
        /SP_APPROVAL_REQUIRED: .*kubectl approve -n \S+ ar-\S+" before \S+, then run the same command again/,
      );
      await forward.end().catch(() => undefined);
      const request = await people.waitingFor(stage.namespace, 'pod/page');
      await people.approve(stage.namespace, request.metadata.name);
      const again = stage.start(['port-forward', '--address=127.0.0.1', 'pod/page', ':80']);
      assert.equal(await fetchPage(await local(again, 80)), 'a page\n');
      await again.end();
      await stage.scene.policy(RULES);
    });
  });

  it('a client that leaves while it is held gives its place back; what was asked stays', async () => {
    const kubeconfig = await sessionKubeconfig(stage.scene);
    const waiting = stage.start(['exec', 'web', '--', 'echo', 'never'], { kubeconfig });
    while ((await holds()) !== 1) await sleep(25);
    await waiting.end('SIGKILL');
    const left = performance.now();
    while ((await holds()) !== 0) await sleep(25);
    assert.ok(performance.now() - left < 3_000);
    const request = await people.waitingFor(stage.namespace, 'never');
    await people.deny(stage.namespace, request.metadata.name, 'cleared');
  });

  it('another Pod of the same name is not the one that was approved', async () => {
    await stage.pods(busyboxPod('replaced', 'sleep infinity'));
    const command = ['exec', 'replaced', '--', 'id'];
    await approved(command);
    const { cluster } = stage.scene;
    await cluster.kubectl(['delete', 'pod', 'replaced', '-n', stage.namespace, '--now']);
    await stage.pods(busyboxPod('replaced', 'sleep infinity'));
    const refused = await stage.kubectl(command);
    assert.notEqual(refused.code, 0);
    // The WebSocket voids it, and the SPDY that kubectl tries next asks anew.
    assert.match(refused.stderr, /SP_APPROVAL_(?:VOID|REQUIRED)/);
    const requests = (await people.all(stage.namespace)).filter(({ spec }) => spec.operation.name === 'replaced');
    assert.deepEqual(
      requests.map(({ status }) => status?.conditions?.at(-1)?.reason ?? 'Waiting'),
      ['TargetChanged', 'Waiting'],
    );
  });
});
