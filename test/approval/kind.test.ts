import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { ApprovalRequestStatus } from '../../src/approval/approval-request.generated.ts';
import { takeDecision } from '../../src/approval/deciding.ts';
import { newRequest } from '../../src/approval/new-request.ts';
import { objectDiff } from '../../src/approval/object-diff.ts';
import { requestName } from '../../src/approval/request-name.ts';
import { takeUse } from '../../src/approval/use.ts';
import { approvalTerms } from '../../src/policy/approval-terms.ts';
import type { Decision } from '../../src/policy/decision.ts';
import { parseRequest } from '../../src/request/request.ts';
import { HOSTILE } from '../hostile/corpus.ts';
import { Bench, gateway, specOf } from './bench.ts';

const TIME = '2026-01-01T00:00:00Z';
const LATER = '2026-01-01T00:10:00Z';
type Status = Partial<ApprovalRequestStatus>;

const condition = (type: 'Approved' | 'Denied' | 'Expired' | 'Consumed' | 'OutcomeUnknown') =>
  ({ type, status: 'True', reason: 'Test', message: 'm', lastTransitionTime: TIME }) as const;
const word = (type: 'Approved' | 'Denied', username: string) => ({ type, username, time: TIME }) as const;
const use = (requestID: string, more: object = {}) => ({ requestID, time: TIME, ...more }) as const;

const APPROVED: Status = {
  phase: 'Approved',
  conditions: [condition('Approved')],
  decisions: [word('Approved', 'bob')],
  grantExpirationTime: LATER,
};
const USED: Status = { ...APPROVED, uses: [use('one')] };
const CONSUMED: Status = { ...USED, conditions: [condition('Approved'), condition('Consumed')] };
const DENIED: Status = { conditions: [condition('Denied')], decisions: [word('Denied', 'bob')] };

