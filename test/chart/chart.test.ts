import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { manifests } from '../../charts/source/manifests.ts';
import { values as schema } from '../../charts/source/values.ts';
import { parseConfiguration } from '../../src/config/load.ts';
import { compile } from '../../src/policy/policy-set.ts';
import { helm } from '../cluster/binaries.ts';
import { CASES } from './cases.ts';
import { CHART, type Manifest, NAMESPACE, render, runHelm, template } from './chart.ts';

const ROOT = new URL('../../', import.meta.url).pathname;
const of = (manifests: readonly Manifest[], kind: string, name: string): Manifest => {
  const found = manifests.find((one) => one.kind === kind && one.metadata.name === name);
  assert.ok(found, `no ${kind} ${name}`);
  return found;
};

describe('the chart’s own files', () => {
  it('deploy/sallyport.yaml is what the chart gives without helm (make manifests writes it anew)', async () => {
    assert.equal(readFileSync(join(ROOT, 'deploy/sallyport.yaml'), 'utf8'), await manifests(await helm()));
  });

  it('values.yaml holds every default, and nothing else', () => {
    const written = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8'));
    assert.deepEqual(written, JSON.parse(JSON.stringify(schema.parse({}))));
  });

  it('alerts and dashboard ask for metrics that there are', () => {
    const known = readFileSync(join(ROOT, 'docs/metrics.md'), 'utf8');
    const asked = ['alerts.yaml', 'dashboard.json'].map((name) => readFileSync(join(CHART, 'files', name), 'utf8'));
    const names = new Set([...asked.join('\n').matchAll(/sallyport_[a-z_]+/g)].map(([name]) => name));
    assert.ok(names.size > 25);
    for (const name of names) assert.ok(known.includes(`\`${name.replace(/_bucket$/, '')}\``), name);
  });
});

