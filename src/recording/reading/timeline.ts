import { hash } from 'node:crypto';
import { escapeLine } from '../../errors.ts';
import { decodeData, type EventLine, type RecordedBody } from '../line.ts';
import { recordingOf } from '../segment.ts';
import type { NumberedLine } from '../stored-recording.ts';
import { ending } from './asciicast.ts';
import { harmlessLines } from './escaping.ts';
import { typedForm } from './request-form.ts';

export interface TimelineOptions {
  /** Bodies and streams too. */
  readonly bodies?: boolean;
  /** Bytes of one body that are shown. */
  readonly bodyBytes?: number;
}

/** What is known of a request that has not ended yet. */
interface OpenRequest {
  readonly event: EventLine;
  frames: number;
  bytes: number;
  readonly channels: Map<string, { bytes: number; shown: Buffer[] }>;
}

/** Requests that are remembered at once: a forged recording that ends none of its requests is not to fill the memory. */
const MOST_OPEN = 10_000;

/**
 * A recording as text, one entry for each request when it ends, everything in it escaped: what an agent wrote can neither steer the
 * terminal nor look like a line of ours.
 */
export async function* timeline(
  lines: AsyncIterable<NumberedLine>,
  { bodies = false, bodyBytes = 4_096 }: TimelineOptions = {},
): AsyncGenerator<string> {
  const open = new Map<string, OpenRequest>();
  let begun = false;
  for await (const { seq, line, chain } of lines) {
    switch (line.kind) {
      case 'Segment':
        if (line.segment !== 1) break;
        if (!begun) yield* whose(line.recording);
        else yield `${time(line.time)}  ${escapeLine(line.recording.replica)} has a part in it from here on\n`;
        begun = true;
        break;
      case 'Frame': {
        const request = open.get(line.auditID);
        if (request === undefined) break;
        const bytes = decodeData(line);
        request.frames += 1;
        request.bytes += bytes.length;
        if (!bodies || line.channel === 'resize') break;
        const channel = request.channels.get(line.channel) ?? { bytes: 0, shown: [] };
        request.channels.set(line.channel, channel);
        if (channel.bytes < bodyBytes) channel.shown.push(bytes.subarray(0, bodyBytes - channel.bytes));
        channel.bytes += bytes.length;
        break;
      }
      case 'Event': {
        const before = open.get(line.auditID);
        if (line.stage !== 'ResponseComplete') {
          if (before === undefined && open.size < MOST_OPEN) {
            open.set(line.auditID, { event: line, frames: 0, bytes: 0, channels: new Map() });
          }
          break;
        }
        open.delete(line.auditID);
        yield* entry(line, before, bodies, bodyBytes);
        break;
      }
      case 'Gap':
        yield `${time(line.time)}  GAP: ${line.dropped} lines could not be kept: ${escapeLine(line.reason)}\n`;
        break;
      case 'Resume':
        yield `${time(line.time)}  the gateway was gone, and goes on\n`;
        break;
      case 'End':
        yield `${time(line.time)}  end of ${chain === undefined ? 'the recording' : `chain ${escapeLine(chain)}`}: ${escapeLine(line.reason)} (line ${seq})\n`;
        break;
      default:
        yield `${seq}  a line of an unknown kind\n`;
    }
  }
  for (const { event } of open.values()) {
    yield `${time(event.requestReceivedTimestamp)}  ${escapeLine(typedForm(event))}\n`;
    yield '    outcome unknown: it was let through, and its end is not recorded\n';
  }
}

