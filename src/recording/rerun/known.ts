/** What the other cluster has of an object. */
export interface Known {
  readonly uid: string;
  readonly resourceVersion: string;
}

/** Looks an object up in the cluster that the requests go to. */
export type LookUp = (path: string) => Promise<Known | undefined>;
/** The plural of a kind there, with whether it is namespaced; undefined where it does not serve it. */
export type Mapping = (
  apiVersion: string,
  kind: string,
) => Promise<{ plural: string; namespaced: boolean } | undefined>;

export const IDENTITIES = ['uid', 'resourceVersion'] as const;

/** Why a request cannot be sent: it would name what only the recorded cluster has. */
export class Unresolved extends Error {}
