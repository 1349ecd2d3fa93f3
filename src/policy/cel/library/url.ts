import type { Budget } from '../budget.ts';
import { declare, type FunctionDeclaration, method, onceForLiteral, overload } from '../declarations.ts';
import {
  escapedPathOf,
  formatURL,
  type GoURL,
  hostnameOf,
  isRequestURL,
  parseURL,
  portOf,
  queryOf,
} from '../go-url.ts';
import { nominal, readOnce } from '../sizes.ts';
import { BOOL, listOf, mapOf, opaque, STRING } from '../types.ts';
import { Boxed, CelMap, type CelValue, fault } from '../values.ts';

const URL_TYPE = opaque('kubernetes.URL');

export class CelURL extends Boxed {
  readonly celUnit = true;
  readonly url: GoURL;
  constructor(url: GoURL) {
    super();
    this.url = url;
  }
  get typeName(): string {
    return 'kubernetes.URL';
  }
  equals(other: CelValue): boolean {
    return other instanceof CelURL && other.toString() === this.toString();
  }
  override toString(): string {
    return formatURL(this.url);
  }
}

function read(budget: Budget, text: string): CelValue {
  budget.burn(text.length >> 3);
  const url = parseURL(text);
  return url === undefined ? fault('URL parse error during conversion from string') : new CelURL(url);
}

const part = (name: string, id: string, of: (url: GoURL) => string): FunctionDeclaration =>
  declare(name, [method(id, [URL_TYPE], STRING, (_: Budget, { url }: CelURL) => of(url))], { cost: nominal });

/** Kubernetes' URL library. */
export const url: readonly FunctionDeclaration[] = [
  declare('url', [overload('string_to_url', [STRING], URL_TYPE, read, { prepare: onceForLiteral(read) })], {
    cost: readOnce,
  }),
  declare('isURL', [
    overload('is_url_string', [STRING], BOOL, (budget: Budget, text: string) => {
      budget.burn(text.length >> 3);
      return isRequestURL(text);
    }),
  ]),
  part('getScheme', 'url_get_scheme', ({ scheme }) => scheme),
  part('getHost', 'url_get_host', ({ host }) => host),
  part('getHostname', 'url_get_hostname', hostnameOf),
  part('getPort', 'url_get_port', portOf),
  part('getEscapedPath', 'url_get_escaped_path', escapedPathOf),
  declare(
    'getQuery',
    [
      method(
        'url_get_query',
        [URL_TYPE],
        mapOf(STRING, listOf(STRING)),
        (_: Budget, { url: u }: CelURL) => new CelMap(queryOf(u)),
      ),
    ],
    { cost: nominal },
  ),
];
