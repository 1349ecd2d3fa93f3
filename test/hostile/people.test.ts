import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ApprovalRequest } from '../../src/approval/approval-request.generated.ts';
import { NOON, requestOf, said } from '../../src/approval/cases.ts';
import { takeDecision } from '../../src/approval/deciding.ts';
import { withNotified } from '../../src/approval/notified.ts';
import { ApprovalTable } from '../../src/cli/approval-table.ts';
import { viewOf } from '../../src/cli/approval-view.ts';
import { type CommandIO, runCommand } from '../../src/cli/command-io.ts';
import { refusalBefore } from '../../src/cli/decision-refusal.ts';
import { table } from '../../src/cli/table.ts';
import { ApprovalAudit } from '../../src/controller/approval-audit.ts';
import { Events } from '../../src/notify/events.ts';
import { mailHTML, mailText } from '../../src/notify/mail-body.ts';
import { headlineOf, type Message, noticeOf } from '../../src/notify/notice.ts';
import { slackMessage } from '../../src/notify/slack.ts';
import { webhookBody } from '../../src/notify/webhook.ts';
import { createLog } from '../../src/observe/log.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import type { Own } from '../../src/upstream/own.ts';
import { assertHarmless, HOSTILE, stringsOf } from './corpus.ts';

const LINK = 'https://console.shop.example/{namespace}/{name}';

/** As if the gateway had escaped nothing: whatever shows it to people must not rely on that. */
function requestWith(text: string): ApprovalRequest {
  const { requester, operation } = requestOf().spec;
  return requestOf({
    requester: { ...requester, username: text, agent: text, onBehalfOf: text, session: text },
    operation: { ...operation, display: text, path: text, name: text, command: [text] },
    summary: `command: kubectl exec web -- ${text}\nrequester: alice\nwhy: ${text}`,
    reason: text,
    ruleName: text,
    diff: `--- live\n+++ requested\n+${text}\n`,
    diffRef: { digest: 'ab'.repeat(32), sizeBytes: 1, locator: text, truncated: true },
    grant: { rule: text, maxDuration: '30m' },
    requiredApprovals: 2,
  });
}

function messageWith(text: string): Message {
  return {
    id: 'msg_1',
    time: new Date(NOON),
    notices: [noticeOf(requestWith(text), LINK), noticeOf(requestWith(text), LINK)],
  };
}

/** Text objects of Block Kit by their type. */
function* textObjects(value: unknown): Generator<{ type: string; text?: unknown; url?: unknown }> {
  if (typeof value !== 'object' || value === null) return;
  if ('type' in value) yield value as { type: string };
  for (const part of Object.values(value)) yield* textObjects(part);
}

