import { isStatus } from '../kubernetes/api-error.ts';
import type { Informer } from '../kubernetes/informer.ts';
import { type Verdict, withVerdicts } from '../kubernetes/policy-status.ts';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { AgentPolicyStatus } from '../policy/agent-policy.ts';
import { subjectWords } from '../policy/around-the-gate.ts';
import { type Bypass, findBypasses } from '../upstream/bypass.ts';
import type { Own } from '../upstream/own.ts';
import type { PolicyView } from './policy-view.ts';
import type { Proof } from './policy-webhook.ts';
import { WorkQueue } from './work-queue.ts';

export interface PolicyConditionsOptions {
  readonly own: Own;
  readonly policies: Informer<PolicyView>;
  /** Of the webhook; undefined where none is served. */
  readonly proof: (() => Proof) | undefined;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Milliseconds: RBAC changes without a word to us. */
const LOOK_AGAIN = 300_000;
const SETTLE = 300;
/** Namespaces of a policy's rules that are asked about one by one; `sallyport doctor` asks about all. */
const MOST_NAMESPACES = 8;
const MOST_TOLD = 6;

/** Writes into each policy's status what one replica finds out for all: whether the webhook is called, and what its subjects could do without the gate. */
export class PolicyConditions {
  readonly #options: PolicyConditionsOptions;
  readonly #queue: WorkQueue;
  /** By uid and generation: reviews are asked again when a policy changes, or after a while. */
  readonly #bypasses = new Map<string, { readonly at: number; readonly verdict: Verdict }>();

  constructor(options: PolicyConditionsOptions) {
    this.#options = options;
    this.#queue = new WorkQueue({
      work: (name) => this.#reconcile(name),
      workers: 2,
      onError: (error, policy) =>
        options.log.warn({ error, policy }, 'the conditions of a policy could not be written; it is tried again'),
    });
  }

  changed(name: string): void {
    this.#queue.addAfter(name, SETTLE);
  }

  /** The webhook is called, or not any more. */
  allChanged(): void {
    for (const { name } of this.#options.policies.values()) this.#queue.add(name);
  }

  /** Works until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await this.#queue.stop();
  }

  async #reconcile(name: string): Promise<void> {
    const { own, policies, proof, metrics } = this.#options;
    const view = [...policies.values()].find((one) => one.name === name);
    if (view === undefined) return void this.#forget();
    const verdicts = [
      await this.#bypass(view),
      ...(proof === undefined ? [] : [called(view, proof()), coverage(view)]),
    ];
    const object = await own.get('AgentPolicy', { name });
    this.#queue.addAfter(name, LOOK_AGAIN * (0.9 + Math.random() / 5));
    if (object === undefined || object.metadata.uid !== view.uid) return;
    metrics.policiesBypassable.set(
      [...this.#bypasses.values()].filter(({ verdict }) => verdict.status === 'True').length,
    );
    const { generation, resourceVersion, uid } = object.metadata as typeof object.metadata & { generation?: number };
    // The watch brings the newer one in a moment.
    if (generation !== view.generation) return;
    const status = (object['status'] ?? {}) as AgentPolicyStatus;
    const conditions = withVerdicts(status, view.generation, verdicts, proof !== undefined, Date.now());
    if (conditions === undefined) return;
    try {
      await own.patchStatus('AgentPolicy', { name }, { conditions }, { resourceVersion, uid });
    } catch (error) {
      // A replica has written what it has loaded.
      if (isStatus(error, 409)) this.#queue.addAfter(name, 50 + Math.random() * 200);
      else if (!isStatus(error, 404)) throw error;
    }
  }

  async #bypass(view: PolicyView): Promise<Verdict> {
    const key = `${view.uid}/${view.generation}`;
    const known = this.#bypasses.get(key);
    if (known !== undefined && performance.now() - known.at < LOOK_AGAIN / 2) return known.verdict;
    let verdict: Verdict;
    try {
      const namespaces = view.namespaces.slice(0, MOST_NAMESPACES);
      verdict = bypassVerdict(await findBypasses(this.#options.own, view.subjects, namespaces));
    } catch (error) {
      verdict = {
        type: 'BypassPossible',
        status: 'Unknown',
        reason: 'NotAsked',
        message: `whether subjects can go around the gate is not known: ${(error as Error).message}`,
      };
    }
    this.#bypasses.set(key, { at: performance.now(), verdict });
    return verdict;
  }

  /** Of policies, and generations, that are no more. */
  #forget(): void {
    const live = new Set([...this.#options.policies.values()].map(({ uid, generation }) => `${uid}/${generation}`));
    for (const key of this.#bypasses.keys()) if (!live.has(key)) this.#bypasses.delete(key);
  }
}

function bypassVerdict(found: readonly Bypass[]): Verdict {
  const type = 'BypassPossible';
  if (found.length === 0) {
    return {
      type,
      status: 'False',
      reason: 'NoneFound',
      message: 'without the gate no subject can read what it guards',
    };
  }
  const told = found.slice(0, MOST_TOLD).map(bypassWords);
  const more = found.length > told.length ? `; and ${found.length - told.length} more` : '';
  const message = `without the gate, at the API server: ${told.join('; ')}${more}. Take these rights away (RBAC); agents' rights belong to names under sallyport:`;
  return { type, status: 'True', reason: 'RBAC', message };
}

/** For people: `Group ai-agents can list secrets in shop`. */
export const bypassWords = ({ subject, what, namespace }: Bypass): string =>
  `${subjectWords(subject)} can ${what.words}${namespace === undefined ? '' : ` in ${namespace}`}`;

function called({ uid, generation }: PolicyView, { problem, generations }: Proof): Verdict {
  const type = 'AdmissionReady';
  if (problem !== undefined) return { type, status: 'False', reason: 'NotCalled', message: problem };
  if (generations.get(uid) !== generation) {
    const message = 'the API server has not been seen to call the webhook for these subjects yet';
    return { type, status: 'False', reason: 'NotSeen', message };
  }
  return { type, status: 'True', reason: 'Called', message: 'the API server calls the webhook for its subjects' };
}

function coverage({ subjects }: PolicyView): Verdict {
  const type = 'AdmissionCoverage';
  const agents = subjects.filter(({ kind }) => kind === 'Agent').map(({ name }) => name);
  if (agents.length === 0) {
    return { type, status: 'True', reason: 'Complete', message: 'the API server knows every subject' };
  }
  const message = `Agent ${agents.join(', ')}: exists at the gateway only; the API server cannot call for it around the gate. Name a Group, User or ServiceAccount beside it`;
  return { type, status: 'False', reason: 'Partial', message };
}
