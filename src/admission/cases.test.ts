import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Approved } from '../identity/approved.ts';
import type { Caller } from '../identity/caller.ts';
import { upstreamName, Via } from '../identity/upstream-name.ts';
import { ALL_CASES } from '../policy/cases/all-cases.ts';
import { type DecisionCase, notation, optionsOf, questionOf } from '../policy/cases/case.ts';
import { fromJson } from '../policy/cel/engine.ts';
import { compile } from '../policy/policy-set.ts';
import { isConnect, type Operation } from '../request/operation.ts';
import { Reviewer } from './reviewer.ts';

const KEY = Buffer.alloc(32, 7);
const via = new Via(KEY);

/** The AdmissionReview that an API server would post for an operation as the table's second leg sees it. */
function reviewOf(one: DecisionCase, operation: Operation, now: number): string {
  const connects = isConnect(operation);
  const upstream = upstreamName(one.caller);
  const verbs: Record<string, string> = { create: 'CREATE', update: 'UPDATE', delete: 'DELETE', connect: 'CONNECT' };
  return JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: '5c1e0000-0000-4000-8000-000000000000',
      operation: verbs[operation.verb],
      resource: { group: operation.apiGroup, version: operation.apiVersion, resource: operation.resource },
      ...(operation.subresource === '' ? {} : { subResource: operation.subresource }),
      ...(operation.name === '' ? {} : { name: operation.name }),
      ...(operation.namespace === '' ? {} : { namespace: operation.namespace }),
      dryRun: operation.dryRun,
      userInfo: {
        username: upstream.username,
        ...(upstream.uid === '' ? {} : { uid: upstream.uid }),
        groups: [...upstream.groups, 'system:authenticated'],
        extra: { ...upstream.extra, 'sallyport.dev/via': [via.of(upstream, now)] },
      },
      object: connects ? options(operation, one) : (one.object ?? null),
      oldObject: connects ? null : (one.oldObject ?? null),
    },
  });
}

function options({ exec, portForward, proxyPath }: Operation, one: DecisionCase): unknown {
  if (exec !== undefined) return { kind: 'PodExecOptions', apiVersion: 'v1', ...exec };
  if (portForward !== undefined) {
    return { kind: 'PodPortForwardOptions', apiVersion: 'v1', ports: one.ports ?? portForward.ports };
  }
  return { kind: 'PodProxyOptions', apiVersion: 'v1', path: proxyPath };
}

/** What cannot become a review: that an object was not read, since a review of a write has it; and the target. */
const cannotBeTold = (one: DecisionCase): boolean =>
  one.unknown !== undefined || one.target !== undefined || one.name === 'an object that nobody read';

describe('the second leg answers the table of cases, from AdmissionReviews', () => {
  let asked = 0;
  for (const one of ALL_CASES) {
    const now = Date.parse(one.now ?? '2026-11-21T12:00:00Z');
    const question = questionOf(one, 'Admission');
    if (question === undefined || one.admission === null || cannotBeTold(one)) continue;
    asked++;
    it(`${one.name}: ${one.request}`, async () => {
      const set = compile(one.policies, { ...optionsOf(one) });
      const reviewer = new Reviewer({
        policies: {
          current: () => set,
          namespace: () => (one.namespaceObject === undefined ? undefined : fromJson(one.namespaceObject)),
        },
        via,
        approved: new Approved(KEY),
        ask: async () => {},
      });
      const outcome = await reviewer.review(reviewOf(one, question.operation, now), now);
      assert.ok(outcome.decision, outcome.refusal?.message);
      assert.equal(notation(outcome.decision), notation(set.decide(question)));
      assert.equal(notation(outcome.decision), one.admission ?? one.expect);
      sameCaller(outcome.caller!.caller, one.caller);
    });
  }
  it('asked most of the table', () => assert.ok(asked > 140, `only ${asked}`));
});

function sameCaller(found: Caller, expected: Caller): void {
  for (const part of ['username', 'uid', 'agent', 'onBehalfOf', 'session', 'serviceAccount'] as const) {
    assert.deepEqual(found[part], expected[part], part);
  }
}