/** The kind's own rules bind everyone: every change here is asked for by the gateway's account, with all rights. */
describe('the rules of the kind ApprovalRequest', { timeout: 180_000 }, () => {
  let bench: Bench;
  before(async () => {
    bench = await Bench.start();
  });
  after(async () => {
    await bench?.stop();
  });

  /** [name, spec, status now, next status (a merge patch), message of the refusal; none where it passes] */
  const CASES: readonly [string, object, Status | undefined, object, RegExp?][] = [
    ['approved by one', {}, undefined, APPROVED],
    ['approved by nobody', {}, undefined, { ...APPROVED, decisions: null }, /as many approvals/],
    ['approved by one of two', { requiredApprovals: 2 }, undefined, APPROVED, /as many approvals/],
    [
      'approved by one twice',
      { requiredApprovals: 2 },
      undefined,
      { ...APPROVED, decisions: [word('Approved', 'bob'), { ...word('Approved', 'bob'), reason: 'again' }] },
      /nobody decides twice/,
    ],
    [
      'approved by two',
      { requiredApprovals: 2 },
      undefined,
      { ...APPROVED, decisions: [word('Approved', 'bob'), word('Approved', 'carol')] },
    ],
    ['denied', {}, undefined, DENIED],
    ['denied by nobody', {}, undefined, { conditions: [condition('Denied')] }, /someone who denied/],
    [
      'both',
      {},
      undefined,
      {
        conditions: [condition('Approved'), condition('Denied')],
        decisions: [word('Approved', 'bob'), word('Denied', 'carol')],
      },
      /exclude each other/,
    ],
    ['from approved to denied', {}, APPROVED, { ...DENIED, grantExpirationTime: null }, /stays as it is/],
    ['approval taken back', {}, APPROVED, { conditions: [] }, /stays as it is/],
    [
      'approval made false',
      {},
      APPROVED,
      { conditions: [{ ...condition('Approved'), status: 'False' }] },
      /stays as it is/,
    ],
    [
      'the reason of a condition rewritten',
      {},
      APPROVED,
      { conditions: [{ ...condition('Approved'), reason: 'Other' }] },
      /stays as it is/,
    ],
    ['a status thrown away', {}, APPROVED, null as never, /stays as it is/],
    ['from denied to approved', {}, DENIED, APPROVED, /stays as it is/],
    [
      'approved after expiry',
      {},
      { conditions: [condition('Expired')] },
      { ...APPROVED, conditions: [condition('Expired'), condition('Approved')] },
      /has ended/,
    ],
    [
      'a decision after expiry',
      {},
      { conditions: [condition('Expired')] },
      { decision: { type: 'Approved', username: 'b' } },
      /has ended/,
    ],
    ['a decision after denial', {}, DENIED, { decision: { type: 'Approved', username: 'b' } }, /has ended/],
    ['revoked while approved', {}, APPROVED, { conditions: [condition('Approved'), condition('Expired')] }],
    ['a first use', {}, APPROVED, USED],
    ['a use of what is not approved', {}, undefined, { uses: [use('one')] }, /only what is approved/],
    ['a use too many', {}, USED, { uses: [use('one'), use('two')] }, /at most maxUses/],
    ['two uses of two', { maxUses: 2 }, USED, { uses: [use('one'), use('two')] }],
    ['a use forgotten', {}, USED, { uses: [] }, /only added/],
    ['a use replaced', {}, USED, { uses: [use('two')] }, /only added/],
    ['the time of a use changed', {}, USED, { uses: [{ ...use('one'), time: LATER }] }, /only added/],
    ['two uses of one request', { maxUses: 2 }, APPROVED, { uses: [use('one'), use('one')] }, /Duplicate value/],
    [
      'a use after expiry',
      {},
      { ...APPROVED, conditions: [condition('Approved'), condition('Expired')] },
      { uses: [use('one')] },
      /has ended/,
    ],
    ['an outcome', {}, CONSUMED, { uses: [use('one', { outcome: 'Succeeded', code: 200 })] }],
    [
      'an outcome rewritten',
      {},
      { ...CONSUMED, uses: [use('one', { outcome: 'Unknown' })] },
      { uses: [use('one', { outcome: 'Succeeded' })] },
      /only added/,
    ],
    [
      'an unknown outcome after the last use',
      {},
      CONSUMED,
      { conditions: [...CONSUMED.conditions!, condition('OutcomeUnknown')] },
    ],
    [
      'a decision changed',
      {},
      APPROVED,
      { decisions: [{ ...word('Approved', 'bob'), reason: 'other' }] },
      /only added/,
    ],
    [
      'a decision forgotten',
      { requiredApprovals: 2 },
      { decisions: [word('Approved', 'bob')] },
      { decisions: [] },
      /only added/,
    ],
    [
      'what is used up taken back',
      {},
      CONSUMED,
      {
        decisions: [word('Approved', 'bob'), word('Denied', 'carol')],
        conditions: [...CONSUMED.conditions!, condition('Expired')],
      },
    ],
    ['a denial of what is used up', {}, CONSUMED, { decision: { type: 'Denied', username: 'carol' } }],
    ['an approval of what is used up', {}, CONSUMED, { decision: { type: 'Approved', username: 'carol' } }, /used up/],
    [
      'another approval of what is used up',
      {},
      CONSUMED,
      { decisions: [word('Approved', 'bob'), word('Approved', 'carol')] },
      /used up/,
    ],
    [
      'what is used up denied after all',
      {},
      CONSUMED,
      { ...DENIED, conditions: [...CONSUMED.conditions!, condition('Denied')] },
      /used up|exclude/,
    ],
    [
      'what is used up and was taken back',
      {},
      { ...CONSUMED, conditions: [...CONSUMED.conditions!, condition('Expired')] },
      { decision: { type: 'Denied', username: 'carol' } },
      /has ended/,
    ],
    ['one more use of what is used up', { maxUses: 2 }, CONSUMED, { uses: [use('one'), use('two')] }, /used up/],
    ['a grant prolonged', {}, APPROVED, { grantExpirationTime: '2026-01-01T00:10:01Z' }, /never prolonged/],
    ['a grant without end', {}, APPROVED, { grantExpirationTime: null }, /never prolonged/],
    ['a grant shortened', {}, APPROVED, { grantExpirationTime: TIME }],
    ['an end before the approval', {}, undefined, { grantExpirationTime: TIME }, /only what is approved/],
    ['a session grant that none may give', {}, undefined, { ...APPROVED, grantDuration: '1m' }, /not to be granted/],
    [
      'a session grant too long',
      { grant: { rule: 'other-exec', maxDuration: '30m' } },
      undefined,
      { ...APPROVED, grantDuration: '1h' },
      /longer than/,
    ],
    [
      'a session grant changed',
      { grant: { rule: 'other-exec', maxDuration: '30m' } },
      { ...APPROVED, grantDuration: '10m' },
      { grantDuration: '20m' },
      /never changed/,
    ],
  ];

  for (const [what, spec, now, next, message] of CASES) {
    it(`${message === undefined ? 'lets pass' : 'refuses'}: ${what}`, async () => {
      const name = await bench.pending(spec);
      if (now !== undefined) {
        const prepared = await bench.patch(gateway, name, { status: now });
        assert.equal(prepared.status, 200, prepared.body);
      }
      const answer = await bench.patch(gateway, name, { status: next });
      if (message === undefined) return assert.equal(answer.status, 200, answer.body);
      assert.equal(answer.status, 422, answer.body);
      assert.match(answer.json().message, message);
    });
  }

  it('bounds what a spec may hold', async () => {
    const spec = specOf(bench.namespace);
    const wrong: Record<string, object> = {
      'no digest': { digest: undefined },
      'a short digest': { digest: 'ab' },
      'no leg': { leg: 'Both' },
      'no approvals': { requiredApprovals: 0 },
      'too many uses': { maxUses: 101 },
      'a long diff': { diff: 'x'.repeat(65_537) },
      'a long summary': { summary: 'x'.repeat(32_769) },
      'an endless argv': { operation: { ...spec.operation, command: Array.from({ length: 1_025 }, () => 'x') } },
      'an end that is no time': { expirationTime: 'never' },
      'no policy': { policyRef: undefined },
      'a grant of another rule': { grant: { rule: 'another', maxDuration: '5m' } },
    };
    for (const [what, change] of Object.entries(wrong)) {
      const answer = await bench.create(change);
      assert.equal(answer.status, 422, `${what}: ${answer.body}`);
    }
    for (const name of ['ar-012345678-1', 'ar-0123456789-0', 'ar-0123456789-01', 'ar-012345678i-1', 'x-0123456789-1']) {
      assert.equal((await bench.create({}, gateway, name)).status, 422, name);
    }
  });

  it('takes what newRequest makes, of any request and of hostile text', async () => {
    const caller = {
      method: 'AgentSession',
      issuer: 'https://login.example',
      username: 'alice',
      uid: '',
      groups: [],
      serviceAccount: undefined,
      agent: 'cursor',
      onBehalfOf: 'alice',
      session: 'cursor-1',
      expiresAt: 0,
      authTime: undefined,
    } as const;
    const terms = approvalTerms({ maxGrantDuration: '30m', impersonateGroups: ['elevated'] });
    const exec = parseRequest('POST', '/api/v1/namespaces/shop/pods/web/exec?command=x&stdin=true', {});
    const long = parseRequest('DELETE', `/api/v1/namespaces/shop/services/${'s'.repeat(60)}`, {});
    const operations = [
      long,
      parseRequest('GET', '/healthz', {}),
      parseRequest('POST', '/api/v1/namespaces/shop/pods/web/portforward?ports=80', {}),
      ...HOSTILE.map((text) => ({ ...exec, exec: { ...exec.exec!, command: [text, text] } })),
    ];
    for (const [index, operation] of operations.entries()) {
      const text = HOSTILE[index % HOSTILE.length]!;
      const decision = {
        action: 'RequireApproval',
        policy: 'p',
        policyUID: 'u',
        policyGeneration: 1,
        rule: 'r',
        reason: text,
        approval: terms,
      } as Decision;
      const asked = newRequest(
        {
          name: requestName(`${index.toString(16).padStart(4, '0')}${'0'.repeat(60)}`, 1),
          namespace: bench.namespace,
          caller,
          operation,
          decision,
          digest: 'ab'.repeat(32),
          leg: 'Gateway',
          diff: objectDiff({ [text]: text }, { [text]: [text] }),
        },
        Date.now(),
      );
      const made = await bench.send(gateway, 'POST', `${bench.path()}?fieldValidation=Strict`, asked);
      assert.equal(made.status, 201, made.body);
      const stored = made.json();
      assert.deepEqual(stored.spec, JSON.parse(JSON.stringify(asked.spec)), 'stored as it was written');
      // The machine's own steps, as the API server takes them.
      const decided = takeDecision(
        { ...stored, status: { decision: { type: 'Approved', username: 'bob', reason: text } } },
        Date.now(),
      )!;
      const put = await bench.send(gateway, 'PUT', `${bench.path(asked.metadata.name)}/status`, {
        ...stored,
        status: decided.status,
      });
      assert.equal(put.status, 200, put.body);
      // What is not shown in full is not approved without saying that one knows.
      assert.equal('refused' in decided, asked.spec.diffRef?.truncated === true);
    }
  });

  it('lets one of many gateways take the only use, whichever asks first', async () => {
    const name = await bench.pending();
    const approved = await bench.patch(gateway, name, {
      status: { ...APPROVED, grantExpirationTime: '2099-01-01T00:00:00Z' },
    });
    assert.equal(approved.status, 200, approved.body);
    const object = approved.json();
    const tries = Array.from({ length: 50 }, async (_, index) => {
      const use = { digest: object.spec.digest, leg: 'Gateway', requestID: `r-${index}` } as const;
      const { status, refusal } = takeUse(object, use, Date.now());
      assert.equal(refusal, undefined);
      return (await bench.send(gateway, 'PUT', `${bench.path(name)}/status`, { ...object, status })).status;
    });
    const answers = await Promise.all(tries);
    assert.equal(answers.filter((code) => code === 200).length, 1);
    assert.equal(answers.filter((code) => code === 409).length, 49);
    assert.equal((await bench.get(name)).status?.uses?.length, 1);
  });

  it('prints, waits and explains as kubectl’s users expect', async () => {
    const name = await bench.pending();
    const { namespace: n, cluster } = bench;
    const table = await cluster.kubectl(['get', 'areq', '-n', n, name]);
    assert.match(table.stdout, /^NAME +PHASE +REQUESTER +AGENT +OPERATION +POLICY +EXPIRES +AGE\n/);
    assert.match(
      table.stdout,
      /Pending +alice@shop\.example +cursor +create pods\/exec \S+\/web +cursor-in-production/,
    );
    assert.match((await cluster.kubectl(['get', 'sallyport', '-n', n, '-o', 'name'])).stdout, new RegExp(name));
    assert.equal((await bench.patch(gateway, name, { status: APPROVED })).status, 200);
    const waited = await cluster.kubectl([
      'wait',
      '--for=condition=Approved',
      `areq/${name}`,
      '-n',
      n,
      '--timeout=10s',
    ]);
    assert.equal(waited.code, 0, waited.stderr);
    const explained = await cluster.kubectl(['explain', 'approvalrequest.status.decision.username']);
    assert.match(explained.stdout, /own name/);
    const digest = specOf(n).digest;
    const found = await cluster.kubectl([
      'get',
      'areq',
      '-n',
      n,
      '-o',
      'name',
      `--field-selector=spec.digest=${digest}`,
    ]);
    assert.match(found.stdout, new RegExp(name));
  });
});