for (const [name, { values, kubernetes }] of Object.entries(CASES)) {
  describe(`values "${name}"`, () => {
    let made: Manifest[];

    it('are linted, and give what they gave (UPDATE_SNAPSHOTS=1 writes them anew)', async () => {
      const { code, stdout, stderr } = await template(values, '--kube-version', kubernetes);
      assert.equal(code, 0, stderr);
      made = await render(values, '--kube-version', kubernetes);
      // What is copied from elsewhere has tests of its own, and would be in here four times.
      const own = stdout
        .split(/^(?=---\n# Source: )/m)
        .filter(
          (part) =>
            !/^# Source: sallyport\/templates\/guards\.yaml/m.test(part) &&
            !part.includes('\n  approvalrequests.yaml: |'),
        )
        .filter((part) => !part.includes('\n  sallyport.json: |'))
        .join('');
      const file = join(ROOT, 'test/chart/snapshots', `${name}.yaml`);
      if (process.env['UPDATE_SNAPSHOTS'] === '1' || !existsSync(file)) writeFileSync(file, own);
      assert.equal(own, readFileSync(file, 'utf8'));
    });

    it('give a configuration that the gateway finds sound', () => {
      const text = of(made, 'ConfigMap', 'sallyport')['data']['sallyport.yaml'] as string;
      const configuration = parseConfiguration(text, 'sallyport.yaml');
      assert.equal(configuration.upstream.namespace, NAMESPACE);
      assert.equal(configuration.controller.enabled, false);
      assert.equal(configuration.listen.port, 8443);
    });

    it('give Pods on a read-only root, without a right that they do not need', () => {
      const bearers = made.filter((one) => ['StatefulSet', 'Deployment', 'Job', 'Pod'].includes(one.kind));
      assert.ok(bearers.length >= 3);
      for (const bearer of bearers) {
        const spec = bearer.kind === 'Pod' ? bearer['spec'] : bearer['spec'].template.spec;
        assert.equal(spec.securityContext.runAsNonRoot, true, bearer.metadata.name);
        for (const { securityContext } of spec.containers) {
          assert.equal(securityContext.readOnlyRootFilesystem, true);
          assert.equal(securityContext.allowPrivilegeEscalation, false);
          assert.deepEqual(securityContext.capabilities, { drop: ['ALL'] });
        }
        assert.equal(spec.enableServiceLinks, false);
      }
    });

    it('never give a webhook’s configuration', () => {
      assert.deepEqual(
        made.filter((one) => one.kind.endsWith('WebhookConfiguration')),
        [],
      );
    });

    it('give policies that compile', () => {
      const policies = made.filter((one) => one.kind === 'AgentPolicy');
      assert.deepEqual(compile(policies as never, { gatewayNamespace: NAMESPACE }).errors, []);
      for (const rule of policies.flatMap((policy) => policy['spec'].rules)) assert.notEqual(rule.action, 'Allow');
    });
  });
}

describe('the accounts', () => {
  const rules = (manifests: readonly Manifest[]) =>
    of(manifests, 'ClusterRole', 'sallyport-gateway')['rules'] as Rule[];
  interface Rule {
    readonly apiGroups?: string[];
    readonly resources?: string[];
    readonly resourceNames?: string[];
    readonly verbs: string[];
  }
  const groupsOf = (all: readonly Rule[]) => all.filter((rule) => rule.resources?.includes('groups'));

  it('from 1.36 on the gateway has no legacy verb; groups are named', async () => {
    const all = rules(await render(CASES['people-and-s3']!.values, '--kube-version', '1.36.0'));
    assert.ok(!all.some((rule) => rule.verbs.includes('impersonate')));
    assert.deepEqual(groupsOf(all), [
      {
        apiGroups: ['authentication.k8s.io'],
        resources: ['groups'],
        resourceNames: ['sallyport:developers', 'sallyport:ai-agents'],
        verbs: ['impersonate:user-info'],
      },
    ]);
  });

  it('before it has that verb alone, and the groups are named all the same', async () => {
    const all = rules(await render(CASES['people-and-s3']!.values, '--kube-version', '1.35.2'));
    assert.ok(!all.some((rule) => rule.verbs.some((verb) => verb.includes(':'))));
    assert.deepEqual(groupsOf(all)[0]?.resourceNames, ['sallyport:developers', 'sallyport:ai-agents']);
  });

  it('without any group there is no rule, which would be one for all', async () => {
    const all = rules(await render({ config: { identity: { tokenReview: null } } }));
    assert.deepEqual(groupsOf(all), []);
  });

  /** Every single right that rules give: `verb group/resource/name`. */
  const rights = (all: readonly Rule[]): string[] =>
    all.flatMap(({ apiGroups = ['-'], resources = [], resourceNames = ['*'], verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) =>
          resourceNames.flatMap((name) => verbs.map((verb) => `${verb} ${group}/${resource}/${name}`)),
        ),
      ),
    );
  const rulesOf = (manifests: readonly Manifest[], account: string): Rule[] =>
    manifests
      .filter((one) => /^(Cluster)?Role$/.test(one.kind) && one.metadata.name === account)
      .flatMap((one) => one['rules'] as Rule[]);
  const example = (file: string): Manifest[] =>
    parseAllDocuments(readFileSync(join(ROOT, 'examples/rbac', file), 'utf8')).map((one) => one.toJS() as Manifest);

  it('each has all the rights of its example in examples/rbac, but what the gateway leaves to the controller', async () => {
    const made = await render({ impersonation: { groups: ['*'], mode: 'Legacy' } });
    const missing = (account: string): string[] => {
      const given = rights(rulesOf(made, account));
      const file = `${account.replace('sallyport-', '')}.yaml`;
      // Its Service has a name of its own in the chart.
      return rights(rulesOf(example(file), account)).filter(
        (right) => !given.includes(right) && right !== 'get /services/sallyport',
      );
    };
    assert.deepEqual(missing('sallyport-controller'), []);
    const left =
      /leases|sallyport-ca|subjectaccessreviews|\/events\/|^delete sallyport\.dev\/approvalrequests|^update \/secrets\/sallyport-tls/;
    assert.deepEqual(
      missing('sallyport-gateway').filter((right) => !left.test(right)),
      [],
    );
  });

  it('no account but the gateway’s impersonates, none reads Secrets that it does not name', async () => {
    const manifests = await render({});
    for (const role of manifests.filter((one) => one.kind === 'ClusterRole' || one.kind === 'Role')) {
      for (const rule of role['rules'] as Rule[]) {
        const name = role.metadata.name;
        if (name !== 'sallyport-gateway') assert.ok(!rule.verbs.some((verb) => verb.startsWith('impersonate')), name);
        if (!rule.resources?.includes('secrets') || rule.verbs.join() === 'create') continue;
        assert.ok((rule.resourceNames ?? []).length > 0, `${name}: any Secret`);
        if (name === 'sallyport-gateway') assert.ok(!rule.resourceNames!.includes('sallyport-ca'));
      }
    }
  });
});

describe('wrong values', () => {
  const refused: readonly (readonly [string, object, RegExp])[] = [
    ['an unknown key', { imag: { tag: 'x' } }, /additional properties 'imag' not allowed/],
    ['an unknown key within', { service: { typ: 'NodePort' } }, /at '\/service': additional properties 'typ'/],
    ['an unknown key of the configuration', { config: { limits: { bust: 1 } } }, /at '\/config\/limits': .*'bust'/],
    ['what the chart sets', { config: { listen: { port: 1 } } }, /at '\/config\/listen': .*'port'/],
    ['a wrong type', { gateway: { replicas: 'two' } }, /at '\/gateway\/replicas'/],
    ['a word that is none of the choices', { certificates: { source: 'Vault' } }, /at '\/certificates\/source'/],
    ['an issuer without its name', { certificates: { source: 'CertManager' } }, /issuerRef\.name is missing/],
    ['an Ingress without a host', { ingress: { enabled: true } }, /ingress\.host is missing/],
  ];
  for (const [what, values, words] of refused) {
    it(`${what} is refused, by its name`, async () => {
      const { code, stderr } = await template(values);
      assert.notEqual(code, 0);
      assert.match(stderr, words);
    });
  }

  it('helm lint is content with the chart', async () => {
    const { code, stdout, stderr } = await runHelm(['lint', '--strict', CHART]);
    assert.equal(code, 0, stdout + stderr);
  });
});
