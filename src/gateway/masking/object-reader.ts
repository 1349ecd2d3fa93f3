import type { Forward } from '../../upstream/forward.ts';
import type { Exchange } from '../exchange.ts';

export interface ObjectReaderOptions {
  readonly forward: Forward;
  via(exchange: Exchange): string;
}

/** Objects are bounded by etcd's request size; lists of a release's revisions are a few of them. */
const LIMIT = 24 << 20;

/** Reads objects under the caller's own name: what the caller may not read is not put back either. */
export class ObjectReader {
  readonly #options: ObjectReaderOptions;

  constructor(options: ObjectReaderOptions) {
    this.#options = options;
  }

  /** @throws SallyportError SP_UPSTREAM_* */
  read(exchange: Exchange, target: string): Promise<{ status: number; body: Buffer }> {
    return this.#options.forward.collect(
      {
        identity: exchange.identity!,
        via: this.#options.via(exchange),
        requestID: exchange.id,
        method: 'GET',
        target,
        headers: ['accept', 'application/json'],
        body: null,
      },
      LIMIT,
      exchange.signal,
    );
  }
}
