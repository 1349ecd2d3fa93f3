import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import type { Cluster } from '../cluster/cluster.ts';

/** What became of requests that went on beside everything else. */
export interface Tally {
  answered: number;
  /** Connections that ended under a request; it was sent again at once, as Kubernetes' clients do. */
  resent: number;
  refused: string[];
}

abstract class Background {
  readonly tally: Tally = { answered: 0, resent: 0, refused: [] };
  #stopped = false;
  readonly #workers: Promise<void>[] = [];

  protected begin(workers: number, pause: number): void {
    for (let worker = 0; worker < workers; worker += 1) {
      this.#workers.push(
        (async () => {
          while (!this.#stopped) {
            await this.once();
            await sleep(pause);
          }
        })(),
      );
    }
  }

  protected abstract once(): Promise<void>;

  async stop(): Promise<Tally> {
    this.#stopped = true;
    await Promise.all(this.#workers);
    return this.tally;
  }
}

/** An agent that goes on reading through the gateway. */
export class Reads extends Background {
  readonly #url: string;
  readonly #headers: Record<string, string>;
  readonly #dispatcher: Agent;

  constructor(options: { url: string; token: string; ca: string; workers?: number; pause?: number }) {
    super();
    this.#url = `${options.url}/api/v1/namespaces/shop/configmaps/greeting`;
    this.#headers = { authorization: `Bearer ${options.token}` };
    this.#dispatcher = new Agent({ connect: { ca: options.ca }, connections: 8 });
    this.begin(options.workers ?? 4, options.pause ?? 20);
  }

  protected async once(): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        const { statusCode, body } = await request(this.#url, {
          headers: this.#headers,
          dispatcher: this.#dispatcher,
          headersTimeout: 30_000,
        });
        const text = await body.text();
        if (statusCode === 200) this.tally.answered += 1;
        else this.tally.refused.push(`${statusCode}: ${text.slice(0, 300)}`);
        return;
      } catch (error) {
        // A replica that was killed takes its connections along; its address may be tried a moment longer.
        if (attempt < 10) {
          this.tally.resent += 1;
          await sleep(100);
          continue;
        }
        this.tally.refused.push(String(error));
        return;
      }
    }
  }

  override async stop(): Promise<Tally> {
    const tally = await super.stop();
    await this.#dispatcher.destroy();
    return tally;
  }
}

/** Everyone else: a person who writes at the API server all the time, whatever happens to Sallyport. */
export class OthersWrites extends Background {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    super();
    this.#cluster = cluster;
    this.begin(2, 100);
  }

  protected async once(): Promise<void> {
    const name = `of-a-person-${crypto.randomUUID()}`;
    const folder = '/api/v1/namespaces/default/configmaps';
    const answers = [
      await this.#cluster.admin('POST', folder, { metadata: { name } }),
      await this.#cluster.admin('PATCH', `${folder}/${name}`, { data: { a: 'b' } }, 'application/merge-patch+json'),
      await this.#cluster.admin('DELETE', `${folder}/${name}`),
    ];
    for (const { status, body } of answers) {
      if (status < 300) this.tally.answered += 1;
      else this.tally.refused.push(`${status}: ${body.slice(0, 300)}`);
    }
  }
}