for (const [index, text] of HOSTILE.entries()) {
  test(`hostile text ${index} on a terminal: what kubectl approve shows, its refusals, the list`, async () => {
    const object = requestWith(text);
    const view = viewOf(object, NOON);
    assertHarmless(view, true);
    const lines = view.split('\n');
    assert.equal(lines.filter((line) => line.startsWith('shop/')).length, 1, 'the first line cannot be forged');
    assert.match(lines[1]!, /^ {2}NOT SHOWN IN FULL/);
    for (const line of lines.slice(1, -1))
      assert.match(line, /^ {2}/, 'everything else is indented, so no line passes for ours');
    // In colours nothing but our own two sequences is added.
    const painted = viewOf(object, NOON, (line) => `\u001b[32m${line}\u001b[0m`);
    assertHarmless(painted.replaceAll('\u001b[32m', '').replaceAll('\u001b[0m', ''), true);

    const { rows } = { rows: new ApprovalTable().rows(tableWith(text)) };
    const printed = table(
      ['NAMESPACE', 'NAME', 'OPERATION'],
      rows.map((row) => [row.namespace, row.name, row.operation]),
    );
    assertHarmless(printed, true);
    assert.equal(printed.split('\n').length, 3, 'one line a request');

    for (const decided of [
      said(object, 'Denied', 'bob', { reason: text }),
      said(requestOf(), 'Denied', 'bob', { reason: text }),
    ]) {
      const { status } = takeDecision(decided, NOON)!;
      const refusal = refusalBefore({ ...decided, status }, { type: 'Approved', username: 'bob' });
      const shown = await errorOf(refusal ?? '');
      assertHarmless(shown, true);
    }
    assertHarmless(await errorOf(text), true);
  });

  test(`hostile text ${index} in Slack: taken as it is, no mention, no link but ours`, () => {
    const body = slackMessage(messageWith(text), true) as { text: string; blocks: object[] };
    // As it is sent: escaped by JSON, and once more when it is read.
    for (const shown of stringsOf(JSON.parse(JSON.stringify(body)))) assertHarmless(shown, true);
    assert.doesNotMatch(body.text, /[<>]|https?:/, 'what Slack parses holds names and our commands only');
    for (const object of textObjects(body.blocks)) {
      assert.notEqual(object.type, 'mrkdwn', 'nothing of it is parsed');
      if (object.type === 'plain_text') assert.match(String(object.text), /^2 requests wait for a decision: shop\/ar-/);
      if (object.type === 'link')
        assert.match(String(object.url), /^https:\/\/console\.shop\.example\/shop\/ar-04hmasw9nf-1$/);
    }
    assert.ok(body.blocks.length <= 50);
  });

  test(`hostile text ${index} in a webhook and in mail`, () => {
    const message = messageWith(text);
    for (const shown of stringsOf(JSON.parse(JSON.stringify(webhookBody(message, true))))) assertHarmless(shown, true);
    assertHarmless(headlineOf(message));
    assert.match(headlineOf(message), /^2 requests wait for a decision: shop\/ar-04hmasw9nf-1, shop\/ar-04hmasw9nf-1$/);
    const plain = mailText(message, true);
    assertHarmless(plain, true);
    const links = plain.match(/[a-z]+:\/\/\S+|\bwww\.\S+/gi) ?? [];
    assert.deepEqual([...new Set(links)], ['https://console.shop.example/shop/ar-04hmasw9nf-1'], 'links are ours');
    const html = mailHTML(message, true);
    assertHarmless(html, true);
    const tags = [...html.matchAll(/<[^>]*>/g)].map(([tag]) => tag);
    const ours =
      /^<(?:!doctype html|meta charset="utf-8"|\/?(?:p|h3|pre|code|a)|hr|wbr|a href="https:\/\/console\.shop\.example\/shop\/ar-04hmasw9nf-1")>$/;
    for (const tag of tags) assert.match(tag, ours);
    assert.doesNotMatch(html.replace(/<a href="[^"]*">/g, ''), /[a-z]:\/\//i);
    assert.doesNotMatch(html.replace(/<[^>]*>/g, '\n'), /&(?!amp;|lt;|gt;|quot;|#39;)/, 'no entity but ours');
  });

  test(`hostile text ${index} in the audit line, the condition and Events`, async () => {
    const written: string[] = [];
    const log = createLog('debug', { write: (line) => void written.push(line) });
    const made: object[] = [];
    const own = { create: async (_kind: string, draft: object) => void made.push(draft) } as unknown as Own;
    const audit = new ApprovalAudit(log, new Metrics('test'), new Events(own, log));
    const object = requestWith(text);
    audit.requested(object);
    audit.notified(object, 'slack');
    for (const decided of [
      said(object, 'Denied', text, { reason: text }),
      said(object, 'Approved', 'bob', { reason: text }),
    ]) {
      const deciding = takeDecision(decided, NOON)!;
      audit.decided(decided, deciding, NOON);
      audit.ended(decided, deciding.status);
    }
    assert.ok(written.length >= 3);
    for (const line of written) {
      assertHarmless(line.replace(/\n$/, ''));
      for (const shown of stringsOf(JSON.parse(line))) assertHarmless(shown);
    }
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(made.length >= 2);
    for (const shown of stringsOf(made)) assertHarmless(shown);
    // Names only: nothing of the request itself is in an Event.
    assert.ok(!JSON.stringify(made).includes('kubectl exec web'));
    const status = withNotified(object, { sent: [], failing: [{ channel: 'ops', error: text }], done: false }, NOON)!;
    for (const shown of stringsOf(status)) assertHarmless(shown);
  });
}

async function errorOf(message: string): Promise<string> {
  let shown = '';
  const io: CommandIO = { stdout: (part) => void (shown += part), stderr: (part) => void (shown += part), env: {} };
  await runCommand({ name: 'approve', usage: '' }, [], io, async () => {
    throw new Error(message);
  });
  return shown;
}

/** As the API server would send it. */
function tableWith(text: string): object {
  const names = ['Name', 'Phase', 'Requester', 'Agent', 'Operation', 'Policy', 'Expires', 'Age'];
  const metadata = { name: text, namespace: text, creationTimestamp: '2026-06-01T12:00:00Z' };
  return {
    columnDefinitions: names.map((name) => ({ name })),
    rows: [{ cells: names.map(() => text), object: { metadata } }],
  };
}
