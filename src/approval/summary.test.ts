import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Decision } from '../policy/decision.ts';
import type { Operation } from '../request/operation.ts';
import { parseRequest } from '../request/request.ts';
import { after, MINUTE, NOON, requestOf } from './cases.ts';
import { kubectlForm } from './kubectl-form.ts';
import { newRequest } from './new-request.ts';
import { objectDiff } from './object-diff.ts';
import { displayOf } from './operation-record.ts';
import { summaryOf } from './summary.ts';
import { giveUpUses, recordOutcome, takeUse } from './use.ts';

const parse = (method: string, target: string, contentType?: string): Operation =>
  parseRequest(method, target, { contentType });
const caller = {
  issuer: 'https://login.example',
  username: 'alice',
  agent: 'cursor',
  onBehalfOf: 'alice',
  session: 's-1',
};
const facts = { caller, policy: 'p', rule: 'r', reason: 'because' };
const POD = '/api/v1/namespaces/shop/pods/web';
const APPLY = 'application/apply-patch+yaml';
const MERGE = 'application/merge-patch+json';

/** [method, target, content type, kubectl's form, one short line] */
const FORMS: readonly [string, string, string | undefined, string | undefined, string][] = [
  ['GET', POD, undefined, 'kubectl get pods -n shop web', 'get pods shop/web'],
  ['GET', '/api/v1/namespaces/shop/secrets', undefined, 'kubectl get secrets -n shop', 'list secrets shop'],
  ['GET', '/api/v1/pods?watch=1', undefined, 'kubectl get pods -A --watch', 'watch pods'],
  ['GET', '/healthz', undefined, 'kubectl get --raw /healthz', 'get /healthz'],
  ['POST', '/x/y', undefined, undefined, 'post /x/y'],
  [
    'POST',
    '/apis/apps/v1/namespaces/shop/deployments?dryRun=All',
    'application/json',
    'kubectl create -n shop --dry-run=server -f deployments.apps',
    'create deployments shop',
  ],
  [
    'PUT',
    '/apis/apps/v1/namespaces/shop/deployments/web',
    'application/json',
    'kubectl replace -n shop -f deployments.apps/web',
    'update deployments shop/web',
  ],
  [
    'PATCH',
    '/apis/apps/v1/namespaces/shop/deployments/web',
    APPLY,
    'kubectl apply --server-side -n shop -f deployments.apps/web',
    'patch deployments shop/web',
  ],
  [
    'PATCH',
    '/apis/apps/v1/namespaces/shop/deployments/web/scale',
    MERGE,
    'kubectl patch deployments.apps web -n shop --subresource=scale',
    'patch deployments/scale shop/web',
  ],
  ['DELETE', POD, undefined, 'kubectl delete pods web -n shop', 'delete pods shop/web'],
  [
    'DELETE',
    '/api/v1/namespaces/shop/pods',
    undefined,
    'kubectl delete pods --all -n shop',
    'deletecollection pods shop',
  ],
  ['GET', `${POD}/log?follow=true`, undefined, 'kubectl logs -n shop web', 'get pods/log shop/web'],
  [
    'POST',
    `${POD}/exec?command=sh&command=-c&command=ls%20-l&container=app&stdin=true&tty=true`,
    undefined,
    "kubectl exec -n shop web -c app -i -t -- sh -c 'ls -l'",
    'create pods/exec shop/web',
  ],
  ['POST', `${POD}/attach?stdin=true`, undefined, 'kubectl attach -n shop web -i', 'create pods/attach shop/web'],
  [
    'POST',
    `${POD}/portforward?ports=80`,
    undefined,
    'kubectl port-forward -n shop pod/web 80',
    'create pods/portforward shop/web',
  ],
  ['DELETE', '/api/v1/nodes/n1', undefined, 'kubectl delete nodes n1', 'delete nodes n1'],
];
for (const [method, target, type, form, display] of FORMS) {
  test(`${method} ${target} is known again`, () => {
    const operation = parse(method, target, type);
    assert.equal(kubectlForm(operation), form);
    assert.equal(displayOf(operation), display);
  });
}

test('a summary says everything an approver must know', () => {
  const operation = parse('POST', `${POD}/exec?command=echo&command=it%27s&command=--token&command=abc&stdout=true`);
  assert.equal(
    summaryOf({ ...facts, operation, impersonateGroups: ['elevated'] }),
    [
      "command: kubectl exec -n shop web -- echo 'it'\\''s' --token '<hidden>'",
      'note: 1 of the arguments are hidden in part or whole, as secrets; they would be run as given',
      'request: POST /api/v1/namespaces/shop/pods/web/exec?stdout=true',
      'requester: alice (https://login.example)',
      'agent: cursor',
      'on behalf of: alice',
      'agent session: s-1',
      'policy: p/r',
      'why: because',
      'would run with the groups: elevated',
      'argv[0]: echo',
      "argv[1]: 'it'\\''s'",
      'argv[2]: --token',
      "argv[3]: '<hidden>'",
    ].join('\n'),
  );
});

test('a live shell is called one', () => {
  for (const query of ['stdin=true', 'tty=true', 'stdin=true&tty=true']) {
    const operation = parse('POST', `${POD}/exec?command=sh&${query}`);
    assert.match(summaryOf({ ...facts, operation }), /^note: this approves a live shell/m, query);
  }
  assert.doesNotMatch(
    summaryOf({ ...facts, operation: parse('POST', `${POD}/exec?command=sh&stdout=true`) }),
    /live shell/,
  );
});

