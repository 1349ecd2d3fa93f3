import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Body, parseBody, withDeleteOptions } from '../../src/request/body.ts';
import { ACCEPTED } from '../../src/request/cases/yaml.ts';
import { writeJson } from '../../src/request/json.ts';
import { parseRequest } from '../../src/request/request.ts';
import { parseYaml } from '../../src/request/yaml.ts';
import { type Cluster, sharedCluster } from '../cluster/cluster.ts';

/** What bodies mean to a real API server: the oracle of body.ts and yaml.ts. */
describe('the API server reads bodies as parseBody says', { timeout: 120_000 }, () => {
  let cluster: Cluster;
  let namespace: string;
  const group = `bodies-${randomBytes(4).toString('hex')}.test.example`;
  const definition = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.${group}`;
  const things = (): string => `/apis/${group}/v1/namespaces/${namespace}/things`;

  before(async () => {
    cluster = await sharedCluster();
    namespace = await cluster.namespace('bodies');
    const made = await cluster.admin('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: `things.${group}` },
      spec: {
        group,
        scope: 'Namespaced',
        names: { plural: 'things', singular: 'thing', kind: 'Thing', listKind: 'ThingList' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: {
              openAPIV3Schema: {
                type: 'object',
                properties: { spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
              },
            },
          },
        ],
      },
    });
    assert.equal(made.status, 201, made.body);
    for (let i = 0; i < 100 && (await cluster.admin('GET', things())).status !== 200; i++) await sleep(100);
  });
  after(async () => {
    await cluster?.admin('DELETE', definition);
    await cluster?.admin('DELETE', `/api/v1/namespaces/${namespace}`);
    await cluster?.stop();
  });

  it('YAML: what is accepted here is the same JSON there', async () => {
    const differences: string[] = [];
    for (const [yaml] of ACCEPTED) {
      const spec = writeJson(parseYaml(yaml));
      const head = `apiVersion: ${group}/v1\nkind: Thing\nmetadata: {name: x}\n`;
      const content = yaml.replace(/^(?:# .*\n)?---\n/, '').replace(/\n\.\.\.\n$/, '');
      const body = content.startsWith('{')
        ? `${head}spec: ${content}`
        : `${head}spec:\n${content.replace(/^(?=.)/gm, '  ')}`;
      const answer = await cluster.admin('POST', `${things()}?dryRun=All`, body, 'application/yaml');
      assert.equal(answer.status, 201, `${yaml}: ${answer.body}`);
      // The text, since JSON.parse would round what is to be compared.
      const stored = /"spec":(\{.*\})\}\s*$/s.exec(answer.body)?.[1];
      if (stored !== spec) differences.push(`${JSON.stringify(yaml)}: there ${stored}, here ${spec}`);
    }
    assert.deepEqual(differences, []);
  });

  it('server-side apply: what is written for a YAML reader is what was decided on', async () => {
    const target = `${things()}/x?fieldManager=test&dryRun=All`;
    const operation = parseRequest('PATCH', target, { contentType: 'application/apply-patch+yaml' });
    const text = 'a\u2028b\u2029c\u0085d\u007f\ufeffe😀\n\t"\\yes: no # x';
    const sent = `{"apiVersion":"${group}/v1","kind":"Thing","metadata":{"name":"x"},"spec":{${[
      `"text":${JSON.stringify(text)}`,
      `"${'k\u2028'.repeat(3)}":1`,
      '"numbers":[1.0,1e3,-0,9007199254740993,18446744073709551615,0.1,1E-7]',
      '"words":["yes","012","1_000","22:22","~","<<","2001-01-01",null,true]',
    ].join(',')}}}`;
    const body = parseBody(operation, 'application/apply-patch+yaml', Buffer.from(sent));
    const answer = await cluster.admin('PATCH', target, Buffer.from(body.bytes).toString(), body.contentType);
    assert.equal(answer.status, 201, answer.body);
    const { spec } = answer.json();
    const decided = JSON.parse(body.json!).spec;
    assert.equal(spec.text, text);
    assert.deepEqual(spec, decided);
    assert.match(answer.body, /9007199254740993/);
  });

  it('deletes: a body silences the dry run of the query', async () => {
    const path = `/api/v1/namespaces/${namespace}/configmaps/c`;
    const cases: [query: string, body: string | undefined][] = [
      ['?dryRun=All', undefined],
      ['?dryRun=All', '{}'],
      ['?dryRun=All', '{"dryRun":[]}'],
      ['?dryRun=All', '{"DryRun":["All"]}'],
      ['?dryRun=All', '{"dryRun":null}'],
      ['', '{"dryRun":["All"]}'],
      ['', '{"dryRun":["All","All"]}'],
      ['?dryRun=All', '{"dryRun":["All"]}'],
      ['', undefined],
      ['', '{}'],
    ];
    for (const [query, text] of cases) {
      await cluster.admin('POST', `/api/v1/namespaces/${namespace}/configmaps`, { metadata: { name: 'c' } });
      const operation = parseRequest('DELETE', path + query);
      const body: Body | undefined =
        text === undefined ? undefined : parseBody(operation, undefined, Buffer.from(text));
      const answer = await cluster.admin('DELETE', path + query, text);
      assert.equal(answer.status, 200, answer.body);
      const stayed = (await cluster.admin('GET', path)).status === 200;
      assert.equal(withDeleteOptions(operation, body).dryRun, stayed, `DELETE ${query} ${text}`);
    }
  });

  it('token requests ignore dryRun, and are never taken for one', async () => {
    const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`;
    await cluster.admin('POST', accounts, { metadata: { name: 'robot' } });
    const target = `${accounts}/robot/token?dryRun=All`;
    const answer = await cluster.admin('POST', target, { spec: { expirationSeconds: 600 } });
    assert.equal(answer.status, 201, answer.body);
    assert.ok(answer.json().status.token.length > 100, 'a real token');
    assert.equal(parseRequest('POST', target).dryRun, false);
  });

  it('dryRun with another value than All is refused there too', async () => {
    for (const query of ['dryRun=', 'dryRun=all', 'dryRun=All&dryRun=x', 'dryRun=true']) {
      const target = `/api/v1/namespaces/${namespace}/configmaps?${query}`;
      const answer = await cluster.admin('POST', target, { metadata: { name: 'never' } });
      assert.ok(answer.status >= 400, `${query}: ${answer.status}`);
      assert.throws(() => parseRequest('POST', target), { code: 'SP_BAD_REQUEST' });
    }
  });
});
