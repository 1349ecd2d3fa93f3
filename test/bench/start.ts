import { setTimeout as sleep } from 'node:timers/promises';
import type { GatewayProcess } from '../gateway/gateway-process.ts';
import { part } from './part.ts';
import { ProcessUsage } from './process-usage.ts';
import { median } from './quantile.ts';
import { megabytes, number } from './words.ts';

/** From the start of the process to ready, and what it holds when nobody asks it anything. */
export const start = part('start', { full: { starts: 5 }, quick: { starts: 1 } }, async (bed, size) => {
  const gateway = await bed.freshGateway();
  const milliseconds: number[] = [];
  const resident: number[] = [];
  for (let round = 0; round < size.starts; round++) {
    await gateway.kill();
    const begun = performance.now();
    await gateway.launch();
    await untilReady(gateway);
    milliseconds.push(performance.now() - begun);
    await sleep(1_500);
    resident.push(new ProcessUsage(gateway.pid).resident());
  }
  await gateway.stop();
  return {
    title: 'Start',
    notes: [
      `From the start of the process to a readiness probe that answers 200: policies, sessions and the issuer's keys are loaded. ${size.starts} starts; resident memory 1.5 s later.`,
    ],
    tables: [
      {
        columns: ['', 'median', 'slowest'],
        rows: [
          ['ready after', `${number(median(milliseconds), 0)} ms`, `${number(Math.max(...milliseconds), 0)} ms`],
          ['resident at rest', megabytes(median(resident)), megabytes(Math.max(...resident))],
        ],
      },
    ],
    musts: [],
  };
});

async function untilReady(gateway: GatewayProcess): Promise<void> {
  for (let attempt = 0; attempt < 2_000; attempt++) {
    if ((await gateway.probe('/readyz')).status === 200) return;
    await sleep(5);
  }
  throw new Error('the gateway does not become ready');
}
