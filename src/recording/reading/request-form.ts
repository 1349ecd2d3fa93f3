import { kubectlForm } from '../../approval/kubectl-form.ts';
import type { Operation } from '../../request/operation.ts';
import type { EventLine } from '../line.ts';

/** What an event asked, as the grammar describes requests; for showing only, nothing is decided by it. */
export function operationOf(event: EventLine): Operation {
  const { objectRef, requestURI, verb, exec, ports } = event;
  const question = requestURI.indexOf('?');
  const path = question === -1 ? requestURI : requestURI.slice(0, question);
  return {
    verb,
    isResource: objectRef !== undefined,
    apiGroup: objectRef?.apiGroup ?? '',
    apiVersion: objectRef?.apiVersion ?? '',
    resource: objectRef?.resource ?? '',
    subresource: objectRef?.subresource ?? '',
    namespace: objectRef?.namespace ?? '',
    name: objectRef?.name ?? '',
    fieldSelectorName: undefined,
    isCollection: verb === 'list' || verb === 'watch' || verb === 'deletecollection',
    path,
    query: question === -1 ? '' : requestURI.slice(question + 1),
    method: methodOf(event),
    proxyPath: undefined,
    dryRun: event.dryRun === true,
    patchType: verb === 'patch' ? event.requestBody?.contentType : undefined,
    exec,
    portForward: ports === undefined ? undefined : { ports },
  };
}

const METHODS: Readonly<Record<string, string>> = {
  get: 'GET',
  list: 'GET',
  watch: 'GET',
  create: 'POST',
  update: 'PUT',
  patch: 'PATCH',
  delete: 'DELETE',
  deletecollection: 'DELETE',
};

/** The HTTP method of an event's verb; of a non-resource request the verb is the method. */
export function methodOf({ verb }: Pick<EventLine, 'verb'>): string {
  return METHODS[verb] ?? verb.toUpperCase();
}

/** As one would type it; where kubectl has no such command, verb and path. */
export function typedForm(event: EventLine): string {
  return kubectlForm(operationOf(event)) ?? `${event.verb} ${event.requestURI}`;
}
