import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import type { ApprovalRequest } from '../approval/approval-request.generated.ts';
import { SallyportError } from '../errors.ts';
import { Audit } from '../gateway/approval/audit.ts';
import type { ApprovalBook } from '../gateway/approval/book.ts';
import { Differ } from '../gateway/approval/differ.ts';
import { Approved } from '../identity/approved.ts';
import { Via } from '../identity/upstream-name.ts';
import { createLog } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import { approve, match, policy } from '../policy/cases/case.ts';
import { compile } from '../policy/policy-set.ts';
import { AdmissionApprovals } from './admission-approvals.ts';
import { Reviewer } from './reviewer.ts';

const KEY = Buffer.alloc(32, 3);
const differ = new Differ();
after(() => differ.stop());

/** An API server that keeps one request, and a person in front of it. */
class Desk {
  readonly made: ApprovalRequest[] = [];
  guarded = true;
  waiting = 0;

  readonly reviewer = new Reviewer({
    policies: {
      current: () =>
        compile([policy('p', [approve('writes', match('create,update,delete', 'configmaps'))])], {
          gatewayNamespace: 'sallyport',
        }),
      namespace: () => undefined,
    },
    via: new Via(KEY),
    approved: new Approved(KEY),
    ask: (reviewed) => this.#approvals.heed(reviewed),
  });

  readonly #approvals = new AdmissionApprovals({
    own: {
      namespace: 'sallyport',
      create: async (_kind, { name, namespace, content }) => {
        const metadata = { name, namespace, uid: `u-${name}`, resourceVersion: '1' };
        const object = { apiVersion: 'x', kind: 'ApprovalRequest', metadata, ...content } as unknown as ApprovalRequest;
        this.made.push(object);
        return object as never;
      },
      get: async (_kind, { name }) => this.made.find(({ metadata }) => metadata.name === name) as never,
      patchStatus: async (_kind, { name }, status) => {
        const index = this.made.findIndex(({ metadata }) => metadata.name === name);
        this.made[index] = { ...this.made[index]!, status } as ApprovalRequest;
        return this.made[index] as never;
      },
    },
    book: {
      mustBeFresh: () => {},
      named: (_namespace: string, prefix: string) =>
        this.made.filter(({ metadata }) => metadata.name.startsWith(prefix)),
      pendingOf: () => this.waiting,
      countOf: () => 0,
      size: 0,
      note: () => {},
      gone: () => {},
      get: () => undefined,
    } as unknown as ApprovalBook,
    audit: new Audit(createLog('error', { write: () => {} }), new Metrics('0')),
    differ,
    masking: { planFor: () => undefined },
    mustStand: async () => {
      if (!this.guarded) throw new SallyportError('SP_APPROVAL_UNAVAILABLE', 'no guard');
    },
    key: KEY,
    pendingPerCaller: 2,
    requestsPerCaller: 10,
    maxRequests: 100,
    retryAfter: 600,
  });

  /** As bob of the API server, `alice` of policies' cases is governed. */
  async review(change: object = {}): Promise<string> {
    const request = {
      uid: 'r-1',
      operation: 'CREATE',
      resource: { group: '', version: 'v1', resource: 'configmaps' },
      namespace: 'shop',
      name: 'settings',
      userInfo: { username: 'alice', groups: ['ai-agents'] },
      object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data: { colour: 'red' } },
      ...change,
    };
    const text = JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request });
    const { response } = await this.reviewer.review(text, Date.now());
    return response.allowed ? 'allowed' : response.status!.message;
  }

  approve(): void {
    const lastTransitionTime = new Date().toISOString();
    const condition = {
      type: 'Approved',
      status: 'True',
      reason: 'Approved',
      message: 'by bob',
      lastTransitionTime,
    } as const;
    const last = this.made.length - 1;
    const grantExpirationTime = new Date(Date.now() + 60_000).toISOString();
    this.made[last] = {
      ...this.made[last]!,
      status: { conditions: [condition], grantExpirationTime },
    } as ApprovalRequest;
  }
}

describe('approvals of the second leg', () => {
  it('are asked once, and used once', async () => {
    const desk = new Desk();
    const said = await desk.review();
    assert.match(said, /^SP_APPROVAL_REQUIRED: .*"kubectl approve -n shop ar-[0-9a-z]{10}-1"/);
    assert.equal(await desk.review(), said);
    assert.equal(desk.made.length, 1);
    const { spec } = desk.made[0]!;
    assert.deepEqual([spec.leg, spec.requester.issuer, spec.requester.username], ['Admission', 'kubernetes', 'alice']);
    assert.match(spec.diff!, /\+.*colour: red/);
    desk.approve();
    assert.equal(await desk.review(), 'allowed');
    const { uses, conditions } = desk.made[0]!.status!;
    assert.deepEqual([uses!.length, uses![0]!.outcome], [1, 'Admitted']);
    assert.ok(conditions!.some(({ type }) => type === 'Consumed'));
    assert.match(await desk.review({ uid: 'r-2' }), /ar-[0-9a-z]{10}-2/, 'used up: asked anew');
  });

  it('are of that object alone', async () => {
    const desk = new Desk();
    await desk.review();
    desk.approve();
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data: { colour: 'blue' } };
    assert.match(await desk.review({ object }), /SP_APPROVAL_REQUIRED/);
    assert.equal(desk.made[0]!.status!.uses, undefined);
  });

  it('are used only while the guard stands', async () => {
    const desk = new Desk();
    await desk.review();
    desk.approve();
    desk.guarded = false;
    assert.match(await desk.review(), /SP_APPROVAL_UNAVAILABLE/);
    assert.equal(desk.made[0]!.status!.uses, undefined);
  });

  it('are not asked for a caller for whom enough wait already', async () => {
    const desk = new Desk();
    desk.waiting = 2;
    assert.match(await desk.review(), /SP_APPROVAL_LIMIT/);
    assert.equal(desk.made.length, 0);
  });

  it('of a deletion are void for a successor of the same name', async () => {
    const desk = new Desk();
    const stands = (uid: string) => ({
      operation: 'DELETE',
      object: null,
      oldObject: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings', uid }, data: { colour: 'red' } },
    });
    await desk.review(stands('one'));
    desk.approve();
    assert.match(await desk.review(stands('two')), /SP_APPROVAL_VOID/);
  });
});
