import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { CommandIO } from '../../src/cli/command-io.ts';
import { runRecording } from '../../src/cli/recording-command.ts';
import { SAMPLE_IDENTITY } from '../../src/recording/cases/sample-recording.ts';
import type { EventLine, FrameLine, Line, RecordingIdentity } from '../../src/recording/line.ts';
import { Shipper } from '../../src/recording/shipping/shipper.ts';
import { newSigningKey, publicPEM, readSigningKey } from '../../src/recording/signing-key.ts';
import { Spool } from '../../src/recording/spool/spool.ts';
import { FilesystemStorage } from '../../src/recording/storage/filesystem.ts';
import type { Storage } from '../../src/recording/storage/storage.ts';

/** Writes recordings into a store as a gateway does: spool, parts, seal. */
export async function writeRecordings(
  storage: Storage,
  recordings: readonly {
    readonly identity: RecordingIdentity;
    readonly lines: readonly Line[];
    readonly open?: boolean;
  }[],
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-made-'));
  let shipper: Shipper | undefined;
  const spool = await Spool.open({
    folder,
    durability: 'Process',
    maxBytes: 1 << 30,
    minFreeBytes: 0,
    segmentBytes: 1 << 20,
    segmentAge: 3_600_000,
    events: { grown: (recording) => shipper?.grown(recording) },
  });
  const key = readSigningKey(newSigningKey());
  await storage.putMutable(`keys/${key.id}.pem`, Buffer.from(publicPEM(key)));
  shipper = new Shipper({ spool, storage, key, replica: 'made', partInterval: 5 });
  await shipper.start();
  for (const { identity, lines, open } of recordings) {
    const recording = spool.create(identity);
    for (let at = 0; at < lines.length; at += 100) await recording.append(lines.slice(at, at + 100), 50_000);
    if (open !== true) await recording.finish('Idle', '2026-01-02T04:00:00.000Z');
  }
  while (shipper.status.unshippedBytes > 0) await delay(10);
  await shipper.stop(10_000);
  await spool.close();
  rmSync(folder, { recursive: true, force: true });
}

