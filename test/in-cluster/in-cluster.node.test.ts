import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { type CommandResult, runCommand, whyNoNode } from '../cluster/cluster.ts';
import { Installation, NAMESPACE, NEXT, SALLYPORT, SHOP_IMAGE } from './installation.ts';
import { OthersWrites, Reads, type Tally } from './load.ts';
import { policies, SHOP } from './shop.ts';

const ROOT = new URL('../../', import.meta.url).pathname;
const why = whyNoNode();

/** One installation, from `helm install` to `helm uninstall`; each step stands on the one before. */
describe('in the cluster', { skip: why === undefined ? false : `left out: ${why}` }, () => {
  let it: Installation;
  let others: OthersWrites;
  /** The agent's, through the gate. */
  let agentConfig: string;
  /** The same name with a credential of the API server's own: whoever has that goes around the gate. */
  let aroundConfig: string;
  let bobConfig: string;
  let agentToken: string;

  before(async () => {
    it = await Installation.prepare();
    await it.cluster.apply(SHOP);
    const around = { user: 'bot@shop.example', groups: ['ai-agents'] };
    aroundConfig = await it.cluster.kubeconfig({
      client: await it.cluster.clientCertificate(around),
      namespace: 'shop',
    });
    const bob = { user: 'bob@shop.example', groups: ['shop-leads'] };
    bobConfig = await it.cluster.kubeconfig({ client: await it.cluster.clientCertificate(bob), namespace: 'shop' });
    await it.cluster.apply(readFileSync(join(ROOT, 'examples/rbac/approver.yaml'), 'utf8'));
    others = new OthersWrites(it.cluster);
  });
  after(async () => {
    await others?.stop();
    await it?.close();
  });

  const agent = (...args: string[]): Promise<CommandResult> => it.cluster.kubectl(args, { kubeconfig: agentConfig });
  const around = (...args: string[]): Promise<CommandResult> => it.cluster.kubectl(args, { kubeconfig: aroundConfig });
  const reads = (): Reads => new Reads({ url: it.url, token: agentToken, ca: readFileSync(it.caFile, 'utf8') });
  const noneRefused = (tally: Tally, atLeast: number): void => {
    assert.deepEqual(tally.refused, []);
    assert.ok(tally.answered >= atLeast, `only ${tally.answered} requests`);
  };

  /** Runs it, has it approved by Bob, and gives the way to run it again. */
  async function approved(...args: string[]): Promise<void> {
    const asked = await agent(...args);
    const name = /kubectl approve -n shop (ar-\S+?)"/.exec(asked.stderr)?.[1];
    assert.ok(name, `nobody was asked: ${asked.stderr}`);
    const env = { ...process.env, KUBECONFIG: bobConfig };
    const decided = await runCommand(SALLYPORT, ['approve', '-n', 'shop', name], { env, timeout: 60_000 });
    assert.equal(decided.code, 0, decided.stderr + decided.stdout);
  }

  async function podsOf(component: string): Promise<{ name: string; address: string }[]> {
    const selector = `labelSelector=app.kubernetes.io/component%3D${component}`;
    const answer = await it.cluster.admin('GET', `/api/v1/namespaces/${NAMESPACE}/pods?${selector}`);
    // biome-ignore lint/suspicious/noExplicitAny: a Pod as the API server gives it
    return answer.json().items.map((pod: any) => ({ name: pod.metadata.name, address: pod.status.podIP }));
  }

  async function until(what: string, look: () => Promise<boolean>, seconds = 60): Promise<void> {
    for (const end = Date.now() + seconds * 1_000; !(await look()); await sleep(200))
      if (Date.now() > end) throw new Error(`never: ${what}\n${await it.state()}`);
  }

  const rolledOut = async (): Promise<void> => {
    const waits = ['statefulset/sallyport-gateway', 'deployment/sallyport-controller'].map((workload) =>
      it.cluster.kubectl(['rollout', 'status', '-n', NAMESPACE, workload, '--timeout=90s'], { timeout: 100_000 }),
    );
    for (const { code, stderr } of await Promise.all(waits)) assert.equal(code, 0, stderr);
  };

  const webhookWritten = (): Promise<void> =>
    until('the controller has written the webhook’s configuration', async () => {
      const path = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/sallyport-policy';
      return (await it.cluster.admin('GET', path)).status === 200;
    });

  test('helm install ends when everything answers, and says the next three commands', async () => {
    const said = await it.install();
    assert.match(said, /STATUS: deployed/);
    const [first, second, third] = [...said.matchAll(/^ {3}((?:kubectl|sallyport) .*)$/gm)].map((match) => match[1]!);
    assert.match(first!, /^kubectl apply -f examples\/policies\//);
    assert.match(third!, /^sallyport kubeconfig --agent cursor --gateway https:\S+ --ca sallyport-ca\.crt$/);
    await it.cluster.apply(policies());
    // As it stands there.
    const path = `${join(it.cluster.binaries.kubectl!, '..')}:${process.env['PATH']}`;
    const env = { ...process.env, PATH: path, KUBECONFIG: it.cluster.adminKubeconfig };
    const authority = await runCommand('bash', ['-c', `cd '${it.folder}' && ${second}`], { env, timeout: 30_000 });
    assert.equal(authority.code, 0, authority.stderr);
    assert.match(readFileSync(it.caFile, 'utf8'), /BEGIN CERTIFICATE/);
  });

  test('helm test passes', async (context) => {
    assert.match(await it.helm('test', 'sallyport'), /Phase: {10}Succeeded/);
    for (const { name, address } of [...(await podsOf('gateway')), ...(await podsOf('controller'))]) {
      const metrics = await (await fetch(`http://${address}:9443/metrics`)).text();
      const resident = Number(/^process_resident_memory_bytes (\S+)/m.exec(metrics)![1]);
      context.diagnostic(`${name}: ${(resident / 1e6).toFixed(0)} MB resident`);
    }
  });

  test('an agent’s kubeconfig, and what it may do', async () => {
    agentToken = await it.token({ email: 'bot@shop.example', groups: ['ai-agents'] });
    agentConfig = join(it.folder, 'agent.kubeconfig');
    const tokenFile = it.file('agent.token', agentToken);
    const flags = ['--agent', 'cursor', '--gateway', it.url, '--ca', it.caFile, '--token-file', tokenFile];
    const home = { env: { ...process.env, HOME: it.folder, KUBECONFIG: '' }, timeout: 60_000 };
    const made = await runCommand(
      SALLYPORT,
      ['kubeconfig', ...flags, '--namespace', 'shop', '--output', agentConfig],
      home,
    );
    assert.equal(made.code, 0, made.stderr);
    assert.match((await agent('auth', 'whoami')).stdout, /sallyport:bot@shop\.example/);
    assert.match((await agent('get', 'pods,configmaps', '-o', 'name')).stdout, /pod\/web/);
    const miner = await agent('run', 'miner', '--image=evil.example/miner');
    assert.match(
      miner.stderr,
      /SP_POLICY_DENIED: cursor-in-production\/only-our-images: not from registry\.shop\.example/,
    );
    const guarded = await agent('delete', 'pod', 'web', '-n', 'kube-system');
    assert.match(guarded.stderr, /SP_POLICY_DENIED: sallyport-guardrails\/cluster-namespaces/);
    const ran = await agent(
      'run',
      'worker',
      `--image=${SHOP_IMAGE}`,
      '--image-pull-policy=Never',
      '--',
      'sleep',
      '3600',
    );
    assert.equal(ran.code, 0, ran.stderr);
  });

  test('exec, logs, cp and port-forward reach a real Pod; what a person must decide waits for one', async () => {
    const ready = ['wait', '-n', 'shop', '--for=condition=Ready', 'pod/web', '--timeout=60s'];
    assert.equal((await it.cluster.kubectl(ready)).code, 0);
    assert.match((await agent('exec', 'web', '--', 'ls')).stdout, /^www$/m);
    assert.equal((await agent('logs', 'web')).stdout, 'started\n');

    const shell = ['exec', 'web', '--', 'sh', '-c', 'echo $((6*7)); exit 3'];
    await approved(...shell);
    const ran = await agent(...shell);
    assert.deepEqual([ran.code, ran.stdout], [3, '42\n'], ran.stderr);

    const there = it.file('there', 'x'.repeat(100_000));
    await approved('cp', there, 'shop/web:/tmp/there');
    const copied = await agent('cp', there, 'shop/web:/tmp/there');
    assert.equal(copied.code, 0, copied.stderr);
    const size = await it.cluster.kubectl(['exec', '-n', 'shop', 'web', '--', 'wc', '-c', '/tmp/there']);
    assert.match(size.stdout, /^100000 /);

    assert.equal(await pageThroughForward(), 'a page\n');
  });

  async function pageThroughForward(): Promise<string> {
    const env = { ...process.env, KUBECONFIG: agentConfig };
    const child = spawn(it.cluster.binaries.kubectl!, ['port-forward', 'pod/web', ':80'], { env });
    try {
      let text = '';
      child.stdout.on('data', (part: Buffer) => (text += part.toString()));
      child.stderr.on('data', (part: Buffer) => (text += part.toString()));
      await until('the forward listens', async () => /127\.0\.0\.1:\d+ ->/.test(text) || child.exitCode !== null);
      const port = /127\.0\.0\.1:(\d+)/.exec(text)?.[1];
      assert.ok(port, text);
      return await (await fetch(`http://127.0.0.1:${port}/`)).text();
    } finally {
      child.kill('SIGKILL');
    }
  }

  test('going around the gate gains nothing', async () => {
    const { stderr } = await it.cluster.kubectl(
      ['get', 'pods', '-n', 'shop', '--server', it.cluster.url, '--token', agentToken],
      {
        kubeconfig: it.file(
          'nobody.kubeconfig',
          readFileSync(await it.cluster.kubeconfig({ token: agentToken }), 'utf8'),
        ),
      },
    );
    assert.match(stderr, /Unauthorized|must be logged in/);
    await webhookWritten();
    await until('the API server calls the webhook', async () => {
      const miner = await around('run', 'miner', '--image=evil.example/miner');
      return /SP_POLICY_DENIED: cursor-in-production\/only-our-images: not from registry\.shop\.example/.test(
        miner.stderr,
      );
    });
    const forged = [
      'run',
      'forged',
      `--image=${SHOP_IMAGE}`,
      '--as=sallyport:bot@shop.example',
      '--as-group=sallyport:ai-agents',
      '-n',
      'shop',
    ];
    assert.match((await it.cluster.kubectl(forged)).stderr, /SP_NOT_THROUGH_GATE/);
    // With constrained impersonation even the gateway's own account can take no ServiceAccount's name, and no node's.
    const own = await it.cluster.kubeconfig({
      token: await it.cluster.serviceAccountToken(NAMESPACE, 'sallyport-gateway'),
    });
    for (const name of ['system:serviceaccount:kube-system:default', 'system:node:node']) {
      const taken = await it.cluster.kubectl(['get', 'secrets', '-n', 'kube-system', `--as=${name}`], {
        kubeconfig: own,
      });
      assert.match(taken.stderr, /cannot impersonate|forbidden/i, name);
      assert.doesNotMatch(taken.stderr, new RegExp(`User "${name}" cannot list`), 'it was not even asked as that name');
    }
    const shell = await around('exec', 'web', '--', 'sh', '-c', 'id');
    assert.match(shell.stderr, /SP_/, 'an exec around the gate meets the webhook');
    assert.notEqual(shell.code, 0);
  });

  test('sallyport doctor finds nothing wrong but who could go around the gate', async () => {
    const env = { ...process.env, KUBECONFIG: it.cluster.adminKubeconfig };
    const { stdout } = await runCommand(SALLYPORT, ['doctor', '-o', 'json'], { env, timeout: 120_000 });
    const { findings } = JSON.parse(stdout) as { findings: { about: string; level: string; message: string }[] };
    assert.ok(findings.length >= 7);
    const wrong = findings.filter(({ level }) => level !== 'Good');
    assert.deepEqual(
      wrong.map(({ about, level }) => `${about}: ${level}`),
      ['bypass: Wrong'],
      JSON.stringify(wrong),
    );
    // The shop was built so, to try it.
    assert.match(wrong[0]!.message, /^Group ai-agents can, without the gate, in shop: get secrets/);
  });

  test('helm upgrade to the next version, and rollback, refuse no request', async () => {
    const under = reads();
    const nextValues = ['--values', join(it.folder, 'values.yaml'), '--set', 'config.limits.burst=9000'];
    await it.helm('upgrade', 'sallyport', it.nextChart, ...nextValues);
    const running = await it.admin('get', 'pods', '-o', 'jsonpath={.items[*].spec.containers[0].image}');
    assert.match(running, new RegExp(`^(sallyport:${NEXT} ?){4}$`));
    const kind = await it.cluster.kubectl(['get', 'crd', 'agentpolicies.sallyport.dev', '--show-labels']);
    assert.match(kind.stdout, /sallyport\.test\/next=true/);
    await it.helm('rollback', 'sallyport', '1');
    await rolledOut();
    const back = await it.admin('get', 'pods', '-o', 'jsonpath={.items[*].spec.containers[0].image}');
    assert.doesNotMatch(back, new RegExp(NEXT));
    noneRefused(await under.stop(), 100);
  });

  test('a replica that is killed takes its exec along, and nobody else', async () => {
    const forever = ['exec', 'web', '--', 'sh', '-c', 'while :; do echo tick; sleep 1; done'];
    await approved(...forever);
    const env = { ...process.env, KUBECONFIG: agentConfig };
    const child = spawn(it.cluster.binaries.kubectl!, forever, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let ticks = 0;
    let words = '';
    child.stdout.on('data', () => (ticks += 1));
    child.stderr.on('data', (part: Buffer) => (words += part.toString()));
    const ended = new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? -1)));
    try {
      await until('the exec runs', async () => {
        assert.equal(child.exitCode, null, words);
        return ticks > 0;
      });
      const under = reads();
      let victim: string | undefined;
      for (const { name, address } of await podsOf('gateway')) {
        const metrics = await (await fetch(`http://${address}:9443/metrics`)).text();
        if (/^sallyport_streams\{kind="exec"\} [1-9]/m.test(metrics)) victim = name;
      }
      assert.ok(victim, 'one replica has the exec');
      // Two hundred at once, while it dies.
      const burst = Promise.all(Array.from({ length: 200 }, () => agentRead()));
      await it.admin('delete', 'pod', victim, '--grace-period=0', '--force');
      assert.deepEqual([...new Set((await burst).flat())], [], 'what was said to those that were refused');
      const late = sleep(30_000, 'still running' as const, { ref: false });
      assert.notEqual(await Promise.race([ended, late]), 'still running');
      assert.notEqual(await ended, 0, 'a stream that was cut is no success');
      await rolledOut();
      noneRefused(await under.stop(), 10);
    } finally {
      child.kill('SIGKILL');
    }
  });

  /** @returns what it was refused with, nothing where it was answered */
  async function agentRead(): Promise<readonly string[]> {
    const once = new Reads({
      url: it.url,
      token: agentToken,
      ca: readFileSync(it.caFile, 'utf8'),
      workers: 1,
      pause: 0,
    });
    return (await once.stop()).refused;
  }

  test('when the leading controller goes, another takes decisions in', async () => {
    const holder = async (): Promise<string> =>
      (await it.admin('get', 'lease', 'sallyport-controller', '-o', 'jsonpath={.spec.holderIdentity}')).trim();
    const before = await holder();
    assert.notEqual(before, '');
    await it.admin('delete', 'pod', before.split('_')[0]!, '--grace-period=0', '--force');
    await until('another leads', async () => {
      const now = await holder();
      return now !== '' && now !== before;
    });
    const shell = ['exec', 'web', '--', 'sh', '-c', 'echo after the leader'];
    await approved(...shell);
    assert.equal((await agent(...shell)).stdout, 'after the leader\n');
  });

  test('certificates are rotated, and no request is refused', async () => {
    const under = reads();
    const before = await serial();
    await it.admin('delete', 'secret', 'sallyport-tls');
    await until('every replica serves the new certificate', async () => {
      const seen = await Promise.all(Array.from({ length: 12 }, () => serial()));
      return seen.every((one) => one !== before && one === seen[0]);
    });
    const miner = await around('run', 'miner', '--image=evil.example/miner');
    assert.match(miner.stderr, /SP_POLICY_DENIED/, 'the API server accepts the webhook’s new certificate');
    noneRefused(await under.stop(), 10);
  });

  function serial(): Promise<string> {
    const { hostname: host, port } = new URL(it.url);
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port: Number(port), ca: readFileSync(it.caFile, 'utf8') }, () => {
        resolve(socket.getPeerCertificate().serialNumber);
        socket.destroy();
      });
      socket.once('error', reject);
    });
  }

  test('with every replica gone a governed write is refused, and nobody else’s', async () => {
    const count = others.tally.answered;
    await it.admin('scale', 'statefulset', 'sallyport-gateway', '--replicas=0');
    await until('no replica is left', async () => (await podsOf('gateway')).length === 0, 120);
    const refused = await around('create', 'configmap', 'while-it-is-down');
    assert.match(refused.stderr, /failed calling webhook "policy\.sallyport\.dev"/);
    const person = await it.cluster.kubectl(['apply', '-n', 'shop', '-f', '-'], {
      input: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: of-a-person}\n',
    });
    assert.equal(person.code, 0, person.stderr);
    assert.ok(others.tally.answered > count);
    await it.admin('scale', 'statefulset', 'sallyport-gateway', '--replicas=2');
    await rolledOut();
    // The node's kube-proxy hears of the new Pods a moment after they are ready.
    await until('the gate is open again', async () => (await agent('get', 'configmap', 'greeting')).code === 0, 30);
  });

  test('helm uninstall leaves nothing behind but what the page says', async () => {
    await it.helm('uninstall', 'sallyport', '--wait');
    const kinds = [
      'clusterroles',
      'clusterrolebindings',
      'validatingwebhookconfigurations',
      'mutatingwebhookconfigurations',
    ];
    kinds.push('validatingadmissionpolicies', 'validatingadmissionpolicybindings', 'priorityclasses');
    const cluster = await it.cluster.kubectl(['get', kinds.join(','), '-o', 'name']);
    assert.deepEqual(
      cluster.stdout.split('\n').filter((name) => /sallyport/.test(name) && !/approver/.test(name)),
      [],
    );
    const listed = await it.cluster.kubectl(['api-resources', '--namespaced', '--verbs=list', '-o', 'name']);
    const all = listed.stdout
      .trim()
      .split('\n')
      .filter((name) => !/^events/.test(name));
    const left = async () =>
      (await it.admin('get', all.join(','), '-o', 'name', '--ignore-not-found'))
        .split('\n')
        // The index of recordings stays with its kind.
        .filter((line) => /^[a-z.]+\//.test(line) && !line.startsWith('sessionrecording.'))
        .sort((a, b) => a.localeCompare(b));
    await until('Pods are gone', async () => !(await left()).some((name) => name.startsWith('pod/')), 90);
    assert.deepEqual(await left(), [
      'configmap/issuer-keys',
      'configmap/kube-root-ca.crt',
      'persistentvolumeclaim/data-sallyport-gateway-0',
      'persistentvolumeclaim/data-sallyport-gateway-1',
      'secret/sallyport-recording-keys',
      'serviceaccount/default',
    ]);
    assert.equal((await around('create', 'configmap', 'after-it')).code, 0, 'nobody is asked any more');

    const page = readFileSync(join(ROOT, 'docs/installation.md'), 'utf8');
    const commands = /```\n(kubectl delete crd [\s\S]*?)```/.exec(page)![1]!;
    writeFileSync(join(it.folder, 'removal.sh'), commands);
    const path = `${join(it.cluster.binaries.kubectl!, '..')}:${process.env['PATH']}`;
    const env = { ...process.env, PATH: path, KUBECONFIG: it.cluster.adminKubeconfig };
    const removed = await runCommand('bash', ['-e', join(it.folder, 'removal.sh')], { env, timeout: 120_000 });
    assert.equal(removed.code, 0, removed.stderr);
    const crds = await it.cluster.kubectl(['get', 'crd', '-o', 'name']);
    assert.doesNotMatch(crds.stdout, /sallyport/);
  });

  test('what was recorded outlived every replica, and is sound', async () => {
    const stores = it.volumes.map((volume) => join(volume, 'recordings', 'recordings'));
    const recordings = stores.flatMap((store) => readdirSync(store).map((name) => join(store, name)));
    assert.ok(recordings.length >= 2, 'each replica that there was has its own');
    let argv = '';
    for (const recording of recordings) {
      const env = { ...process.env, SALLYPORT_STORE: join(recording, '..', '..') };
      const verified = await runCommand(SALLYPORT, ['recording', 'verify', recording], { env, timeout: 60_000 });
      assert.equal(verified.code, 0, verified.stdout + verified.stderr);
      assert.match(verified.stdout, /^SOUND/m);
      const show = ['recording', 'show', basename(recording)];
      argv += (await runCommand(SALLYPORT, show, { env, timeout: 60_000 })).stdout;
    }
    assert.match(argv, /echo tick/, 'the exec whose replica was killed');
    assert.match(argv, /after the leader/);
  });

  test('and in all that time no write of anybody else was refused', async () => {
    noneRefused(await others.stop(), 500);
  });
});
