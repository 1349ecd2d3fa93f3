import type { Connection } from './connection.ts';
import { inCluster } from './in-cluster.ts';
import { readKubeconfig } from './kubeconfig.ts';

export interface ConnectionOptions {
  /** A kubeconfig file; absent: the pod's own ServiceAccount. */
  readonly kubeconfig?: string | undefined;
  /** A context of that kubeconfig; absent: its current one. */
  readonly context?: string | undefined;
  /** Told when a file could not be re-read; the last good content stays in use. */
  readonly onError?: (error: unknown) => void;
}

/**
 * Opens nothing yet: reads where and how.
 * @throws Error saying which file or field is wrong and what to do.
 */
export function locate(options: ConnectionOptions = {}): Connection {
  const onError = options.onError ?? (() => {});
  if (options.kubeconfig !== undefined) return readKubeconfig(options.kubeconfig, options.context, onError);
  return inCluster(process.env, onError);
}
