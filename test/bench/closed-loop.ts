import type { Bed } from './bed.ts';
import type { ProcessUsage } from './process-usage.ts';

/** So many requests at once. */
export const PARALLEL = 8;

/**
 * What one small GET takes of the gateway's CPU while so many are under way: less of it is waking up and falling asleep than at a
 * slower pace, and what two callers differ by can be told, where they take turns. @returns milliseconds
 */
export async function cpuInClosedLoop(
  bed: Bed,
  channel: number,
  usage: ProcessUsage,
  requests: number,
): Promise<number> {
  const before = usage.cpu();
  await bed.load.do('repeat', channel, bed.small, PARALLEL, requests);
  return (usage.cpu() - before) / requests;
}