test('what went before is told, an unknown outcome above all', () => {
  const operation = parse('DELETE', POD);
  const approved = after(requestOf(), {
    conditions: [
      { type: 'Approved', status: 'True', reason: 'Approved', message: '', lastTransitionTime: '2026-06-01T12:00:00Z' },
    ],
    grantExpirationTime: '2026-06-01T12:05:00Z',
  });
  const use = { digest: approved.spec.digest, leg: 'Gateway', requestID: 'id-1' } as const;
  const used = after(approved, takeUse(approved, use, NOON).status);
  const open = /asked before: ar-04hmasw9nf-1, approved and forwarded at .*; WHAT CAME OF IT IS NOT WRITTEN DOWN/;
  assert.match(summaryOf({ ...facts, operation, previous: used }), open);
  const done = after(used, recordOutcome(used, 'id-1', 'Succeeded', NOON, 200));
  assert.match(summaryOf({ ...facts, operation, previous: done }), /asked before: ar-04hmasw9nf-1: Used/);
  const lost = after(used, giveUpUses(used, NOON + MINUTE, MINUTE));
  assert.match(summaryOf({ ...facts, operation, previous: lost }), /NOBODY KNOWS WHETHER IT RAN: .*id-1/);
});

test('the query of a proxied request is shown as it is, secrets hidden', () => {
  const operation = parse('GET', '/api/v1/namespaces/shop/services/web/proxy/a?x=1&token=abc');
  assert.match(summaryOf({ ...facts, operation }), /^request: GET \S+\/proxy\/a\?x=1&token=<hidden>$/m);
});

const decision = {
  action: 'RequireApproval',
  policy: 'p',
  policyUID: 'u',
  policyGeneration: 2,
  rule: 'r',
  reason: 'because',
  approval: {
    requiredApprovals: 2,
    requestTTL: 900,
    grantTTL: 300,
    maxUses: 1,
    maxGrantDuration: 1800,
    waitTimeout: 0,
    approvers: 'Others',
    impersonateGroups: ['elevated'],
  },
} as unknown as Decision;
const whole = {
  method: 'AgentSession',
  uid: '',
  groups: [],
  serviceAccount: undefined,
  expiresAt: 0,
  authTime: undefined,
  ...caller,
} as const;
const wanted = {
  name: 'ar-0123456789-1',
  namespace: 'shop',
  caller: whole,
  operation: parse('DELETE', POD),
  decision,
  digest: 'ab'.repeat(32),
  leg: 'Gateway',
} as const;

test('a new request carries the rule’s terms, counted from now', () => {
  const { spec } = newRequest(wanted, NOON + 500);
  assert.equal(spec.expirationTime, '2026-06-01T12:15:00Z');
  assert.equal(spec.grantTTL, '300s');
  assert.equal(spec.requiredApprovals, 2);
  assert.deepEqual(spec.policyRef, { name: 'p', uid: 'u', generation: 2 });
  assert.deepEqual(spec.grant, { rule: 'r', maxDuration: '1800s' });
  assert.deepEqual(spec.impersonateGroups, ['elevated']);
  assert.equal(newRequest({ ...wanted, caller: { ...whole, session: undefined } }, NOON).spec.grant, undefined);
  assert.throws(() => newRequest({ ...wanted, decision: { ...decision, action: 'Allow' } }, NOON), TypeError);
});

test('a create shows what it makes: its path does not name it', () => {
  const operation = parse('POST', '/api/v1/namespaces/shop/configmaps', 'application/json');
  const { spec } = newRequest({ ...wanted, operation, objectName: 'settings' }, NOON);
  assert.match(spec.summary, /^command: kubectl create -n shop -f configmaps\/settings$/m);
  assert.deepEqual([spec.operation.display, spec.operation.name], ['create configmaps shop/settings', '']);
  const hostile = newRequest({ ...wanted, operation, objectName: 'x\u202e; rm -rf\n' }, NOON).spec;
  assert.match(hostile.summary, /^command: kubectl create -n shop -f \$'configmaps\/x\\u\{202e\}; rm -rf\\u\{a\}'$/m);
  assert.equal(hostile.operation.display, 'create configmaps shop/x\\u{202e}; rm -rf\\u{a}');
});

test('a diff that does not fit is elsewhere, and one that is nowhere is called cut', () => {
  const object = { a: Array.from({ length: 9_000 }, (_, i) => `line ${i}`) };
  const small = newRequest({ ...wanted, diff: objectDiff(undefined, { kind: 'Pod' }) }, NOON).spec;
  assert.match(small.diff ?? '', /\+kind: Pod/);
  assert.equal(small.diffRef, undefined);
  const diff = objectDiff(undefined, object);
  const stored = newRequest({ ...wanted, diff, diffLocator: 'file:x' }, NOON).spec;
  assert.deepEqual([stored.diff, stored.diffRef?.locator, stored.diffRef?.truncated], [undefined, 'file:x', false]);
  const lost = newRequest({ ...wanted, diff }, NOON).spec;
  assert.deepEqual([lost.diff, lost.diffRef?.truncated], [undefined, true]);
  const operation = parse('POST', `${POD}/exec?command=x`);
  const long = { ...operation, exec: { ...operation.exec!, command: ['x'.repeat(40_000)] } };
  assert.equal(newRequest({ ...wanted, operation: long }, NOON).spec.diffRef?.truncated, true, 'a cut summary');
});
