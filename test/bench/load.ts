import type { Channel } from './channel.ts';

export interface PacedLoad {
  /** Milliseconds from the moment at which a request was due to its last byte, in order of completion. */
  readonly latencies: Float64Array;
  readonly failed: number;
}

/**
 * Open loop: each request has its moment, `1/rate` after the one before, whether or not answers have come. Latency counts from
 * that moment, so that a server which stalls is charged with all whom it kept waiting (no coordinated omission). What
 * the client's own timer is late by, up to about a millisecond, is in all results alike.
 * @param rate requests per second
 */
export async function pacedLoad(channel: Channel, path: string, rate: number, seconds: number): Promise<PacedLoad> {
  const total = Math.max(1, Math.round(rate * seconds));
  const latencies = new Float64Array(total);
  const { promise, resolve } = Promise.withResolvers<void>();
  let sent = 0;
  let answered = 0;
  let failed = 0;
  const begun = performance.now();
  const settle = (): void => {
    if (answered + failed === total) resolve();
  };
  const send = (due: number): void => {
    channel.get(path, {
      end: (status) => {
        if (status === 200) latencies[answered++] = performance.now() - due;
        else failed += 1;
        settle();
      },
      fail: () => {
        failed += 1;
        settle();
      },
    });
  };
  const tick = (): void => {
    const now = performance.now();
    for (; sent < total; sent++) {
      const due = begun + (sent * 1_000) / rate;
      if (due > now) {
        setTimeout(tick, due - now);
        return;
      }
      send(due);
    }
  };
  tick();
  await promise;
  return { latencies: latencies.subarray(0, answered), failed };
}

/**
 * Closed loop: so many at once, the next as soon as one is answered.
 * @returns requests per second
 */
export function saturate(channel: Channel, path: string, parallel: number, seconds: number): Promise<number> {
  const end = performance.now() + seconds * 1_000;
  return closedLoop(channel, path, parallel, () => performance.now() < end);
}

/**
 * Closed loop, for exactly so many requests.
 * @returns requests per second
 */
export function repeat(channel: Channel, path: string, parallel: number, count: number): Promise<number> {
  let begun = 0;
  return closedLoop(channel, path, parallel, () => begun++ < count);
}

async function closedLoop(channel: Channel, path: string, parallel: number, more: () => boolean): Promise<number> {
  const begun = performance.now();
  let answered = 0;
  const one = async (): Promise<void> => {
    while (more()) {
      await new Promise<void>((resolve, reject) => {
        channel.get(path, {
          end: (status) => (status === 200 ? resolve() : reject(new Error(`${path}: ${status}`))),
          fail: reject,
        });
      });
      answered += 1;
    }
  };
  await Promise.all(Array.from({ length: parallel }, one));
  return answered / ((performance.now() - begun) / 1_000);
}
