/** A list of names in which `*` stands for any run of characters, compiled once. */
export interface Globs {
  /** True when `*` alone is among them: nothing can be outside. */
  readonly everything: boolean;
  test(name: string): boolean;
}

export function compileGlobs(patterns: readonly string[]): Globs {
  const exact = new Set(patterns.filter((pattern) => !pattern.includes('*')));
  const wild = patterns.filter((pattern) => pattern.includes('*')).map((pattern) => pattern.split(/\*+/));
  const everything = wild.some((parts) => parts.every((part) => part === ''));
  if (everything) return { everything, test: () => true };
  if (wild.length === 0) return { everything, test: (name) => exact.has(name) };
  return {
    everything,
    test: (name) => {
      if (exact.has(name)) return true;
      for (const parts of wild) if (matchesParts(parts, name)) return true;
      return false;
    },
  };
}

/** The literal parts between the stars, in order and without overlap. Linear: each part is sought once, leftmost. */
function matchesParts(parts: readonly string[], name: string): boolean {
  const first = parts[0] ?? '';
  const last = parts[parts.length - 1] ?? '';
  if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last)) return false;
  let at = first.length;
  const end = name.length - last.length;
  for (let i = 1; i < parts.length - 1; i++) {
    const part = parts[i] ?? '';
    const found = name.indexOf(part, at);
    if (found === -1 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
