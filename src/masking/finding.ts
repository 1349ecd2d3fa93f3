/** What a detector recognised: a range of one text, in characters (one for each byte). */
export interface Finding {
  readonly start: number;
  readonly end: number;
  readonly kind: string;
  /** A block that began here and ends on a later line. */
  readonly open?: boolean;
  /** A later part of a block whose placeholder stands already: nothing is written for it. */
  readonly silent?: boolean;
  /** Set by a rule's own pattern: whose it is. */
  readonly rule?: string;
}

/** Sorts findings and joins those that overlap; the one that begins first gives the name. */
export function joined(findings: Finding[]): Finding[] {
  if (findings.length < 2) return findings;
  findings.sort((a, b) => a.start - b.start || b.end - a.end || Number(isGeneric(a)) - Number(isGeneric(b)));
  const result: Finding[] = [];
  let last: Finding | undefined;
  for (const finding of findings) {
    if (last === undefined || finding.start >= last.end) {
      result.push((last = finding));
      continue;
    }
    if (finding.end <= last.end && !finding.open) continue;
    last = { ...last, end: Math.max(last.end, finding.end), ...(finding.open === true ? { open: true } : {}) };
    result[result.length - 1] = last;
  }
  return result;
}

/** Recognised by the name beside it only: a kind with a form of its own says more. */
const isGeneric = ({ kind }: Finding): boolean => kind.startsWith('generic-') || kind === 'authorization-header';
