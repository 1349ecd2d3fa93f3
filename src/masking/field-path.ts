/** One step of a field path. */
export type Segment =
  | { readonly is: 'key'; readonly key: string }
  | { readonly is: 'any' }
  | { readonly is: 'deep' }
  | { readonly is: 'item'; readonly key: string; readonly value: string };

const MAX_PATH = 512;
const MAX_SEGMENTS = 32;

/** A path that cannot be read, with where. */
export class FieldPathError extends Error {
  /** 1-based, in characters. */
  readonly column: number;

  constructor(message: string, at: number) {
    super(message);
    this.name = 'FieldPathError';
    this.column = at + 1;
  }
}

/**
 * Reads `data.*`, `spec.**.password`, `metadata.annotations["example.dev/token"]`,
 * `spec.containers[name=app].env[*].value`, `spec.users[0]`.
 * @throws FieldPathError
 */
export function parseFieldPath(text: string): readonly Segment[] {
  if (text.length > MAX_PATH) throw new FieldPathError(`a path has at most ${MAX_PATH} characters`, MAX_PATH);
  const segments: Segment[] = [];
  let at = 0;
  const step = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found !== null) at += found[0].length;
    return found ?? undefined;
  };
  while (at < text.length) {
    if (segments.length >= MAX_SEGMENTS) throw new FieldPathError(`a path has at most ${MAX_SEGMENTS} steps`, at);
    const first = segments.length === 0;
    const item = step(/\[([A-Za-z][A-Za-z0-9_]{0,62})=([^\]"]{1,253})\]/y);
    const quoted = item === undefined ? step(/\["((?:[^"\\]|\\["\\])*)"\]/y) : undefined;
    if (item !== undefined) segments.push({ is: 'item', key: item[1]!, value: item[2]! });
    else if (quoted !== undefined) segments.push({ is: 'key', key: quoted[1]!.replace(/\\(.)/g, '$1') });
    else if (step(/\[\*\]/y) !== undefined) segments.push({ is: 'any' });
    else {
      const index = step(/\[(\d{1,6})\]/y);
      if (index !== undefined) {
        segments.push({ is: 'key', key: index[1]! });
        continue;
      }
      if (!first && step(/\./y) === undefined) throw new FieldPathError(`"." or "[" expected`, at);
      if (step(/\*\*/y) !== undefined) segments.push({ is: 'deep' });
      else if (step(/\*/y) !== undefined) segments.push({ is: 'any' });
      else {
        const name = step(/[A-Za-z0-9_$-]{1,253}/y);
        if (name === undefined) throw new FieldPathError('a name, "*", "**" or ["key"] expected', at);
        segments.push({ is: 'key', key: name[0] });
      }
    }
  }
  if (segments.length === 0) throw new FieldPathError('the path is empty', 0);
  if (segments.every(({ is }) => is === 'deep' || is === 'any') && segments[0]!.is === 'deep') {
    throw new FieldPathError('a path that is ** alone would mask names and kinds as well', 0);
  }
  return segments;
}

/** Fields that are never masked: tools could not work without them, and they hold nothing of anyone. */
export function isIdentity(path: readonly Segment[]): boolean {
  const [first, second] = path;
  if (first?.is !== 'key') return false;
  if (path.length === 1) return first.key === 'kind' || first.key === 'apiVersion' || first.key === 'metadata';
  if (first.key !== 'metadata' || second?.is === 'deep') return false;
  return second?.is !== 'key' || (second.key !== 'annotations' && second.key !== 'labels');
}
