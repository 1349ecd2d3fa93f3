import type { Caller } from '../../identity/caller.ts';
import { JsonMask } from '../../masking/json-stream.ts';
import { replacer } from '../../masking/mask-plan.ts';
import { maskText } from '../../masking/text-mask.ts';
import type { Operation } from '../../request/operation.ts';
import type { Masking } from './masking.ts';
import { resourceKind } from './resource-kind.ts';

export interface Shown {
  object(object: unknown): unknown;
  /** One line that may quote an object. */
  line(text: string): string;
}

/**
 * What others may be shown of something that did not come through the gate: as much as its caller would see through it.
 * @throws SallyportError SP_MASKING_NOT_LOADED, SP_MASKING_RULE_BROKEN
 */
export function shownTo(masking: Pick<Masking, 'planFor'>, caller: Caller, operation: Operation): Shown {
  const plan = masking.planFor({ caller, operation });
  if (plan === undefined) return { object: (object) => object, line: (text) => text };
  return {
    object(object) {
      const engine = new JsonMask(plan, { kind: resourceKind(operation), isList: false });
      const bytes = Buffer.from(JSON.stringify(object));
      return JSON.parse(Buffer.concat([engine.write(bytes), engine.end()]).toString('utf8'));
    },
    line(text) {
      const masked = maskText(Buffer.from(text), plan.recognizer, replacer(plan, operation.path, 'message'));
      return masked === undefined ? text : masked.toString();
    },
  };
}
