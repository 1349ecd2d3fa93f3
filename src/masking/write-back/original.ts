import { SallyportError } from '../../errors.ts';
import { type Json, parseJson } from '../../request/json.ts';
import type { MaskPlan } from '../mask-plan.ts';
import { maskObject } from '../object-mask.ts';
import type { Tracer } from './tracer.ts';

/** The same place of one object as it is stored, as the caller sees it, and with a token for each hidden value. */
export interface View {
  readonly real: Json | undefined;
  readonly shown: Json | undefined;
  readonly traced: Json | undefined;
  /** Of the very object that is written; not of one whose values may stand in it. */
  readonly own: boolean;
}

/**
 * An object as read under the caller's name, beside what the caller sees of it.
 * @param bytes JSON
 * @param kind what it is taken for until it says so itself
 * @throws SallyportError SP_MASKING_UNREADABLE
 */
export function viewOf(plan: MaskPlan, tracer: Tracer, bytes: Buffer, kind: string, own = true): View {
  const { masked: _, forObject: __, ...quiet } = plan;
  const shown = maskObject(quiet, bytes, { kind });
  const real = readStored(bytes);
  if (shown === bytes) return { real, shown: real, traced: real, own };
  const traced = maskObject(tracer.plan(plan), bytes, { kind });
  return { real, shown: readStored(shown), traced: tracer.opened(readStored(traced)), own };
}

function readStored(bytes: Buffer): Json {
  try {
    return parseJson(bytes.toString());
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error;
    throw new SallyportError(
      'SP_MASKING_UNREADABLE',
      'the object that is written cannot be read: nothing is forwarded',
    );
  }
}
