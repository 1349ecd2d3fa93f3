import type { ApprovalRequest } from '../approval/approval-request.generated.ts';
import { parseDuration } from '../config/duration-text.ts';
import { escapeLine } from '../errors.ts';

/** `14m`, `2h3m`, `45s`: rounded down, two units at most. @param milliseconds at least 0 */
export function shortDuration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const;
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first === -1) return '0s';
  return parts
    .slice(first, first + (first === 2 && seconds >= 600 ? 1 : 2))
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount}${unit}`)
    .join('');
}

/** How long until a time of the API server; `over` when it is past. */
export function until(time: string | undefined, now: number): string {
  const left = Date.parse(time ?? '') - now;
  return left > 0 ? `in ${shortDuration(left)}` : 'over';
}

/**
 * All that a person must see before deciding: the summary, the terms, the change. Escaped once more: a terminal is no
 * place to trust anyone.
 * @param paint colours one line of the diff
 */
export function viewOf(object: ApprovalRequest, now: number, paint: (line: string) => string = (line) => line): string {
  const { metadata, spec, status } = object;
  const lines: string[] = [];
  const say = (text: string): void => void lines.push(`  ${escapeLine(text)}`);
  lines.push(
    escapeLine(
      `${metadata.namespace}/${metadata.name}: ${status?.phase ?? 'Pending'}, to be decided ${until(spec.expirationTime, now)}`,
    ),
  );
  if (spec.diffRef?.truncated === true) say('NOT SHOWN IN FULL: to approve it all the same takes --allow-truncated');
  for (const line of spec.summary.split('\n')) say(line);
  for (const line of termsOf(object)) say(line);
  if (spec.diff !== undefined && spec.diff !== '') {
    say('change:');
    for (const line of spec.diff.replace(/\n$/, '').split('\n')) lines.push(`    ${paint(escapeLine(line))}`);
  }
  if (spec.diffRef?.locator !== undefined)
    say(`change: ${spec.diffRef.sizeBytes} bytes, kept at ${spec.diffRef.locator}`);
  return `${lines.join('\n')}\n`;
}

function termsOf({ spec, status }: ApprovalRequest): string[] {
  const approvals = (status?.decisions ?? []).filter(({ type }) => type === 'Approved');
  const times = spec.maxUses === 1 ? 'once' : `${spec.maxUses} times`;
  const lines = [
    `if approved: may run ${times}, within ${shortDuration(parseDuration(spec.grantTTL) ?? 0)} of the approval`,
  ];
  if (spec.requiredApprovals > 1) {
    const by = approvals.length === 0 ? '' : ` (so far ${approvals.map(({ username }) => username).join(', ')})`;
    lines.push(`approvals: ${approvals.length} of ${spec.requiredApprovals}${by}`);
  }
  if (spec.grant !== undefined) {
    lines.push(
      `with --for: every request that rule ${spec.grant.rule} asks about, of this agent session in this namespace, for up to ${shortDuration(parseDuration(spec.grant.maxDuration) ?? 0)}`,
    );
  }
  return lines;
}

/** A line of a diff in the colours of a diff. */
export function paint(line: string): string {
  const code = line.startsWith('+') ? '32' : line.startsWith('-') ? '31' : line.startsWith('@@') ? '36' : undefined;
  return code === undefined ? line : `\u001b[${code}m${line}\u001b[0m`;
}
