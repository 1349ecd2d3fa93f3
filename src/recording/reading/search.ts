import { escapeLine } from '../../errors.ts';
import { decodeData, type EventLine } from '../line.ts';
import type { NumberedLine } from '../stored-recording.ts';
import { typedForm } from './request-form.ts';

export interface SearchQuery {
  /** In the command of an exec, or in any of its arguments. */
  readonly argv?: string | undefined;
  /** `pods`, `pods/exec`, `deployments.apps`; with `namespace/name` behind a space or not: a part of it is enough. */
  readonly resource?: string | undefined;
  /** Anywhere: URI, command, bodies, streams, reasons. */
  readonly text?: string | undefined;
  /** Unix milliseconds. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
}

export interface Hit {
  readonly seq: number;
  readonly auditID: string;
  readonly time: string;
  /** The command as one would type it. */
  readonly command: string;
  /** Where it was found, and what stands around it. */
  readonly where: string;
  readonly excerpt: string;
}

const AROUND = 60;
/** Bytes of one stream that are held to find what is split between two pieces. */
const OVERLAP = 4_096;

/** Requests of a recording that a query finds, each once, in their order. Streams are searched across their pieces. */
export async function* search(lines: AsyncIterable<NumberedLine>, query: SearchQuery): AsyncGenerator<Hit> {
  const events = new Map<string, EventLine>();
  const found = new Set<string>();
  const tails = new Map<string, string>();
  for await (const { seq, line } of lines) {
    if (line.kind !== 'Event' && line.kind !== 'Frame') continue;
    if (found.has(line.auditID)) continue;
    let hit: { where: string; excerpt: string } | undefined;
    if (line.kind === 'Event') {
      if (!events.has(line.auditID)) events.set(line.auditID, line);
      hit = inEvent(line, query);
      if (line.stage === 'ResponseComplete' && hit === undefined) forget(line.auditID);
    } else {
      const event = events.get(line.auditID);
      if (event === undefined || query.text === undefined || !fits(event, query)) continue;
      const key = `${line.auditID} ${line.channel}`;
      const text = (tails.get(key) ?? '') + decodeData(line).toString('utf8');
      tails.set(key, text.slice(-Math.min(OVERLAP, query.text.length * 4)));
      hit = within(line.channel, text, query.text);
    }
    const event = events.get(line.auditID);
    if (hit === undefined || event === undefined) continue;
    found.add(line.auditID);
    const { auditID, requestReceivedTimestamp } = event;
    forget(auditID);
    yield { seq, auditID, time: requestReceivedTimestamp, command: typedForm(event), ...hit };
  }

  function forget(auditID: string): void {
    events.delete(auditID);
    for (const key of tails.keys()) if (key.startsWith(`${auditID} `)) tails.delete(key);
  }
}

/** What does not depend on a text. */
function fits(event: EventLine, { argv, resource, since, until }: SearchQuery): boolean {
  const time = Date.parse(event.requestReceivedTimestamp);
  if (since !== undefined && time < since) return false;
  if (until !== undefined && time >= until) return false;
  if (argv !== undefined) {
    const command = event.exec?.command ?? [];
    if (!command.some((word) => word.includes(argv)) && !command.join(' ').includes(argv)) return false;
  }
  return resource === undefined || resourceText(event).includes(resource);
}

function resourceText({ objectRef, requestURI }: EventLine): string {
  if (objectRef === undefined) return requestURI;
  const { resource, subresource, apiGroup, namespace, name } = objectRef;
  const type = `${resource}${apiGroup === undefined ? '' : `.${apiGroup}`}${subresource === undefined ? '' : `/${subresource}`}`;
  return `${type} ${namespace ?? ''}/${name ?? ''}`;
}

function inEvent(event: EventLine, query: SearchQuery): { where: string; excerpt: string } | undefined {
  if (!fits(event, query)) return undefined;
  const { text } = query;
  if (text === undefined) return { where: 'request', excerpt: resourceText(event) };
  const places: [string, string | undefined][] = [
    ['uri', event.requestURI],
    ['command', event.exec?.command.join(' ')],
    ['caller', [event.user.username, event.caller.agent, event.caller.onBehalfOf].join(' ')],
    ['resource', resourceText(event)],
    ['reason', event.decision?.reason],
    ['approval', event.approval?.decisions.map(({ username, reason }) => `${username} ${reason ?? ''}`).join(' ')],
    ['status', event.responseStatus?.message],
    ['error', event.error?.message],
    ['request body', event.requestBody && decodeData(event.requestBody).toString('utf8')],
    ['answer', event.responseBody && decodeData(event.responseBody).toString('utf8')],
  ];
  for (const [where, value] of places) {
    const hit = value === undefined ? undefined : within(where, value, text);
    if (hit !== undefined) return hit;
  }
  return undefined;
}

function within(where: string, value: string, text: string): { where: string; excerpt: string } | undefined {
  const at = value.indexOf(text);
  if (at === -1) return undefined;
  return { where, excerpt: value.slice(Math.max(0, at - AROUND), at + text.length + AROUND) };
}

/** One hit as a line, escaped. */
export function describeHit(recording: string, { time, auditID, command, where, excerpt }: Hit): string {
  return `${escapeLine(recording)}  ${escapeLine(time)}  ${escapeLine(command)}\n    ${where}: ${escapeLine(excerpt)}\n    id ${escapeLine(auditID)}\n`;
}
