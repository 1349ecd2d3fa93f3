import { setTimeout as sleep } from 'node:timers/promises';
import type { Bed } from './bed.ts';
import type { Protocol } from './endpoint.ts';
import { addPolicies, removePolicies } from './policies.ts';
import { ProcessUsage } from './process-usage.ts';
import { median } from './quantile.ts';

export interface PolicyCostSize {
  /** Stretches with many policies; each has one with few before it and one behind it. */
  readonly stretches: number;
  /** Of each protocol in each stretch, each measured by itself. */
  readonly portions: number;
  readonly requests: number;
}

/** CPU milliseconds of a request, one for each stretch: the median of its portions. */
export interface PolicyCost {
  readonly few: readonly number[];
  readonly many: readonly number[];
  /** Of each stretch with many policies, over the mean of the two beside it. */
  readonly ratios: readonly number[];
}

const CONNECTIONS = 8;

/**
 * What so many more policies add to a small GET: few, many, few and so on, in one process, in a closed loop. Five per cent of a sixth of
 * a millisecond is less than what a machine wanders in a minute, hence the neighbours on both sides; and less than one collection of
 * the heap or one function that is compiled anew for other policies, hence portions, of which a few may have either.
 */
export async function policyCost<P extends Protocol>(
  bed: Bed,
  protocols: readonly P[],
  more: number,
  size: PolicyCostSize,
): Promise<Record<P, PolicyCost>> {
  const usage = new ProcessUsage(bed.gateway.pid);
  const endpoint = bed.unmasked(bed.gateway);
  const stretch = async (): Promise<Record<P, number>> => {
    await settled(usage);
    const cost = {} as Record<P, number>;
    for (const protocol of protocols) {
      const channel = await bed.load.do('open', endpoint, protocol, CONNECTIONS);
      await bed.load.do('repeat', channel, bed.small, CONNECTIONS, 2 * size.requests);
      const portions: number[] = [];
      for (let portion = 0; portion < size.portions; portion++) {
        const before = usage.cpu();
        await bed.load.do('repeat', channel, bed.small, CONNECTIONS, size.requests);
        portions.push((usage.cpu() - before) / size.requests);
      }
      cost[protocol] = median(portions);
      await bed.load.do('close', channel);
      bed.gateway.log.length = 0;
    }
    return cost;
  };
  const few = [await stretch()];
  const many: Record<P, number>[] = [];
  for (let done = 0; done < size.stretches; done++) {
    await addPolicies(bed.cluster, bed.gateway, more);
    try {
      many.push(await stretch());
    } finally {
      await removePolicies(bed.cluster, bed.gateway, more);
    }
    few.push(await stretch());
  }
  const of = (protocol: P): PolicyCost => ({
    few: few.map((one) => one[protocol]),
    many: many.map((one) => one[protocol]),
    ratios: many.map((one, i) => (2 * one[protocol]) / (few[i]![protocol] + few[i + 1]![protocol])),
  });
  return Object.fromEntries(protocols.map((protocol) => [protocol, of(protocol)])) as Record<P, PolicyCost>;
}

/** Until the gateway has written what it says of new policies into their status: that is no request's work. */
export async function settled(usage: ProcessUsage): Promise<void> {
  for (let attempt = 0; attempt < 60; attempt++) {
    const before = usage.cpu();
    await sleep(500);
    if (usage.cpu() - before < 20) return;
  }
}
