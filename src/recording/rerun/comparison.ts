import { objectDiff } from '../../approval/object-diff.ts';
import { escapeLine } from '../../errors.ts';
import { findMarkers } from '../../masking/marker.ts';
import { decodeData, type RecordedBody } from '../line.ts';

/** Filled in by whichever server answers: never the same in two clusters. */
const SERVERS_OWN = new Set([
  'uid',
  'resourceVersion',
  'creationTimestamp',
  'managedFields',
  'generation',
  'selfLink',
  'deletionTimestamp',
]);
const MASKED = '(masked)';
const MOST_DIFF = 4_096;

export interface Difference {
  readonly same: boolean;
  /** In one line: `200`, `201, then 409 AlreadyExists`. */
  readonly status: string;
  /** A unified diff, escaped; undefined where the bodies are the same or cannot be compared. */
  readonly diff: string | undefined;
  /** Why bodies were not compared. */
  readonly note: string | undefined;
}

/**
 * How an answer differs from the recorded one. What servers fill in themselves is left out; what was masked then, and what is masked
 * now, counts as the same, and no value of it is shown.
 * @param now its body already masked
 */
export function compareAnswers(
  recorded: { readonly code: number; readonly body: RecordedBody | undefined },
  now: { readonly status: number; readonly body: Buffer },
  dryRun: boolean,
): Difference {
  const after = parsed(now.body);
  const reason =
    (after as { kind?: unknown; reason?: unknown } | undefined)?.kind === 'Status'
      ? (after as { reason?: unknown }).reason
      : undefined;
  const status =
    recorded.code === now.status
      ? String(now.status)
      : `${recorded.code}, now ${now.status}${typeof reason === 'string' ? ` ${escapeLine(reason)}` : ''}`;
  const sameStatus = recorded.code === now.status;
  const { body } = recorded;
  if (body?.data === undefined || body.truncated === true) {
    const note = body === undefined ? 'the recorded answer has no body' : 'the recorded answer was not kept whole';
    return { same: sameStatus, status, diff: undefined, note };
  }
  const before = parsed(decodeData(body));
  if (before === undefined || after === undefined) {
    const same = sameStatus && decodeData(body).equals(now.body);
    return { same, status, diff: undefined, note: same ? undefined : 'the bodies are no JSON, and differ' };
  }
  const left = comparable(before, dryRun);
  const right = comparable(after, dryRun);
  if (JSON.stringify(left) === JSON.stringify(right))
    return { same: sameStatus, status, diff: undefined, note: undefined };
  return {
    same: false,
    status,
    diff: objectDiff(left, right, MOST_DIFF).text.replace('--- live\n+++ requested', '--- recorded\n+++ now'),
    note: undefined,
  };
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

function comparable(value: unknown, dryRun: boolean): unknown {
  if (typeof value === 'string') return findMarkers(Buffer.from(value)).length > 0 ? MASKED : value;
  if (Array.isArray(value)) return value.map((item) => comparable(item, dryRun));
  if (typeof value !== 'object' || value === null) return value;
  const object = value as Record<string, unknown>;
  if (object['kind'] === 'Table' && Array.isArray(object['rows'])) return table(object, dryRun);
  const entries = Object.entries(object)
    .filter(([name]) => !SERVERS_OWN.has(name))
    .map(([name, part]) => [name, comparable(part, dryRun)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries);
}

/** Of a Table its cells count, but for ages. */
function table(value: Record<string, unknown>, dryRun: boolean): unknown {
  const columns = (Array.isArray(value['columnDefinitions']) ? value['columnDefinitions'] : []) as { name?: unknown }[];
  const rows = value['rows'] as { cells?: unknown }[];
  return {
    kind: 'Table',
    rows: rows.map(({ cells }) =>
      (Array.isArray(cells) ? cells : [])
        .filter((_, index) => columns[index]?.name !== 'Age')
        .map((cell) => comparable(cell, dryRun)),
    ),
  };
}
