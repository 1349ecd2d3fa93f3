import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import type { ApprovalRequestSpec } from '../../src/approval/approval-request.generated.ts';
import type { CommandResult } from '../cluster/command.ts';
import { ControllerProcess } from '../controller/controller-process.ts';
import { Bench, gateway, specOf } from './bench.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const BIN = join(ROOT, 'bin');

describe('kubectl approve, deny, approvals: real kubectl, real kubeconfigs, a real API server', {
  timeout: 240_000,
}, () => {
  let bench: Bench;
  let controller: ControllerProcess;
  /** Leads of the shop; carol too. Dan may look everywhere; eve may do nothing. */
  const kubeconfigs: Record<'bob' | 'carol' | 'dan' | 'eve' | 'alice', string> = {
    bob: '',
    carol: '',
    dan: '',
    eve: '',
    alice: '',
  };

  before(async () => {
    bench = await Bench.start();
    const { cluster, namespace } = bench;
    await ControllerProcess.account(cluster);
    const rbac = readFileSync(join(ROOT, 'examples/rbac/approver.yaml'), 'utf8');
    await cluster.apply(rbac.replaceAll('namespace: shop', `namespace: ${namespace}`));
    await cluster.apply(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: lookers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view-approvals}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: dan}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: view-approvals}
rules: [{apiGroups: [sallyport.dev], resources: [approvalrequests], verbs: [get, list, watch]}]
`);
    const groups: Record<string, string[]> = { bob: ['shop-leads'], carol: ['shop-leads'], alice: ['shop-leads'] };
    for (const user of Object.keys(kubeconfigs) as (keyof typeof kubeconfigs)[]) {
      const name = user === 'alice' ? 'alice@shop.example' : user;
      const client = await cluster.clientCertificate({ user: name, groups: groups[user] ?? [] });
      kubeconfigs[user] = await cluster.kubeconfig({ client, namespace });
    }
    controller = await ControllerProcess.start(cluster);
  });
  after(async () => {
    await controller?.remove();
    await bench?.stop();
  });

  function run(
    user: keyof typeof kubeconfigs,
    args: string[],
    env: Record<string, string> = {},
  ): Promise<CommandResult> {
    const path = `${BIN}:${process.env['PATH']}`;
    return bench.cluster.kubectl(args, { kubeconfig: kubeconfigs[user], env: { PATH: path, ...env }, timeout: 40_000 });
  }

  it('approves in one’s own name, and shows what: summary, terms, diff', async () => {
    const name = await bench.pending({
      summary:
        'command: kubectl apply -f pod.yaml\nrequester: alice@shop.example (https://login.example)\nwhy: privileged',
      diff: '--- live\n+++ requested\n@@ -1,1 +1,1 @@\n-image: a\n+image: b\n',
    });
    const { code, stdout, stderr } = await run('bob', ['approve', name, '--reason', 'seen it']);
    assert.equal(code, 0, stderr);
    for (const line of [
      'command: kubectl apply -f pod.yaml',
      'why: privileged',
      '-image: a',
      '+image: b',
      'may run once, within 5m',
    ]) {
      assert.ok(stdout.includes(line), `${line} in\n${stdout}`);
    }
    assert.match(stdout, new RegExp(`approvalrequest.sallyport.dev/${name} approved\n$`));
    const { status } = await bench.get(name);
    assert.deepEqual(
      status!.decisions!.map(({ type, username, reason }) => [type, username, reason]),
      [['Approved', 'bob', 'seen it']],
    );
  });

  it('takes several names, kubectl’s forms of a name too; one that fails does not stop the others', async () => {
    const [one, two] = [await bench.pending(), await bench.pending()];
    const { code, stdout, stderr } = await run('bob', [
      'approve',
      `areq/${one}`,
      'ar-0123456789-999999',
      `approvalrequest/${two}`,
    ]);
    assert.equal(code, 1);
    assert.match(stdout, new RegExp(`${one} approved[\\s\\S]*${two} approved`));
    assert.match(stderr, /ar-0123456789-999999: there is no approval request .*"kubectl approvals" lists what waits/);
    assert.match(stderr, /1 of 3 not approved/);
  });

  it('denies with a reason; takes back what was approved', async () => {
    const name = await bench.pending();
    const denied = await run('bob', ['deny', name, '--reason', 'not today']);
    assert.equal(denied.code, 0, denied.stderr);
    assert.match(denied.stdout, /denied\n$/);
    assert.match((await bench.get(name)).status!.conditions![0]!.message, /by bob: not today/);
    const other = await bench.pending();
    await run('carol', ['approve', other]);
    const revoked = await run('bob', ['deny', other]);
    assert.match(revoked.stdout, /revoked\n$/);
  });

  it('two people: the first is told that another one is needed, and may not be both', async () => {
    const name = await bench.pending({ requiredApprovals: 2 });
    assert.match((await run('bob', ['approve', name])).stdout, /approved by you; 1 more person has to approve/);
    const again = await run('bob', ['approve', name]);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /you have said so already; 1 of 2 approvals are there/);
    const second = await run('carol', ['approve', name]);
    assert.match(second.stdout, /approvals: 1 of 2 \(so far bob\)/);
    assert.match(second.stdout, /approved\n$/);
  });

  it('grants a session for a while, as long as the policy lets it', async () => {
    const grant = { rule: 'other-exec', maxDuration: '30m' };
    const name = await bench.pending({ grant });
    const long = await run('bob', ['approve', name, '--for', '2h']);
    assert.match(long.stderr, /lets a session grant last 30m at most/);
    const { stdout, code } = await run('bob', ['approve', name, '--for', '20m']);
    assert.equal(code, 0);
    assert.match(stdout, /the rule is open for the agent session until 20.*"kubectl deny -n .* closes it/);
    assert.equal((await bench.get(name)).status!.grantDuration, '20m');
    const without = await run('bob', ['approve', await bench.pending(), '--for', '5m']);
    assert.match(without.stderr, /does not let anyone open this rule for a session: approve without --for/);
  });

  it('what is not shown in full says so first, and needs a word of its own', async () => {
    const diffRef = { digest: 'ab'.repeat(32), sizeBytes: 99_999, truncated: true };
    const name = await bench.pending({ diffRef });
    const refused = await run('bob', ['approve', name]);
    assert.equal(refused.code, 1);
    assert.match(refused.stdout.split('\n')[1]!, /NOT SHOWN IN FULL/);
    assert.match(refused.stderr, /to approve it all the same add --allow-truncated/);
    assert.equal((await run('bob', ['approve', name, '--allow-truncated'])).code, 0);
  });

  const OVER: Record<string, [Partial<ApprovalRequestSpec>, string[][], RegExp]> = {
    'what was denied': [{}, [['deny']], /it was denied already, by carol/],
    'what was approved': [
      {},
      [['approve']],
      /it was approved already, by carol, until 20.*"kubectl deny" takes that back/,
    ],
    'what was revoked': [
      {},
      [['approve'], ['deny']],
      /it has ended \(Revoked: by carol\); .*the agent runs its command again/,
    ],
  };
  for (const [what, [spec, before, message]] of Object.entries(OVER)) {
    it(`says what to do about ${what}`, async () => {
      const name = await bench.pending(spec);
      for (const command of before) assert.equal((await run('carol', [...command, name])).code, 0);
      const { code, stderr } = await run('bob', ['approve', name]);
      assert.equal(code, 1);
      assert.match(stderr, message);
    });
  }

  it('says that it was too late, also where the controller finds that out', async () => {
    const name = await bench.pending({
      expirationTime: new Date(Date.now() - 5_000).toISOString().replace(/\.\d+/, ''),
    });
    const { code, stderr } = await run('bob', ['approve', name]);
    assert.equal(code, 1);
    assert.match(stderr, /nobody decided until .*runs its command again|it has ended \(NotDecided/);
  });

  it('never one’s own request, nor one’s own agent’s, unless the policy says so', async () => {
    const own = await bench.pending({ requester: { issuer: 'x', username: 'bob' } });
    assert.match((await run('bob', ['approve', own])).stderr, /nobody decides on their own request: ask somebody else/);
    const agents = await bench.pending();
    assert.match(
      (await run('alice', ['approve', agents])).stderr,
      /asks on your behalf, and the policy wants someone else/,
    );
    const included = await bench.pending({ approvers: 'IncludeOnBehalfOf' });
    assert.match((await run('alice', ['approve', included])).stderr, /takes a fresh sign-in: sign in anew/);
    assert.equal((await run('bob', ['approve', included])).code, 0, 'anyone else may as ever');
  });

  it('without the right: says which one is missing', async () => {
    const name = await bench.pending();
    assert.match(
      (await run('eve', ['approve', name])).stderr,
      /eve may not do that in .*it takes RBAC's get on approvalrequests/,
    );
    assert.match(
      (await run('dan', ['approve', name])).stderr,
      /dan may not do that in .*patch on approvalrequests\/status and approve on agentpolicies\/cursor-in-production/,
    );
    assert.match((await run('eve', ['approvals'])).stderr, /eve may not list approvalrequests\.sallyport\.dev in/);
    assert.equal((await bench.get(name)).status!.decision, undefined);
  });

  it('approvals: newest first, what waits only; names, JSON, sessions, everything', async () => {
    const requester = { ...specOf('x').requester, session: 'cursor-list' };
    const first = await bench.pending({ requester });
    await sleep(1_100);
    const second = await bench.pending({ requester });
    await run('bob', ['approve', await bench.pending({ requester })]);
    const { stdout } = await run('bob', ['approvals', '--session', 'cursor-list']);
    const [header, ...lines] = stdout.trimEnd().split('\n');
    assert.match(header!, /^NAMESPACE +NAME +PHASE +REQUESTER +AGENT +OPERATION +POLICY +EXPIRES +AGE$/);
    assert.deepEqual(
      lines.map((line) => line.split(/\s+/)[1]),
      [second, first],
    );
    assert.match(lines[0]!, /alice@shop\.example +cursor +create pods\/exec .*cursor-in-production +in 14m/);
    const names = await run('bob', ['approvals', '--session', 'cursor-list', '-o', 'name']);
    assert.equal(names.stdout, `approvalrequest.sallyport.dev/${second}\napprovalrequest.sallyport.dev/${first}\n`);
    const json = JSON.parse(
      (await run('bob', ['approvals', '--session', 'cursor-list', '--all', '-o', 'json'])).stdout,
    ) as { approvals: { phase: string }[] };
    assert.deepEqual(
      json.approvals.map(({ phase }) => phase),
      ['Approved', 'Pending', 'Pending'],
    );
    const none = await run('bob', ['approvals', '--session', 'nobody']);
    assert.deepEqual([none.code, none.stdout, none.stderr], [0, '', 'nothing waits for a decision\n']);
  });

  it('across the namespaces that one may read, with and without rights on all of them', async () => {
    const elsewhere = await bench.cluster.namespace('elsewhere');
    const spec = specOf(elsewhere);
    const name = 'ar-zzzzzzzzzz-1';
    const path = bench.path().replace(bench.namespace, elsewhere);
    const object = { apiVersion: 'sallyport.dev/v1alpha1', kind: 'ApprovalRequest', metadata: { name }, spec };
    assert.equal((await bench.send(gateway, 'POST', path, object)).status, 201);
    const mine = await bench.pending();
    const all = (await run('dan', ['approvals'])).stdout;
    assert.ok(all.includes(name) && all.includes(mine), 'dan may everywhere');
    const some = await run('bob', ['approvals']);
    assert.ok(!some.stdout.includes(name) && some.stdout.includes(mine), 'bob only where his context is');
    await bench.cluster.apply(`
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: bob, namespace: ${elsewhere}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: sallyport-approver}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: bob}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: namespaces}
rules: [{apiGroups: [""], resources: [namespaces], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: namespaces}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: namespaces}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: bob}]
`);
    const both = (await run('bob', ['approvals'])).stdout;
    assert.ok(both.includes(name) && both.includes(mine), 'bob where he may, found by the list of namespaces');
    const two = (await run('carol', ['approvals', '-n', `${bench.namespace},${elsewhere}`])).stdout;
    assert.ok(!two.includes(name) && two.includes(mine));
    assert.match((await run('bob', ['approve', name])).stderr, new RegExp(`there is one with -n ${elsewhere}`));
  });

  it('--session: everything of one agent session, each shown, and in a pipe only with --yes', async () => {
    const requester = { ...specOf('x').requester, session: 'cursor-many' };
    const names = [
      await bench.pending({ requester, summary: 'command: one' }),
      await bench.pending({ requester, summary: 'command: two' }),
    ];
    const other = await bench.pending();
    const asked = await run('bob', ['approve', '--session', 'cursor-many']);
    assert.equal(asked.code, 1);
    assert.match(asked.stdout, /command: two[\s\S]*command: one/);
    assert.match(asked.stderr, /--yes approves all of the above/);
    const { code, stdout } = await run('bob', ['approve', '--session', 'cursor-many', '--yes']);
    assert.equal(code, 0);
    for (const name of names) assert.match(stdout, new RegExp(`${name} approved`));
    assert.equal((await bench.get(other)).status!.phase, 'Pending');
    assert.match(
      (await run('bob', ['approve', '--session', 'cursor-many', '--yes'])).stderr,
      /nothing of the agent session cursor-many waits/,
    );
  });

  it('on a terminal it asks, after showing; no is no', async () => {
    for (const [typed, phase] of [
      ['n', 'Pending'],
      ['', 'Pending'],
      ['y', 'Approved'],
    ] as const) {
      const name = await bench.pending({ summary: 'command: asked about', diff: '+new: line\n' });
      const child = spawn('script', ['-qec', `${join(BIN, 'kubectl-approve')} ${name}`, '/dev/null'], {
        env: { ...process.env, KUBECONFIG: kubeconfigs.bob, TERM: 'xterm', NO_COLOR: '' },
      });
      let screen = '';
      child.stdout.on('data', (chunk: Buffer) => {
        screen += chunk.toString();
        if (screen.includes('[y/N]') && !screen.includes('typed')) {
          screen += 'typed';
          child.stdin.write(`${typed}\n`);
        }
      });
      const code = await new Promise((resolve) => child.once('close', resolve));
      assert.ok(screen.indexOf('command: asked about') < screen.indexOf('[y/N]'), screen);
      assert.match(screen, /\u001b\[32m\+new: line/, 'in colour on a terminal');
      assert.equal(code, typed === 'y' ? 0 : 1, screen);
      assert.equal((await bench.get(name)).status!.phase, phase);
    }
  });

  it('--watch shows what comes, and what becomes of it', async () => {
    const child = spawn(join(BIN, 'kubectl-approvals'), ['--watch', '-n', bench.namespace], {
      env: { ...process.env, KUBECONFIG: kubeconfigs.bob },
    });
    let printed = '';
    child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    try {
      const shows = async (pattern: RegExp): Promise<void> => {
        const end = Date.now() + 10_000;
        while (!pattern.test(printed)) {
          assert.ok(Date.now() < end, `${pattern} in\n${printed}`);
          await sleep(20);
        }
      };
      await shows(/NAMESPACE|nothing waits/);
      await sleep(500);
      const name = await bench.pending();
      await shows(new RegExp(`${name} +Pending`));
      await run('bob', ['deny', name]);
      await shows(new RegExp(`${name} +Denied`));
      assert.equal(printed.match(new RegExp(name, 'g'))!.length, 2, 'one line for each phase');
    } finally {
      child.kill();
    }
  });

  it('uses the credentials of the person’s kubeconfig: plugins, files, several files, other contexts', async () => {
    const name = await bench.pending();
    const bob = parse(readFileSync(kubeconfigs.bob, 'utf8'));
    const user = bob.users[0].user;
    const folder = controller.directory;
    const file = (path: string, content: string, mode = 0o600): string => {
      writeFileSync(join(folder, path), content, { mode });
      return join(folder, path);
    };
    const credential = {
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: {
        clientCertificateData: Buffer.from(user['client-certificate-data'], 'base64').toString(),
        clientKeyData: Buffer.from(user['client-key-data'], 'base64').toString(),
      },
    };
    file('credential.json', JSON.stringify(credential));
    file(
      'plugin',
      `#!/bin/sh\necho "sign in at https://login.example" >&2\n[ -n "$KUBERNETES_EXEC_INFO" ] && [ "$WHO" = bob ] && cat "$(dirname "$0")/credential.json"\n`,
      0o755,
    );
    const exec = {
      apiVersion: 'client.authentication.k8s.io/v1',
      command: './plugin',
      env: [{ name: 'WHO', value: 'bob' }],
      interactiveMode: 'IfAvailable',
    };
    const plugin = file('plugin.kubeconfig', stringify({ ...bob, users: [{ name: 'user', user: { exec } }] }));
    const shown = await run('bob', ['approvals', '-o', 'name'], { KUBECONFIG: plugin });
    assert.ok(shown.stdout.includes(name), shown.stderr);
    assert.match(shown.stderr, /sign in at https:\/\/login\.example/, 'what the plugin says reaches the person');

    file('bob.crt', Buffer.from(user['client-certificate-data'], 'base64').toString());
    file('bob.key', Buffer.from(user['client-key-data'], 'base64').toString());
    const users = file(
      'users.kubeconfig',
      stringify({
        kind: 'Config',
        users: [{ name: 'user', user: { 'client-certificate': 'bob.crt', 'client-key': 'bob.key' } }],
      }),
    );
    const rest = file(
      'rest.kubeconfig',
      stringify({ ...bob, users: [{ name: 'user', user: { token: 'x' } }], 'current-context': 'none' }),
    );
    const merged = await run('bob', ['approvals', '-o', 'name', '--context', 'context'], {
      KUBECONFIG: `${users}:${folder}/absent:${rest}`,
    });
    assert.ok(merged.stdout.includes(name), merged.stderr);

    const wrong = await run('bob', ['approvals', '--context', 'none'], { KUBECONFIG: rest });
    assert.match(wrong.stderr, /the kubeconfig has no context "none"/);
    const unknown = file(
      'unknown.kubeconfig',
      stringify({ ...bob, users: [{ name: 'user', user: { token: 'not-a-token' } }] }),
    );
    assert.match(
      (await run('bob', ['approvals'], { KUBECONFIG: unknown })).stderr,
      /the API server does not know you: sign in anew/,
    );
    const dead = file(
      'dead.kubeconfig',
      stringify({
        ...bob,
        clusters: [{ name: 'cluster', cluster: { ...bob.clusters[0].cluster, server: 'https://127.0.0.1:1' } }],
      }),
    );
    assert.match(
      (await run('bob', ['approvals'], { KUBECONFIG: dead })).stderr,
      /the API server https:\/\/127\.0\.0\.1:1 cannot be asked: ECONNREFUSED/,
    );
    const failing = file(
      'failing.kubeconfig',
      stringify({ ...bob, users: [{ name: 'user', user: { exec: { ...exec, env: [] } } }] }),
    );
    assert.match(
      (await run('bob', ['approvals'], { KUBECONFIG: failing })).stderr,
      /the credential plugin \.\/plugin ended with 1/,
    );
  });

  it('through a proxy, by the client library', async () => {
    const asked: string[] = [];
    const proxy = createServer().on('connect', (request, client) => {
      asked.push(request.url!);
      const { hostname, port } = new URL(`https://${request.url}`);
      const server = connect(Number(port), hostname, () => {
        client.write('HTTP/1.1 200 OK\r\n\r\n');
        client.pipe(server).pipe(client);
      });
      server.on('error', () => client.destroy());
      client.on('error', () => server.destroy());
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    try {
      const name = await bench.pending();
      const bob = parse(readFileSync(kubeconfigs.bob, 'utf8'));
      const cluster = {
        ...bob.clusters[0].cluster,
        'proxy-url': `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      };
      const path = join(controller.directory, 'proxy.kubeconfig');
      writeFileSync(path, stringify({ ...bob, clusters: [{ name: 'cluster', cluster }] }));
      const { stdout, stderr } = await run('bob', ['approvals', '-o', 'name'], { KUBECONFIG: path });
      assert.ok(stdout.includes(name), stderr);
      assert.ok(asked.length > 0);
    } finally {
      proxy.close();
    }
  });

  it('keeps what Node.js compiled in the user’s own cache folder, and does without one', async () => {
    const cache = join(controller.directory, 'cache');
    const first = await run('bob', ['approvals'], { XDG_CACHE_HOME: cache });
    assert.equal(first.code, 0, first.stderr);
    assert.ok(readdirSync(join(cache, 'sallyport/compiled'), { recursive: true }).length > 10);
    assert.equal(statSync(join(cache, 'sallyport/compiled')).mode & 0o077, 0, 'it is nobody else’s');
    for (const XDG_CACHE_HOME of [cache, '/proc/nowhere']) {
      const { code, stderr } = await run('bob', ['approvals'], { XDG_CACHE_HOME });
      assert.equal(code, 0, stderr);
    }
  });

  it('wrong arguments are said to be wrong', async () => {
    for (const [args, message] of [
      [['approve'], /say which: NAME\.\.\., or --session SESSION/],
      [['approve', 'web'], /"web" is no name of an approval request/],
      [['approve', '../x'], /is no name of an approval request/],
      [['approve', 'ar-0123456789-1', '--for', 'ever'], /--for takes a duration/],
      [['deny', 'ar-0123456789-1', '--for', '5m'], /are of "kubectl approve"/],
      [['approve', 'ar-0123456789-1', '-n', 'a/b'], /is no name of a namespace/],
      [['approvals', '-o', 'yaml'], /--output is table, json or name/],
      [['approvals', 'x'], /Nothing is expected there/],
    ] as const) {
      const { code, stderr } = await run('bob', [...args]);
      assert.equal(code, 2, stderr);
      assert.match(stderr, message);
      assert.match(stderr, new RegExp(`"kubectl ${args[0]} --help" says more`));
    }
    assert.match((await run('bob', ['approve', '--help'])).stdout, /^kubectl approve/);
  });
});
