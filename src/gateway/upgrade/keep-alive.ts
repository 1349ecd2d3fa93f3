import type { Peer } from './peer.ts';

/**
 * Sends a ping on a connection on which nothing has passed for half an interval, so that none is quiet for a whole one: load
 * balancers cut those after 20 to 60 seconds.
 */
export class KeepAlive {
  readonly #timer: NodeJS.Timeout;

  constructor(interval: number, sides: readonly { readonly peer: Peer; ping(): void }[]) {
    this.#timer = setInterval(() => {
      for (const { peer, ping } of sides) {
        if (!peer.sawTraffic() && !peer.gone && !peer.congested()) ping();
      }
    }, interval / 2);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
