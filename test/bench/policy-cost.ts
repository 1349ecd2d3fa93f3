import { setTimeout as sleep } from 'node:timers/promises';
import type { Bed } from './bed.ts';
import type { Protocol } from './endpoint.ts';
import { addPolicies, removePolicies } from './policies.ts';
import { ProcessUsage } from './process-usage.ts';

export interface PolicyCostSize {
  /** Stretches with many policies; each has one with few before it and one behind it. */
  readonly stretches: number;
  readonly requests: number;
}

/** CPU milliseconds of a request, one for each stretch. */
export interface PolicyCost {
  readonly few: readonly number[];
  readonly many: readonly number[];
  /** Of each stretch with many policies, over the mean of the two beside it. */
  readonly ratios: readonly number[];
}

const CONNECTIONS = 8;

/**
 * What so many more policies add to a small GET: few, many, few and so on, in one process, in a closed loop. Five per cent of half a
 * millisecond is less than what a machine wanders in a minute, hence the neighbours on both sides.
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
      await bed.load.do('repeat', channel, bed.small, CONNECTIONS, Math.ceil(size.requests / 4));
      const before = usage.cpu();
      await bed.load.do('repeat', channel, bed.small, CONNECTIONS, size.requests);
      cost[protocol] = (usage.cpu() - before) / size.requests;
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
