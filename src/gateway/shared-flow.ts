import type { Flow } from '../upstream/forward.ts';

/** Holds a flow for several reasons at once: it goes on when none is left. */
export class SharedFlow {
  readonly #flow: Flow;
  #holders = 0;

  constructor(flow: Flow) {
    this.#flow = flow;
  }

  /** The flow, as one who may want it to wait sees it. */
  holder(): Flow {
    let holding = false;
    return {
      pause: () => {
        if (holding) return;
        holding = true;
        if (this.#holders++ === 0) this.#flow.pause();
      },
      resume: () => {
        if (!holding) return;
        holding = false;
        if (--this.#holders === 0) this.#flow.resume();
      },
    };
  }
}
