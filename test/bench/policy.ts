import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { AgentPolicy } from '../../src/policy/agent-policy.ts';
import { callerNamed } from '../../src/policy/cases/callers.ts';
import { fromJson } from '../../src/policy/cel/engine.ts';
import { compile, type PolicySet } from '../../src/policy/policy-set.ts';
import type { Question } from '../../src/policy/question.ts';
import { parseRequest } from '../../src/request/request.ts';

/** Nanoseconds of one decision, needs included: `node test/bench/policy.ts`. */
const EXAMPLE = new URL('../../examples/policies/cursor-in-production.yaml', import.meta.url);
const example = parse(readFileSync(EXAMPLE, 'utf8')) as AgentPolicy;
const caller = callerNamed('alice', { groups: ['ai-agents', 'team-a'], agent: 'cursor' });
const stranger = [{ kind: 'Group' as const, name: 'somebody-else' }];

/** The example, and others beside it: for other people, or for the same caller in other namespaces. */
function policies(count: number, sameCaller: boolean): AgentPolicy[] {
  const others = Array.from({ length: count - 1 }, (_, i): AgentPolicy => {
    const rules = example.spec.rules.map((rule) => ({
      ...rule,
      match: { ...rule.match, namespaces: [`team-${i}`, `team-${i}-*`] },
    }));
    const subjects = sameCaller ? example.spec.subjects : stranger;
    return {
      metadata: { name: `other-${i}`, uid: `u${i}`, generation: 1 },
      spec: { ...example.spec, subjects, rules },
    };
  });
  // Last by name, so that those of the same caller are looked at first.
  return [{ ...example, metadata: { name: 'z-example', uid: 'u', generation: 1 } }, ...others];
}

const pod = fromJson({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'shop' },
  spec: {
    containers: [1, 2, 3].map((i) => ({
      name: `c${i}`,
      image: `registry.shop.example/app:${i}`,
      ports: [{ containerPort: 80 }],
      env: [{ name: 'A', value: 'b' }],
      resources: { limits: { memory: '64Mi' } },
    })),
    volumes: [{ name: 'v', configMap: { name: 'settings' } }],
  },
});

const base = { caller, leg: 'Gateway' as const, sourceIP: '10.0.0.1', now: Date.now(), requestID: 'r' };
const get: Question = { ...base, operation: parseRequest('GET', '/api/v1/namespaces/shop/pods/web', {}) };
const post: Question = { ...base, operation: parseRequest('POST', '/api/v1/namespaces/shop/pods', {}) };

/** Each create comes with an object of its own, as on the wire: nothing may be remembered from the one before. */
const questions: Record<string, () => Question> = {
  'GET pod': () => get,
  'POST pod': () => ({ ...post, object: { ...(pod as object) } }),
};

function measure(set: PolicySet, next: () => Question, milliseconds = 400): number {
  const run = (until: number): number => {
    let done = 0;
    const started = performance.now();
    do {
      for (let i = 0; i < 50; i++) {
        const question = next();
        set.needs(question.caller, question.operation);
        if (set.decide(question).action !== 'Allow') throw new Error('the benchmark measures what is allowed');
      }
      done += 50;
    } while (performance.now() - started < until);
    return ((performance.now() - started) * 1e6) / done;
  };
  run(milliseconds / 2);
  return Math.min(...Array.from({ length: 5 }, () => run(milliseconds / 2)));
}

const rows: Record<string, Record<string, number>> = {};
for (const [name, next] of Object.entries(questions)) {
  rows[name] = {};
  for (const [label, count, same] of [
    ['1 policy', 1, true],
    ['200, other callers', 200, false],
    ['200, same caller', 200, true],
  ] as const) {
    rows[name][label] = Math.round(measure(compile(policies(count, same), { gatewayNamespace: 'sallyport' }), next));
  }
}
const started = performance.now();
compile(policies(200, true), { gatewayNamespace: 'sallyport' });
console.log('nanoseconds of needs and decide together');
console.table(rows);
console.log(`compiling 200 policies of 6 rules: ${Math.round(performance.now() - started)} ms`);
