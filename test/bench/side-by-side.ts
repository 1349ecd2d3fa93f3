import { setTimeout as sleep } from 'node:timers/promises';
import type { Bed } from './bed.ts';
import { median, quantile } from './quantile.ts';

/** One of two whose latencies are compared. */
export interface Side {
  readonly channel: number;
  readonly p50: number[];
  readonly p99: number[];
  failed: number;
}

/**
 * Latency of two callers at the same time, each in an open loop of its own, their requests between each other: whatever stalls this
 * machine stalls both. One after the other they differ by what the API server happens to do meanwhile, several times what is looked for.
 * @param rate requests per second of each
 */
export async function sideBySide(
  bed: Bed,
  sides: readonly [Side, Side],
  rate: number,
  seconds: number,
  rounds: number,
): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    const order = round % 2 === 0 ? sides : [sides[1], sides[0]];
    await Promise.all(
      order.map(async (side, index) => {
        // Never due at the same moment: the second would always wait for the first.
        await sleep((index * 500) / rate);
        const { latencies, failed } = await bed.load.do('paced', side.channel, bed.small, rate, seconds);
        side.p50.push(quantile(latencies, 0.5));
        side.p99.push(quantile(latencies, 0.99));
        side.failed += failed;
      }),
    );
  }
}

/** Median of the differences within a round, in milliseconds. */
export function apart(own: readonly number[], other: readonly number[]): number {
  return median(own.map((value, round) => value - other[round]!));
}
