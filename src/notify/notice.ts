import type { ApprovalRequest } from '../approval/approval-request.generated.ts';
import { cut } from '../approval/condition.ts';
import { escapeLine } from '../errors.ts';

/** One request as messages tell of it. Every text is bounded, one line (but summary and diff) and escaped. */
export interface Notice {
  readonly namespace: string;
  readonly name: string;
  /** The request as one would type it. */
  readonly command: string;
  /** Facts, a line each. */
  readonly summary: readonly string[];
  readonly requester: string;
  readonly agent: string | undefined;
  readonly onBehalfOf: string | undefined;
  readonly session: string | undefined;
  readonly policy: string;
  readonly rule: string;
  readonly reason: string;
  readonly expirationTime: string;
  readonly requiredApprovals: number;
  /** What an approver types. */
  readonly approve: string;
  readonly link: string | undefined;
  readonly diff: readonly string[] | undefined;
  /** Something of the request or its change is in none of these texts. */
  readonly truncated: boolean;
}

/** Requests of one agent session, or of one caller without a session, that came together. */
export interface Message {
  /** The same for every try and every channel. */
  readonly id: string;
  readonly time: Date;
  readonly notices: readonly Notice[];
}

/** Characters of a fact, of all facts, and of a diff. */
const MAX_LINE = 4_096;
const MAX_SUMMARY = 16_384;
const MAX_DIFF = 65_536;

/**
 * What may leave the cluster of a request.
 * @param linkURL with `{namespace}` and `{name}`
 */
export function noticeOf(object: ApprovalRequest, linkURL: string | undefined): Notice {
  const { metadata, spec } = object;
  const { namespace = '', name } = metadata;
  const { requester } = spec;
  const line = (text: string): string => cut(escapeLine(text), MAX_LINE);
  const summary = bounded(spec.summary.split('\n'), MAX_SUMMARY);
  const diff = spec.diff === undefined ? undefined : bounded(spec.diff.replace(/\n$/, '').split('\n'), MAX_DIFF);
  const optional = (text: string | undefined) => (text === undefined ? undefined : line(text));
  const command = summary.lines.find((one) => one.startsWith('command: '))?.slice('command: '.length);
  return {
    namespace: line(namespace),
    name: line(name),
    command: command ?? line(`${spec.operation.method} ${spec.operation.path}`),
    summary: summary.lines,
    requester: line(requester.username),
    agent: optional(requester.agent),
    onBehalfOf: optional(requester.onBehalfOf),
    session: optional(requester.session),
    policy: line(spec.policyRef.name),
    rule: line(spec.ruleName),
    reason: line(spec.reason),
    expirationTime: line(spec.expirationTime),
    requiredApprovals: spec.requiredApprovals,
    approve: `kubectl approve -n ${line(namespace)} ${line(name)}`,
    link: linkURL
      ?.replaceAll('{namespace}', encodeURIComponent(namespace))
      .replaceAll('{name}', encodeURIComponent(name)),
    diff: diff?.lines,
    truncated: spec.diffRef?.truncated === true || summary.isCut || diff?.isCut === true,
  };
}

/** The first line of every message: counts and names, nothing that an agent chose. */
export function headlineOf({ notices }: Message): string {
  const count = notices.length === 1 ? 'A request waits' : `${notices.length} requests wait`;
  const names = notices.slice(0, 5).map(({ namespace, name }) => `${namespace}/${name}`);
  return `${count} for a decision: ${names.join(', ')}${notices.length > 5 ? ', …' : ''}`;
}

/** Escaped lines, as many as there is room for; what is cut says so. */
function bounded(lines: readonly string[], characters: number): { lines: string[]; isCut: boolean } {
  const kept: string[] = [];
  let left = characters;
  let isCut = false;
  for (const whole of lines.map(escapeLine)) {
    const shown = cut(whole, MAX_LINE);
    left -= shown.length + 1;
    if (left < 0) return { lines: [...kept, 'CUT: there is more than is shown here'], isCut: true };
    isCut ||= shown.length < whole.length;
    kept.push(shown.length < whole.length ? `${shown} CUT: this line is longer` : shown);
  }
  return { lines: kept, isCut };
}
