import type { Timestamp } from './line.ts';

const MILLISECONDS = Array.from({ length: 1_000 }, (_, milliseconds) => `${String(milliseconds).padStart(3, '0')}Z`);

let knownSecond = Number.NaN;
let known = '';

/**
 * As `Date.prototype.toISOString` writes it, RFC 3339 in UTC. What two moments of one second have in common is written once: an event
 * has two, and each cost as much as half of its hash.
 * @param time Unix milliseconds; fractions are cut off
 */
export function timestampOf(time: number): Timestamp {
  const second = Math.floor(time / 1_000);
  if (second !== knownSecond) {
    known = new Date(second * 1_000).toISOString().slice(0, -4);
    knownSecond = second;
  }
  return known + MILLISECONDS[Math.floor(time - second * 1_000)]!;
}
