/** One resource, or one object of it, as the path of a request names it. */
export interface ResourcePath {
  /** '' for the core group. */
  readonly group: string;
  readonly version: string;
  /** Plural, lower case. */
  readonly resource: string;
  /** Absent: cluster-scoped, or all namespaces. */
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly subresource?: string | undefined;
}

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const GROUP = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const VERSION = /^v[0-9]+((alpha|beta)[0-9]+)?$/;
const RESOURCE = /^[a-z][a-z0-9]{0,62}$/;
/** Path segment names as the API server takes them (content.IsPathSegmentName), narrowed to printable ASCII. */
const NAME = /^(?!\.{1,2}$)[A-Za-z0-9]([-A-Za-z0-9._:@]{0,252})$/;

/**
 * The path that is sent. Every part is checked against its grammar, so that no name can become a second path segment,
 * a query, or another verb.
 * @throws RangeError naming the part (never with more than its first characters).
 */
export function pathOf(path: ResourcePath): string {
  check(path.version, VERSION, 'version');
  check(path.resource, RESOURCE, 'resource');
  if (path.group !== '') check(path.group, GROUP, 'group');
  let result = path.group === '' ? `/api/${path.version}` : `/apis/${path.group}/${path.version}`;
  if (path.namespace !== undefined) {
    check(path.namespace, DNS_LABEL, 'namespace');
    result += `/namespaces/${path.namespace}`;
  }
  result += `/${path.resource}`;
  if (path.name !== undefined) {
    check(path.name, NAME, 'name');
    result += `/${encodeURIComponent(path.name)}`;
  }
  if (path.subresource !== undefined) {
    if (path.name === undefined) throw new RangeError('a subresource without a name');
    check(path.subresource, RESOURCE, 'subresource');
    result += `/${path.subresource}`;
  }
  return result;
}

function check(value: string, grammar: RegExp, part: string): void {
  if (typeof value !== 'string' || !grammar.test(value)) {
    throw new RangeError(`not a valid ${part}: ${JSON.stringify(String(value).slice(0, 80))}`);
  }
}
