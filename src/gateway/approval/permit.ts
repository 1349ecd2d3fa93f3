import type { ApprovalRequest } from '../../approval/approval-request.generated.ts';

/** What of a request goes upstream in another form, so that it can only meet the object that a person saw. */
export interface Guarded {
  readonly body?: Buffer;
  /** Of a body where the caller sent none. */
  readonly contentType?: string;
  /** The whole query. */
  readonly query?: string;
  /** What a person saw is a refusal, and so it is sent as a dry run: a success then says that things have changed. */
  readonly mustFail?: true;
}

export interface PermitOptions {
  /** One use of the approval of this exact request, or a grant of its rule to the caller's agent session. */
  readonly kind: 'Use' | 'Grant';
  /** As it stood when it let this through. */
  readonly request: ApprovalRequest;
  /** Undefined where nothing can be, or need be, guarded. */
  readonly guarded: Guarded | undefined;
  /** What came of the forward, once. @param status of the answer; undefined where there was none */
  settle(status: number | undefined, wasSent: boolean): void;
  /** What was let through is a stream that stays open. @returns to be called when it has ended */
  stream(): () => void;
}

/** How often an object may change between being looked at and being met, as the API server tells. */
const MAX_CONFLICTS = 3;

/** By what a request that needs a person's word was let through, and what becomes of that on its way upstream. */
export class Permit {
  readonly kind: 'Use' | 'Grant';
  readonly request: ApprovalRequest;
  guarded: Guarded | undefined;
  readonly #options: PermitOptions;
  #conflicts = 0;
  #wasSent = false;
  #isSettled = false;
  #endStream: (() => void) | undefined;

  constructor(options: PermitOptions) {
    this.kind = options.kind;
    this.request = options.request;
    this.guarded = options.guarded;
    this.#options = options;
  }

  /**
   * Whether an answer says that the object has changed since it was looked at: then nothing was done, the answer is
   * dropped, and the request is judged and looked at again.
   */
  repeats(status: number): boolean {
    if (this.guarded === undefined) return false;
    const isMustFail = this.guarded.mustFail === true;
    // A success that did nothing must never be taken for one.
    if (isMustFail ? status >= 400 : status !== 409 || this.#conflicts >= MAX_CONFLICTS) return false;
    this.#conflicts += 1;
    // That forward did nothing: what comes of the next is what counts.
    this.#wasSent = false;
    return true;
  }

  /** The first byte goes upstream. */
  sent(): void {
    this.#wasSent = true;
  }

  answered(status: number): void {
    this.#settle(status);
  }

  /** The stream that was let through is open, and stays so. */
  opened(): void {
    this.#endStream ??= this.#options.stream();
  }

  /** The request is over, whatever became of it. */
  end(): void {
    this.#settle(this.#conflicts > 0 && !this.#wasSent ? 409 : undefined);
    this.#endStream?.();
  }

  #settle(status: number | undefined): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#options.settle(status, this.#wasSent);
  }
}

/** The API server found another object than the one looked at a moment ago: nothing was done, and it is looked at again. */
export class TargetMoved extends Error {
  constructor() {
    super('the object has changed since it was looked at');
    this.name = 'TargetMoved';
  }
}
