import { createHash } from 'node:crypto';
import { structuredPatch } from 'diff';
import { stringify } from 'yaml';
import { escapeLine } from '../errors.ts';
import { hideValues } from './hidden-object.ts';

/** Bytes of a diff that stands in the ApprovalRequest itself (etcd is not filled); a longer one goes to a store. */
export const MAX_INLINE_DIFF = 64 * 1024;
/** Bytes of a diff at all. */
const MAX_DIFF = 1024 * 1024;
/** Bytes of one object's YAML that are compared. */
const MAX_YAML = 2 * 1024 * 1024;
/** Lines that may differ, and milliseconds: comparing must not hold up everyone else. */
const EFFORT = { maxEditLength: 4_000, timeout: 200 };

export interface ObjectDiff {
  /** Lines of a unified diff, escaped, values hidden. '' where nothing that may be shown differs. */
  readonly text: string;
  /** Something of the change is not in `text`; then its first line says so. */
  readonly truncated: boolean;
  readonly sizeBytes: number;
  /** SHA-256 of `text`. */
  readonly digest: string;
}

/**
 * What a request would change, for a person to read: a unified diff of both objects as YAML.
 * @param before the live object; undefined where there is none
 * @param after what the dry run gave; undefined for a deletion
 * @param mask gives an object as the masking rules let it be seen
 */
export function objectDiff(
  before: unknown,
  after: unknown,
  maxBytes = MAX_DIFF,
  mask?: (object: unknown) => unknown,
): ObjectDiff {
  const shown = (object: unknown, other?: unknown): unknown => {
    const hidden = hideValues(object, other);
    return mask === undefined ? hidden : overlay(hidden, object, mask(object));
  };
  const old = linesOf(before === undefined ? undefined : shown(before));
  const next = linesOf(after === undefined ? undefined : shown(after, before));
  const patch = structuredPatch('live', 'requested', old.text, next.text, '', '', { context: 3, ...EFFORT });
  const lines: string[] = [];
  if (patch === undefined) {
    // Too different to compare in time: all of the one, then all of the other.
    lines.push(...split(old.text).map((line) => `-${line}`), ...split(next.text).map((line) => `+${line}`));
  } else {
    for (const { oldStart, oldLines, newStart, newLines, lines: hunk } of patch.hunks) {
      const start = (line: number, count: number): string => `${count === 0 ? line - 1 : line},${count}`;
      lines.push(`@@ -${start(oldStart, oldLines)} +${start(newStart, newLines)} @@`);
      for (const line of hunk) if (!line.startsWith('\\')) lines.push(line);
    }
  }
  const head =
    lines.length === 0
      ? []
      : [`--- ${before === undefined ? 'nothing' : 'live'}`, `+++ ${after === undefined ? 'nothing' : 'requested'}`];
  return bounded([...head, ...lines].map(escapeLine), maxBytes, old.cut || next.cut);
}

/** Where a change cannot be shown: approving it takes the approver's `allowTruncated`. @param why after "could not be compared" */
export function noDiff(why: string): ObjectDiff {
  return bounded([escapeLine(`CUT: the change could not be compared (${why}); none of it is shown`)], MAX_DIFF, 'Said');
}

/**
 * What is hidden in the one or masked in the other is seen in neither. A value hidden here still tells whether it changed,
 * which a masked one does not.
 * @param raw what both were made of
 */
function overlay(hidden: unknown, raw: unknown, masked: unknown): unknown {
  if (Array.isArray(hidden) && Array.isArray(raw) && Array.isArray(masked) && hidden.length === masked.length) {
    return hidden.map((item, index) => overlay(item, raw[index], masked[index]));
  }
  if (isFields(hidden) && isFields(raw) && isFields(masked)) {
    const both = Object.entries(hidden).filter(([name]) => Object.hasOwn(masked, name));
    return Object.fromEntries(both.map(([name, value]) => [name, overlay(value, raw[name], masked[name])]));
  }
  // Hidden in whole or part: by recognition of names, which a mask of values may not see.
  if (typeof hidden !== 'object' && hidden !== raw) return hidden;
  return typeof masked === 'object' ? hideValues(masked) : masked;
}

function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @param alreadyCut `Said`: its first line says so */
function bounded(lines: readonly string[], maxBytes: number, alreadyCut: boolean | 'Said'): ObjectDiff {
  const whole = lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0);
  const truncated = alreadyCut !== false || whole > maxBytes;
  const shown: string[] = [];
  if (truncated && alreadyCut !== 'Said') {
    const first = `CUT: this is not the whole change; ${maxBytes} of ${alreadyCut ? 'more than ' : ''}${whole} bytes at most are shown`;
    shown.push(first);
    let left = maxBytes - Buffer.byteLength(first) - 1;
    for (const line of lines) {
      left -= Buffer.byteLength(line) + 1;
      if (left < 0) break;
      shown.push(line);
    }
  } else shown.push(...lines);
  const text = shown.map((line) => `${line}\n`).join('');
  return {
    text,
    truncated,
    sizeBytes: Buffer.byteLength(text),
    digest: createHash('sha256').update(text).digest('hex'),
  };
}

function linesOf(object: unknown): { text: string; cut: boolean } {
  if (object === undefined) return { text: '', cut: false };
  const text = stringify(object, { sortMapEntries: true, aliasDuplicateObjects: false, lineWidth: 0 });
  return text.length <= MAX_YAML ? { text, cut: false } : { text: text.slice(0, MAX_YAML), cut: true };
}

function split(text: string): string[] {
  return text === '' ? [] : text.replace(/\n$/, '').split('\n');
}