function* whose({
  name,
  user,
  caller,
  startTime,
  replica,
}: {
  name: string;
  user: { username: string };
  caller: EventLine['caller'];
  startTime: string;
  replica: string;
}): Generator<string> {
  yield `recording: ${escapeLine(recordingOf(name))}\n`;
  yield `caller: ${escapeLine(user.username)} (${escapeLine(caller.issuer)})\n`;
  if (caller.agent !== undefined) yield `agent: ${escapeLine(caller.agent)}\n`;
  if (caller.onBehalfOf !== undefined) yield `on behalf of: ${escapeLine(caller.onBehalfOf)}\n`;
  if (caller.run !== undefined) yield `run: ${escapeLine(caller.run)}\n`;
  yield `since: ${escapeLine(startTime)}, at ${escapeLine(replica)}\n\n`;
}

function* entry(
  event: EventLine,
  before: OpenRequest | undefined,
  bodies: boolean,
  bodyBytes: number,
): Generator<string> {
  const { decision, approval, masked, bytes, durations, error } = event;
  yield `${time(event.requestReceivedTimestamp)}  ${escapeLine(typedForm(event))}\n`;
  const facts = [ending(event)];
  if (durations !== undefined) facts.push(`${durations.total} ms`);
  if (bytes !== undefined) facts.push(`${bytes.request} B in, ${bytes.response} B out`);
  if (before !== undefined && before.frames > 0) facts.push(`${before.frames} pieces of a stream, ${before.bytes} B`);
  if (decision?.policy !== undefined) {
    facts.push(`${decision.action} by ${escapeLine(decision.policy)}/${escapeLine(decision.rule ?? '')}`);
  }
  if (event.dryRun === true) facts.push('dry run');
  yield `    ${facts.join('  ')}\n`;
  if (error !== undefined) yield `    error: ${escapeLine(error.message)}\n`;
  if (approval !== undefined) {
    const said = approval.decisions.map(
      ({ type, username, reason }) => `${type} by ${username}${reason === undefined ? '' : `: ${reason}`}`,
    );
    yield `    approval ${escapeLine(`${approval.namespace}/${approval.name}`)}: ${escapeLine(said.join('; '))}\n`;
  }
  if (masked !== undefined) {
    const counts = Object.entries(masked).map(([what, count]) => `${what} ${count}`);
    yield `    masked: ${escapeLine(counts.join(', '))}\n`;
  }
  yield `    id ${escapeLine(event.auditID)}\n`;
  if (!bodies) return;
  yield* body('request', before?.event.requestBody ?? event.requestBody, bodyBytes);
  for (const [channel, { bytes: size, shown }] of before?.channels ?? []) {
    yield* block(channel, Buffer.concat(shown).toString('utf8'), size);
  }
  yield* body('answer', event.responseBody, bodyBytes);
}

function* body(what: string, recorded: RecordedBody | undefined, bodyBytes: number): Generator<string> {
  if (recorded === undefined) return;
  if (recorded.data === undefined) {
    yield `    ${what}: ${recorded.bytes} B, not kept (SHA-256 ${escapeLine(recorded.sha256 ?? 'unknown')})\n`;
    return;
  }
  if (recorded.encoding === 'base64') {
    yield `    ${what}: ${recorded.bytes} B that are no text (SHA-256 ${escapeLine(digestOf(recorded))})\n`;
    return;
  }
  yield* block(what, recorded.data.slice(0, bodyBytes), recorded.bytes);
}

/** Of the whole body: where all of it is kept, it is not written down beside it. */
function digestOf(recorded: RecordedBody): string {
  return recorded.sha256 ?? hash('sha256', decodeData(recorded), 'hex');
}

/** Every line of it begins as no line of ours does. */
function* block(what: string, text: string, bytes: number): Generator<string> {
  yield `    ${what}, ${bytes} B:\n`;
  const shown = harmlessLines(text.endsWith('\n') ? text.slice(0, -1) : text);
  yield `${shown
    .split('\n')
    .map((line) => `    | ${line}`)
    .join('\n')}\n`;
  if (Buffer.byteLength(text) < bytes) yield '    | … (cut: "-o json" has all that is kept)\n';
}

function time(timestamp: string): string {
  return escapeLine(timestamp.slice(0, 40));
}
