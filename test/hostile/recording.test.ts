import assert from 'node:assert/strict';
import { test } from 'node:test';
import { table } from '../../src/cli/table.ts';
import { escapeLine } from '../../src/errors.ts';
import { SAMPLE_IDENTITY } from '../../src/recording/cases/sample-recording.ts';
import type { EventLine, Line } from '../../src/recording/line.ts';
import { asciicast } from '../../src/recording/reading/asciicast.ts';
import { harmlessJSON } from '../../src/recording/reading/escaping.ts';
import { kubernetesAuditEvent } from '../../src/recording/reading/kubernetes-audit.ts';
import { ocsfEvent } from '../../src/recording/reading/ocsf.ts';
import { describeHit, search } from '../../src/recording/reading/search.ts';
import { timeline } from '../../src/recording/reading/timeline.ts';
import type { NumberedLine } from '../../src/recording/stored-recording.ts';
import { eventLine, frameLine } from '../recording/made-recording.ts';
import { assertHarmless, HOSTILE } from './corpus.ts';

/** A recording in which every text that an agent, an object's author or a caller chose is the hostile one. */
function linesOf(text: string): Line[] {
  const identity = {
    ...SAMPLE_IDENTITY,
    user: { username: text, uid: text },
    caller: { method: text, issuer: text, agent: text, onBehalfOf: text, run: text, agentSession: text },
    startTime: text,
    replica: text,
  };
  const more: Partial<EventLine> = {
    auditID: text,
    verb: text,
    requestURI: `/${text}?${text}`,
    user: { username: text, uid: text, groups: [text] },
    caller: identity.caller,
    sourceIPs: [text],
    userAgent: text,
    objectRef: { resource: text, subresource: text, namespace: text, name: text, apiGroup: text, apiVersion: text },
    decision: { action: 'Deny', policy: text, rule: text, reason: text },
    approval: { namespace: text, name: text, decisions: [{ type: text, username: text, reason: text, time: text }] },
    masked: { [text]: 1 },
    error: { code: text, message: text },
    responseStatus: { code: 403, reason: text, message: text, status: text },
    requestBody: { contentType: text, bytes: text.length, sha256: text, data: text },
    responseBody: { contentType: text, bytes: text.length, sha256: text, data: `${text}\n${text}` },
  };
  const exec = { command: [text, text], container: text, stdin: true, stdout: true, stderr: true, tty: true };
  return [
    {
      kind: 'Segment',
      format: 'recording.sallyport.dev/v1',
      recording: identity,
      segment: 1,
      open: [],
      time: text,
      predecessor: undefined,
      counts: { requests: 0, denied: 0, masked: 0, dropped: 0 },
    },
    eventLine('RequestReceived', { ...more, exec }),
    frameLine(text, 1, 'stdout', text),
    frameLine(text, 2, 'stdout', text),
    frameLine(text, 3, 'resize', text),
    frameLine(text, 4, 'error', text),
    eventLine('ResponseComplete', { ...more, exec }),
    eventLine('RequestReceived', { ...more, auditID: `${text}2` }),
    { kind: 'Gap', time: text, dropped: 1, reason: text },
    { kind: 'End', time: text, reason: text as 'Idle' },
  ] as Line[];
}

async function* numbered(lines: readonly Line[]): AsyncGenerator<NumberedLine> {
  for (const [index, line] of lines.entries()) yield { seq: index + 1, hash: 'ab', line };
}
async function* plain(lines: readonly Line[]): AsyncGenerator<Line> {
  yield* lines;
}

for (const [index, text] of HOSTILE.entries()) {
  test(`hostile text ${index} (${escapeLine(text.slice(0, 30))}) is harmless wherever an auditor meets it`, async () => {
    const lines = linesOf(text);
    let shown = '';
    for await (const piece of timeline(numbered(lines), { bodies: true })) shown += piece;
    assertHarmless(shown, true);
    // What was recorded can forge no line of ours.
    assert.equal(shown.split('\n').filter((line) => line.startsWith('    approval ')).length, 1);
    assert.equal(shown.split('\n').filter((line) => line.startsWith('caller: ')).length, 1);

    for await (const hit of search(numbered(lines), { text: text === '' ? 'pods' : text.slice(0, 50) })) {
      assertHarmless(describeHit(text, hit), true);
      assertHarmless(harmlessJSON(hit));
    }
    assertHarmless(table(['NAME'], [[text]]), true);
    for (const line of lines) {
      const json = harmlessJSON(line);
      assertHarmless(json);
      assert.deepEqual(JSON.parse(json), JSON.parse(JSON.stringify(line)), 'the same value to whoever parses it');
      if (line.kind !== 'Event') continue;
      assertHarmless(harmlessJSON(kubernetesAuditEvent(line)));
      assertHarmless(harmlessJSON(ocsfEvent(line, { version: '1' })));
    }
    for (const version of [2, 3] as const) {
      for await (const line of asciicast(text, plain(lines), { version })) {
        assertHarmless(line);
        const parsed = JSON.parse(line) as unknown;
        if (!Array.isArray(parsed)) continue;
        const [, code, data] = parsed as [number, string, string];
        if (code === 'm') assertHarmless(data);
        // Terminal sequences are there, and only those of the list.
        const rest = data.replaceAll(/\u001b(?:\[\??[0-9;:]*[A-Za-ln-z@`]|\[[0-9;:]*m|[78DEHM=>]|[()][B0])/g, '');
        assertHarmless(rest.replaceAll(/[\r\n\t\b]/g, ''));
        assert.ok(!/\u001b\[[0-9;]*8m/.test(data.replaceAll(/\u001b\[[34]8;5;8m/g, '')), 'nothing is hidden');
      }
    }
  });
}
