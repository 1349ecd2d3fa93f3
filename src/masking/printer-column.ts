import type { Segment } from './field-path.ts';

/**
 * Reads the JSONPath of a CRD's additionalPrinterColumns (`.spec.password`, `.status.conditions[?(@.type=="Ready")].status`,
 * `.metadata.labels.example\.dev/x`, `.spec['a']`, `..token`), as kubectl's own dialect has it. Filters, slices and unions are
 * any item.
 * @returns undefined for one that cannot be read: it may lead anywhere
 */
export function readPrinterColumn(text: string): readonly Segment[] | undefined {
  const segments: Segment[] = [];
  const path = text.replace(/^\{(.*)\}$/s, '$1').replace(/^\$/, '');
  let at = 0;
  while (at < path.length) {
    if (path[at] === '.') {
      at++;
      if (path[at] === '.') {
        segments.push({ is: 'deep' });
        at++;
      }
      if (path[at] === '[' || at === path.length) continue;
      const name = /(?:\\.|[^.[\]\\])+/y;
      name.lastIndex = at;
      const found = name.exec(path)?.[0];
      if (found === undefined) return undefined;
      segments.push(found === '*' ? { is: 'any' } : { is: 'key', key: found.replace(/\\(.)/gs, '$1') });
      at += found.length;
    } else if (path[at] === '[') {
      const end = closing(path, at);
      if (end === -1) return undefined;
      segments.push(readBracket(path.slice(at + 1, end).trim()));
      at = end + 1;
    } else return undefined;
  }
  return segments;
}

/** The bracket that closes the one at `from`; brackets within quotes are none. */
function closing(path: string, from: number): number {
  let depth = 0;
  let quote = '';
  for (let i = from; i < path.length; i++) {
    const char = path[i]!;
    if (quote !== '') {
      if (char === '\\') i++;
      else if (char === quote) quote = '';
    } else if (char === '"' || char === "'") quote = char;
    else if (char === '[') depth++;
    else if (char === ']' && --depth === 0) return i;
  }
  return -1;
}

function readBracket(inside: string): Segment {
  if (/^\d+$/.test(inside)) return { is: 'key', key: inside };
  const quoted = /^(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")$/s.exec(inside);
  if (quoted !== null) return { is: 'key', key: (quoted[1] ?? quoted[2] ?? '').replace(/\\(.)/gs, '$1') };
  return { is: 'any' };
}

/** Whether what one path leads to could hold, or lie within, what the other leads to. */
export function overlap(a: readonly Segment[], b: readonly Segment[], i = 0, j = 0): boolean {
  const one = a[i];
  const other = b[j];
  if (one === undefined || other === undefined) return true;
  if (one.is === 'deep') return overlap(a, b, i + 1, j) || overlap(a, b, i, j + 1);
  if (other.is === 'deep') return overlap(a, b, i, j + 1) || overlap(a, b, i + 1, j);
  return canBeSame(one, other) && overlap(a, b, i + 1, j + 1);
}

function canBeSame(one: Segment, other: Segment): boolean {
  if (one.is === 'key' && other.is === 'key') return one.key === other.key;
  if (one.is === 'item' && other.is === 'item') return one.key !== other.key || one.value === other.value;
  if (one.is === 'item' && other.is === 'key') return /^\d+$/.test(other.key);
  if (one.is === 'key' && other.is === 'item') return /^\d+$/.test(one.key);
  return true;
}
