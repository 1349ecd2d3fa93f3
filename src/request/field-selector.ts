/**
 * The one object that a field selector pins a collection to, as the API server's RequestInfo reads it
 * (apimachinery `fields.ParseSelector` and `RequiresExactMatch("metadata.name")`).
 *
 * @param selector the first `fieldSelector` value, decoded
 * @returns undefined when the selector is absent, malformed, or does not pin a single legal name. A malformed selector
 *   is the API server's to refuse; here it only must not narrow anything.
 */
export function selectedName(selector: string | undefined): string | undefined {
  if (selector === undefined || selector === '') return undefined;
  const terms = splitTerms(selector);
  let name: string | undefined;
  for (const term of terms) {
    if (term === '') continue;
    const equals = term.indexOf('=');
    if (equals < 0) return undefined;
    const negated = equals > 0 && term.charAt(equals - 1) === '!';
    const field = term.slice(0, negated ? equals - 1 : equals);
    const value = unescapeValue(term.slice(!negated && term.charAt(equals + 1) === '=' ? equals + 2 : equals + 1));
    if (value === undefined) return undefined;
    if (negated || field !== 'metadata.name') continue;
    // Two different names select nothing; the API server takes the first of the sorted terms. Claiming no name is safer.
    if (name !== undefined && name !== value) return undefined;
    name = value;
  }
  return name !== undefined && isPathSegmentName(name) ? name : undefined;
}

/** What a field selector asks about: each term's field and value; a malformed value as it is written. */
export function fieldTerms(selector: string): { readonly field: string; readonly value: string }[] {
  return splitTerms(selector).flatMap((term) => {
    const equals = term.indexOf('=');
    if (equals < 0) return [];
    const negated = equals > 0 && term.charAt(equals - 1) === '!';
    const value = term.slice(!negated && term.charAt(equals + 1) === '=' ? equals + 2 : equals + 1);
    return [{ field: term.slice(0, negated ? equals - 1 : equals).trim(), value: unescapeValue(value) ?? value }];
  });
}

/** Terms are separated by commas, a backslash escapes the character after it. */
function splitTerms(selector: string): string[] {
  const terms: string[] = [];
  let start = 0;
  for (let i = 0; i < selector.length; i++) {
    const character = selector.charAt(i);
    if (character === '\\') i++;
    else if (character === ',') {
      terms.push(selector.slice(start, i));
      start = i + 1;
    }
  }
  terms.push(selector.slice(start));
  return terms;
}

/** Only `\\`, `\,` and `\=` are escapes; a bare `=` or any other escape makes the whole selector invalid. */
function unescapeValue(value: string): string | undefined {
  let out = '';
  for (let i = 0; i < value.length; i++) {
    const character = value.charAt(i);
    if (character === '=' || character === ',') return undefined;
    if (character !== '\\') {
      out += character;
      continue;
    }
    const next = value.charAt(++i);
    if (next !== '\\' && next !== ',' && next !== '=') return undefined;
    out += next;
  }
  return out;
}

/** What Kubernetes lets be a name in a path: anything but `.`, `..`, and names with `/` or `%`. */
export function isPathSegmentName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !name.includes('/') && !name.includes('%');
}
