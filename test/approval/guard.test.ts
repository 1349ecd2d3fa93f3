import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { ApprovalRequestSpec } from '../../src/approval/approval-request.generated.ts';
import type { Answer } from '../cluster/admin-client.ts';
import { Bench, GATEWAY, gateway, type Person, specOf } from './bench.ts';

const POLICY = 'cursor-in-production';
const bob: Person = { username: 'bob@shop.example', uid: 'b-1' };
/** Behind the agent, and an approver too. */
const alice: Person = { username: 'alice@shop.example', uid: 'a-1' };
const admin: Person = { username: 'root@shop.example', groups: ['system:masters'] };
const agent: Person = { username: 'sallyport:alice@shop.example', groups: ['system:masters'] };
const job: Person = { username: 'system:serviceaccount:shop:deployer', uid: 'j-1' };

const approved = (person: Person, more: object = {}): object => ({
  status: { decision: { type: 'Approved', username: person.username, ...more } },
});
const denied = (person: Person): object => ({ status: { decision: { type: 'Denied', username: person.username } } });

const refused = (answer: Answer, message: RegExp): void => {
  assert.ok(answer.status === 403 || answer.status === 422, `${answer.status} ${answer.body}`);
  assert.match(answer.json().message, message);
};
const passed = (answer: Answer): void => assert.ok(answer.status < 300, `${answer.status} ${answer.body}`);

