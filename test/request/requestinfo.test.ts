import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:https';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { REQUEST_CASES } from '../../src/request/cases/all.ts';
import type { RequestCase } from '../../src/request/cases/case.ts';
import { parseRequest } from '../../src/request/request.ts';
import { type AuditEvent, type Cluster, sharedCluster } from '../cluster/cluster.ts';

const ANSWERED = REQUEST_CASES.filter((row) => typeof row.want !== 'string' && row.offline !== true);

/**
 * Every accepted row of the case table is sent to a real API server, as it stands and in its canonical form, by a user
 * who may do nothing (so that nothing happens). Its audit log says what it took the request for: the oracle.
 */
describe('the API server takes a request for what parseRequest says', { timeout: 120_000 }, () => {
  let cluster: Cluster;
  let agent: Agent;
  const events = new Map<string, AuditEvent>();
  const sent = new Map<string, { readonly row: RequestCase; readonly target: string; readonly id: string }>();

  function send(row: RequestCase, target: string): Promise<void> {
    const id = randomUUID();
    sent.set(id, { row, target, id });
    const { hostname, port } = new URL(cluster.url);
    return new Promise((resolve, reject) => {
      // `path` goes out as it stands; a URL would be normalised first.
      const asked = request(
        { host: hostname, port, agent, method: row.method, path: target, headers: { 'audit-id': id } },
        (answer) => void answer.resume().on('end', resolve).on('error', reject),
      );
      asked.on('error', reject);
      if (row.method !== 'GET' && row.method !== 'HEAD')
        asked.setHeader('content-type', row.contentType ?? 'application/json');
      asked.end(row.method === 'GET' || row.method === 'HEAD' || row.method === 'DELETE' ? undefined : '{}');
    });
  }

  before(async () => {
    cluster = await sharedCluster();
    const { certPem, keyPem } = await cluster.clientCertificate({ user: `nobody-${randomUUID()}` });
    agent = new Agent({ ca: cluster.caPem, cert: certPem, key: keyPem, keepAlive: true, maxSockets: 8 });
    await Promise.all(
      ANSWERED.flatMap((row) => {
        const operation = parseRequest(row.method, row.target, { contentType: row.contentType });
        const canonical = operation.query === '' ? operation.path : `${operation.path}?${operation.query}`;
        return [send(row, row.target), send(row, canonical)];
      }),
    );
    for (let i = 0; i < 100 && events.size < sent.size; i++) {
      for (const event of cluster.auditEvents((each) => sent.has(each.auditID))) {
        // A watch has ResponseStarted too; both stages say the same.
        events.set(event.auditID, event);
      }
      if (events.size < sent.size) await sleep(100);
    }
  });
  after(async () => {
    agent?.destroy();
    await cluster?.stop();
  });

  it('for every row, as given and in canonical form', () => {
    assert.ok(ANSWERED.length >= 140, `${ANSWERED.length} rows`);
    const differences: string[] = [];
    for (const { row, target, id } of sent.values()) {
      const operation = parseRequest(row.method, row.target, { contentType: row.contentType });
      const event = events.get(id);
      if (event === undefined) {
        differences.push(`${row.method} ${target}: not in the audit log`);
        continue;
      }
      const got = {
        verb: event.verb,
        apiGroup: event.objectRef?.apiGroup ?? '',
        apiVersion: (event.objectRef as { apiVersion?: string } | undefined)?.apiVersion ?? '',
        resource: event.objectRef?.resource ?? '',
        subresource: event.objectRef?.subresource ?? '',
        namespace: event.objectRef?.namespace ?? '',
        name: event.objectRef?.name ?? '',
      };
      const want = {
        verb: row.audit?.verb ?? operation.verb,
        apiGroup: operation.apiGroup,
        apiVersion: operation.apiVersion,
        resource: operation.resource,
        subresource: operation.subresource,
        namespace: operation.namespace,
        name: row.audit?.name ?? operation.name,
      };
      try {
        assert.deepEqual(got, want);
        assert.equal(event.requestURI, target);
      } catch (error) {
        differences.push(`${row.method} ${target}: ${(error as Error).message}`);
      }
    }
    assert.deepEqual(differences, []);
  });
});
