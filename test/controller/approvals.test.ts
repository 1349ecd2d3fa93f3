import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApprovalRequest } from '../../src/approval/approval-request.generated.ts';
import { Bench, gateway, type Person, specOf } from '../approval/bench.ts';
import { WireTap } from '../gateway/wire-tap.ts';
import { ControllerProcess } from './controller-process.ts';

const POLICY = 'cursor-in-production';
const POLICIES = '/apis/sallyport.dev/v1alpha1/agentpolicies';
const SESSIONS = '/apis/sallyport.dev/v1alpha1/namespaces/sallyport-system/agentsessions';
const RULES = [
  {
    name: 'other-exec',
    action: 'RequireApproval',
    match: { verbs: ['create'], apiGroups: [''], resources: ['pods/exec'] },
  },
];
const bob: Person = { username: 'bob@shop.example', uid: 'b-1' };
const carol: Person = { username: 'carol@shop.example' };
const alice: Person = { username: 'alice@shop.example', uid: 'a-1' };

describe('the approvals controller on a real API server', { timeout: 240_000 }, () => {
  let bench: Bench;
  let controller: ControllerProcess;

  before(async () => {
    bench = await Bench.start();
    await ControllerProcess.account(bench.cluster);
    for (const { username } of [bob, carol, alice]) await bench.approver(username, POLICY);
    controller = await ControllerProcess.start(bench.cluster, {
      controller: { outcomePatience: '2s', approvalRetention: '1m' },
      upstream: { requestTimeout: '1s', connectTimeout: '500ms' },
    });
    await controller.logged('leading: this replica takes decisions in');
  });
  after(async () => {
    if (process.env['SHOW']) for (const line of controller.log) console.error(JSON.stringify(line).slice(0, 600));
    await controller?.remove();
    await bench?.stop();
  });

  async function becomes(
    name: string,
    fits: (object: ApprovalRequest) => boolean,
    timeout = 10_000,
  ): Promise<ApprovalRequest> {
    const end = Date.now() + timeout;
    for (;;) {
      const object = await bench.get(name);
      if (fits(object)) return object;
      if (Date.now() > end) throw new Error(`${name} stays ${JSON.stringify(object.status)}`);
      await sleep(20);
    }
  }

  const say = async (person: Person, name: string, type: 'Approved' | 'Denied', more: object = {}): Promise<void> => {
    const answer = await bench.patch(person, name, {
      status: { decision: { type, username: person.username, reason: 'looked at it', ...more } },
    });
    assert.equal(answer.status, 200, answer.body);
  };
  const policy = async (name: string): Promise<{ uid: string; generation: number }> => {
    const made = await bench.cluster.admin('POST', POLICIES, {
      apiVersion: 'sallyport.dev/v1alpha1',
      kind: 'AgentPolicy',
      metadata: { name },
      spec: { subjects: [{ kind: 'Group', name: 'ai-agents' }], rules: RULES },
    });
    assert.equal(made.status, 201, made.body);
    return made.json().metadata;
  };
  const session = async (name: string): Promise<void> => {
    const made = await bench.send(gateway, 'POST', SESSIONS, {
      apiVersion: 'sallyport.dev/v1alpha1',
      kind: 'AgentSession',
      metadata: { name },
      spec: {
        agent: 'cursor',
        onBehalfOf: 'a',
        issuer: 'https://login.example',
        subject: 'a',
        expirationTime: '2099-01-01T00:00:00Z',
      },
    });
    assert.equal(made.status, 201, made.body);
  };
  const revoke = async (name: string): Promise<void> => {
    const root = { username: 'root', groups: ['system:masters'] };
    const type = 'application/merge-patch+json';
    await bench.send(root, 'PATCH', `${SESSIONS}/${name}/status`, { status: { revoked: true } }, type);
  };
  const is = (type: string) => (object: ApprovalRequest) =>
    object.status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') === true;

  it('takes an approval in: decisions, condition, phase, time; kubectl wait sees it', async () => {
    const name = await bench.pending();
    const waiting = bench.cluster.kubectl([
      'wait',
      '-n',
      bench.namespace,
      '--for=condition=Approved',
      '--timeout=20s',
      `approvalrequest/${name}`,
    ]);
    await say(bob, name, 'Approved', { uid: 'b-1' });
    const { status } = await becomes(name, is('Approved'));
    assert.equal(status!.decision, undefined);
    assert.deepEqual(
      status!.decisions!.map(({ type, username, uid, reason }) => [type, username, uid, reason]),
      [['Approved', 'bob@shop.example', 'b-1', 'looked at it']],
    );
    assert.equal(status!.phase, 'Approved');
    const good = Date.parse(status!.grantExpirationTime!) - Date.now();
    assert.ok(good > 270_000 && good <= 300_000, 'grantTTL counts from the approval');
    const { code, stdout } = await waiting;
    assert.equal(code, 0);
    assert.match(stdout, /condition met/);
    const line = await controller.logged('approval decided', (entry) => nameOf(entry) === name);
    assert.deepEqual(
      [line['type'], line['by'], line['reason'], line['phase']],
      ['Approved', bob.username, 'looked at it', 'Approved'],
    );
  });

  it('within 250 ms at the 99th of a hundred', async () => {
    const times: number[] = [];
    const reads: number[] = [];
    for (let i = 0; i < 100; i++) {
      const name = await bench.pending();
      const read = performance.now();
      await bench.get(name);
      reads.push(performance.now() - read);
      await say(bob, name, 'Approved');
      const begun = performance.now();
      await becomes(name, is('Approved'));
      times.push(performance.now() - begun);
    }
    for (const list of [times, reads]) list.sort((a, b) => a - b);
    // On a machine that is busy with something else, a read alone is slow too.
    assert.ok(times[98]! < 250 + 5 * reads[98]!, `p50 ${times[50]} p99 ${times[98]}; a read alone ${reads[98]}`);
  });

  it('takes a denial in, with its reason', async () => {
    const name = await bench.pending();
    await say(bob, name, 'Denied', { reason: 'not on a Friday' });
    const { status } = await becomes(name, is('Denied'));
    assert.match(status!.conditions![0]!.message, /by bob@shop\.example: not on a Friday/);
    assert.equal(status!.phase, 'Denied');
  });

  it('two approvals are two people’s', async () => {
    const name = await bench.pending({ requiredApprovals: 2 });
    await say(bob, name, 'Approved');
    const first = await becomes(name, (object) => object.status?.decisions?.length === 1);
    assert.equal(first.status!.phase, 'Pending');
    await say(bob, name, 'Approved');
    await becomes(name, (object) => object.status?.decision === undefined);
    await controller.logged(
      'approval decision not taken in',
      (entry) => nameOf(entry) === name && entry['reason'] === 'DecidedAlready',
    );
    assert.equal((await bench.get(name)).status!.phase, 'Pending');
    await say(carol, name, 'Approved');
    const { status } = await becomes(name, is('Approved'));
    assert.deepEqual(
      status!.decisions!.map(({ username }) => username),
      [bob.username, carol.username],
    );
  });

  it('the person behind the agent may where the policy says so, with a sign-in of the last hour', async () => {
    const include = { approvers: 'IncludeOnBehalfOf' } as const;
    const signedIn = (secondsAgo: number): [Person, number] => {
      const authTime = Math.floor(Date.now() / 1000) - secondsAgo;
      return [{ ...alice, extra: { 'sallyport.dev/auth-time': String(authTime) } }, authTime];
    };
    const old = await bench.pending(include);
    const [oldAlice, oldTime] = signedIn(3_700);
    await say(oldAlice, old, 'Approved', { authTime: oldTime });
    await becomes(old, (object) => object.status?.decision === undefined);
    await controller.logged(
      'approval decision not taken in',
      (entry) => nameOf(entry) === old && entry['reason'] === 'SignInTooOld',
    );
    assert.equal((await bench.get(old)).status!.phase, 'Pending');
    const fresh = await bench.pending(include);
    const [freshAlice, time] = signedIn(60);
    await say(freshAlice, fresh, 'Approved', { authTime: time });
    const { status } = await becomes(fresh, is('Approved'));
    assert.equal(status!.decisions![0]!.onBehalfOf, true, 'and the record says so');
  });

  it('ends what nobody decided in time; a word that comes too late is turned down', async () => {
    const soon = { expirationTime: new Date(Date.now() + 1_500).toISOString().replace(/\.\d+/, '') };
    const name = await bench.pending(soon);
    const { status } = await becomes(name, is('Expired'));
    assert.equal(status!.conditions![0]!.reason, 'NotDecided');
    await controller.logged('approval expired', (entry) => nameOf(entry) === name);
    const late = await bench.patch(bob, name, { status: { decision: { type: 'Approved', username: bob.username } } });
    assert.match(late.json().message, /has ended/);
    // The controller sleeps over the end: nothing of the clock is taken on trust.
    await controller.stop();
    const other = await bench.pending({
      expirationTime: new Date(Date.now() + 1_200).toISOString().replace(/\.\d+/, ''),
    });
    await sleep(1_300);
    await say(bob, other, 'Approved');
    await controller.launch();
    const ended = await becomes(other, is('Expired'));
    assert.equal(ended.status!.decisions, undefined);
    await controller.logged(
      'approval decision not taken in',
      (entry) => nameOf(entry) === other && entry['reason'] === 'TooLate',
    );
  });

  it('ends what was approved and not used in time', async () => {
    const name = await bench.pending({ grantTTL: '1s' });
    await say(bob, name, 'Approved');
    const { status } = await becomes(name, is('Expired'));
    assert.deepEqual(
      status!.conditions!.map(({ type, reason }) => [type, reason]),
      [
        ['Approved', 'Approved'],
        ['Expired', 'NotUsed'],
      ],
    );
  });

  it('gives up the use of a gateway that is gone: OutcomeUnknown, and the approver is told', async () => {
    const name = await bench.pending({ maxUses: 3 });
    await say(bob, name, 'Approved');
    await becomes(name, is('Approved'));
    const time = new Date().toISOString().replace(/\.\d+/, '');
    const uses = [
      { requestID: 'gone', time },
      { requestID: 'done', time, outcome: 'Succeeded', code: 201 },
    ];
    assert.equal((await bench.patch(gateway, name, { status: { uses } })).status, 200);
    const { status } = await becomes(name, is('OutcomeUnknown'));
    assert.deepEqual(
      status!.uses!.map(({ requestID, outcome }) => [requestID, outcome]),
      [
        ['gone', 'Unknown'],
        ['done', 'Succeeded'],
      ],
    );
    assert.equal(status!.phase, 'OutcomeUnknown');
    await controller.logged('approval outcome unknown', (entry) => nameOf(entry) === name);
    const again = await bench.patch(bob, name, { status: { decision: { type: 'Denied', username: bob.username } } });
    assert.match(again.json().message, /has ended/);
  });

  it('a session grant ends when its policy changes, when its session ends, and when it is revoked', async () => {
    const { uid, generation } = await policy(POLICY);
    for (const name of ['cursor-1', 'cursor-2', 'cursor-3']) await session(name);
    const granted = async (name: string, version = generation): Promise<string> => {
      const request = await bench.pending({
        policyRef: { name: POLICY, uid, generation: version },
        grant: { rule: 'other-exec', maxDuration: '30m' },
        requester: { ...specOf('x').requester, session: name },
      });
      await say(bob, request, 'Approved', { grantDuration: '10m' });
      const { status } = await becomes(request, is('Approved'));
      assert.equal(status!.conditions!.find(({ type }) => type === 'Approved')!.reason, 'Granted');
      return request;
    };
    const [revoked, ended, changed] = [await granted('cursor-1'), await granted('cursor-2'), await granted('cursor-3')];
    await sleep(300);
    for (const name of [revoked, ended, changed])
      assert.ok(!is('Expired')(await bench.get(name)), 'and until then it holds');
    await say(bob, revoked, 'Denied');
    assert.equal(endReason(await becomes(revoked, is('Expired'))), 'Revoked');
    await revoke('cursor-2');
    assert.equal(endReason(await becomes(ended, is('Expired'))), 'SessionEnded');
    await bench.cluster.admin(
      'PATCH',
      `${POLICIES}/${POLICY}`,
      { spec: { rules: [...RULES, { ...RULES[0], name: 'x' }] } },
      'application/merge-patch+json',
    );
    assert.equal(endReason(await becomes(changed, is('Expired'))), 'PolicyChanged');
  });

  it('a grant of a session or policy that its watch does not show yet stands; one that has ended ends', async () => {
    await controller.stop();
    let open = (): void => {};
    const held = new Promise<'Pass'>((resolve) => {
      open = () => resolve('Pass');
    });
    let lists = 0;
    const tap = await WireTap.start(bench.cluster, (text) => {
      const [line = ''] = text.split('\r\n', 1);
      if (!/\/agent(?:sessions|policies)\?/.test(line)) return undefined;
      if (/[?&]watch=/.test(line)) return held;
      lists += 1;
      return undefined;
    });
    const token = await bench.cluster.serviceAccountToken('sallyport-system', 'sallyport-gateway');
    const kubeconfig = await bench.cluster.kubeconfig({ token });
    tap.divert(kubeconfig, bench.cluster);
    const lagging = await ControllerProcess.start(bench.cluster, { upstream: { kubeconfig } });
    try {
      await lagging.logged('leading: this replica takes decisions in', undefined, 20_000);
      const watches = (kind: string) => tap.heads(`/${kind}?`).filter((head) => /[?&]watch=/.test(head)).length;
      while (watches('agentsessions') === 0 || watches('agentpolicies') === 0) await sleep(20);
      const before = lists;
      const { uid, generation } = await policy('late');
      await session('cursor-late');
      const late = await bench.pending({
        policyRef: { name: 'late', uid, generation },
        grant: { rule: 'other-exec', maxDuration: '30m' },
        requester: { ...specOf('x').requester, session: 'cursor-late' },
      });
      await bench.approver(bob.username, 'late');
      await say(bob, late, 'Approved', { grantDuration: '10m' });
      await becomes(late, is('Approved'));
      await sleep(1_000);
      assert.equal(lists, before, 'nothing was listed again meanwhile: the watches know neither');
      assert.ok(!is('Expired')(await bench.get(late)));
      await revoke('cursor-late');
      assert.equal(endReason(await becomes(late, is('Expired'))), 'SessionEnded');
    } finally {
      open();
      await lagging.remove();
      await tap.close();
      await controller.launch();
    }
  });

  it('two controllers, one killed while it leads: every word is taken in once', async () => {
    const second = await ControllerProcess.start(bench.cluster);
    try {
      const names: string[] = [];
      for (let i = 0; i < 20; i++) names.push(await bench.pending());
      await controller.stop('SIGKILL');
      for (const name of names) await say(bob, name, 'Approved');
      for (const name of names) await becomes(name, is('Approved'), 60_000);
      for (const name of names) assert.equal((await bench.get(name)).status!.decisions!.length, 1);
      await second.logged('leading: this replica takes decisions in');
      await controller.launch();
      await second.stop();
      const name = await bench.pending();
      await say(bob, name, 'Approved');
      await becomes(name, is('Approved'));
    } finally {
      await second.remove();
    }
  });

  it('takes nothing in while the guard does not stand: whoever wrote it, nobody has checked', async () => {
    const binding = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/sallyport-decisions';
    const guards = new URL('../../crds/guards.yaml', import.meta.url).pathname;
    for (const without of ['DELETE', 'PATCH']) {
      const body = without === 'PATCH' ? { spec: { validationActions: ['Audit'] } } : undefined;
      assert.ok((await bench.cluster.admin(without, binding, body, 'application/merge-patch+json')).status < 300);
      const name = await bench.pending();
      // The API server learns of it a moment later; and the controller may have looked just before.
      await sleep(2_500);
      const forged = { status: { decision: { type: 'Approved', username: 'carol@shop.example' } } };
      const end = Date.now() + 10_000;
      while ((await bench.patch(bob, name, forged)).status !== 200) assert.ok(Date.now() < end);
      await controller.logged(
        'the guard does not stand: no decision is taken in, and nothing that needs one passes. kubectl apply -f crds/guards.yaml',
      );
      await sleep(1_500);
      assert.equal((await bench.get(name)).status!.phase, 'Pending');
      assert.match(await controller.metrics(), /sallyport_approval_guard 0/);
      await bench.patch(bob, name, { status: { decision: null } });
      assert.equal((await bench.cluster.kubectl(['apply', '-f', guards])).code, 0);
      await sleep(1_000);
      await say(bob, name, 'Approved');
      await becomes(name, is('Approved'), 15_000);
      controller.log.length = 0;
    }
  });

  it('removes what ended longer ago than the retention, and nothing else', async () => {
    const short = await ControllerProcess.start(bench.cluster, { controller: { approvalRetention: '1m' } });
    try {
      const past = new Date(Date.now() - 58_000).toISOString().replace(/\.\d+/, '');
      const name = await bench.pending();
      const live = await bench.pending();
      const denied = {
        conditions: [{ type: 'Denied', status: 'True', reason: 'Denied', message: 'by bob', lastTransitionTime: past }],
        decisions: [{ type: 'Denied', username: 'bob', time: past }],
      };
      assert.equal((await bench.patch(gateway, name, { status: denied })).status, 200);
      assert.equal((await bench.cluster.admin('GET', bench.path(name))).status, 200);
      const end = Date.now() + 10_000;
      while ((await bench.cluster.admin('GET', bench.path(name))).status !== 404) {
        assert.ok(Date.now() < end, 'it is still there');
        await sleep(100);
      }
      assert.equal((await bench.cluster.admin('GET', bench.path(live))).status, 200);
    } finally {
      await short.remove();
    }
  });

  it('its account is enough, and counts what it did', async () => {
    const text = await controller.metrics();
    assert.match(text, /sallyport_controller_leader 1/);
    assert.match(text, /sallyport_approval_decisions_total\{type="Approved"\} \d+/);
    assert.deepEqual(
      controller.log.filter((line) => JSON.stringify(line).includes('forbidden')),
      [],
    );
  });
});

function nameOf(line: Record<string, unknown>): string {
  return (line['approval'] as { name?: string } | undefined)?.name ?? '';
}

function endReason(object: ApprovalRequest): string {
  return object.status!.conditions!.find(({ type }) => type === 'Expired')!.reason;
}
