import type { Line, RecordingCounts } from './line.ts';

export const NO_COUNTS: RecordingCounts = { requests: 0, denied: 0, masked: 0, dropped: 0 };

/** What a line adds to the counts of its recording. A request counts when it is complete: then all of it is known. */
export function countLine(counts: RecordingCounts, line: Line): RecordingCounts {
  if (line.kind === 'Gap') return { ...counts, dropped: counts.dropped + line.dropped };
  if (line.kind !== 'Event' || line.stage !== 'ResponseComplete') return counts;
  let masked = 0;
  for (const name in line.masked) masked += line.masked[name]!;
  return {
    requests: counts.requests + 1,
    denied: counts.denied + (line.outcome === 'Refused' ? 1 : 0),
    masked: counts.masked + masked,
    dropped: counts.dropped,
  };
}

export function sumCounts(a: RecordingCounts, b: RecordingCounts): RecordingCounts {
  return {
    requests: a.requests + b.requests,
    denied: a.denied + b.denied,
    masked: a.masked + b.masked,
    dropped: a.dropped + b.dropped,
  };
}
