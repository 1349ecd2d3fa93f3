import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GatewayProcess } from '../gateway/gateway-process.ts';
import type { Bed } from './bed.ts';

/** A gateway whose memory can be asked for after its garbage is gone. */
export class GatewayMemory {
  readonly gateway: GatewayProcess;
  readonly #file: string;

  private constructor(gateway: GatewayProcess, file: string) {
    this.gateway = gateway;
    this.#file = file;
  }

  /** @param start of a gateway with these variables; a fresh one when left out */
  static async start(
    bed: Bed,
    start: (env: Record<string, string>) => Promise<GatewayProcess> = (env) => bed.freshGateway(env),
  ): Promise<GatewayMemory> {
    const file = join(tmpdir(), `sallyport-bench-${randomUUID()}.json`);
    const preload = new URL('gc-on-signal.ts', import.meta.url).href;
    const gateway = await start({
      NODE_OPTIONS: `--expose-gc --import=${preload}`,
      BENCH_MEMORY_FILE: file,
    });
    return new GatewayMemory(gateway, file);
  }

  async settled(): Promise<NodeJS.MemoryUsage> {
    process.kill(this.gateway.pid, 'SIGUSR2');
    for (let attempt = 0; attempt < 300; attempt++) {
      await sleep(50);
      if (!existsSync(this.#file)) continue;
      const usage = JSON.parse(readFileSync(this.#file, 'utf8')) as NodeJS.MemoryUsage;
      rmSync(this.#file);
      return usage;
    }
    throw new Error('the gateway does not tell its memory');
  }
}
