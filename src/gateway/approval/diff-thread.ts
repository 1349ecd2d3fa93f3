import { parentPort } from 'node:worker_threads';
import { type ObjectDiff, objectDiff } from '../../approval/object-diff.ts';

/** Two objects in JSON; undefined where there is none. */
export interface DiffQuestion {
  readonly before: string | undefined;
  readonly after: string | undefined;
  /** The same as the masking rules let them be seen; undefined where nothing masks. */
  readonly masked: { readonly before: string | undefined; readonly after: string | undefined } | undefined;
}

/** Runs in a thread of its own (differ.ts): one question, one answer. */
parentPort?.on('message', ({ before, after, masked }: DiffQuestion) => {
  const [old, next] = [parsed(before), parsed(after)];
  const [oldMasked, nextMasked] = [parsed(masked?.before), parsed(masked?.after)];
  const mask = masked && ((object: unknown) => (object === old ? oldMasked : nextMasked));
  parentPort!.postMessage(objectDiff(old, next, undefined, mask) satisfies ObjectDiff);
});

function parsed(text: string | undefined): unknown {
  return text === undefined ? undefined : JSON.parse(text);
}
