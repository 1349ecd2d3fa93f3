/** What one request asks, in Kubernetes terms. Built once from the canonical path; everything later reads this only. */
export interface Operation {
  /** get, list, watch, create, update, patch, delete, deletecollection; for non-resource requests the HTTP method in lower case. */
  readonly verb: string;
  readonly isResource: boolean;
  /** '' for the core group. */
  readonly apiGroup: string;
  readonly apiVersion: string;
  readonly resource: string;
  /** '' when none. For `proxy` the rest of the path is in `proxyPath`. */
  readonly subresource: string;
  /** '' for cluster-scoped operations and for all namespaces. */
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
  readonly proxyPath: string | undefined;
  readonly dryRun: boolean;
  /** application/apply-patch+yaml etc. for patches, else undefined. */
  readonly patchType: string | undefined;
  /** pods/exec and pods/attach. */
  readonly exec: ExecOptions | undefined;
  /** pods/portforward: ports known from the query; stream headers add the rest later. */
  readonly portForward: { readonly ports: readonly number[] } | undefined;
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