describe('the guard of approval requests inside the API server', { timeout: 180_000 }, () => {
  let bench: Bench;

  before(async () => {
    bench = await Bench.start();
    for (const { username } of [bob, alice, job, agent]) await bench.approver(username, POLICY);
  });
  after(async () => {
    await bench?.stop();
  });

  describe('who makes them', () => {
    it('only the gateway does, not a cluster-admin by hand', async () => {
      passed(await bench.create({}));
      refused(await bench.create({}, admin), /only the gateway makes objects of the kind ApprovalRequest/);
      refused(await bench.create({}, { ...gateway, username: `${GATEWAY}x` }), /only the gateway makes/);
      refused(
        await bench.create({}, { ...gateway, username: GATEWAY.replace('sallyport-system', 'shop') }),
        /only the gateway/,
      );
    });

    it('what the gateway says in their metadata stays, and Kubernetes can still delete them', async () => {
      const name = await bench.pending();
      for (const metadata of [
        { labels: { a: 'b' } },
        { annotations: { a: 'b' } },
        { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'none', uid: 'none' }] },
      ]) {
        refused(await bench.patch(admin, name, { metadata }, ''), /only the gateway changes/);
        await bench.patch(bob, name, { metadata });
      }
      const { metadata } = (await bench.cluster.admin('GET', bench.path(name))).json();
      assert.deepEqual(
        [metadata.labels, metadata.annotations, metadata.ownerReferences],
        [undefined, undefined, undefined],
      );
      passed(await bench.patch(admin, name, { metadata: { finalizers: ['example.com/x'] } }, ''));
      passed(await bench.patch(admin, name, { metadata: { finalizers: null } }, ''));
      passed(await bench.send(admin, 'DELETE', bench.path(name)));
    });

    it('the spec never changes, not even by the gateway', async () => {
      const name = await bench.pending();
      for (const by of [gateway, admin, bob]) {
        refused(await bench.patch(by, name, { spec: { maxUses: 100 } }, ''), /immutable|only the gateway/);
      }
      await bench.patch(gateway, name, { spec: { maxUses: 100 } });
      assert.equal((await bench.get(name)).spec.maxUses, 1, 'the subresource leaves the spec alone');
    });

    it('agent sessions are made by the gateway only; freezes by who may', async () => {
      const sessions = bench.path().replace('approvalrequests', 'agentsessions');
      const spec = {
        agent: 'cursor',
        onBehalfOf: 'a',
        issuer: 'https://login.example',
        subject: 'a',
        expirationTime: '2030-01-01T00:00:00Z',
      };
      const object = { apiVersion: 'sallyport.dev/v1alpha1', kind: 'AgentSession', metadata: { name: 's' }, spec };
      refused(
        await bench.send(admin, 'POST', sessions, object),
        /only the gateway makes objects of the kind AgentSession/,
      );
      passed(await bench.send(gateway, 'POST', sessions, object));
      const merge = 'application/merge-patch+json';
      const revoked = { status: { revoked: true } };
      passed(await bench.send(admin, 'PATCH', `${sessions}/s/status`, revoked, merge));
      refused(
        await bench.send(admin, 'PATCH', `${sessions}/s`, { metadata: { labels: { a: 'b' } } }, merge),
        /only the gateway changes/,
      );
      const freezes = bench.path().replace('approvalrequests', 'agentfreezes');
      const freeze = {
        apiVersion: 'sallyport.dev/v1alpha1',
        kind: 'AgentFreeze',
        metadata: { name: 'f' },
        spec: { agent: '*' },
      };
      passed(await bench.send(admin, 'POST', freezes, freeze));
    });

    it('whoever comes through the gate writes and deletes nothing of ours, whatever RBAC says', async () => {
      const freezes = bench.path().replace('approvalrequests', 'agentfreezes');
      const freeze = {
        apiVersion: 'sallyport.dev/v1alpha1',
        kind: 'AgentFreeze',
        metadata: { name: 'g' },
        spec: { agent: 'x' },
      };
      passed(await bench.send(admin, 'POST', freezes, freeze));
      const marked = ['agent', 'on-behalf-of', 'session', 'via'].map((key) => ({
        username: 'someone',
        groups: ['system:masters'],
        extra: { [`sallyport.dev/${key}`]: 'x' },
      }));
      for (const by of [agent, { ...agent, username: 'sallyport:sa:shop:deployer' }, ...marked]) {
        refused(await bench.send(by, 'DELETE', `${freezes}/g`), /whoever comes through the gate/);
        const other = { ...freeze, metadata: { name: 'h' } };
        refused(await bench.send(by, 'POST', freezes, other), /whoever comes through the gate/);
      }
      passed(await bench.send(admin, 'DELETE', `${freezes}/g`));
    });
  });

  describe('who decides', () => {
    it('an approver does, by the plain patch of the documentation, with a reason', async () => {
      const name = await bench.pending();
      passed(await bench.patch(bob, name, approved(bob, { reason: 'looked at it', uid: 'b-1' })));
      assert.equal((await bench.get(name)).status?.decision?.reason, 'looked at it');
      passed(await bench.patch(bob, name, { status: { decision: null } }));
    });

    it('in their own name and with their own uid only', async () => {
      const name = await bench.pending();
      refused(
        await bench.patch(bob, name, approved({ username: 'carol' })),
        /must be your own name, bob@shop\.example/,
      );
      refused(await bench.patch(bob, name, approved(bob, { uid: 'b-2' })), /must be your own uid/);
    });

    it('not without RBAC’s verb on this policy in this namespace', async () => {
      const carol = { username: 'carol' };
      await bench.approver('carol', POLICY, await bench.cluster.namespace('elsewhere'));
      await bench.approver('carol', 'another-policy');
      const name = await bench.pending();
      refused(
        await bench.patch(carol, name, approved(carol)),
        /carol may not decide.*agentpolicies\.sallyport\.dev\/cursor-in-production in the namespace/,
      );
      passed(await bench.patch(bob, name, approved(bob)));
      refused(await bench.patch(carol, name, denied(carol)), /carol may not decide/);
    });

    it('of what touches the whole cluster, only who may everywhere', async () => {
      const operation = { ...specOf(bench.namespace).operation, namespace: '' };
      const name = await bench.pending({ operation });
      refused(await bench.patch(bob, name, approved(bob)), /in the whole cluster/);
      const dave = { username: 'dave' };
      await bench.approver('dave', POLICY, '');
      passed(await bench.patch(dave, name, approved(dave)));
    });

    it('never an agent, never a machine', async () => {
      const name = await bench.pending();
      refused(await bench.patch(agent, name, approved(agent)), /through the gate/);
      refused(
        await bench.patch({ ...bob, extra: { 'sallyport.dev/agent': 'cursor' } }, name, approved(bob)),
        /through the gate/,
      );
      refused(await bench.patch(job, name, approved(job)), /a person decides/);
    });

    it('never who asked: not by name, not by uid', async () => {
      const byName = await bench.pending({ requester: { issuer: 'x', username: bob.username } });
      refused(await bench.patch(bob, byName, approved(bob)), /nobody decides on their own request/);
      refused(await bench.patch(bob, byName, denied(bob)), /nobody decides on their own request/);
      const byUID = await bench.pending({ requester: { issuer: 'x', username: 'robert', uid: 'b-1' } });
      refused(await bench.patch(bob, byUID, approved(bob)), /nobody decides on their own request/);
      const without = await bench.pending({
        requester: { issuer: 'x', username: bob.username },
        approvers: 'IncludeOnBehalfOf',
      });
      refused(await bench.patch(bob, without, approved(bob)), /nobody decides on their own request/);
    });

    it('nor the person behind the agent, unless the policy includes them and they have signed in anew', async () => {
      const elsewhere = { issuer: 'x', username: 'robot', agent: 'cursor', onBehalfOf: alice.username };
      for (const requester of [specOf('x').requester, elsewhere]) {
        const others = await bench.pending({ requester });
        refused(await bench.patch(alice, others, approved(alice)), /own request|someone else/);
        const included = await bench.pending({ requester, approvers: 'IncludeOnBehalfOf' });
        refused(await bench.patch(alice, included, approved(alice)), /sign in anew/);
        const authTime = 1_800_000_000;
        const claims = (time: string): Person => ({ ...alice, extra: { 'sallyport.dev/auth-time': time } });
        refused(await bench.patch(alice, included, approved(alice, { authTime })), /must be what the API server knows/);
        refused(
          await bench.patch(claims('1799999999'), included, approved(alice, { authTime })),
          /must be what the API server knows/,
        );
        passed(await bench.patch(claims(String(authTime)), included, approved(alice, { authTime })));
      }
    });
  });

  describe('what they set', () => {
    const time = '2026-01-01T00:00:00Z';
    const condition = (type: string): object => ({
      type,
      status: 'True',
      reason: 'Forged',
      message: '',
      lastTransitionTime: time,
    });
    const approval = condition('Approved');
    const word = { type: 'Approved', username: 'carol', time };
    const FORGED: Record<string, object> = {
      'the conditions': { conditions: [approval, { ...condition('Denied'), status: 'False' }] },
      'an end': { conditions: [approval, condition('Expired')] },
      'the phase': { phase: 'Approved' },
      'the decisions': { decisions: [word, { type: 'Approved', username: 'bob@shop.example', time }] },
      'the uses': { uses: [] },
      'a use': { uses: [{ requestID: 'x', time }] },
      'uses and conditions at once': { uses: [], conditions: [approval] },
      'the time of the grant': { grantExpirationTime: '2025-01-01T00:00:00Z' },
      'the length of the grant': { grantDuration: '5m' },
    };
    for (const [what, status] of Object.entries(FORGED)) {
      it(`not ${what}, alone or beside a decision, not even as cluster-admin`, async () => {
        // Of a kind that the CRD's own rules let through: nothing but the guard is in the way.
        const name = await approvedByGateway({ maxUses: 5, grant: { rule: 'other-exec', maxDuration: '30m' } });
        const before = (await bench.get(name)).status;
        for (const by of [bob, admin]) {
          refused(await bench.patch(by, name, { status }), /nothing else/);
          const decision = { type: 'Denied', username: by.username };
          refused(await bench.patch(by, name, { status: { ...status, decision } }), /nothing else/);
        }
        assert.deepEqual((await bench.get(name)).status, before);
      });
    }

    it('nor takes away what the gateway wrote', async () => {
      const name = await approvedByGateway();
      refused(await bench.patch(bob, name, { status: { conditions: null } }), /nothing else|only what|stays/);
      refused(await bench.patch(bob, name, { status: { grantExpirationTime: null } }), /nothing else|prolonged/);
      refused(await bench.patch(bob, name, { status: null }), /nothing else|stays/);
    });

    it('not what is over or approved already; a denial revokes an approval', async () => {
      const name = await approvedByGateway();
      refused(await bench.patch(bob, name, approved(bob)), /approved already/);
      passed(await bench.patch(bob, name, denied(bob)));
      for (const type of ['Expired', 'OutcomeUnknown']) {
        const over = await approvedByGateway();
        const { conditions } = (await bench.get(over)).status!;
        const ended = { conditions: [...conditions!, condition(type)] };
        passed(await bench.patch(gateway, over, { status: ended }));
        refused(await bench.patch(bob, over, denied(bob)), /has ended/);
      }
      const used = await approvedByGateway();
      const { conditions } = (await bench.get(used)).status!;
      passed(await bench.patch(gateway, used, { status: { conditions: [...conditions!, condition('Consumed')] } }));
      refused(await bench.patch(bob, used, approved(bob)), /used up/);
      passed(await bench.patch(bob, used, denied(bob)));
      const lost = await bench.pending();
      const no = { type: 'Denied', username: 'carol', time };
      passed(await bench.patch(gateway, lost, { status: { conditions: [condition('Denied')], decisions: [no] } }));
      refused(await bench.patch(bob, lost, approved(bob)), /has ended/);
    });

    it('not over another’s word, but a denial goes first', async () => {
      const erin = { username: 'erin' };
      await bench.approver('erin', POLICY);
      const name = await bench.pending();
      passed(await bench.patch(bob, name, approved(bob)));
      refused(await bench.patch(erin, name, approved(erin)), /try again/);
      refused(await bench.patch(erin, name, { status: { decision: null } }), /try again/);
      passed(await bench.patch(erin, name, denied(erin)));
      refused(await bench.patch(bob, name, approved(bob)), /try again/);
    });

    it('a cut diff needs a word of its own, a grant the policy’s leave', async () => {
      const diffRef = { digest: 'ab'.repeat(32), sizeBytes: 99_999, truncated: true };
      const cut = await bench.pending({ diffRef });
      refused(await bench.patch(bob, cut, approved(bob)), /not shown in full/);
      passed(await bench.patch(bob, cut, approved(bob, { allowTruncated: true })));
      const single = await bench.pending();
      refused(await bench.patch(bob, single, approved(bob, { grantDuration: '1m' })), /not to be granted/);
      const grantable = await bench.pending({ grant: { rule: 'other-exec', maxDuration: '30m' } });
      refused(await bench.patch(bob, grantable, approved(bob, { grantDuration: '31m' })), /longer than the policy/);
      passed(await bench.patch(bob, grantable, approved(bob, { grantDuration: '30m' })));
    });

    async function approvedByGateway(change: Partial<ApprovalRequestSpec> = {}): Promise<string> {
      const name = await bench.pending(change);
      const status = { conditions: [approval], decisions: [word], grantExpirationTime: time };
      passed(await bench.patch(gateway, name, { status }));
      return name;
    }
  });
});
