import { isConnect, type Operation } from '../request/operation.ts';

export type Leg = 'Gateway' | 'Admission';

/**
 * The verbs as which one operation is judged. The most restrictive answer over all asks of an operation holds, so an
 * apply that creates needs both `create` and `patch`.
 */
export interface Ask {
  /** Names this ask in lookup keys. */
  readonly id: string;
  /** An Allow rule that names any of these matches. */
  readonly allow: readonly string[];
  /** A Deny or RequireApproval rule that names any of these matches. */
  readonly restrict: readonly string[];
}

const plain = new Map<string, readonly [Ask]>();
for (const verb of ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection']) {
  plain.set(verb, [{ id: verb, allow: [verb], restrict: [verb] }]);
}

/**
 * kubectl's exec is a GET over WebSocket and a POST over SPDY; API servers from 1.35 ask for `create` either way. Were
 * it judged by method, `get` on `pods/*`, written for reading, would open a shell.
 */
const STREAM: readonly [Ask] = [{ id: '~stream', allow: ['create'], restrict: ['create', 'get'] }];

const PROXY_VERBS = ['get', 'create', 'update', 'patch', 'delete'] as const;
const PROXY_CONNECT: readonly [Ask] = [{ id: '~proxy', allow: PROXY_VERBS, restrict: PROXY_VERBS }];

const admission = (...verbs: string[]): readonly [Ask] => [
  { id: `~${verbs.join('+')}`, allow: verbs, restrict: verbs },
];
/** The webhook is told the storage operation, not the verb: an apply that creates arrives as CREATE. */
const ADMISSION_CREATE = admission('create', 'update', 'patch');
const ADMISSION_UPDATE = admission('update', 'patch');
const ADMISSION_DELETE = admission('delete', 'deletecollection');
const ADMISSION: Readonly<Record<string, readonly [Ask]>> = {
  create: ADMISSION_CREATE,
  update: ADMISSION_UPDATE,
  patch: ADMISSION_UPDATE,
  delete: ADMISSION_DELETE,
  deletecollection: ADMISSION_DELETE,
};

export const isRead = (verb: string): boolean => verb === 'get' || verb === 'list' || verb === 'watch';

export const isProxy = (operation: Operation): boolean => operation.isResource && operation.subresource === 'proxy';

/** A PUT or an apply patch of an object: both create it where there is none. Subresources belong to one that is there. */
export const mayCreate = (operation: Operation): boolean =>
  operation.isResource &&
  operation.subresource === '' &&
  (operation.verb === 'update' ||
    (operation.verb === 'patch' && operation.patchType !== undefined && operation.patchType.includes('apply-patch')));

/** @param creates whether a PUT or apply patch creates; undefined where that is not known, judged as if it did. */
export function asksOf(operation: Operation, leg: Leg, creates: boolean | undefined): readonly Ask[] {
  const { verb } = operation;
  if (operation.isResource) {
    if (isConnect(operation) && operation.subresource !== 'proxy') return STREAM;
    if (isProxy(operation)) {
      if (leg === 'Admission') return PROXY_CONNECT;
      return [{ id: `~proxy-${verb}`, allow: [verb], restrict: PROXY_VERBS }];
    }
    if (leg === 'Admission') {
      const ask = ADMISSION[verb];
      if (ask !== undefined) return ask;
    } else if (creates !== false && mayCreate(operation)) {
      return [...plain.get('create')!, ...(plain.get(verb) ?? [])];
    }
  }
  return plain.get(verb) ?? [{ id: verb, allow: [verb], restrict: [verb] }];
}
