import { escapeLine } from '../errors.ts';
import type { Operation } from '../request/operation.ts';
import { Query } from '../request/query.ts';
import type { ApprovalRequestOperation } from './approval-request.generated.ts';
import { cut } from './condition.ts';
import { HIDDEN, hideArguments, hideText, isSecretName } from './hidden-arguments.ts';

/** As the CRD bounds a path and an argument. */
export const MAX_WORD = 24_576;

/**
 * The operation as an ApprovalRequest keeps it: for people, escaped, values hidden, bounded. The digest is what binds.
 * @param objectName of what a POST creates
 */
export function operationRecord(operation: Operation, objectName = ''): ApprovalRequestOperation {
  const { verb, apiGroup, apiVersion, resource, subresource, namespace, name, method, exec, portForward } = operation;
  const shown = (text: string, length: number): string => cut(escapeLine(text), length);
  return {
    display: displayOf(operation, objectName),
    verb,
    apiGroup: shown(apiGroup, 253),
    apiVersion: shown(apiVersion, 63),
    resource: shown(resource, 253),
    subresource: shown(subresource, 253),
    namespace,
    name: shown(name, 1024),
    method,
    path: shown(operation.path, MAX_WORD),
    ...(exec === undefined
      ? {}
      : {
          command: hideArguments(exec.command)
            .slice(0, 1024)
            .map((word) => shown(word, MAX_WORD)),
          container: shown(exec.container, 253),
          stdin: exec.stdin,
          tty: exec.tty,
        }),
    ...(portForward === undefined ? {} : { ports: portForward.ports.slice(0, 64) }),
    ...(operation.dryRun ? { dryRun: true } : {}),
  };
}

/** One short line: verb, resource, and where. */
export function displayOf(operation: Operation, objectName = ''): string {
  const { verb, resource, subresource, namespace, isResource, path } = operation;
  const name = operation.name || objectName;
  if (!isResource) return cut(escapeLine(`${verb} ${path}`), 256);
  const what = subresource === '' ? resource : `${resource}/${subresource}`;
  const where = name === '' ? namespace : namespace === '' ? name : `${namespace}/${name}`;
  return cut(escapeLine(`${verb} ${what}${where === '' ? '' : ` ${where}`}`), 256);
}

/** Method, path and query in one line; argv stands elsewhere, and what is named like a secret is hidden. */
export function requestLine(operation: Operation): string {
  // Behind a proxy the query is another program's, and may be anything.
  if (operation.proxyPath !== undefined) {
    const { method, path, query } = operation;
    return escapeLine(hideText(`${method} ${path}${query === '' ? '' : `?${query}`}`));
  }
  const pairs: string[] = [];
  for (const [name, value] of Query.parse(operation.query).entries()) {
    if (operation.exec !== undefined && name === 'command') continue;
    pairs.push(`${name}=${isSecretName(name) ? HIDDEN : hideText(value)}`);
  }
  const query = pairs.length === 0 ? '' : `?${pairs.join('&')}`;
  return escapeLine(`${operation.method} ${operation.path}${query}`);
}