export function storeInFolder(): { storage: FilesystemStorage; folder: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-store-'));
  return {
    storage: new FilesystemStorage(folder),
    folder,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Runs `sallyport recording …` on a store, and gives what it said. */
export async function recordingCommand(
  store: string,
  args: readonly string[],
  terminal?: CommandIO['terminal'],
): Promise<{ code: number; stdout: string; stderr: string }> {
  let stdout = '';
  let stderr = '';
  const io: CommandIO = {
    stdout: (text) => void (stdout += text),
    stderr: (text) => void (stderr += text),
    env: { SALLYPORT_STORE: store },
    terminal,
  };
  return { code: await runRecording(args, io), stdout, stderr };
}

let number = 0;
export function eventLine(stage: EventLine['stage'], more: Partial<EventLine> = {}): EventLine {
  return {
    kind: 'Event',
    level: 'RequestResponse',
    auditID: more.auditID ?? `00000000-0000-4000-8000-${String(++number).padStart(12, '0')}`,
    requestReceivedTimestamp: '2026-01-02T03:04:05.700Z',
    stageTimestamp: '2026-01-02T03:04:06.800Z',
    requestURI: '/api/v1/namespaces/shop/pods',
    verb: 'list',
    user: { username: 'alice@shop.example', uid: 'u-1', groups: ['developers'] },
    impersonatedUser: { username: 'sallyport:alice@shop.example', groups: ['sallyport:developers'] },
    caller: SAMPLE_IDENTITY.caller,
    sourceIPs: ['192.0.2.7'],
    userAgent: 'kubectl/v1.36.3',
    objectRef: { resource: 'pods', namespace: 'shop', apiVersion: 'v1' },
    decision: { action: 'Allow', policy: 'cursor', policyUID: 'p-1', policyGeneration: 2, rule: 'look-around' },
    ...(stage === 'ResponseComplete'
      ? {
          responseStatus: { code: 200 },
          outcome: 'Complete',
          bytes: { request: 0, response: 120 },
          durations: { total: 1_100, decision: 0.2, upstream: 3 },
        }
      : {}),
    ...more,
    stage,
  };
}

export function frameLine(auditID: string, elapsed: number, channel: FrameLine['channel'], data: string): FrameLine {
  return { kind: 'Frame', auditID, time: '2026-01-02T03:04:05.750Z', elapsed, channel, data };
}

/** What an agent does in an hour: reads, a refused write, an approved one, a shell, a log that is followed. */
export function anHour(): Line[] {
  const shell = eventLine('RequestReceived', {
    verb: 'create',
    requestURI: '/api/v1/namespaces/shop/pods/web-0/exec?command=sh&stdin=true&stdout=true&tty=true',
    objectRef: { resource: 'pods', subresource: 'exec', namespace: 'shop', name: 'web-0', apiVersion: 'v1' },
    exec: {
      command: ['sh', '-c', 'ls -l; exit 3'],
      container: 'web',
      stdin: true,
      stdout: true,
      stderr: false,
      tty: true,
    },
  });
  const log = eventLine('RequestReceived', {
    verb: 'get',
    requestURI: '/api/v1/namespaces/shop/pods/web-0/log?follow=true',
    objectRef: { resource: 'pods', subresource: 'log', namespace: 'shop', name: 'web-0', apiVersion: 'v1' },
  });
  const body = {
    contentType: 'application/json',
    bytes: 30,
    sha256: 'ab'.repeat(32),
    data: '{"kind":"ConfigMap","data":{}}',
  };
  const created = eventLine('RequestReceived', {
    verb: 'create',
    requestURI: '/api/v1/namespaces/shop/configmaps?fieldManager=kubectl',
    objectRef: { resource: 'configmaps', namespace: 'shop', name: 'greeting', apiVersion: 'v1' },
    requestBody: body,
    approval: {
      namespace: 'shop',
      name: 'ar-1',
      decisions: [{ type: 'Approved', username: 'bob', reason: 'ticket 17', time: '2026-01-02T03:04:00.000Z' }],
    },
  });
  const { requestBody: _, ...createdAgain } = created;
  return [
    eventLine('ResponseComplete', {
      responseBody: {
        contentType: 'application/json',
        bytes: 120,
        sha256: 'cd'.repeat(32),
        data: '{"kind":"PodList","items":[]}',
      },
      masked: { 'card-numbers/payment-card': 2 },
    }),
    created,
    { ...eventLine('ResponseComplete', { ...createdAgain, responseStatus: { code: 201 } }), responseBody: body },
    eventLine('ResponseComplete', {
      verb: 'delete',
      requestURI: '/apis/apps/v1/namespaces/vault/deployments/web',
      objectRef: { resource: 'deployments', apiGroup: 'apps', namespace: 'vault', name: 'web', apiVersion: 'v1' },
      decision: { action: 'Deny', policy: 'cursor', rule: 'hands-off', reason: 'not in vault' },
      responseStatus: { code: 403, status: 'Failure', reason: 'Forbidden', message: 'SP_POLICY_DENIED: not in vault' },
      outcome: 'Refused',
      error: { code: 'SP_POLICY_DENIED', message: 'not in vault' },
    }),
    eventLine('ResponseComplete', {
      verb: 'get',
      requestURI: '/version',
      objectRef: undefined,
      level: 'Metadata',
    } as never),
    shell,
    frameLine(shell.auditID, 10, 'resize', '{"Width":120,"Height":40}'),
    frameLine(shell.auditID, 50, 'stdin', 'ls\r'),
    frameLine(shell.auditID, 60, 'stdout', '\u001b[1;34mbin\u001b[0m  etc\r\n'),
    frameLine(shell.auditID, 30_060, 'stdout', 'needle in a hay'),
    frameLine(shell.auditID, 30_070, 'stdout', 'stack\r\n\u001b]52;c;ZXZpbA==\u0007'),
    frameLine(shell.auditID, 30_080, 'error', '{"status":"Failure","message":"exit 3"}'),
    { ...eventLine('ResponseComplete', { ...shell, responseStatus: { code: 101 } }), durations: { total: 30_100 } },
    log,
    { ...frameLine(log.auditID, 5, 'log', Buffer.from([0x66, 0xff, 0x0a]).toString('base64')), encoding: 'base64' },
    { ...eventLine('ResponseComplete', { ...log, outcome: 'ClientLeft', responseStatus: { code: 200 } }) },
    { kind: 'Gap', time: '2026-01-02T03:30:00.000Z', dropped: 3, reason: 'the spool is full' },
    eventLine('RequestReceived', {
      verb: 'delete',
      requestURI: '/api/v1/namespaces/shop/pods/web-1',
      objectRef: { resource: 'pods', namespace: 'shop', name: 'web-1', apiVersion: 'v1' },
    }),
  ];
}
