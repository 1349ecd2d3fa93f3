import { SallyportError } from '../../errors.ts';
import type { Caller } from '../../identity/caller.ts';
import { upstreamName } from '../../identity/upstream-name.ts';
import type { SubjectAccessReviewSpec, SubjectAccessReviewStatus } from '../../kubernetes/review.ts';

export interface RecordingAccessOptions {
  readonly review: (spec: SubjectAccessReviewSpec, signal?: AbortSignal) => Promise<SubjectAccessReviewStatus>;
  /** The gateway's, where SessionRecordings are. */
  readonly namespace: string;
  /** Whether an AgentPolicy speaks of a caller. @throws SallyportError while policies are not loaded */
  readonly governs: (caller: Caller) => boolean;
}

/** Milliseconds for which an answer holds: a command that reads a recording asks for dozens of files. */
const HOLDS = 10_000;
const MOST_REMEMBERED = 2_000;

/**
 * Who may read recordings: people to whom the cluster's RBAC gives `get` (of one) or `list` (of all) of
 * `sessionrecordings/content` in the gateway's namespace, under their name behind the gate. Agents may not, whatever RBAC says.
 */
export class RecordingAccess {
  readonly #options: RecordingAccessOptions;
  readonly #answers = new Map<string, { readonly allowed: boolean; readonly until: number }>();

  constructor(options: RecordingAccessOptions) {
    this.#options = options;
  }

  /**
   * @param recording undefined: all of them
   * @throws SallyportError SP_RECORDING_READ_REFUSED, SP_IDENTITY_UNAVAILABLE where the API server cannot say
   */
  async require(caller: Caller, recording: string | undefined, signal: AbortSignal): Promise<void> {
    if (caller.agent !== undefined || caller.session !== undefined || caller.run !== undefined) {
      throw refused('an agent reads no recordings, its own neither: sign in as a person');
    }
    if (this.#options.governs(caller)) {
      throw refused('an AgentPolicy speaks of you, and whoever is governed reads no recordings: ask an auditor');
    }
    if (await this.#allowed(caller, 'list', undefined, signal)) return;
    if (recording !== undefined && (await this.#allowed(caller, 'get', recording, signal))) return;
    const { username } = upstreamName(caller);
    const verb = recording === undefined ? 'list' : 'get';
    throw refused(
      `${username} needs "${verb}" on sessionrecordings/content (sallyport.dev) in ${this.#options.namespace}`,
    );
  }

  async #allowed(
    caller: Caller,
    verb: 'get' | 'list',
    name: string | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { username, groups, uid, extra } = upstreamName(caller);
    const key = JSON.stringify([username, uid, groups, extra, verb, name]);
    const now = performance.now();
    const known = this.#answers.get(key);
    if (known !== undefined && known.until > now) return known.allowed;
    const resourceAttributes = {
      verb,
      group: 'sallyport.dev',
      resource: 'sessionrecordings',
      subresource: 'content',
      namespace: this.#options.namespace,
      ...(name !== undefined && { name }),
    };
    let allowed: boolean;
    try {
      ({ allowed } = await this.#options.review(
        { user: username, groups, ...(uid !== '' && { uid }), extra, resourceAttributes },
        signal,
      ));
    } catch (error) {
      const message = 'whether you may read recordings could not be asked of the API server: try again';
      throw new SallyportError('SP_IDENTITY_UNAVAILABLE', message, { cause: error, retryAfter: 2 });
    }
    if (this.#answers.size >= MOST_REMEMBERED) this.#answers.clear();
    this.#answers.set(key, { allowed, until: now + HOLDS });
    return allowed;
  }
}

function refused(why: string): SallyportError {
  return new SallyportError('SP_RECORDING_READ_REFUSED', why);
}
