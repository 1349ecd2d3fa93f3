/** What one request asks, in Kubernetes terms. Built once from the canonical path; everything later reads this only. */
export interface Operation {
  /** get, list, watch, create, update, patch, delete, deletecollection; for non-resource requests the HTTP method in lower case. */
  readonly verb: string;
  readonly isResource: boolean;
  /** '' for the core group. */
  readonly apiGroup: string;
  readonly apiVersion: string;
  readonly resource: string;
  /** '' when none. What follows it in the path is in `proxyPath`. */
  readonly subresource: string;
  /**
   * '' for cluster-scoped operations and for all namespaces. For the Namespace object itself (`namespaces/shop`) it is
   * that namespace, as in Kubernetes' own RequestInfo, RBAC and admission.
   */
  readonly namespace: string;
  /** '' for collections and creates by POST; a `metadata.name` field selector is in `fieldSelectorName`. */
  readonly name: string;
  /** The name that `fieldSelector=metadata.name=…` pins a collection to. */
  readonly fieldSelectorName: string | undefined;
  /** True for list, watch and deletecollection: several objects may be touched. */
  readonly isCollection: boolean;
  /** The canonical path: decided on, and forwarded in this very form. */
  readonly path: string;
  /** The query as it is forwarded: without `?`, order kept. */
  readonly query: string;
  /** The HTTP method as sent upstream. */
  readonly method: string;
  /**
   * The canonical path behind `proxy` ('' or beginning with a slash, a trailing slash kept), or behind another
   * subresource that takes one (aggregated servers have such). Undefined where nothing can follow.
   */
  readonly proxyPath: string | undefined;
  /** Of `pods/proxy`, `services/proxy`, `nodes/proxy`: `name` taken apart. A rule on names must compare this `name`. */
  readonly proxyTarget?: ProxyTarget;
  /**
   * True only where the API server itself takes it for a dry run. Never for connects and `serviceaccounts/token` (they
   * ignore the parameter and act), and for deletes only after `withDeleteOptions` has seen the body (a body silences
   * the query).
   */
  readonly dryRun: boolean;
  /** application/apply-patch+yaml etc. for patches, else undefined. */
  readonly patchType: string | undefined;
  /** pods/exec and pods/attach. */
  readonly exec: ExecOptions | undefined;
  /** pods/portforward: ports known from the query; stream headers add the rest later. */
  readonly portForward: { readonly ports: readonly number[] } | undefined;
}

/** `https:web:8443` as the API server takes it apart: scheme and port may be ''. */
export interface ProxyTarget {
  readonly scheme: string;
  readonly name: string;
  /** A number or a port's name, as given. */
  readonly port: string;
}

export interface ExecOptions {
  /** argv, each element exactly as given; empty for attach. */
  readonly command: readonly string[];
  readonly container: string;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

const CONNECTS = new Set([
  'pods/exec',
  'pods/attach',
  'pods/portforward',
  'pods/proxy',
  'services/proxy',
  'nodes/proxy',
]);

/** Operations that open a way into a Pod, Service or node: judged as subresources, by whatever method they come. */
export function isConnect(operation: Pick<Operation, 'apiGroup' | 'resource' | 'subresource'>): boolean {
  return operation.apiGroup === '' && CONNECTS.has(`${operation.resource}/${operation.subresource}`);
}
