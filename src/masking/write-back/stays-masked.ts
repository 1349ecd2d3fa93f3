import { SallyportError } from '../../errors.ts';
import { isObject, type Json, parseJson } from '../../request/json.ts';
import { documentsOf, readDocument, readRelease } from './helm-release.ts';
import { pathText, type Steps } from './path-text.ts';
import { type Range, rangesIn, type Tracer } from './tracer.ts';

/**
 * Whether every value that was put back is hidden where it now stands: masked again, the object that is written must not show
 * what it hid. Else a placeholder in `motd: …` would be the key to what `password: …` hides.
 * @param put the written object with a token for each value that was put back
 * @param real the same with the values
 * @param again `real`, masked with tokens
 * @returns where one would be seen
 */
export function wouldShow(
  tracer: Tracer,
  put: Json | undefined,
  real: Json | undefined,
  again: Json | undefined,
  at: Steps = [],
): string | undefined {
  if (typeof put === 'string') return hidden(tracer, put, real, again) ? undefined : pathText(at);
  if (Array.isArray(put)) {
    for (const [i, item] of put.entries()) {
      const shown = wouldShow(tracer, item, itemOf(real, i), itemOf(again, i), [...at, i]);
      if (shown !== undefined) return shown;
    }
  } else if (isObject(put)) {
    for (const [name, member] of put) {
      const shown = wouldShow(tracer, member, memberOf(real, name), memberOf(again, name), [...at, name]);
      if (shown !== undefined) return shown;
    }
  }
  return undefined;
}

const itemOf = (value: Json | undefined, index: number): Json | undefined =>
  Array.isArray(value) ? value[index] : undefined;
const memberOf = (value: Json | undefined, name: string): Json | undefined =>
  isObject(value) ? value.get(name) : undefined;

function hidden(tracer: Tracer, put: string, real: Json | undefined, again: Json | undefined): boolean {
  if (!tracer.holds(put)) {
    const release = readRelease(put);
    if (release === undefined || typeof real !== 'string' || typeof again !== 'string') return true;
    const inside = { real: readRelease(real), again: readRelease(again) };
    // Masked whole is hidden as well.
    if (tracer.holds(again)) return true;
    const opened = inside.again === undefined ? undefined : tracer.opened(inside.again);
    return wouldShow(tracer, tracer.opened(release), inside.real, opened) === undefined;
  }
  if (typeof again !== 'string') return false;
  if (hiddenInText(tracer, put, real, again)) return true;
  return typeof real === 'string' && hiddenInManifest(tracer, put, real, again);
}

function hiddenInText(tracer: Tracer, put: string, real: Json | undefined, again: string): boolean {
  const before = tracer.split(put);
  const after = tracer.split(again);
  if (after.origins.length > 0 && after.literals.every((literal) => literal === '')) return true;
  if (
    before.literals.length === after.literals.length &&
    before.literals.every((text, i) => text === after.literals[i])
  )
    return true;
  if (typeof real !== 'string') return false;
  const [inPut, inReal, inAgain] = [put, real, again].map(readTree);
  if (inPut !== undefined && inReal !== undefined && inAgain !== undefined)
    return wouldShow(tracer, tracer.opened(inPut), inReal, tracer.opened(inAgain)) === undefined;
  const ranges = rangesIn(real, before);
  const covered = rangesIn(real, after);
  return ranges !== undefined && covered !== undefined && ranges.every((range) => within(range, covered));
}

/** The Secrets that Helm renders are hidden by their structure, in whichever style of YAML they are written. */
function hiddenInManifest(tracer: Tracer, ...texts: readonly [put: string, real: string, again: string]): boolean {
  const [put, real, again] = texts.map(documentsOf) as [string[], string[], string[]];
  if (put.length !== real.length || put.length !== again.length) return false;
  return put.every((document, i) => {
    if (!tracer.holds(document) || hiddenInText(tracer, document, real[i], again[i]!)) return true;
    const trees = [document, real[i]!, again[i]!].map(readDocument);
    if (trees.some((tree) => tree === undefined)) return false;
    const [tokens, values, masked] = trees as [Json, Json, Json];
    return wouldShow(tracer, tracer.opened(tokens), values, tracer.opened(masked)) === undefined;
  });
}

function within({ start, end }: Range, covered: readonly Range[]): boolean {
  let at = start;
  for (const range of covered) if (range.start <= at && range.end > at) at = range.end;
  return at >= end;
}

/** JSON in a text. */
export function readTree(text: string): Json | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return parseJson(text);
  } catch (error) {
    if (error instanceof SallyportError) return undefined;
    throw error;
  }
}
