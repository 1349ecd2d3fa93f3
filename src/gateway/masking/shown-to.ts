import type { Caller } from '../../identity/caller.ts';
import { JsonMask } from '../../masking/json-stream.ts';
import { replacer } from '../../masking/mask-plan.ts';
import { maskText } from '../../masking/text-mask.ts';
import type { Operation } from '../../request/operation.ts';
import type { Masking } from './masking.ts';
import { resourceKind } from './resource-kind.ts';

export interface Shown {
  readonly isMasked: boolean;
  /** Of JSON. */
  object(text: string | undefined): string | undefined;
  /** One line that may quote an object. */
  line(text: string): string;
}

/**
 * What others may be shown of something that did not come through the gate: as much as its caller would see through it.
 * @throws SallyportError SP_MASKING_NOT_LOADED, SP_MASKING_RULE_BROKEN
 */
export function shownTo(masking: Pick<Masking, 'planFor'>, caller: Caller, operation: Operation): Shown {
  const plan = masking.planFor({ caller, operation });
  if (plan === undefined) return { isMasked: false, object: (text) => text, line: (text) => text };
  return {
    isMasked: true,
    object(text) {
      if (text === undefined) return undefined;
      const engine = new JsonMask(plan, { kind: resourceKind(operation), isList: false });
      return Buffer.concat([engine.write(Buffer.from(text)), engine.end()]).toString('utf8');
    },
    line(text) {
      const masked = maskText(Buffer.from(text), plan.recognizer, replacer(plan, operation.path, 'message'));
      return masked === undefined ? text : masked.toString();
    },
  };
}
